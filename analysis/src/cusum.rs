//! The early alarm: a one-sided CUSUM (Page, Biometrika 1954) that hears a cooling loop
//! warm before any device throttles.
//!
//! Usable live: a state, one sample in, perhaps an alarm out. What it sums is the excess of
//! a loop's residual over what healthy noise explains; the sum falls back to zero while all
//! is well and climbs by half a sigma a sample when the loop is one sigma too warm.
//!
//! Real noise is neither independent nor Gaussian. Increments are clipped, so that one wild
//! reading is worth little; what a sample inherits from the one before is taken out first
//! ([`Calibration`]), and slope and threshold follow, so that correlation costs delay and
//! never false alarms.

mod calibration;
mod loops;

pub use calibration::{CALIBRATION_LEAST, Calibration, CalibrationError};
pub use loops::{LoopAlarm, LoopWatch, SLOWDOWN_DEVICES, SLOWDOWN_WINDOW_S, loop_residual};

/// Slope for independent noise, in sigma a sample: half of the least shift that is looked
/// for, one sigma.
pub const SLOPE: f64 = 0.5;
/// Threshold in sigma: one stream of independent Gaussian noise passes it by chance once in
/// about 240 days at one sample a second (Siegmund's approximation).
pub const THRESHOLD: f64 = 15.0;
/// Threshold with more than [`MANY_STREAMS`] streams: once in about 100 years a stream.
pub const THRESHOLD_MANY: f64 = 20.0;
/// Streams beyond which [`THRESHOLD`] would be passed by chance every day or so.
pub const MANY_STREAMS: usize = 200;
/// One sample counts for at most so many sigma in either direction: less would delay the
/// alarm of a shift of two sigma, more would let heavy tails through.
pub const CLIP: f64 = 3.0;
/// Mean overshoot of a Gaussian sum beyond a boundary, twice 0.583 (Siegmund 1985).
const OVERSHOOT: f64 = 1.166;
/// Samples that may be missing in a row before what came before them is forgotten: the
/// strongest correlation that is taken out (0.9) has faded to 4 % by then.
const MEMORY_SAMPLES: u32 = 30;

/// The threshold in sigma for so many streams watched at once.
#[must_use]
pub fn threshold(streams: usize) -> f64 {
    if streams > MANY_STREAMS { THRESHOLD_MANY } else { THRESHOLD }
}

/// The sum passed its threshold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Alarm {
    /// Samples since the sum was last zero: the likeliest onset lies so far back.
    pub samples: u64,
    /// Mean of the clipped values since then, in healthy sigma: the least shift that the
    /// alarm shows.
    pub shift_sigma: f64,
}

/// The state of one stream. Small and without history: keep one a loop.
#[derive(Debug, Clone, PartialEq)]
pub struct Cusum {
    calibration: Calibration,
    slope: f64,
    threshold: f64,
    sum: f64,
    /// Samples and their sum since `sum` was zero.
    samples: u64,
    raised: f64,
    /// The last value that was there, in sigma, and how many were missing since.
    before: Option<(f64, u32)>,
}

impl Cusum {
    /// A stream that is compared with its own healthy time, one of `streams` watched at once.
    #[must_use]
    pub fn new(calibration: Calibration, streams: usize) -> Self {
        // A shift of one sigma is worth `gain` after what is inherited was taken out.
        let gain = gain(calibration.lag1);
        let slope = SLOPE * gain + calibration.centre_error();
        let threshold = equal_threshold(threshold(streams), SLOPE * gain);
        Self { calibration, slope, threshold, sum: 0.0, samples: 0, raised: 0.0, before: None }
    }

    /// Takes one sample, in the unit of the calibration; NaN or an infinity is a missing
    /// one and moves nothing. After an alarm the sum starts anew: what stays wrong alarms
    /// again.
    pub fn step(&mut self, x: f64) -> Option<Alarm> {
        if !x.is_finite() {
            self.forget_a_little();
            return None;
        }
        let x = (x - self.calibration.centre) / self.calibration.sigma;
        let fresh = self.innovation(x);
        self.before = Some((x, 0));
        let fresh = fresh.clamp(-CLIP, CLIP);
        self.sum += fresh - self.slope;
        if self.sum <= 0.0 {
            (self.sum, self.samples, self.raised) = (0.0, 0, 0.0);
            return None;
        }
        self.samples += 1;
        self.raised += fresh;
        if self.sum <= self.threshold {
            return None;
        }
        let shift_sigma = self.raised / self.samples as f64 / gain(self.calibration.lag1);
        let alarm = Alarm { samples: self.samples, shift_sigma };
        (self.sum, self.samples, self.raised) = (0.0, 0, 0.0);
        Some(alarm)
    }

    /// How far the sum has come towards its alarm, 0..=1.
    #[must_use]
    pub fn level(&self) -> f64 {
        self.sum / self.threshold
    }

    /// What is new in a value, with a standard deviation of one.
    fn innovation(&self, x: f64) -> f64 {
        let Some((before, missing)) = self.before else { return x };
        // What is left of a correlation after a gap, by multiplications alone.
        let kept = (0..missing).fold(self.calibration.lag1, |kept, _| kept * self.calibration.lag1);
        (x - kept * before) / (1.0 - kept * kept).sqrt()
    }

    fn forget_a_little(&mut self) {
        self.before =
            self.before.map(|(x, n)| (x, n + 1)).filter(|(_, missing)| *missing < MEMORY_SAMPLES);
    }
}

/// What is left of a shift of the mean when an AR(1) part is taken out and the rest is
/// scaled to one again: sqrt((1 - r) / (1 + r)).
fn gain(lag1: f64) -> f64 {
    ((1.0 - lag1) / (1.0 + lag1)).sqrt()
}

/// Mean samples to a false alarm of one stream of independent Gaussian noise (Siegmund's
/// approximation, Sequential Analysis, 1985).
#[must_use]
pub fn samples_to_false_alarm(threshold: f64, slope: f64) -> f64 {
    let b = 2.0 * slope * (threshold + OVERSHOOT);
    (b.exp() - b - 1.0) / (2.0 * slope * slope)
}

/// The threshold that makes a smaller slope alarm falsely as seldom as [`SLOPE`] does.
fn equal_threshold(threshold: f64, slope: f64) -> f64 {
    /// Halvings: the answer is exact to the last bit long before.
    const HALVINGS: u32 = 64;
    let wanted = samples_to_false_alarm(threshold, SLOPE);
    let (mut low, mut high) = (threshold, threshold * SLOPE / slope + OVERSHOOT);
    // A smaller slope needs a higher threshold, at most in proportion (see the tests).
    for _ in 0..HALVINGS {
        let middle = low + (high - low) / 2.0;
        if samples_to_false_alarm(middle, slope) < wanted { low = middle } else { high = middle }
    }
    high
}

#[cfg(test)]
mod tests;
