//! Which batches of an agent are stored already: numbers that come almost in order.

use std::collections::BTreeMap;

/// A set of sequence numbers, kept as ranges: one range for an agent that lost nothing.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// First and last of each range; ranges neither touch nor overlap.
    ranges: BTreeMap<u64, u64>,
}

impl Seen {
    /// Takes a number in; false when it was there.
    pub(super) fn insert(&mut self, seq: u64) -> bool {
        let before = self.ranges.range(..=seq).next_back().map(|(first, last)| (*first, *last));
        if before.is_some_and(|(_, last)| seq <= last) {
            return false;
        }
        let first = match before {
            Some((first, last)) if last.checked_add(1) == Some(seq) => first,
            _ => seq,
        };
        let next = seq.checked_add(1);
        let last = next.and_then(|next| self.ranges.remove(&next)).unwrap_or(seq);
        self.ranges.insert(first, last);
        true
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_says_what_a_set_would_say(numbers in prop::collection::vec(0u64..40, 0..200)) {
            let (mut seen, mut set) = (Seen::default(), BTreeSet::new());
            for number in numbers {
                prop_assert_eq!(seen.insert(number), set.insert(number));
            }
            let mut listed = seen.ranges.iter().flat_map(|(first, last)| *first..=*last);
            prop_assert!(set.iter().copied().eq(&mut listed));
        }
    }

    #[test]
    fn numbers_in_order_are_one_range_and_the_largest_has_no_next() {
        let mut seen = Seen::default();
        assert!((1..1000).all(|seq| seen.insert(seq)));
        assert_eq!(seen.ranges.len(), 1);
        assert!(seen.insert(u64::MAX) && !seen.insert(u64::MAX));
    }
}
