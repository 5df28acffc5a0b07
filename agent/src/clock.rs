//! The agent's clock: Unix nanoseconds that never step, and the machine's monotonic clock.

use std::time::{SystemTime, UNIX_EPOCH};

/// CLOCK_MONOTONIC in nanoseconds: the clock of leases, waveforms and workers.
#[must_use]
pub fn monotonic_ns() -> u64 {
    let time = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC)
        .unwrap_or_else(|error| unreachable!("CLOCK_MONOTONIC always exists: {error}"));
    time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64
}

/// A test's false clock: shifted, and drifting from an instant on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FalseClock {
    pub offset_ns: i64,
    /// Nanoseconds gained per second.
    pub drift_ppb: i64,
    /// CLOCK_MONOTONIC instant at which the drift is zero.
    pub epoch_ns: u64,
    /// Unix time at monotonic zero, in place of what the wall clock says: known exactly to
    /// whoever checks the instants.
    pub base_ns: Option<i64>,
}

/// Turns CLOCK_MONOTONIC into the instants that this agent tells others, and back. The
/// wall clock is read once, at start.
#[derive(Debug, Clone, Copy)]
pub struct AgentClock {
    /// Unix time at monotonic zero.
    base_ns: i64,
    falsified: FalseClock,
}

impl AgentClock {
    /// Reads the wall clock, once.
    #[must_use]
    pub fn start(falsified: FalseClock) -> Self {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let own = unix.as_nanos() as i64 - monotonic_ns() as i64;
        Self { base_ns: falsified.base_ns.unwrap_or(own), falsified }
    }

    /// Now, as this agent tells it.
    #[must_use]
    pub fn now_ns(&self) -> i64 {
        self.tell(monotonic_ns())
    }

    /// The agent's time of a monotonic instant.
    #[must_use]
    pub fn tell(&self, monotonic_ns: u64) -> i64 {
        let since = monotonic_ns as i64 - self.falsified.epoch_ns as i64;
        let drift = i128::from(since) * i128::from(self.falsified.drift_ppb) / 1_000_000_000;
        self.base_ns + monotonic_ns as i64 + self.falsified.offset_ns + drift as i64
    }

    /// The monotonic instant of an agent's time.
    #[must_use]
    pub fn monotonic(&self, told_ns: i64) -> u64 {
        let plain = told_ns - self.base_ns - self.falsified.offset_ns;
        let since = i128::from(plain - self.falsified.epoch_ns as i64);
        let scale = 1_000_000_000 + i128::from(self.falsified.drift_ppb);
        let drift = since * i128::from(self.falsified.drift_ppb) / scale;
        (i128::from(plain) - drift).max(0) as u64
    }
}

impl std::str::FromStr for FalseClock {
    type Err = String;

    /// `OFFSET_NS,DRIFT_PPB,EPOCH_NS[,BASE_NS]`.
    fn from_str(text: &str) -> Result<Self, String> {
        let number = |part: &str| part.parse().map_err(|_| format!("{part:?} is no number"));
        let parts: Vec<i64> = text.split(',').map(number).collect::<Result<_, String>>()?;
        let (offset_ns, drift_ppb, epoch_ns, base_ns) = match parts.as_slice() {
            [offset, drift, epoch] => (*offset, *drift, *epoch, None),
            [offset, drift, epoch, base] => (*offset, *drift, *epoch, Some(*base)),
            _ => return Err("a false clock is OFFSET_NS,DRIFT_PPB,EPOCH_NS[,BASE_NS]".to_owned()),
        };
        Ok(Self { offset_ns, drift_ppb, epoch_ns: epoch_ns.unsigned_abs(), base_ns })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn there_and_back_is_the_same_instant(
            offset_ns in -50_000_000i64..50_000_000, drift_ppb in -50_000i64..50_000,
            ahead in 0u64..3_600_000_000_000,
        ) {
            let epoch_ns = monotonic_ns();
            let clock = AgentClock::start(FalseClock {
                offset_ns, drift_ppb, epoch_ns, base_ns: None,
            });
            let instant = epoch_ns + ahead;
            let back = clock.monotonic(clock.tell(instant));
            prop_assert!(back.abs_diff(instant) <= 2, "{back} {instant}");
        }
    }
}
