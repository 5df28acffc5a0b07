//! The sketch: quantiles of a stream in bounded memory, the same in whatever order it came.
//!
//! Few values are kept as they are. More of them fall into bins whose width grows with the
//! magnitude (as in DDSketch: Masson, Rim and Lee, VLDB 2019), so that a quantile is within
//! [`RELATIVE_ERROR`] of a value that was really seen at that rank. Counts are integers and
//! the form depends on the values alone: merging knows no order.

mod bins;

use bins::Bins;

/// Half the width of a bin: the stated error of every quantile, 0.4 %.
pub const RELATIVE_ERROR: f64 = bins::HALF_WIDTH;
/// Up to so many values are kept, and their quantiles are exact: jobs and repetitions in
/// tables of others have a handful of rows, and cohorts of them differ by less than a bin.
pub const EXACT_MAX: usize = 32;
/// Magnitudes below are counted as zero: no unit of ours has meaning there.
const LEAST: f64 = 1e-9;
/// Magnitudes above are counted in the last bin. With [`LEAST`] this bounds a sketch to
/// about 11,500 bins a sign; a steady device fills fewer than ten.
const MOST: f64 = 1e18;

/// Values by magnitude. Equality is equality of everything that was counted.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sketch {
    store: Store,
    count: u64,
    range: Option<(f64, f64)>,
    /// Values that are no number: never in a bin, never forgotten.
    refused: u64,
}

/// Which form it has follows from the count.
#[derive(Debug, Clone, PartialEq)]
enum Store {
    /// Ascending, at most [`EXACT_MAX`].
    Few(Vec<f64>),
    Many(Box<Many>),
}

#[derive(Debug, Clone, PartialEq, Default)]
struct Many {
    negative: Bins,
    zeros: u64,
    positive: Bins,
}

impl Default for Store {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl Sketch {
    /// Counts one value. NaN and infinities are counted apart.
    pub fn add(&mut self, value: f64) {
        self.add_all(&[value]);
    }

    /// Counts values: as many calls of [`Self::add`], faster.
    pub fn add_all(&mut self, values: &[f64]) {
        if !values.iter().all(|value| value.is_finite() && value.abs() <= MOST) {
            for value in values {
                if value.is_finite() {
                    self.add_numbers(&[value.clamp(-MOST, MOST)]);
                } else {
                    self.refused += 1;
                }
            }
        } else if !values.is_empty() {
            self.add_numbers(values);
        }
    }

    /// Counts values, at least one, none beyond [`MOST`].
    fn add_numbers(&mut self, values: &[f64]) {
        let range = range_of(values);
        self.range = join(self.range, range);
        self.count += values.len() as u64;
        if self.count <= EXACT_MAX as u64
            && let Store::Few(few) = &mut self.store
        {
            few.extend(values.iter().map(|value| value + 0.0));
            few.sort_unstable_by(f64::total_cmp);
            return;
        }
        if let Some((least, greatest)) = range {
            self.many().add_all(values, least, greatest);
        }
    }

    /// Adds another sketch's values.
    pub fn merge(&mut self, other: &Self) {
        self.refused += other.refused;
        match &other.store {
            Store::Few(few) => {
                if !few.is_empty() {
                    self.add_numbers(few);
                }
            }
            Store::Many(theirs) => {
                self.many().merge(theirs);
                self.count += other.count;
                self.range = join(self.range, other.range);
            }
        }
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

    /// The value at a rank: nearest rank, `ceil(share * count)`, at least the first. Exact
    /// up to [`EXACT_MAX`] values, within [`RELATIVE_ERROR`] beyond.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let (low, high) = self.range?;
        let rank = ((share.clamp(0.0, 1.0) * self.count as f64).ceil() as u64).max(1);
        let many = match &self.store {
            Store::Few(few) => {
                return few.get(usize::try_from(rank - 1).ok()?).or(few.last()).copied();
            }
            Store::Many(many) => many,
        };
        let mut below = 0;
        for (value, count) in many.values() {
            below += count;
            if below >= rank {
                return Some(value.clamp(low, high));
            }
        }
        Some(high)
    }

