//! Asking for the GPUs of this node: a process that may hang or crash in the driver, with a
//! deadline, never the supervisor.

use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

use proto::v1;
use proto::v1::worker_report::Kind;

use super::handle::WorkerCommandLine;
use super::pipe::read_frame;
use crate::hardware::Device;
use crate::hardware::cuda::discover::Found;

/// A driver that starts its GPUs for the first time takes seconds for each of eight.
const PATIENCE: Duration = Duration::from_secs(60);

/// Which GPUs are here. Whatever goes wrong is told in the notes: a node without a driver is
/// a node without GPUs.
#[must_use]
pub fn which_gpus(line: &WorkerCommandLine) -> Found {
    let nothing = |why: String| Found { devices: Vec::new(), notes: vec![why] };
    let mut command = Command::new(&line.program);
    command.args(&line.before).args(["--which-gpus", "--cores", "0"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    match command.spawn() {
        Ok(child) => hear(child).unwrap_or_else(nothing),
        Err(error) => nothing(format!("the process that asks for them can't start: {error}")),
    }
}

fn hear(mut child: Child) -> Result<Found, String> {
    let Some(mut output) = child.stdout.take() else {
        return Err("the process that asks for them has no pipe".to_owned());
    };
    let (tell, told) = channel();
    std::thread::spawn(move || {
        let _ = tell.send(read_frame::<v1::WorkerReport>(&mut output));
    });
    let answer = told.recv_timeout(PATIENCE);
    // It has said all that it has to say, or never will.
    let _ = child.kill();
    let _ = child.wait();
    let report = match answer {
        Ok(Ok(report)) => report,
        Ok(Err(error)) => return Err(format!("no answer from the driver: {error}")),
        Err(_) => return Err(format!("the driver did not answer in {PATIENCE:?}")),
    };
    match report.and_then(|report| report.kind) {
        Some(Kind::Gpus(gpus)) => Ok(Found {
            devices: gpus.devices.iter().map(Device::from_wire).collect(),
            notes: gpus.notes,
        }),
        _ => Err("the process that asked the driver died of it".to_owned()),
    }
}
