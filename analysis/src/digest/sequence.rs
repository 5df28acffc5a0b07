//! Sequence numbers as ranges: which batches are here, and which are not.

use std::collections::BTreeMap;

/// A set of sequence numbers, kept as inclusive ranges that never touch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SeqRanges {
    /// First to last.
    ranges: BTreeMap<u64, u64>,
}

impl SeqRanges {
    /// Whether a number is in the set.
    #[must_use]
    pub fn contains(&self, seq: u64) -> bool {
        self.ranges.range(..=seq).next_back().is_some_and(|(_, last)| *last >= seq)
    }

    /// Puts `first..=last` in; nothing when they are the wrong way round.
    pub fn insert(&mut self, first: u64, last: u64) {
        if first > last {
            return;
        }
        let (mut first, mut last) = (first, last);
        while let Some((from, to)) =
            self.ranges.range(..=last.saturating_add(1)).next_back().map(|(f, t)| (*f, *t))
        {
            if to < first.saturating_sub(1) {
                break;
            }
            self.ranges.remove(&from);
            first = first.min(from);
            last = last.max(to);
        }
        self.ranges.insert(first, last);
    }

    /// Everything of another set as well.
    pub fn extend(&mut self, other: &Self) {
        for (first, last) in &other.ranges {
            self.insert(*first, *last);
        }
    }

    /// A number that both sets hold.
    #[must_use]
    pub fn overlap(&self, other: &Self) -> Option<u64> {
        other.ranges.iter().find_map(|(first, last)| {
            let (from, to) = self.ranges.range(..=*last).next_back()?;
            (*to >= *first).then_some((*first).max(*from))
        })
    }

    /// How many numbers are in the set.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.ranges
            .iter()
            .fold(0, |sum: u64, (first, last)| sum.saturating_add((last - first).saturating_add(1)))
    }

    /// Whether the set is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The greatest number.
    #[must_use]
    pub fn last(&self) -> Option<u64> {
        self.ranges.values().next_back().copied()
    }

    /// The ranges of `1..=last` that are not in the set.
    #[must_use]
    pub fn holes(&self, last: u64) -> Self {
        let mut holes = Self::default();
        let mut next = 1;
        for (from, to) in self.ranges.range(..=last) {
            if *from > next {
                holes.ranges.insert(next, from - 1);
            }
            if *to >= last {
                return holes;
            }
            next = next.max(to + 1);
        }
        if next <= last {
            holes.ranges.insert(next, last);
        }
        holes
    }

    /// What people read: `3-5, 9`.
    #[must_use]
    pub fn words(&self) -> String {
        /// More ranges than a person reads in one line.
        const SHOWN: usize = 6;
        let mut words: Vec<String> = self
            .ranges
            .iter()
            .take(SHOWN)
            .map(|(a, b)| if a == b { a.to_string() } else { format!("{a}-{b}") })
            .collect();
        if self.ranges.len() > SHOWN {
            words.push(format!("and {} more ranges", self.ranges.len() - SHOWN));
        }
        words.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_ends_of_the_numbers_do_not_panic() {
        let mut seen = SeqRanges::default();
        seen.insert(0, 0);
        seen.insert(u64::MAX, u64::MAX);
        seen.insert(0, u64::MAX);
        assert_eq!((seen.len(), seen.holes(u64::MAX).len()), (u64::MAX, 0));
        seen.insert(9, 3);
        assert!(seen.contains(5));
    }

    proptest! {
        #[test]
        fn ranges_are_a_set(
            parts in prop::collection::vec((1u64..60, 0u64..6), 0..30),
            others in prop::collection::vec((1u64..60, 0u64..6), 0..4),
        ) {
            let build = |parts: &[(u64, u64)]| {
                let (mut ranges, mut truth) = (SeqRanges::default(), BTreeSet::new());
                for (first, more) in parts {
                    ranges.insert(*first, first + more);
                    truth.extend(*first..=first + more);
                }
                (ranges, truth)
            };
            let (ranges, truth) = build(&parts);
            let (other, other_truth) = build(&others);
            prop_assert_eq!(ranges.len(), truth.len() as u64);
            prop_assert_eq!(ranges.last(), truth.last().copied());
            for seq in 0..70 {
                prop_assert_eq!(ranges.contains(seq), truth.contains(&seq));
            }
            let holes = (1..=40).filter(|seq| !truth.contains(seq)).count() as u64;
            prop_assert_eq!(ranges.holes(40).len(), holes);
            let shared = ranges.overlap(&other);
            prop_assert_eq!(shared.is_some(), !truth.is_disjoint(&other_truth));
            prop_assert!(shared.is_none_or(|seq| truth.contains(&seq) && other_truth.contains(&seq)));
        }
    }
}