    /// The middle value; of an even number the lower one.
    #[must_use]
    pub fn median(&self) -> Option<f64> {
        self.quantile(0.5)
    }

    /// Moves what there is into bins.
    fn many(&mut self) -> &mut Many {
        if let Store::Few(few) = &mut self.store {
            let few = std::mem::take(few);
            let mut many = Box::<Many>::default();
            if let (Some(least), Some(greatest)) = (few.first(), few.last()) {
                many.add_all(&few, *least, *greatest);
            }
            self.store = Store::Many(many);
        }
        match &mut self.store {
            Store::Many(many) => many,
            Store::Few(_) => unreachable!("was just turned into bins"),
        }
    }
}

/// The least and the greatest of numbers.
fn range_of(values: &[f64]) -> Option<(f64, f64)> {
    let (mut least, mut greatest) = (*values.first()?, *values.first()?);
    for value in values {
        least = if *value < least { *value } else { least };
        greatest = if *value > greatest { *value } else { greatest };
    }
    // Adding positive zero turns -0.0 into 0.0, so that no order shows.
    Some((least + 0.0, greatest + 0.0))
}

fn join(one: Option<(f64, f64)>, other: Option<(f64, f64)>) -> Option<(f64, f64)> {
    match (one, other) {
        (Some((a, b)), Some((c, d))) => {
            Some((if c < a { c } else { a }, if d > b { d } else { b }))
        }
        (one, other) => one.or(other),
    }
}

impl Many {
    fn add_all(&mut self, values: &[f64], least: f64, greatest: f64) {
        if least >= LEAST {
            self.positive.add_all(values.iter().copied(), least, greatest);
            return;
        }
        for value in values {
            let magnitude = value.abs();
            let one = std::iter::once(magnitude);
            if magnitude < LEAST {
                self.zeros += 1;
            } else if *value > 0.0 {
                self.positive.add_all(one, magnitude, magnitude);
            } else {
                self.negative.add_all(one, magnitude, magnitude);
            }
        }
    }

    fn merge(&mut self, other: &Self) {
        self.negative.merge(&other.negative);
        self.zeros += other.zeros;
        self.positive.merge(&other.positive);
    }

    /// Middles of bins with their counts, ascending.
    fn values(&self) -> impl Iterator<Item = (f64, u64)> {
        let negative = self.negative.counts().rev();
        let negative = negative.map(|(bin, n)| (-bins::middle(bin), u64::from(n)));
        let positive = self.positive.counts();
        let positive = positive.map(|(bin, n)| (bins::middle(bin), u64::from(n)));
        negative.chain([(0.0, self.zeros)]).chain(positive)
    }
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

    fn value() -> impl Strategy<Value = f64> {
        prop_oneof![4 => 40f64..90.0, 1 => -1e3f64..1e3, 1 => 1e-12f64..1e-6, 1 => 1e9f64..1e20,
            1 => Just(0.0), 1 => Just(f64::NAN)]
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

    #[test]
    fn few_values_are_exact_and_one_more_is_within_the_error() {
        let values: Vec<f64> = (1..=EXACT_MAX).map(|i| 100.0 + 0.01 * i as f64).collect();
        assert_eq!(sketch(&values).median(), Some(values[EXACT_MAX / 2 - 1]));
        let more = [&values[..], &[100.001]].concat();
        let median = sketch(&more).median().unwrap();
        assert_ne!(median, 100.16);
        assert!((median - 100.16).abs() <= 100.16 * RELATIVE_ERROR);
    }

    #[test]
    fn values_far_apart_leave_the_window() {
        let wide: Vec<f64> = (0..200).map(|i| 2f64.powi(i % 40 - 20)).collect();
        let Store::Many(many) = sketch(&wide).store else { panic!("more than a few") };
        assert!(matches!(&many.positive, Bins::Scattered(bins) if bins.len() == 40));
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
            a in prop::collection::vec(value(), 0..40),
            b in prop::collection::vec(value(), 0..40),
            c in prop::collection::vec(value(), 0..40),
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
            let mut at_once = Sketch::default();
            at_once.add_all(&all);
            prop_assert_eq!(&left, &at_once);
        }
    }
}
