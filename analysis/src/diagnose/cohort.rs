//! A cohort: values that should be alike, and how far one of them may lie from the rest.
//!
//! The distance is the robust z, (median - value) / (1.4826 MAD): the median and the MAD
//! stay put while almost half of the values are bad. Its limit depends on the size of the
//! cohort, because the MAD of four values is often small by chance; a fixed 3.5 would name
//! a healthy device in 9 % of cohorts of four. The limits hold for one cohort; a plan
//! that compares four kernels gives chance four tries.

/// Fewer values than this have no spread to speak of.
pub(crate) const LEAST_MEMBERS: usize = 4;
/// Makes the MAD of a Gaussian its standard deviation (1 / the 75 % point).
const MAD_TO_SIGMA: f64 = 1.4826;
/// Uniform error of a value read from a sketch, as a share: the width of its bin (0.8 %)
/// over the square root of 12. Values can't be known to spread less than this.
const LEAST_SIGMA: f64 = 2.0 * crate::digest::sketch::RELATIVE_ERROR / 3.464_101_615;

/// Robust z that the lowest of n healthy (Gaussian) values passes in 5 % and in 1 % of
/// cohorts: own Monte Carlo, 23,000 to 200,000 cohorts a row, one-sided. A row holds from
/// its size to the next; the worse of odd and even sizes is taken. Tails heavier than
/// Gaussian pass more often: the practical floor of the witness stands beside this limit.
/// The price, in the same simulation: of devices 10 % slow among others that spread by 1 %
/// the second limit finds 23 % in cohorts of 4, 77 % of 8, 99 % of 16; the rest is watched.
const LIMITS: [(usize, f64, f64); 6] =
    [(4, 5.9, 13.7), (6, 4.7, 8.7), (8, 4.2, 7.0), (10, 3.9, 6.0), (16, 3.7, 5.1), (24, 3.8, 4.6)];

/// Where one value lies among the others.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Place {
    /// The middle of the cohort (of the others, in a small one).
    pub(super) reference: f64,
    /// (value - reference) / reference.
    pub(super) relative: f64,
    /// How many robust standard deviations below the middle; `None` in a small cohort.
    pub(super) z: Option<f64>,
}

/// Places every value of a cohort; `None` where there is nothing to compare with.
pub(super) fn place(values: &[f64]) -> Vec<Option<Place>> {
    let middle = median(values);
    let distances: Vec<f64> =
        middle.map(|m| values.iter().map(|v| (v - m).abs()).collect()).unwrap_or_default();
    let spread = median(&distances).unwrap_or(0.0) * MAD_TO_SIGMA;
    (0..values.len())
        .map(|index| {
            let enough = values.len() >= LEAST_MEMBERS;
            let reference = if enough { middle } else { median_of_others(values, index) }?;
            let sigma = spread.max(LEAST_SIGMA * reference.abs());
            let usable = reference > 0.0 && sigma > 0.0;
            usable.then(|| Place {
                reference,
                relative: (values[index] - reference) / reference,
                z: enough.then(|| (reference - values[index]) / sigma),
            })
        })
        .collect()
}

/// The z beyond which a cohort of this size is doubted, and beyond which it is believed.
pub(crate) fn limits(members: usize) -> (f64, f64) {
    let row = LIMITS.iter().rev().find(|(size, _, _)| members >= *size).unwrap_or(&LIMITS[0]);
    (row.1, row.2)
}

/// The middle of a few values, the mean of both middles when they are even.
pub(super) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    let lower = sorted[(sorted.len() - 1) / 2];
    Some(lower + (upper - lower) / 2.0)
}

fn median_of_others(values: &[f64], index: usize) -> Option<f64> {
    let others: Vec<f64> =
        values.iter().enumerate().filter(|(i, _)| *i != index).map(|(_, v)| *v).collect();
    median(&others)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_small_cohort_is_compared_with_its_others_and_has_no_z() {
        let places = place(&[100.0, 80.0]);
        assert_eq!(places[1].map(|p| (p.relative, p.z)), Some((-0.2, None)));
        assert_eq!(place(&[100.0]), [None]);
        assert_eq!(place(&[]), []);
    }

    #[test]
    fn equal_values_have_the_sketch_error_as_their_spread() {
        let z = place(&[100.0, 100.0, 100.0, 95.0])[3].and_then(|p| p.z).unwrap();
        assert!((22.0..22.5).contains(&z), "{z}");
    }

    #[test]
    fn limits_fall_with_the_size() {
        assert_eq!(limits(5), (5.9, 13.7));
        assert_eq!(limits(5000), (3.8, 4.6));
    }

    /// Gaussian values around 100 from a fixed seed (Irwin-Hall: twelve uniforms).
    fn gaussian(state: &mut u64, sd: f64) -> f64 {
        let mut uniform = || {
            *state ^= *state << 13;
            *state ^= *state >> 7;
            *state ^= *state << 17;
            (*state >> 11) as f64 / (1_u64 << 53) as f64
        };
        100.0 + sd * ((0..12).map(|_| uniform()).sum::<f64>() - 6.0)
    }

    /// Cohorts of healthy devices that spread by 2 %, as V100s do: how many would name one.
    #[test]
    fn healthy_cohorts_are_seldom_accused_whatever_their_size() {
        const COHORTS: usize = 4000;
        let mut state = 88_172_645_463_325_252;
        for members in [4, 5, 7, 8, 9, 12, 16, 32, 64] {
            let (mut doubts, mut accusations) = (0, 0);
            for _ in 0..COHORTS {
                let values: Vec<f64> = (0..members).map(|_| gaussian(&mut state, 2.0)).collect();
                let (doubted, believed) = limits(members);
                let z = |place: &Option<Place>| place.and_then(|place| place.z).unwrap_or(0.0);
                let worst = place(&values).iter().map(z).fold(0.0, f64::max);
                doubts += usize::from(worst > doubted);
                accusations += usize::from(worst > believed);
            }
            // 1 % and 5 % by design; three standard errors of the count beside them.
            assert!(accusations < COHORTS * 15 / 1000, "{accusations} of cohorts of {members}");
            assert!(doubts < COHORTS * 61 / 1000, "{doubts} of cohorts of {members}");
        }
    }

    /// What the limits cost: a device 10 % slow among healthy ones that spread by 1 %.
    #[test]
    fn a_clearly_slow_device_is_found_in_a_cohort_of_eight() {
        const COHORTS: usize = 1000;
        let mut state = 362_436_069;
        let mut found = 0;
        for _ in 0..COHORTS {
            let mut values: Vec<f64> = (0..8).map(|_| gaussian(&mut state, 1.0)).collect();
            values[3] -= 10.0;
            let z = place(&values)[3].and_then(|place| place.z).unwrap_or(0.0);
            found += usize::from(z > limits(8).1);
        }
        assert!(found > COHORTS * 6 / 10, "{found}");
    }

    proptest! {
        #[test]
        fn no_value_panics(values in prop::collection::vec(any::<f64>(), 0..12)) {
            prop_assert_eq!(place(&values).len(), values.len());
        }
    }
}
