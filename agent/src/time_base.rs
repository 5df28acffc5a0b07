//! The time of a phase on this machine's clock: it follows what the coordinator learns about
//! our clock while the phase runs, and never jumps.
//!
//! A crystal that is 50 ppm off loses 180 ms in an hour; a square wave that keeps to it is no
//! longer the building's. Each correction bends the line: the drift is followed at once, the
//! distance that has come together is made good over [`SLEW_NS`]. Pure.

/// A distance is made good over this: at least two corrections, so that one that errs is
/// met by the next before it is done.
pub const SLEW_NS: u64 = 10_000_000_000;
/// Most that is made good over [`SLEW_NS`]: 500 ppm, as NTP slews. A waveform that is slower
/// or faster by that still has its frequency.
const SLEW_NS_MAX: i64 = 5_000_000;
/// Fastest drift that is followed: what the coordinator believes of a crystal.
const DRIFT_PPB_MAX: i64 = 200_000;
/// A correction less certain than this is not followed.
const ERROR_NS_MAX: u64 = 5_000_000;

/// A line over CLOCK_MONOTONIC with one bend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeBase {
    /// CLOCK_MONOTONIC instant from which it holds.
    pub at_ns: u64,
    /// Phase time at that instant.
    pub phase_ns: u64,
    /// Nanoseconds of phase time gained per second of CLOCK_MONOTONIC.
    pub drift_ppb: i64,
    /// To be made good over [`SLEW_NS`] from `at_ns` on.
    pub slew_ns: i64,
}

/// What the coordinator says about the time of a phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Correction {
    /// At this instant of CLOCK_MONOTONIC...
    pub at_ns: u64,
    /// ...so much of the phase had passed.
    pub phase_ns: i64,
    pub drift_ppb: i64,
    /// Half-width of the coordinator's claim.
    pub error_ns: u64,
}

impl TimeBase {
    /// A phase that begins at an instant.
    #[must_use]
    pub fn start(start_ns: u64, drift_ppb: i64) -> Self {
        let drift_ppb = drift_ppb.clamp(-DRIFT_PPB_MAX, DRIFT_PPB_MAX);
        Self { at_ns: start_ns, phase_ns: 0, drift_ppb, slew_ns: 0 }
    }

    /// Time of the phase at an instant; 0 before its start.
    #[must_use]
    pub fn phase_ns(&self, monotonic_ns: u64) -> u64 {
        let since = monotonic_ns as i64 - self.at_ns as i64;
        (self.phase_ns as i64 + since + self.gained_ns(since)).max(0) as u64
    }

    /// The instant at which so much of the phase has passed.
    #[must_use]
    pub fn monotonic_ns(&self, phase_ns: u64) -> u64 {
        let asked = i128::from(phase_ns) - i128::from(self.phase_ns);
        let asked = asked.clamp(i128::from(i64::MIN / 2), i128::from(i64::MAX / 2)) as i64;
        // The gain is below a thousandth: each round brings three digits.
        let mut since = asked;
        for _ in 0..4 {
            since = asked - self.gained_ns(since);
        }
        (self.at_ns as i64).saturating_add(since).max(0) as u64
    }

    /// Follows a correction from `now_ns` on. Says how far the phase lay from it; `None` when
    /// it is not certain enough to be followed.
    pub fn correct(&mut self, now_ns: u64, correction: &Correction) -> Option<i64> {
        if correction.error_ns > ERROR_NS_MAX {
            return None;
        }
        let drift_ppb = correction.drift_ppb.clamp(-DRIFT_PPB_MAX, DRIFT_PPB_MAX);
        let since = now_ns as i64 - correction.at_ns as i64;
        let meant = correction.phase_ns + since + scaled(since, drift_ppb, 1_000_000_000);
        let phase_ns = self.phase_ns(now_ns);
        let skew_ns = phase_ns as i64 - meant;
        let slew_ns = (-skew_ns).clamp(-SLEW_NS_MAX, SLEW_NS_MAX);
        *self = Self { at_ns: now_ns, phase_ns, drift_ppb, slew_ns };
        Some(skew_ns)
    }

    fn gained_ns(&self, since: i64) -> i64 {
        let slewed = since.clamp(0, SLEW_NS as i64);
        scaled(since, self.drift_ppb, 1_000_000_000) + scaled(slewed, self.slew_ns, SLEW_NS as i64)
    }
}

fn scaled(value: i64, by: i64, over: i64) -> i64 {
    (i128::from(value) * i128::from(by) / i128::from(over)) as i64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const S: u64 = 1_000_000_000;

    #[test]
    fn a_distance_is_made_good_and_then_the_drift_is_kept() {
        let mut base = TimeBase::start(100 * S, 0);
        let correction = Correction {
            at_ns: 200 * S,
            phase_ns: 100 * S as i64 + 2_000_000,
            drift_ppb: 50_000,
            error_ns: 1,
        };
        assert_eq!(base.correct(200 * S, &correction), Some(-2_000_000));
        assert_eq!(base.phase_ns(200 * S), 100 * S);
        assert_eq!(base.phase_ns(210 * S), 110 * S + 2_500_000);
        assert_eq!(base.phase_ns(300 * S), 200 * S + 2_000_000 + 5_000_000);
    }

    #[test]
    fn what_is_not_certain_is_not_followed() {
        let mut base = TimeBase::start(0, 7);
        let before = base;
        let wild = Correction { at_ns: 9, phase_ns: 9_000, drift_ppb: 1, error_ns: 6_000_000 };
        assert_eq!(base.correct(10, &wild), None);
        assert_eq!(base, before);
    }

    proptest! {
        #[test]
        fn a_correction_never_jumps_nor_hurries(
            skew in -2_000_000_000i64..2_000_000_000, drift_ppb in -500_000i64..500_000,
            at in 0u64..5_000, step in 1u64..1_000_000_000,
        ) {
            let mut base = TimeBase::start(S, 10_000);
            let now = S + at * S;
            let before = base.phase_ns(now);
            let correction = Correction {
                at_ns: now, phase_ns: before as i64 + skew, drift_ppb, error_ns: 0,
            };
            base.correct(now, &correction).unwrap();
            prop_assert_eq!(base.phase_ns(now), before);
            let gained = base.phase_ns(now + step) as i64 - before as i64 - step as i64;
            prop_assert!(gained.unsigned_abs() <= step * 7 / 10_000 + 2, "{} in {}", gained, step);
        }

        #[test]
        fn there_and_back_is_the_same_instant(
            drift_ppb in -200_000i64..200_000, slew_ns in -5_000_000i64..5_000_000,
            phase_ns in 0u64..86_400_000_000_000,
        ) {
            let base = TimeBase { at_ns: 50_000 * S, phase_ns: 40_000 * S, drift_ppb, slew_ns };
            let back = base.phase_ns(base.monotonic_ns(phase_ns));
            prop_assert!(back.abs_diff(phase_ns) <= 3, "{back} {phase_ns}");
        }
    }
}
