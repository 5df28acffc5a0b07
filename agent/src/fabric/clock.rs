//! The data plane's clock: CLOCK_MONOTONIC in nanoseconds, and waiting on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use super::error::FabricError;

/// A sleeper looks this often whether it was stopped, in nanoseconds.
const LOOK_NS: u64 = 10_000_000;

/// Nanoseconds on CLOCK_MONOTONIC of this machine.
#[must_use]
pub fn now_ns() -> u64 {
    // The clock exists on every kernel that Rust's std runs on; 0 would show as nonsense times.
    clock_gettime(ClockId::CLOCK_MONOTONIC)
        .map_or(0, |time| time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64)
}

/// A flag that ends an order at once, shared by all its threads.
#[derive(Debug, Clone, Default)]
pub struct Halt(Arc<AtomicBool>);

impl Halt {
    /// Ends whatever shares this flag.
    pub fn raise(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether the end was called for.
    #[must_use]
    pub fn is_raised(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// An error when the end was called for.
    ///
    /// # Errors
    /// [`FabricError::Stopped`].
    pub fn check(&self) -> Result<(), FabricError> {
        if self.is_raised() { Err(FabricError::Stopped) } else { Ok(()) }
    }

    /// Sleeps until an instant.
    ///
    /// # Errors
    /// [`FabricError::Stopped`] when the end was called for before that instant.
    pub fn sleep_until(&self, instant_ns: u64) -> Result<(), FabricError> {
        loop {
            self.check()?;
            let left = instant_ns.saturating_sub(now_ns());
            if left == 0 {
                return Ok(());
            }
            std::thread::sleep(Duration::from_nanos(left.min(LOOK_NS)));
        }
    }
}
