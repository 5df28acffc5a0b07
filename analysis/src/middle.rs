//! The middle of a few numbers and their scatter around it.

/// Makes the MAD of a Gaussian its standard deviation (1 / the 75 % point).
pub(crate) const MAD_TO_SIGMA: f64 = 1.4826;

/// The middle value, the mean of both middles when they are even; numbers only.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    let lower = sorted[(sorted.len() - 1) / 2];
    Some(lower + (upper - lower) / 2.0)
}

/// Median absolute deviation from a centre, scaled to a Gaussian's standard deviation.
pub(crate) fn robust_sigma(values: &[f64], centre: f64) -> Option<f64> {
    let distances: Vec<f64> = values.iter().map(|v| (v - centre).abs()).collect();
    median(&distances).map(|mad| mad * MAD_TO_SIGMA)
}
