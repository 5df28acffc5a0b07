//! The sketch: quantiles of a stream in bounded memory, the same in whatever order it came.
//!
//! Values fall into bins whose edges grow geometrically (DDSketch: Masson, Rim and Lee,
//! VLDB 2019), so that a quantile is within [`RELATIVE_ERROR`] of a value that was really
//! seen at that rank. Counts are integers: merging is addition and knows no order.

use std::collections::BTreeMap;

/// Half the width of a bin: the stated error of every quantile.
pub const RELATIVE_ERROR: f64 = 0.005;
/// Magnitudes below are counted as zero: no unit of ours has meaning there.
const LEAST: f64 = 1e-9;
/// Magnitudes above are counted in the last bin. With [`LEAST`] this bounds a sketch to
/// about 6,200 bins a sign; a steady device fills fewer than ten.
const MOST: f64 = 1e18;

/// Counts of values by magnitude. Equality is equality of every count.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sketch {
    negative: BTreeMap<i32, u64>,
    zeros: u64,
    positive: BTreeMap<i32, u64>,
    count: u64,
    range: Option<(f64, f64)>,
    /// Values that are no number: never in a bin, never forgotten.
    refused: u64,
}

impl Sketch {
    /// Counts one value. NaN and infinities are counted apart.
    pub fn add(&mut self, value: f64) {
        if !value.is_finite() {
            self.refused += 1;
            return;
        }
        let value = value.clamp(-MOST, MOST);
        if value.abs() < LEAST {
            self.zeros += 1;
        } else if value > 0.0 {
            *self.positive.entry(bin(value)).or_default() += 1;
        } else {
            *self.negative.entry(bin(-value)).or_default() += 1;
        }
        self.count += 1;
        // Adding positive zero turns -0.0 into 0.0, so that no order shows.
        let value = value + 0.0;
        let (low, high) = self.range.unwrap_or((value, value));
        self.range = Some((low.min(value), high.max(value)));
    }

    /// Adds another sketch's counts.
    pub fn merge(&mut self, other: &Self) {
        for (ours, theirs) in
            [(&mut self.negative, &other.negative), (&mut self.positive, &other.positive)]
        {
            for (bin, count) in theirs {
                *ours.entry(*bin).or_default() += count;
            }
        }
        self.zeros += other.zeros;
        self.count += other.count;
        self.refused += other.refused;
        self.range = match (self.range, other.range) {
            (Some((a, b)), Some((c, d))) => Some((a.min(c), b.max(d))),
            (one, another) => one.or(another),
        };
    }

    /// How many values were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// How many values were no number.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// The least and the greatest value, exact.
    #[must_use]
    pub fn range(&self) -> Option<(f64, f64)> {
        self.range
    }

    /// The value at a rank: nearest rank, `ceil(share * count)`, at least the first.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let (low, high) = self.range?;
        let rank = ((share.clamp(0.0, 1.0) * self.count as f64).ceil() as u64).max(1);
        let mut below = 0;
        let negative = self.negative.iter().rev().map(|(bin, n)| (-middle(*bin), *n));
        let positive = self.positive.iter().map(|(bin, n)| (middle(*bin), *n));
        for (value, count) in negative.chain([(0.0, self.zeros)]).chain(positive) {
            below += count;
            if below >= rank {
                return Some(value.clamp(low, high));
            }
        }
        Some(high)
    }

    /// The middle value.
    #[must_use]
    pub fn median(&self) -> Option<f64> {
        self.quantile(0.5)
    }
}

/// Ratio of a bin's upper to its lower edge.
fn growth() -> f64 {
    (1.0 + RELATIVE_ERROR) / (1.0 - RELATIVE_ERROR)
}

fn bin(magnitude: f64) -> i32 {
    (magnitude.ln() / growth().ln()).ceil() as i32
}

/// The value of a bin that is at most [`RELATIVE_ERROR`] from both edges.
fn middle(bin: i32) -> f64 {
    let power = power(growth(), bin.unsigned_abs());
    let edge = if bin < 0 { 1.0 / power } else { power };
    2.0 * edge / (growth() + 1.0)
}

/// A power by squaring: multiplications alone round alike on every machine, the library's
/// `powi` need not.
fn power(base: f64, exponent: u32) -> f64 {
    let (mut result, mut square, mut left) = (1.0, base, exponent);
    while left > 0 {
        if left & 1 == 1 {
            result *= square;
        }
        square *= square;
        left >>= 1;
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sketch(values: &[f64]) -> Sketch {
        let mut sketch = Sketch::default();
        values.iter().for_each(|value| sketch.add(*value));
        sketch
    }

    #[test]
    fn nothing_has_no_median_and_no_number_is_no_value() {
        assert_eq!(Sketch::default().median(), None);
        let odd = sketch(&[f64::NAN, f64::INFINITY, f64::NEG_INFINITY]);
        assert_eq!((odd.count(), odd.refused(), odd.median()), (0, 3, None));
    }

    #[test]
    fn a_constant_is_exact() {
        assert_eq!(sketch(&[61.7; 9]).median(), Some(61.7));
        assert_eq!(sketch(&[-3.5; 2]).median(), Some(-3.5));
        assert_eq!(sketch(&[0.0, -0.0]).median(), Some(0.0));
    }

    proptest! {
        #[test]
        fn every_quantile_keeps_its_stated_error(
            values in prop::collection::vec(prop_oneof![-1e6f64..1e6, 1e-8f64..1e-3, 1e9f64..1e15], 1..300),
            share in 0.0f64..=1.0,
        ) {
            let mut sorted = values.clone();
            sorted.sort_by(f64::total_cmp);
            let rank = ((share * sorted.len() as f64).ceil() as usize).max(1);
            let truth = sorted[rank - 1];
            let found = sketch(&values).quantile(share).unwrap();
            // 1e-9 beside the stated error: rounding at the very edge of a bin.
            let allowed = truth.abs() * (RELATIVE_ERROR + 1e-9) + LEAST;
            prop_assert!((found - truth).abs() <= allowed, "{found} for {truth}");
        }

        #[test]
        fn order_and_grouping_do_not_show(
            a in prop::collection::vec(-1e3f64..1e3, 0..40),
            b in prop::collection::vec(-1e3f64..1e3, 0..40),
            c in prop::collection::vec(-1e3f64..1e3, 0..40),
        ) {
            let (mut left, mut bc, mut backwards) = (sketch(&a), sketch(&b), sketch(&c));
            left.merge(&sketch(&b));
            left.merge(&sketch(&c));
            bc.merge(&sketch(&c));
            let mut right = sketch(&a);
            right.merge(&bc);
            backwards.merge(&sketch(&b));
            backwards.merge(&sketch(&a));
            let all: Vec<f64> = [a, b, c].concat();
            prop_assert_eq!(&left, &right);
            prop_assert_eq!(&left, &backwards);
            prop_assert_eq!(&left, &sketch(&all));
        }
    }
}
