//! Which NCCL this node has. Asked in a process of its own: the library is large, runs code
//! when it is loaded, and the supervisor must not die of it.

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::WorkerCommandLine;
use crate::fabric::nccl::library::{Nccl, library_path};

/// Loading half a gigabyte from a slow disk takes seconds; longer is as good as absent.
const PATIENCE: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(20);

/// The version of this node's NCCL, or why there is none.
///
/// # Errors
/// What the asked process said, or that it hung.
pub fn ask(line: &WorkerCommandLine) -> Result<u32, String> {
    let mut child = Command::new(&line.program)
        .args(&line.before)
        .args(["--nccl-version", "--cores=0"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("it can't be asked for: {error}"))?;
    let until = Instant::now() + PATIENCE;
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if Instant::now() < until => std::thread::sleep(LOOK),
            Ok(None) | Err(_) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("loading it took longer than {} s", PATIENCE.as_secs()));
            }
        }
    };
    let (mut said, mut why) = (String::new(), String::new());
    // Both fit into a pipe; the process has ended.
    let _ = child.stdout.take().map(|mut out| out.read_to_string(&mut said));
    let _ = child.stderr.take().map(|mut out| out.read_to_string(&mut why));
    match said.trim().parse() {
        Ok(version) if status.success() => Ok(version),
        _ => Err(why.trim().trim_start_matches("Error: ").to_owned()),
    }
}

/// The asked process: one number on standard output.
///
/// # Errors
/// Why NCCL can't be used here.
pub(super) fn answer() -> anyhow::Result<()> {
    let nccl = Nccl::load(library_path().as_deref())?;
    println!("{}", nccl.version()?);
    Ok(())
}
