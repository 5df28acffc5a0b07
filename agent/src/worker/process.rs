//! The worker's end: commands from standard input, reports to standard output.

use std::ffi::OsString;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use proto::v1;

use super::convert::{load_command, load_report};
use super::pipe::{read_frame, write_frame};
use super::{nccl, nccl_version, traffic};
use crate::fabric::Fabric;
use crate::fabric::endpoint::EndpointConfig;
use crate::fabric::tcp::TcpFabric;
use crate::hardware::cpu::CpuHardware;
use crate::hardware::cuda::self_test::Tester;
use crate::hardware::{Device, Hardware, LoadCommand, LoadReport, Sensed, cuda};

/// A GPU's worker that is told to go gets this long for its last launches.
const LEAVE_TIME: Duration = Duration::from_millis(500);

/// What a worker is started with.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct WorkerOptions {
    /// Index of the device to load.
    #[arg(long, conflicts_with = "fabric")]
    pub device: Option<u32>,
    /// Run the data plane instead of a device.
    #[arg(long)]
    pub fabric: bool,
    /// Run one collective over NCCL.
    #[arg(long, conflicts_with_all = ["device", "fabric"], requires = "gpu")]
    pub nccl: bool,
    /// Print the version of this node's NCCL.
    #[arg(long, conflicts_with_all = ["device", "fabric", "nccl"])]
    pub nccl_version: bool,
    /// UUID of the GPU to load, without it the device is a CPU; of all GPUs for NCCL.
    #[arg(long)]
    pub gpu: Vec<String>,
    /// Say which GPUs are here, and end.
    #[arg(long, conflicts_with_all = ["fabric", "device", "nccl"])]
    pub which_gpus: bool,
    /// Test the images of one GPU that need a test, and end.
    #[arg(long, conflicts_with_all = ["fabric", "device", "nccl"], requires = "gpu")]
    pub self_test: bool,
    /// Cores that belong to the device, such as 0-3,8.
    #[arg(long, required_unless_present = "self_test", default_value = "")]
    pub cores: String,
}

/// Runs a worker until its standard input closes.
///
/// # Errors
/// When the options make no sense or a thread can't be made.
pub fn run(options: &WorkerOptions) -> anyhow::Result<()> {
    if options.which_gpus {
        return say_gpus();
    }
    if options.self_test {
        return test_images(&options.gpu);
    }
    let cores = crate::node_facts::parse_core_list(&options.cores)?;
    if options.fabric {
        return run_fabric(&cores);
    }
    if options.nccl_version {
        return nccl_version::answer();
    }
    if options.nccl {
        return nccl::run(&options.gpu);
    }
    if let Some(uuid) = options.gpu.first() {
        pin(&cores);
        return run_gpu(uuid);
    }
    // These cores are one device of the agent, and the only one here. Its sensors are the
    // supervisor's to read.
    let hardware = CpuHardware::new(&cores, Box::new(|_| Sensed::default()));
    let commands = hear_orders(|| std::process::exit(0))?;
    run_device(|commands, reports| hardware.run(0, commands, reports), commands)
}

/// Orders as they come; `closed` once the pipe is: nobody supervises this load any more.
fn hear_orders(closed: impl FnOnce() + Send + 'static) -> io::Result<Receiver<LoadCommand>> {
    let (orders, commands) = channel();
    std::thread::Builder::new().name("commands".into()).spawn(move || {
        listen(|command| match load_command(command) {
            Ok(Some(command)) => orders.send(command).is_ok(),
            Ok(None) | Err(_) => true,
        });
        drop(orders);
        closed();
    })?;
    Ok(commands)
}

/// One GPU. The process ends without the driver's own exit handlers: they wait for a GPU that
/// may never answer. The kernel takes everything back all the same.
fn run_gpu(uuid: &str) -> anyhow::Result<()> {
    let commands = hear_orders(|| {
        // The load notices the closed channel within a launch; one that hangs must not stay.
        std::thread::sleep(LEAVE_TIME);
        end_at_once(0);
    })?;
    let tester = tester();
    run_device(
        |commands, reports| {
            cuda::run(&cuda::library(), uuid, tester.as_ref(), &commands, &reports);
        },
        commands,
    )?;
    end_at_once(0)
}

/// This very program, up to where a worker's own arguments begin.
fn tester() -> Option<Tester> {
    let program = std::env::current_exe().ok()?;
    let all: Vec<OsString> = std::env::args_os().skip(1).collect();
    let own = all.iter().position(|argument| argument == "worker")?;
    Some(Tester { program, before: all[..=own].to_vec() })
}

