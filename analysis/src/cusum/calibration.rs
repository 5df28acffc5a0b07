//! What is normal for one stream: its centre, its scatter, and how much a sample inherits
//! from the one before, all from a healthy window.

use super::CLIP;

/// Fewest samples of a healthy window: ten minutes at one a second. The centre is then
/// known to 0.04 sigma, and what it is not known to is added to the slope.
pub const CALIBRATION_LEAST: usize = 600;
/// Variance of a standard Gaussian clipped at [`CLIP`]: 1 - 2 c phi(c) + 2 (c^2 - 1) Q(c)
/// with c = 3, phi(3) = 0.00443185, Q(3) = 0.00134990.
const CLIPPED_VARIANCE: f64 = 0.995_007;
/// Correlations below are chance in a window of [`CALIBRATION_LEAST`] (two standard errors
/// of 1/sqrt(n)); taking out more than there is costs delay. A correlation of 0.2 left in
/// would bring a false alarm every day or so.
const LAG1_LEAST: f64 = 0.08;
/// Correlations above are taken for this: what changes so slowly has no news in a second.
const LAG1_MOST: f64 = 0.9;
/// Rounds of each estimate; both settle to a part in 10^6 within ten.
const ROUNDS: u32 = 25;

/// The healthy behaviour of one stream.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Calibration {
    pub(super) centre: f64,
    /// Above zero.
    pub(super) sigma: f64,
    /// 0 where it is too small to tell from chance.
    pub(super) lag1: f64,
    pub(super) samples: usize,
}

/// Why a window calibrates nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CalibrationError {
    #[error("{samples} healthy samples; at least {CALIBRATION_LEAST} are needed")]
    TooFew { samples: usize },
    #[error("every healthy sample says the same: the sensor is stuck or too coarse")]
    NoScatter,
}

impl Calibration {
    /// Learns from a healthy window; NaN and infinities are missing samples.
    ///
    /// Centre and scatter are Huber's (Proposal 2, 1964) at the clip of the alarm itself:
    /// the clipped noise then has the variance for which the threshold was made, whatever
    /// its tails.
    ///
    /// # Errors
    /// When samples are too few or all the same.
    pub fn of(window: &[f64]) -> Result<Self, CalibrationError> {
        let values: Vec<f64> = window.iter().copied().filter(|x| x.is_finite()).collect();
        if values.len() < CALIBRATION_LEAST {
            return Err(CalibrationError::TooFew { samples: values.len() });
        }
        let (centre, sigma) = huber(&values).ok_or(CalibrationError::NoScatter)?;
        let lag1 = lag1(window, centre, sigma);
        let mut found = Self { centre, sigma, lag1, samples: values.len() };
        // What is summed is the news of each sample: its scatter must be one.
        let news = news(window, &found);
        if let Some((_, scatter)) = huber(&news) {
            found.sigma *= scatter;
        }
        Ok(found)
    }

    /// One that is known: `lag1` is limited to what can be taken out.
    ///
    /// # Errors
    /// When sigma is no positive number or the centre is none.
    pub fn known(centre: f64, sigma: f64, lag1: f64) -> Result<Self, CalibrationError> {
        let usable = centre.is_finite() && sigma.is_finite() && sigma > 0.0 && lag1.is_finite();
        if !usable {
            return Err(CalibrationError::NoScatter);
        }
        Ok(Self { centre, sigma, lag1: limited(lag1), samples: usize::MAX })
    }

    /// Standard deviation of the healthy stream.
    #[must_use]
    pub fn sigma(&self) -> f64 {
        self.sigma
    }

    /// Correlation of neighbouring samples that is taken out; 0 for none.
    #[must_use]
    pub fn lag1(&self) -> f64 {
        self.lag1
    }

    /// One standard error of the centre, in units of what is summed.
    pub(super) fn centre_error(&self) -> f64 {
        1.0 / (self.samples as f64).sqrt()
    }
}

fn limited(lag1: f64) -> f64 {
    if lag1 < LAG1_LEAST { 0.0 } else { lag1.min(LAG1_MOST) }
}

/// Huber's centre and scatter; `None` when more than half of the values are the same.
fn huber(values: &[f64]) -> Option<(f64, f64)> {
    let mut centre = crate::middle::median(values)?;
    let distances: Vec<f64> = values.iter().map(|x| (x - centre).abs()).collect();
    let n = values.len() as f64;
    // A coarse sensor has no median distance and still a mean one.
    let mut sigma = match crate::middle::median(&distances)? * crate::middle::MAD_TO_SIGMA {
        s if s > 0.0 => s,
        _ => distances.iter().sum::<f64>() / n,
    };
    for _ in 0..ROUNDS {
        if !(sigma.is_finite() && sigma > 0.0) {
            return None;
        }
        let (mut first, mut second) = (0.0, 0.0);
        for x in values {
            let z = ((x - centre) / sigma).clamp(-CLIP, CLIP);
            first += z;
            second += z * z;
        }
        centre += sigma * first / n;
        sigma *= (second / n / CLIPPED_VARIANCE).sqrt();
    }
    (sigma.is_finite() && sigma > 0.0 && centre.is_finite()).then_some((centre, sigma))
}

/// Correlation of neighbours, both clipped; gaps break the pair.
fn lag1(window: &[f64], centre: f64, sigma: f64) -> f64 {
    let z = |x: f64| ((x - centre) / sigma).clamp(-CLIP, CLIP);
    let (mut both, mut own) = (0.0, 0.0);
    for pair in window.windows(2).filter(|p| p[0].is_finite() && p[1].is_finite()) {
        both += z(pair[0]) * z(pair[1]);
        own += (z(pair[0]) * z(pair[0]) + z(pair[1]) * z(pair[1])) / 2.0;
    }
    if own > 0.0 { limited(both / own) } else { 0.0 }
}

/// The news of each sample that has a neighbour before it.
fn news(window: &[f64], found: &Calibration) -> Vec<f64> {
    let z = |x: f64| (x - found.centre) / found.sigma;
    let left = (1.0 - found.lag1 * found.lag1).sqrt();
    let pairs = window.windows(2).filter(|p| p[0].is_finite() && p[1].is_finite());
    pairs.map(|p| (z(p[1]) - found.lag1 * z(p[0])) / left).collect()
}
