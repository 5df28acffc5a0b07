//! Bins of positive magnitudes, cut where floating point cuts them: exponent and the first
//! bits of the fraction. No logarithm, so every machine puts a value into the same bin.

use std::collections::BTreeMap;

/// Bits of the fraction that tell bins apart: 128 bins an octave.
const FRACTION_BITS: u32 = 7;
/// Half the width of the widest bin of an octave, relative to its lower edge.
pub(super) const HALF_WIDTH: f64 = 1.0 / (1u64 << (FRACTION_BITS + 1)) as f64;
/// Most bins that lie in one block of memory: 8 octaves, 4 KiB. A sensor of a device fills
/// a small part of one octave; what spreads wider is kept bin by bin.
const WINDOW_MAX: u32 = 1_024;

/// Counts by bin. The form follows from the values alone (least and greatest bin), never
/// from their order, so that equality is equality of every count. Counts stop at their
/// greatest value, which one reading a second needs 136 years to reach.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Bins {
    /// From bin `first` on without holes; the first and the last count are not zero.
    Window {
        first: u32,
        counts: Vec<u32>,
    },
    Scattered(BTreeMap<u32, u32>),
}

impl Default for Bins {
    fn default() -> Self {
        Self::Window { first: 0, counts: Vec::new() }
    }
}

/// The bin of a magnitude; it must be positive and finite.
pub(super) fn bin(magnitude: f64) -> u32 {
    (magnitude.to_bits() >> (52 - FRACTION_BITS)) as u32
}

/// The value of a bin that is at most [`HALF_WIDTH`] from both edges.
pub(super) fn middle(bin: u32) -> f64 {
    let edge = |bin: u64| f64::from_bits(bin << (52 - FRACTION_BITS));
    (edge(u64::from(bin)) + edge(u64::from(bin) + 1)) / 2.0
}

impl Bins {
    /// Counts magnitudes whose least and greatest are known.
    pub(super) fn add_all(
        &mut self,
        magnitudes: impl Iterator<Item = f64>,
        least: f64,
        greatest: f64,
    ) {
        match self.cover(bin(least), bin(greatest)) {
            Self::Window { first, counts } => {
                for magnitude in magnitudes {
                    let count = &mut counts[(bin(magnitude) - *first) as usize];
                    *count = count.saturating_add(1);
                }
            }
            Self::Scattered(counts) => {
                for magnitude in magnitudes {
                    let count = counts.entry(bin(magnitude)).or_default();
                    *count = count.saturating_add(1);
                }
            }
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        let (Some((low, _)), Some((high, _))) = (other.counts().next(), other.counts().next_back())
        else {
            return;
        };
        match self.cover(low, high) {
            Self::Window { first, counts } => {
                for (bin, more) in other.counts() {
                    let count = &mut counts[(bin - *first) as usize];
                    *count = count.saturating_add(more);
                }
            }
            Self::Scattered(counts) => {
                for (bin, more) in other.counts() {
                    let count = counts.entry(bin).or_default();
                    *count = count.saturating_add(more);
                }
            }
        }
    }

    /// Bins with counts, ascending.
    pub(super) fn counts(&self) -> Box<dyn DoubleEndedIterator<Item = (u32, u32)> + '_> {
        match self {
            Self::Window { first, counts } => {
                let at = move |(offset, count): (usize, &u32)| (first + offset as u32, *count);
                Box::new(counts.iter().enumerate().map(at).filter(|(_, count)| *count > 0))
            }
            Self::Scattered(counts) => Box::new(counts.iter().map(|(bin, count)| (*bin, *count))),
        }
    }

    /// Makes room for the bins from `low` to `high`, both of which will be counted.
    fn cover(&mut self, low: u32, high: u32) -> &mut Self {
        let Self::Window { first, counts } = self else { return self };
        let (mut from, mut to) = (low, high);
        if !counts.is_empty() {
            from = from.min(*first);
            to = to.max(*first + counts.len() as u32 - 1);
        }
        if to - from >= WINDOW_MAX {
            let scattered = self.counts().collect();
            *self = Self::Scattered(scattered);
            return self;
        }
        let wanted = (to - from + 1) as usize;
        if counts.is_empty() {
            *first = from;
        }
        if wanted > counts.len() {
            let before = (*first - from) as usize;
            counts.reserve_exact(wanted - counts.len());
            counts.splice(0..0, std::iter::repeat_n(0, before));
            counts.resize(wanted, 0);
            *first = from;
        }
        self
    }
}