/// Exit code 0 when every image may be used; otherwise a line says why not.
fn test_images(gpus: &[String]) -> anyhow::Result<()> {
    let library = cuda::library();
    for uuid in gpus {
        if let Err(why) = cuda::self_test::run(&library, uuid) {
            let mut out = io::stdout().lock();
            writeln!(out, "failed: {why}")?;
            out.flush()?;
            end_at_once(1)
        }
    }
    end_at_once(0)
}

fn end_at_once(code: i32) -> ! {
    // SAFETY: ends the process; nothing of it is used afterwards.
    unsafe { libc::_exit(code) }
}

/// Answers which GPUs are here.
fn say_gpus() -> anyhow::Result<()> {
    let found = cuda::discover::ask(&cuda::library());
    let devices = found.devices.iter().map(Device::to_wire).collect();
    let gpus = v1::WorkerGpus { devices, notes: found.notes };
    let kind = Some(v1::worker_report::Kind::Gpus(gpus));
    say(&mut io::stdout().lock(), &v1::WorkerReport { kind })?;
    end_at_once(0)
}

fn run_device(
    run: impl FnOnce(Receiver<LoadCommand>, Sender<LoadReport>),
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
    run(commands, reports);
    let _ = writer.join();
    Ok(())
}

/// The data plane: first where to listen, then orders.
fn run_fabric(cores: &[u32]) -> anyhow::Result<()> {
    pin(cores);
    let Some(fabric) = open_fabric()? else { return Ok(()) };
    let (orders, commands) = channel();
    std::thread::Builder::new().name("commands".into()).spawn(move || {
        listen(|command| traffic::command(command).is_none_or(|order| orders.send(order).is_ok()));
        std::process::exit(0);
    })?;
    let (reports, outgoing) = channel();
    std::thread::Builder::new().name("reports".into()).spawn(move || {
        let mut out = io::stdout().lock();
        for report in outgoing {
            if say(&mut out, &traffic::report(report)).is_err() {
                std::process::exit(0);
            }
        }
    })?;
    fabric.run(commands, reports);
    Ok(())
}

/// Answers the order to listen; `None` when the pipe closed before it.
fn open_fabric() -> anyhow::Result<Option<TcpFabric>> {
    let mut first = None;
    listen(|command| {
        first = traffic::endpoint(command);
        first.is_none()
    });
    let Some(config) = first else { return Ok(None) };
    let opened = config.map_err(anyhow::Error::msg).and_then(|config| Ok(bind(config)?));
    let (address, error) = match &opened {
        Ok(fabric) => (fabric.address().to_string(), String::new()),
        Err(error) => (String::new(), error.to_string()),
    };
    let listening = v1::WorkerListening { address, error };
    let kind = Some(v1::worker_report::Kind::Listening(listening));
    say(&mut io::stdout().lock(), &v1::WorkerReport { kind })?;
    opened.map(Some)
}

/// The port asked for, or any when it is taken.
fn bind(config: EndpointConfig) -> io::Result<TcpFabric> {
    TcpFabric::bind(config.clone()).or_else(|error| match error.kind() {
        io::ErrorKind::AddrInUse => {
            let listen = SocketAddr::new(config.listen.ip(), 0);
            TcpFabric::bind(EndpointConfig { listen, ..config })
        }
        _ => Err(error),
    })
}

/// Keeps this process on the cores of its agent: latency across cores flips between two
/// values when the scheduler may choose. Where it is not allowed the times say so.
fn pin(cores: &[u32]) {
    let mut set = nix::sched::CpuSet::new();
    let known = cores.iter().filter(|core| set.set(**core as usize).is_ok()).count();
    if known > 0 {
        let _ = nix::sched::sched_setaffinity(nix::unistd::Pid::from_raw(0), &set);
    }
}

/// Feeds every command to `f` until the pipe closes or `f` has enough.
pub(super) fn listen(mut f: impl FnMut(&v1::worker_command::Kind) -> bool) {
    let mut input = io::stdin().lock();
    while let Ok(Some(command)) = read_frame::<v1::WorkerCommand>(&mut input) {
        if let Some(kind) = &command.kind
            && !f(kind)
        {
            return;
        }
    }
}

pub(super) fn say(out: &mut impl Write, report: &v1::WorkerReport) -> io::Result<()> {
    write_frame(out, report)?;
    out.flush()
}
