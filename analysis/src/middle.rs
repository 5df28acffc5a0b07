//! Middles and spreads that stay put while almost half of the values are bad.

/// Makes the median absolute deviation of a Gaussian its standard deviation (1 / the 75 % point).
pub(crate) const MAD_TO_SIGMA: f64 = 1.4826;

/// The middle of the finite values, the mean of both middles when they are even.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut finite: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
    let count = finite.len();
    if count == 0 {
        return None;
    }
    let (below, upper, _) = finite.select_nth_unstable_by(count / 2, f64::total_cmp);
    let upper = *upper;
    if !count.is_multiple_of(2) {
        return Some(upper);
    }
    let lower = below.iter().copied().max_by(f64::total_cmp).unwrap_or(upper);
    Some(lower + (upper - lower) / 2.0)
}

/// Robust standard deviation around a middle: 1.4826 times the median absolute deviation.
pub(crate) fn sigma(values: &[f64], middle: f64) -> Option<f64> {
    let distances: Vec<f64> = values.iter().map(|value| (value - middle).abs()).collect();
    median(&distances).map(|mad| mad * MAD_TO_SIGMA)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_middles() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[f64::NAN, 3.0]), Some(3.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(sigma(&[1.0, 2.0, 3.0, 4.0, 100.0], 3.0), Some(MAD_TO_SIGMA));
    }

    proptest! {
        #[test]
        fn the_median_is_that_of_the_sorted_values(mut values in prop::collection::vec(-1e6f64..1e6, 1..60)) {
            let found = median(&values).unwrap();
            values.sort_by(f64::total_cmp);
            let (low, high) = (values[(values.len() - 1) / 2], values[values.len() / 2]);
            prop_assert!((found - (low + (high - low) / 2.0)).abs() < 1e-9);
        }
    }
}
