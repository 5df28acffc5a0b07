//! A GPU's worker process beside a fake driver, spoken to as the supervisor does.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use agent::clock::monotonic_ns;
use agent::worker::{Output, Slot, Worker, WorkerCommandLine};
use model::load::{Kernel, Waveform};
use proto::convert::load_to_wire;
use proto::v1;
use proto::v1::worker_command::Kind as Command;
use proto::v1::worker_report::Kind as Report;

use crate::binaries;

/// A start lies this far ahead: preparation takes a tenth of it.
pub const AHEAD_NS: u64 = 800_000_000;

/// One worker and what it said.
pub struct GpuWorker {
    worker: Worker,
    heard: Receiver<Output>,
    pub said: Vec<Report>,
    /// The process ended.
    pub ended: bool,
}

/// The UUID of a fake GPU.
#[must_use]
pub fn fake_uuid(id: u8, gpu: u8) -> String {
    format!("GPU-{id:02x}fafafa-fafa-fafa-fafa-fafafafafa{gpu:02x}")
}

impl GpuWorker {
    /// Starts the worker of fake GPU `gpu` with a script for its driver.
    ///
    /// # Panics
    /// When the process can't be started.
    #[must_use]
    pub fn start(script: &str, gpu: u8) -> Self {
        let word = |name: &str, value: &str| format!("{name}={value}").into();
        let library = binaries::double("fake-cuda").display().to_string();
        let line = WorkerCommandLine {
            program: PathBuf::from("/usr/bin/env"),
            before: vec![
                word("LOADBANK_CUDA_LIBRARY", &library),
                word("LOADBANK_FAKE_CUDA", script),
                binaries::path("loadbank-agent").into(),
                "worker".into(),
            ],
        };
        let (hear, heard) = channel();
        let cores = crate::bank::cores();
        let uuid = fake_uuid(0, gpu);
        let hear = move |_, _, output| {
            let _ = hear.send(output);
        };
        let slot = Slot::Device(u32::from(gpu));
        let worker = Worker::spawn(&line, slot, 1, std::slice::from_ref(&uuid), &cores, hear);
        let worker = worker.expect("a worker can be started");
        Self { worker, heard, said: Vec::new(), ended: false }
    }

    /// Tells it to load; the start instant.
    pub fn load(&mut self, kernel: Kernel, waveform: Waveform, for_ns: u64) -> u64 {
        self.load_at(kernel, waveform, monotonic_ns() + AHEAD_NS, for_ns, None)
    }

    /// Tells it to load at an instant; the instant.
    pub fn load_at(
        &mut self,
        kernel: Kernel,
        waveform: Waveform,
        start_ns: u64,
        for_ns: u64,
        inject: Option<v1::Injection>,
    ) -> u64 {
        let load = Some(load_to_wire(kernel, waveform));
        let end_ns = start_ns + for_ns;
        // A worker whose GPU does not fit may be gone already; what it said is still to hear.
        let order = v1::WorkerLoad { load, start_ns, end_ns, inject, ..v1::WorkerLoad::default() };
        let _ = self.worker.tell(Command::Load(order));
        start_ns
    }

    /// # Panics
    /// When it takes no command.
    pub fn tell(&mut self, command: Command) {
        self.worker.tell(command).expect("the worker takes commands");
    }

    /// Listens until a report that `enough` is looking for, the process' end, or the deadline;
    /// when (CLOCK_MONOTONIC) it was heard, if it was.
    pub fn listen(&mut self, patience: Duration, enough: impl Fn(&Report) -> bool) -> Option<u64> {
        let deadline = Instant::now() + patience;
        loop {
            match self.heard.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(Output::Report(report)) => {
                    let Some(kind) = report.kind else { continue };
                    let found = enough(&kind);
                    self.said.push(kind);
                    if found {
                        return Some(monotonic_ns());
                    }
                }
                Ok(Output::Ended) | Err(RecvTimeoutError::Disconnected) => {
                    self.ended = true;
                    return None;
                }
                Err(RecvTimeoutError::Timeout) => return None,
            }
        }
    }

    /// Everything until it is idle.
    ///
    /// # Panics
    /// When it does not come to idle in time.
    pub fn until_idle(&mut self, patience: Duration) -> u64 {
        self.listen(patience, |report| matches!(report, Report::Idle(_)))
            .unwrap_or_else(|| panic!("not idle in {patience:?}: {:?}", self.said))
    }

    #[must_use]
    pub fn windows(&self) -> Vec<&v1::WorkerWindow> {
        self.pick(|report| match report {
            Report::Window(window) => Some(window),
            _ => None,
        })
    }

    #[must_use]
    pub fn mismatches(&self) -> Vec<&v1::WorkerMismatch> {
        self.pick(|report| match report {
            Report::Mismatch(mismatch) => Some(mismatch),
            _ => None,
        })
    }

    fn pick<T>(&self, of: fn(&Report) -> Option<&T>) -> Vec<&T> {
        self.said.iter().filter_map(of).collect()
    }

    #[must_use]
    pub fn failure(&self) -> Option<&v1::WorkerFailed> {
        self.said.iter().find_map(|report| match report {
            Report::Failed(failed) => Some(failed),
            _ => None,
        })
    }

    #[must_use]
    pub fn started(&self) -> Option<&v1::WorkerStarted> {
        self.said.iter().find_map(|report| match report {
            Report::Started(started) => Some(started),
            _ => None,
        })
    }
}
