//! Which elements a rank sends and receives at which turn of a ring all-reduce.
//!
//! Picture: a round table, everybody passes plates to the right. The operand is cut into
//! slices small enough that everything in flight stays in the second-level cache; a slice
//! is cut into one segment a rank. In the first n-1 turns of a slice each segment goes
//! round and is added to, in the next n-1 the finished segments go round. What arrives in
//! one turn leaves in the next, so it is sent while it is hot. Each rank moves 2B(n-1)/n
//! bytes, the least possible (Patarasuk and Yuan 2009).

use std::ops::Range;

/// Segments begin at multiples of this many elements: one cache line.
const LINE_ELEMENTS: usize = 16;

/// What happens to the elements that arrive at a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// A partial sum: add ours, pass it on.
    Partial,
    /// A partial sum that lacks only ours: the result.
    Last,
    /// A finished segment.
    Finished,
}

/// The cut of one operation as one rank sees it.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    rank: usize,
    world_size: usize,
    elements: usize,
    slice_elements: usize,
}

impl Layout {
    /// Cuts `elements` so that no segment is longer than `segment_elements`.
    ///
    /// `world_size` must be 2 or more, `rank` below it.
    #[must_use]
    pub fn new(rank: u32, world_size: u32, elements: usize, segment_elements: usize) -> Self {
        let world_size = world_size as usize;
        let segment = segment_elements.next_multiple_of(LINE_ELEMENTS);
        // Slices of one size: a short last one would cost as many turns as a full one.
        let slices = elements.div_ceil(segment * world_size).max(1);
        let slice = elements.div_ceil(slices).next_multiple_of(LINE_ELEMENTS * world_size);
        Self { rank: rank as usize, world_size, elements, slice_elements: slice.max(1) }
    }

    /// Turns of the whole operation.
    #[must_use]
    pub fn turns(&self) -> usize {
        self.elements.div_ceil(self.slice_elements) * self.turns_per_slice()
    }

    /// Length of the longest segment.
    #[must_use]
    pub fn segment_elements(&self) -> usize {
        self.slice_elements / self.world_size
    }

    /// The elements sent at a turn.
    #[must_use]
    pub fn sent(&self, turn: usize) -> Range<usize> {
        self.segment(turn, self.step(turn))
    }

    /// The elements received at a turn: what is sent at the next one.
    #[must_use]
    pub fn received(&self, turn: usize) -> Range<usize> {
        self.segment(turn, self.step(turn) + 1)
    }

    /// Whether a turn sends our own input, which depends on nobody.
    #[must_use]
    pub fn begins_slice(&self, turn: usize) -> bool {
        self.step(turn) == 0
    }

    /// What to do with what arrives at a turn.
    #[must_use]
    pub fn arrival(&self, turn: usize) -> Arrival {
        match (self.step(turn) + 2).cmp(&self.world_size) {
            std::cmp::Ordering::Less => Arrival::Partial,
            std::cmp::Ordering::Equal => Arrival::Last,
            std::cmp::Ordering::Greater => Arrival::Finished,
        }
    }

    fn turns_per_slice(&self) -> usize {
        2 * (self.world_size - 1)
    }

    fn step(&self, turn: usize) -> usize {
        turn % self.turns_per_slice()
    }

    fn segment(&self, turn: usize, back: usize) -> Range<usize> {
        let number = (self.rank + 2 * self.world_size - back) % self.world_size;
        let slice = turn / self.turns_per_slice() * self.slice_elements;
        let from = slice + number * self.segment_elements();
        from.min(self.elements)..(from + self.segment_elements()).min(self.elements)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn neighbours_agree_and_every_element_is_finished_once_everywhere(
            world_size in 2u32..9, elements in 1usize..5_000, segment in 1usize..400,
        ) {
            let cut = |rank| Layout::new(rank, world_size, elements, segment);
            for rank in 0..world_size {
                let (mine, next) = (cut(rank), cut((rank + 1) % world_size));
                prop_assert_eq!(mine.turns(), next.turns());
                let mut finished = vec![0; elements];
                for turn in 0..mine.turns() {
                    prop_assert_eq!(mine.sent(turn), next.received(turn));
                    prop_assert!(mine.sent(turn).len() <= mine.segment_elements());
                    if !mine.begins_slice(turn) {
                        prop_assert_eq!(mine.sent(turn), mine.received(turn - 1));
                    }
                    if mine.arrival(turn) != Arrival::Partial {
                        for element in mine.received(turn) { finished[element] += 1; }
                    }
                }
                prop_assert!(finished.iter().all(|times| *times == 1));
            }
        }
    }

    #[test]
    fn a_slice_stays_within_its_segments() {
        let layout = Layout::new(1, 4, 16 << 20, 64 << 10);
        assert_eq!(layout.segment_elements(), 64 << 10);
        assert_eq!(layout.turns(), 64 * 6);
    }
}
