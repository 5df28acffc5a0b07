//! The supervisor's end: spawn, tell, kill.

use std::ffi::OsString;
use std::io::{self, BufReader};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use proto::v1;

use super::pipe::{read_frame, write_frame};

/// What a worker works for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Slot {
    Device(u32),
    Fabric,
    /// The collective of an attempt over NCCL.
    Nccl(u32),
}

impl Slot {
    /// The device that it loads, if it is one's.
    #[must_use]
    pub fn device(self) -> Option<u32> {
        match self {
            Self::Device(index) => Some(index),
            Self::Fabric | Self::Nccl(_) => None,
        }
    }
}

/// How to start a worker: this very program with these arguments before the worker's own.
#[derive(Debug, Clone)]
pub struct WorkerCommandLine {
    pub program: PathBuf,
    pub before: Vec<OsString>,
}

/// What came out of a worker.
#[derive(Debug)]
pub enum Output {
    Report(v1::WorkerReport),
    /// The pipe ended: the process is dead or about to be.
    Ended,
}

/// One worker process. Killed when dropped.
pub struct Worker {
    pub slot: Slot,
    /// Tells this process from an earlier one of the same slot.
    pub generation: u64,
    /// No block runs in it.
    pub idle: bool,
    /// It is killed when it still heats at this instant (CLOCK_MONOTONIC).
    pub kill_at_ns: Option<u64>,
    child: Child,
    commands: ChildStdin,
}

impl Worker {
    /// Starts a worker. Must be called from a thread that lives as long as the agent: the
    /// kernel kills the worker when the thread that made it ends.
    ///
    /// # Errors
    /// When the process or the thread that reads its reports can't be made.
    pub fn spawn(
        line: &WorkerCommandLine,
        slot: Slot,
        generation: u64,
        gpus: &[String],
        cores: &[u32],
        hear: impl Fn(Slot, u64, Output) + Send + 'static,
    ) -> io::Result<Self> {
        let mut command = Command::new(&line.program);
        command.args(&line.before).stdin(Stdio::piped()).stdout(Stdio::piped());
        match slot {
            Slot::Device(index) => command.args(["--device", &index.to_string()]),
            Slot::Fabric => command.arg("--fabric"),
            Slot::Nccl(_) => command.arg("--nccl"),
        };
        command.args(gpus.iter().map(|uuid| format!("--gpu={uuid}")));
        let list: Vec<String> = cores.iter().map(ToString::to_string).collect();
        command.args(["--cores", &list.join(",")]);
        // SAFETY: prctl is async-signal-safe and touches nothing of this process.
        unsafe {
            command.pre_exec(|| {
                nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?;
                Ok(())
            });
        }
        let mut child = command.spawn()?;
        let (Some(commands), Some(reports)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::Error::other("the worker has no pipes"));
        };
        // A worker that does not read must not stop the supervisor: a full pipe is an error.
        fcntl(commands.as_fd(), FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        std::thread::Builder::new().name(format!("reports-{slot:?}")).spawn(move || {
            let mut reports = BufReader::new(reports);
            while let Ok(Some(report)) = read_frame(&mut reports) {
                hear(slot, generation, Output::Report(report));
            }
            hear(slot, generation, Output::Ended);
        })?;
        Ok(Self { slot, generation, idle: true, kill_at_ns: None, child, commands })
    }

    /// Its process, by the kernel's number.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Tells the worker something.
    ///
    /// # Errors
    /// When it is dead or does not read; then it should be killed.
    pub fn tell(&mut self, kind: v1::worker_command::Kind) -> io::Result<()> {
        write_frame(&mut self.commands, &v1::WorkerCommand { kind: Some(kind) })
    }

    /// The guard's last resort. Returns once the process is gone.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.idle = true;
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.kill();
    }
}
