//! Waiting for a socket: yield while an answer is likely near, sleep when it isn't, and
//! never for ever.

use std::os::fd::BorrowedFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::clock::{Halt, now_ns};
use super::error::FabricError;

/// Longest sleep before the stop flag is looked at, in milliseconds.
const SLEEP_MS: u16 = 10;

/// One waiter's patience. Progress renews it.
#[derive(Debug)]
pub struct Patience {
    step: &'static str,
    limit_ns: u64,
    yield_ns: u64,
    idle_since_ns: Option<u64>,
    /// Patience ends here, whatever moved.
    until_ns: u64,
}

impl Patience {
    /// Patience for a step that may stand still for `limit_ns`.
    #[must_use]
    pub fn new(step: &'static str, limit_ns: u64) -> Self {
        Self { step, limit_ns, yield_ns: 0, idle_since_ns: None, until_ns: u64::MAX }
    }

    /// Yields the core for so long before it sleeps: where answers come within microseconds.
    #[must_use]
    pub fn yielding(self, yield_ns: u64) -> Self {
        Self { yield_ns, ..self }
    }

    /// With an end that no progress moves.
    #[must_use]
    pub fn until(self, until_ns: u64) -> Self {
        Self { until_ns, ..self }
    }

    /// Whether there is patience left, without waiting.
    ///
    /// # Errors
    /// When stopped, or when its end has come.
    pub fn check(&self, halt: &Halt) -> Result<(), FabricError> {
        halt.check()?;
        let now = now_ns();
        if now < self.until_ns {
            return Ok(());
        }
        let waited_ms = now.saturating_sub(self.idle_since_ns.unwrap_or(now)) / 1_000_000;
        Err(FabricError::TimedOut { step: self.step, waited_ms })
    }

    /// Something moved.
    pub fn renew(&mut self) {
        self.idle_since_ns = None;
    }

    /// Waits a little: returns when one of the sockets may be ready, or just so.
    ///
    /// # Errors
    /// When stopped, when patience is at an end, or when the kernel refuses to wait.
    pub fn wait(
        &mut self,
        sockets: &[(BorrowedFd<'_>, PollFlags)],
        halt: &Halt,
    ) -> Result<(), FabricError> {
        let now = now_ns();
        let idle_since_ns = *self.idle_since_ns.get_or_insert(now);
        self.check(halt)?;
        let idle = now.saturating_sub(idle_since_ns);
        if idle > self.limit_ns {
            return Err(FabricError::TimedOut { step: self.step, waited_ms: idle / 1_000_000 });
        }
        if idle < self.yield_ns {
            std::thread::yield_now();
            return Ok(());
        }
        let mut waiting: Vec<PollFd<'_>> =
            sockets.iter().map(|(socket, flags)| PollFd::new(*socket, *flags)).collect();
        match poll(&mut waiting, PollTimeout::from(SLEEP_MS)) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
            Err(errno) => Err(FabricError::Io { step: self.step, source: errno.into() }),
        }
    }
}
