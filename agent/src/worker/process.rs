//! The worker's end: commands from standard input, reports to standard output.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, Sender, channel};

use proto::v1;

use super::convert::{load_command, load_report};
use super::pipe::{read_frame, write_frame};
use crate::fabric::{self, FabricCommand};
use crate::hardware::{Hardware, LoadCommand};

/// What a worker is started with.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct WorkerOptions {
    /// Index of the device to load.
    #[arg(long, conflicts_with = "fabric")]
    pub device: Option<u32>,
    /// Run the data plane instead of a device.
    #[arg(long)]
    pub fabric: bool,
    /// Cores that belong to the device, such as 0-3,8.
    #[arg(long)]
    pub cores: String,
}

/// Runs a worker until its standard input closes.
///
/// # Errors
/// When the options make no sense or a thread can't be made.
pub fn run(options: &WorkerOptions) -> anyhow::Result<()> {
    let cores = crate::node_facts::parse_core_list(&options.cores)?;
    if options.fabric {
        return run_fabric(&cores);
    }
    let hardware = crate::hardware::cpu::CpuHardware::bare(&cores);
    let index = options.device.unwrap_or(0);
    let (orders, commands) = channel();
    std::thread::Builder::new().name("commands".into()).spawn(move || {
        listen(|command| match load_command(command) {
            Ok(Some(command)) => orders.send(command).is_ok(),
            Ok(None) | Err(_) => true,
        });
        // The pipe closed: nobody supervises this load any more.
        std::process::exit(0);
    })?;
    run_device(&hardware, index, commands)
}

fn run_device(
    hardware: &dyn Hardware,
    device: u32,
    commands: Receiver<LoadCommand>,
) -> anyhow::Result<()> {
    let (reports, outgoing) = channel();
    let writer = std::thread::Builder::new().name("reports".into()).spawn(move || {
        let mut out = io::stdout().lock();
        for report in outgoing {
            if say(&mut out, &load_report(report)).is_err() {
                std::process::exit(0);
            }
        }
    })?;
    hardware.run(device, commands, reports);
    let _ = writer.join();
    Ok(())
}

fn run_fabric(cores: &[u32]) -> anyhow::Result<()> {
    let (orders, commands): (Sender<FabricCommand>, _) = channel();
    std::thread::Builder::new().name("commands".into()).spawn(move || {
        listen(|command| match fabric::wire::command(command) {
            Some(command) => orders.send(command).is_ok(),
            None => true,
        });
        std::process::exit(0);
    })?;
    let (reports, outgoing) = channel();
    std::thread::Builder::new().name("reports".into()).spawn(move || {
        let mut out = io::stdout().lock();
        for report in outgoing {
            if say(&mut out, &fabric::wire::report(report)).is_err() {
                std::process::exit(0);
            }
        }
    })?;
    fabric::run(cores, commands, reports);
    Ok(())
}

/// Feeds every command to `f` until the pipe closes or `f` has enough.
fn listen(mut f: impl FnMut(&v1::worker_command::Kind) -> bool) {
    let mut input = io::stdin().lock();
    while let Ok(Some(command)) = read_frame::<v1::WorkerCommand>(&mut input) {
        if let Some(kind) = &command.kind
            && !f(kind)
        {
            return;
        }
    }
}

fn say(out: &mut impl Write, report: &v1::WorkerReport) -> io::Result<()> {
    write_frame(out, report)?;
    out.flush()
}
