//! A source's own clock against ours: pure.
//!
//! What a stamp can tell hangs on when it appeared. One that was not there when its point was heard
//! the last time lay in its source for no longer than since then; the first one of a point may be
//! of any age. A stamp from the future is of a clock that is ahead, whenever it came. The middle of
//! what the stamps say counts, so that one point that stamps wrongly moves none of the others.

use std::collections::VecDeque;

/// What so many stamps told is kept.
const KEPT: usize = 63;
/// A new reading may have lain this long in its source beyond the time since it was asked before:
/// a stamp that is older is by a clock that is off, and not by a slow meter.
const STALE_NS: i64 = 5_000_000_000;

/// What the stamps of one source told.
#[derive(Debug, Clone, Default)]
pub(crate) struct SourceClock {
    told: VecDeque<Told>,
}

/// What one stamp told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Told {
    /// From the stamp to its arrival.
    distance_ns: i64,
    /// No clock that is right explains the distance.
    off: bool,
    /// How long a new reading may lie unheard.
    lain_ns: i64,
}

/// A stamp that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// By the source's clock.
    pub(crate) at_ns: i64,
    /// By ours, in answer to what was asked `waited_ns` before.
    pub(crate) arrived_ns: i64,
    pub(crate) waited_ns: i64,
    /// How long ago its point was heard with another stamp; `None` for its first one.
    pub(crate) heard_ns: Option<i64>,
}

impl Stamp {
    fn distance_ns(self) -> i64 {
        self.arrived_ns.saturating_sub(self.at_ns)
    }

    /// Later than its arrival by more than the wait explains.
    fn is_of_the_future(self, distance_ns: i64) -> bool {
        distance_ns < -self.waited_ns.max(STALE_NS)
    }
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
    /// Hears a stamp. All of a round are to be heard before one of them is placed.
    pub(crate) fn hear(&mut self, stamp: Stamp) {
        let distance_ns = stamp.distance_ns();
        let ahead = stamp.is_of_the_future(distance_ns);
        let lain_ns = match stamp.heard_ns {
            Some(heard_ns) => heard_ns.saturating_add(STALE_NS),
            None if ahead => STALE_NS,
            // It may be of any age.
            None => return,
        };
        if self.told.len() == KEPT {
            self.told.pop_front();
        }
        self.told.push_back(Told { distance_ns, off: ahead || distance_ns > lain_ns, lain_ns });
    }

    /// Places a stamp on our clock.
    pub(crate) fn place(&self, stamp: Stamp) -> Placed {
        let (distance_ns, waited_ns) = (stamp.distance_ns(), stamp.waited_ns);
        let usual = self.usual();
        let off_ns = usual.filter(|told| told.off).map(|told| told.distance_ns);
        if stamp.is_of_the_future(distance_ns.saturating_sub(off_ns.unwrap_or(0))) {
            // The source's clock does not explain it: one point that stamps wrongly.
            let error_ns = STALE_NS.saturating_add(waited_ns);
            return Placed { time_ns: stamp.arrived_ns, error_ns, off_ns: Some(distance_ns) };
        }
        match (usual, off_ns) {
            // The usual new reading is taken for one of its arrival.
            (Some(told), Some(off)) => Placed {
                time_ns: stamp.at_ns.saturating_add(off),
                error_ns: told.lain_ns.saturating_add(waited_ns),
                off_ns,
            },
            (usual, _) => {
                let lain = usual.map_or(distance_ns, |told| told.distance_ns);
                let error_ns = lain.saturating_abs().saturating_add(waited_ns);
                Placed { time_ns: stamp.at_ns, error_ns, off_ns: None }
            }
        }
    }

    /// The middle of what was told, by distance.
    fn usual(&self) -> Option<Told> {
        let mut told: Vec<Told> = self.told.iter().copied().collect();
        told.sort_unstable();
        told.get(told.len() / 2).copied()
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

    /// A stamp of a source that is asked once a second.
    fn stamp(at_ns: i64, arrived_ns: i64) -> Stamp {
        Stamp { at_ns, arrived_ns, waited_ns: SECOND / 10, heard_ns: Some(SECOND) }
    }

    fn heard(clock: &mut SourceClock, stamp: Stamp) -> Placed {
        clock.hear(stamp);
        clock.place(stamp)
    }

    #[test]
    fn a_clock_that_agrees_keeps_its_stamps() {
        let mut clock = SourceClock::default();
        let placed = heard(&mut clock, stamp(100 * SECOND, 101 * SECOND));
        assert_eq!((placed.time_ns, placed.off_ns), (100 * SECOND, None));
        assert!(placed.error_ns >= SECOND, "{placed:?}");
    }

    #[test]
    fn a_clock_an_hour_off_is_named_and_its_readings_are_placed_by_their_arrival() {
        for hour in [3_600 * SECOND, -3_600 * SECOND] {
            let mut clock = SourceClock::default();
            for second in 0..20 {
                let read = second * SECOND;
                let heard_ns = (second > 0).then_some(SECOND);
                let stamp = Stamp { heard_ns, ..stamp(read - hour, read + SECOND / 5) };
                let placed = heard(&mut clock, stamp);
                assert!((placed.time_ns - read).abs() <= placed.error_ns, "{placed:?}");
                // The first stamp of a point that is an hour old may be of an old reading.
                if second > 0 || hour < 0 {
                    let off = placed.off_ns.unwrap();
                    assert!((off - hour).abs() <= SECOND / 5, "{placed:?}");
                    assert!(placed.error_ns <= 7 * SECOND, "{placed:?}");
                }
            }
        }
    }

    #[test]
    fn what_a_slow_source_told_long_ago_is_old_and_no_clock() {
        let mut clock = SourceClock::default();
        // A window of the past, then a new reading a minute later, as soon as it is there.
        for age in [60, 45, 30, 15] {
            let first = Stamp { heard_ns: None, ..stamp((100 - age) * SECOND, 100 * SECOND) };
            let placed = heard(&mut clock, first);
            assert_eq!((placed.time_ns, placed.off_ns), ((100 - age) * SECOND, None));
            assert!(placed.error_ns >= age * SECOND);
        }
        let placed = heard(&mut clock, stamp(145 * SECOND, 146 * SECOND));
        assert_eq!((placed.time_ns, placed.off_ns), (145 * SECOND, None));
        assert!(placed.error_ns < 2 * SECOND, "{placed:?}");
        // A source that is asked once a minute may have a new reading that is a minute old.
        let late = Stamp { heard_ns: Some(60 * SECOND), ..stamp(150 * SECOND, 209 * SECOND) };
        assert_eq!(heard(&mut clock, late).off_ns, None);
    }

    #[test]
    fn one_point_that_stamps_wrongly_moves_no_other() {
        let mut clock = SourceClock::default();
        for second in 0..20 {
            let read = second * SECOND;
            let round = [0, 0, 3_600 * SECOND].map(|ahead| stamp(read + ahead, read + SECOND / 5));
            round.into_iter().for_each(|stamp| clock.hear(stamp));
            let placed = round.map(|stamp| clock.place(stamp));
            assert_eq!(placed.map(|placed| placed.off_ns.is_some()), [false, false, true]);
            for placed in placed {
                assert!((placed.time_ns - read).abs() <= placed.error_ns, "{placed:?}");
                assert!(placed.error_ns < 10 * SECOND, "{placed:?}");
            }
        }
    }
}
