//! Who talks to whom when: rounds laid out as slots in time.

use model::rounds::{circle, circle_rounds, quiet, quiet_rounds};

/// A slot of this length has room for connect, warm-up and a steady part.
const SLOT_NS: u64 = 1_000_000_000;
/// A slot of a quiet sweep: only few flows run, so they are up to speed sooner, and there
/// are many more slots.
const QUIET_SLOT_NS: u64 = 500_000_000;
/// Below this a slot measures connection set-up, not the network.
const SLOT_MIN_NS: u64 = 20_000_000;

/// One rank's part in a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// Number of the slot in the phase.
    pub number: u32,
    pub peer: u32,
    pub sends: bool,
    pub receives: bool,
    pub begin_ns: u64,
    pub end_ns: u64,
}

/// Whom the ranks meet in turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sweep {
    /// Everybody at once: a circle over so many ranks.
    Busy(u32),
    /// No two flows on one uplink; the ranks of each leaf.
    Quiet(Vec<Vec<usize>>),
}

impl Sweep {
    /// Rounds until it begins anew.
    fn rounds(&self) -> usize {
        match self {
            Self::Busy(world_size) => circle_rounds(*world_size as usize),
            Self::Quiet(leaves) => quiet_rounds(leaves),
        }
    }

    /// The partner of a rank; `None` for one who sits out.
    fn partner(&self, rank: u32, round: u32) -> Option<u32> {
        let (rank, round) = (rank as usize, round as usize);
        let meetings = match self {
            Self::Busy(world_size) => circle(*world_size as usize, round),
            Self::Quiet(leaves) => quiet(leaves, round),
        };
        let met = meetings.into_iter().find(|(a, b)| *a == rank || *b == rank);
        met.and_then(|(a, b)| u32::try_from(if a == rank { b } else { a }).ok())
    }
}

/// The slots of a phase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timetable {
    start_ns: u64,
    slot_ns: u64,
    slots: u32,
    sweep: Sweep,
    both_ways: bool,
}

impl Timetable {
    /// Divides a phase into slots: of a busy sweep whole cycles of about a second a slot,
    /// `None` when even one cycle does not fit; of a quiet one as many as there is time for.
    ///
    /// The instants are by this node's clock. How many slots there are follows from the
    /// length by the plan: a clock that runs a billionth slow would else count one less.
    #[must_use]
    pub fn new(
        (start_ns, end_ns, duration_ns): (u64, u64, u64),
        sweep: Sweep,
        both_ways: bool,
    ) -> Option<Self> {
        let per_cycle = sweep.rounds() as u64 * if both_ways { 1 } else { 2 };
        let slots = match sweep {
            Sweep::Busy(_) => (duration_ns / SLOT_NS).checked_div(per_cycle)?.max(1) * per_cycle,
            Sweep::Quiet(_) => (duration_ns / QUIET_SLOT_NS).min(per_cycle.saturating_mul(1 << 20)),
        };
        let whole = end_ns.checked_sub(start_ns)?;
        let slots = u32::try_from(slots).ok()?;
        let slot_ns = whole.checked_div(u64::from(slots))?;
        let fits = slot_ns >= SLOT_MIN_NS;
        fits.then_some(Self { start_ns, slot_ns, slots, sweep, both_ways })
    }

    /// The slots in which a rank takes part, in order.
    pub fn slots(&self, rank: u32) -> impl Iterator<Item = Slot> + '_ {
        (0..self.slots).filter_map(move |number| {
            let (round, low_sends) =
                if self.both_ways { (number, true) } else { (number / 2, number % 2 == 0) };
            let peer = self.sweep.partner(rank, round)?;
            let sends = self.both_ways || (rank < peer) == low_sends;
            let begin_ns = self.start_ns + u64::from(number) * self.slot_ns;
            let end_ns = begin_ns + self.slot_ns;
            let receives = self.both_ways || !sends;
            Some(Slot { number, peer, sends, receives, begin_ns, end_ns })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn both_ends_of_a_slot_agree_and_every_direction_is_sent(
            world_size in 2u32..20, both_ways: bool, seconds in 1u64..100, leaf in 0usize..4,
        ) {
            let sweep = match leaf {
                0 => Sweep::Busy(world_size),
                size => {
                    let ranks: Vec<usize> = (0..world_size as usize).collect();
                    Sweep::Quiet(ranks.chunks(size).map(<[usize]>::to_vec).collect())
                }
            };
            let whole = match &sweep {
                Sweep::Busy(_) => 1_000_000_000 * seconds,
                // Whole cycles, so that every direction is sent as often.
                Sweep::Quiet(_) => QUIET_SLOT_NS * sweep.rounds() as u64 * if both_ways { 1 } else { 2 },
            };
            let end = 1_000 + whole;
            let table = |drift: i64| {
                let times = (1_000, end.saturating_add_signed(drift), whole);
                Timetable::new(times, sweep.clone(), both_ways).unwrap()
            };
            let meetings = |drift: i64| -> Vec<(u32, u32)> {
                table(drift).slots(0).map(|slot| (slot.number, slot.peer)).collect()
            };
            prop_assert_eq!(meetings(-5_000), meetings(5_000), "a clock that drifts");
            let table = table(0);
            let mut sent = BTreeMap::new();
            for rank in 0..world_size {
                for slot in table.slots(rank) {
                    let theirs = table.slots(slot.peer).find(|s| s.number == slot.number).unwrap();
                    prop_assert_eq!((slot.sends, slot.receives), (theirs.receives, theirs.sends));
                    prop_assert_eq!((theirs.peer, theirs.begin_ns), (rank, slot.begin_ns));
                    prop_assert!(slot.end_ns <= end);
                    if slot.sends { *sent.entry((rank, slot.peer)).or_insert(0) += 1; }
                }
            }
            prop_assert_eq!(sent.len() as u32, world_size * (world_size - 1));
            let times: Vec<i32> = sent.into_values().collect();
            // A small leaf's members meet again while a larger one's are not through.
            prop_assert!(leaf > 0 || times.iter().all(|t| *t == times[0]));
        }
    }

    #[test]
    fn a_phase_too_short_for_a_cycle_has_no_timetable() {
        assert_eq!(Timetable::new((0, 1_000_000, 1_000_000), Sweep::Busy(4), true), None);
        assert_eq!(Timetable::new((5, 0, 1_000_000_000), Sweep::Busy(4), true), None);
        assert_eq!(Timetable::new((0, u64::MAX, u64::MAX), Sweep::Busy(1), true), None);
        let alone = Sweep::Quiet(vec![vec![0]]);
        assert_eq!(Timetable::new((0, u64::MAX, u64::MAX), alone, true), None);
    }
}
