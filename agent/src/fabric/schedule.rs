//! Who talks to whom when: the circle method, and its slots in time.

/// A slot of this length has room for connect, warm-up and a steady part.
const SLOT_NS: u64 = 1_000_000_000;
/// Below this a slot measures connection set-up, not the network.
const SLOT_MIN_NS: u64 = 20_000_000;

/// Rounds of one cycle of the circle method over `world_size` ranks.
#[must_use]
pub fn rounds(world_size: u32) -> u32 {
    world_size.next_multiple_of(2).saturating_sub(1)
}

/// The partner of a rank in a round; `None` for the one who sits out (odd worlds).
///
/// Round-robin tournament: the last seat stays, the others move one seat a round; each
/// unordered pair meets once in [`rounds`] rounds (Kirkman 1847).
#[must_use]
pub fn partner(rank: u32, world_size: u32, round: u32) -> Option<u32> {
    let turning = rounds(world_size);
    if turning == 0 || rank >= world_size {
        return None;
    }
    let round = round % turning;
    let found = if rank == turning {
        round
    } else if rank == round {
        turning
    } else {
        // The two whose numbers are as far on either side of the round's meet.
        (2 * u64::from(round) + u64::from(turning) - u64::from(rank)).rem_euclid(turning.into())
            as u32
    };
    (found < world_size).then_some(found)
}

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

/// The slots of a phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timetable {
    start_ns: u64,
    slot_ns: u64,
    slots: u32,
    world_size: u32,
    both_ways: bool,
}

impl Timetable {
    /// Divides a phase into whole cycles of slots of about a second; `None` when even one
    /// cycle does not fit.
    #[must_use]
    pub fn new(start_ns: u64, end_ns: u64, world_size: u32, both_ways: bool) -> Option<Self> {
        let per_cycle = u64::from(rounds(world_size)) * if both_ways { 1 } else { 2 };
        let whole = end_ns.checked_sub(start_ns)?;
        let cycles = (whole / SLOT_NS).checked_div(per_cycle)?.max(1);
        let slots = u32::try_from(cycles * per_cycle).ok()?;
        let slot_ns = whole / u64::from(slots);
        let fits = slot_ns >= SLOT_MIN_NS;
        fits.then_some(Self { start_ns, slot_ns, slots, world_size, both_ways })
    }

    /// The slots in which a rank takes part, in order.
    pub fn slots(self, rank: u32) -> impl Iterator<Item = Slot> {
        (0..self.slots).filter_map(move |number| {
            let (round, low_sends) =
                if self.both_ways { (number, true) } else { (number / 2, number % 2 == 0) };
            let peer = partner(rank, self.world_size, round)?;
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
        fn every_pair_meets_once_and_nobody_is_in_two_places(world_size in 2u32..70) {
            let mut met = BTreeMap::new();
            for round in 0..rounds(world_size) {
                let mut alone = 0;
                for rank in 0..world_size {
                    let Some(peer) = partner(rank, world_size, round) else { alone += 1; continue };
                    prop_assert_ne!(peer, rank);
                    prop_assert_eq!(partner(peer, world_size, round), Some(rank));
                    *met.entry((rank.min(peer), rank.max(peer))).or_insert(0) += 1;
                }
                prop_assert_eq!(alone, world_size % 2);
            }
            prop_assert_eq!(met.len() as u32, world_size * (world_size - 1) / 2);
            prop_assert!(met.values().all(|times| *times == 2));
        }

        #[test]
        fn both_ends_of_a_slot_agree_and_every_direction_is_sent(
            world_size in 2u32..20, both_ways: bool, seconds in 1u64..100,
        ) {
            let end = 1_000 + seconds * 1_000_000_000;
            let table = Timetable::new(1_000, end, world_size, both_ways).unwrap();
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
            prop_assert!(times.iter().all(|t| *t == times[0]));
        }
    }

    #[test]
    fn eight_ranks_meet_as_in_the_book() {
        let round_three: Vec<_> = (0..8).map(|rank| partner(rank, 8, 3).unwrap()).collect();
        assert_eq!(round_three, [6, 5, 4, 7, 2, 1, 0, 3]);
    }

    #[test]
    fn a_phase_too_short_for_a_cycle_has_no_timetable() {
        assert_eq!(Timetable::new(0, 1_000_000, 4, true), None);
        assert_eq!(Timetable::new(5, 0, 4, true), None);
        assert_eq!(Timetable::new(0, u64::MAX, 1, true), None);
    }
}
