//! Ends the worker when the driver does not come back: a call into a sick GPU may block for
//! ever, and no time-out exists on the inside.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::super::LoadReport;
use super::driver::Status;
use crate::clock::monotonic_ns;

/// Distance of looks.
const LOOK: Duration = Duration::from_millis(50);
/// The report gets this long to leave the process before it ends.
const LAST_WORDS: Duration = Duration::from_millis(300);
/// Exit code of a worker whose GPU failed.
pub(crate) const EXIT_FAILED: i32 = 3;
/// No deadline.
const NEVER: u64 = u64::MAX;
/// In the deadline's place: nobody needs watching any more.
const OVER: u64 = 0;

/// Shared with the thread that watches.
pub(super) struct Watchdog {
    deadline_ns: Arc<AtomicU64>,
    doing: Arc<Mutex<&'static str>>,
}

impl Watchdog {
    /// Starts to watch, with no deadline yet.
    pub(super) fn start(reports: Sender<LoadReport>) -> Self {
        let deadline_ns = Arc::new(AtomicU64::new(NEVER));
        let doing = Arc::new(Mutex::new(""));
        let dog = Self { deadline_ns: deadline_ns.clone(), doing: doing.clone() };
        let watch = move || {
            loop {
                match deadline_ns.load(Ordering::Relaxed) {
                    // Its end of the reports goes with the thread: whoever writes them out
                    // waits for that.
                    OVER => return,
                    deadline if deadline <= monotonic_ns() => break,
                    _ => std::thread::sleep(LOOK),
                }
            }
            let what = *doing.lock().unwrap_or_else(PoisonError::into_inner);
            let report = LoadReport::Failed {
                at_ns: monotonic_ns(),
                code: Status::DEADLINE.0,
                text: format!("the driver did not come back from: {what}"),
                refused: false,
            };
            let _ = reports.send(report);
            std::thread::sleep(LAST_WORDS);
            // SAFETY: ends the process without the exit handlers, which would wait for the
            // very driver that hangs.
            unsafe { libc::_exit(EXIT_FAILED) };
        };
        // Without the thread nothing is watched; the supervisor still kills what is late.
        if let Err(error) = std::thread::Builder::new().name("watchdog".into()).spawn(watch) {
            tracing::error!(%error, "no watchdog");
        }
        dog
    }

    /// What begins now must be over within this time, or be followed by the next such call.
    pub(super) fn expect(&self, what: &'static str, within: Duration) {
        *self.doing.lock().unwrap_or_else(PoisonError::into_inner) = what;
        self.deadline_ns.store(monotonic_ns() + within.as_nanos() as u64, Ordering::Relaxed);
    }

    /// Nothing is expected: whoever waits, waits for commands.
    pub(super) fn rest(&self) {
        self.deadline_ns.store(NEVER, Ordering::Relaxed);
    }

    /// The GPU is done with; the watching ends.
    pub(super) fn end(self) {
        self.deadline_ns.store(OVER, Ordering::Relaxed);
    }
}
