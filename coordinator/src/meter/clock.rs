//! A source's own clock against ours: pure.
//!
//! A stamp can't be younger than its arrival, so the smallest distance seen bounds by how far
//! the source's clock is behind; how long the freshest reading lay before it was told is not
//! known, so the claimed error holds the whole distance between the smallest and the usual.

use std::collections::VecDeque;

/// Distances of so many stamps are kept.
const KEPT: usize = 64;
/// A reading of the present may have lain this long in its source: a stamp that is older, with
/// no fresher one beside it, is by a clock that is off, and not by a slow meter.
const STALE_NS: i64 = 5_000_000_000;

/// What the stamps of one source told.
#[derive(Debug, Clone, Default)]
pub(crate) struct SourceClock {
    distances_ns: VecDeque<i64>,
}

/// A stamp on our clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Placed {
    pub(crate) time_ns: i64,
    pub(crate) error_ns: i64,
    /// Our clock minus the source's, where that is more than any meter's slowness.
    pub(crate) off_ns: Option<i64>,
}

impl SourceClock {
    /// Places a stamp that came at `arrived_ns` by our clock, in answer to what was asked
    /// `waited_ns` before.
    pub(crate) fn place(&mut self, stamp_ns: i64, arrived_ns: i64, waited_ns: i64) -> Placed {
        if self.distances_ns.len() == KEPT {
            self.distances_ns.pop_front();
        }
        self.distances_ns.push_back(arrived_ns.saturating_sub(stamp_ns));
        let least = self.distances_ns.iter().min().copied().unwrap_or_default();
        let off = least < -waited_ns.max(STALE_NS) || least > STALE_NS;
        if off {
            // Its freshest reading is taken for one of its arrival.
            let error_ns = STALE_NS.saturating_add(waited_ns);
            return Placed {
                time_ns: stamp_ns.saturating_add(least),
                error_ns,
                off_ns: Some(least),
            };
        }
        let error_ns = least.abs().saturating_add(waited_ns);
        Placed { time_ns: stamp_ns, error_ns, off_ns: None }
    }
}

/// A reading without a stamp: somewhere between question and answer.
pub(crate) fn between(asked_ns: i64, answered_ns: i64) -> Placed {
    let half = (answered_ns - asked_ns).max(0) / 2;
    Placed { time_ns: asked_ns + half, error_ns: half, off_ns: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    #[test]
    fn a_clock_that_agrees_keeps_its_stamps() {
        let mut clock = SourceClock::default();
        let placed = clock.place(100 * SECOND, 101 * SECOND, SECOND / 10);
        assert_eq!((placed.time_ns, placed.off_ns), (100 * SECOND, None));
        assert!(placed.error_ns >= SECOND, "{placed:?}");
    }

    #[test]
    fn a_clock_an_hour_off_is_named_and_its_readings_are_placed_by_their_arrival() {
        for hour in [3_600 * SECOND, -3_600 * SECOND] {
            let mut clock = SourceClock::default();
            for second in 0..20 {
                let read = second * SECOND;
                let placed = clock.place(read - hour, read + SECOND / 5, SECOND / 10);
                let off = placed.off_ns.unwrap();
                assert!((off - hour).abs() <= SECOND / 5, "{placed:?}");
                assert!((placed.time_ns - read).abs() <= placed.error_ns, "{placed:?}");
            }
        }
    }

    #[test]
    fn one_old_reading_beside_fresh_ones_is_old_and_no_clock() {
        let mut clock = SourceClock::default();
        clock.place(10 * SECOND, 10 * SECOND + 1, 1);
        // Told again after 100 s because nothing changed.
        let placed = clock.place(10 * SECOND, 110 * SECOND, 1);
        assert_eq!((placed.time_ns, placed.off_ns), (10 * SECOND, None));
    }
}
