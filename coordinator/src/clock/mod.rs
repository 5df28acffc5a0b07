//! The coordinator's clock, and how far each agent's lies from it.

mod offset;

pub use offset::{Exchange, Offset, OffsetEstimator};

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Nanoseconds since the Unix epoch that never step: the wall clock is read once, at
/// start; the rest is the monotonic clock. Every instant of a run is on this clock.
#[derive(Debug, Clone, Copy)]
pub struct CoordinatorClock {
    started: Instant,
    started_unix_ns: i64,
}

impl CoordinatorClock {
    /// Reads the wall clock, once.
    #[must_use]
    pub fn start() -> Self {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { started: Instant::now(), started_unix_ns: unix.as_nanos() as i64 }
    }

    /// Now, in nanoseconds since the Unix epoch.
    #[must_use]
    pub fn now_ns(&self) -> i64 {
        self.started_unix_ns + self.started.elapsed().as_nanos() as i64
    }
}
