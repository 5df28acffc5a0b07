//! Step response: how a device's temperature follows a step of its power.
//!
//! T(t) = T0 + P [R1 (1 - e^(-t/t1)) + R2 (1 - e^(-t/t2))], fitted by least squares: for a
//! pair of time constants the rest is linear, with thermal resistances not below zero; the
//! pairs are searched on a grid that is refined around the best. No start value, no chance.
//!
//! A time constant counts as identified only when the record is long enough to show it and
//! its neighbours on the grid fit clearly worse: a record of 200 s does not show the heat
//! sink of an air-cooled card, and the fit then says so instead of a number.

mod least_squares;

use crate::digest::telemetry::Curve;
use least_squares::{Best, Record, Search};

/// Fewer points carry no two time constants: five numbers are fitted.
const POINTS_MIN: usize = 12;
/// Least step of power, in watts: below, noise of the sensor is most of the response.
const STEP_MIN_W: f64 = 20.0;
/// Least rise or fall, in K: two steps of a sensor of whole degrees.
const RISE_MIN_K: f64 = 2.0;
/// Time constants that a record must last to be trusted: after three an exponential has
/// gone 95 % of its way.
const TAUS_IN_RECORD: f64 = 3.0;
/// Sum of squares, in variances, by which a neighbour must fit worse to be excluded: three
/// standard errors of one parameter.
const EXCLUDED: f64 = 9.0;
/// F value by which two parts must fit better than one: the 1 % point is 5 for white noise
/// (2 and 60 degrees of freedom); twice that, because residuals of sensors follow each other.
const TWO_PARTS_F: f64 = 10.0;
/// Standard deviation, in K, below which residuals are not believed: means of quantised
/// readings are no better.
const NOISE_MIN_K: f64 = 0.02;

/// A mean temperature some time after the step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepPoint {
    /// Seconds after the step, 0 or more.
    pub seconds: f64,
    /// In degrees Celsius.
    pub temp_c: f64,
}

/// One exponential of a response.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Part {
    /// Thermal resistance against the temperature before the step, in K/W.
    pub k_per_w: f64,
    /// Time constant, in seconds.
    pub tau_s: f64,
}

/// The slow part, or why there is none to be told.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Slow {
    Identified(Part),
    /// One exponential explains the record as well as two.
    NotSeen,
    /// There is one, but the record ends before it has shown itself.
    NotIdentified {
        /// The record's length.
        seconds: f64,
        /// The least length that could identify it.
        wanted: f64,
    },
}

/// A fitted response.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepFit {
    /// Temperature at the step, in degrees Celsius.
    pub t0_c: f64,
    pub fast: Part,
    pub slow: Slow,
    /// Root mean square of what the fit leaves, in K.
    pub rms_k: f64,
}

/// Why a response was not fitted.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum Unfit {
    #[error("{0} points, and {POINTS_MIN} are needed")]
    FewPoints(usize),
    #[error("the power stepped by {0:.0} W only")]
    SmallStep(f64),
    #[error("the temperature followed the power by less than {RISE_MIN_K:.0} K")]
    NoResponse,
    #[error("no time constant is identified in {0:.0} s")]
    NotIdentified(f64),
}

/// The points of a cell's temperature after a step at the second `step_s`: the head second
/// by second, then the wider bins of the whole.
#[must_use]
pub fn points(head: &Curve, whole: &Curve, step_s: i64) -> Vec<StepPoint> {
    let middle = |curve: &Curve, start: i64| (start - step_s) as f64 + curve.bin_s as f64 / 2.0;
    let of = |curve: &Curve, from: i64| -> Vec<StepPoint> {
        let after = curve.points.iter().filter(|point| point.start_s >= from);
        after
            .map(|point| StepPoint { seconds: middle(curve, point.start_s), temp_c: point.mean })
            .collect()
    };
    let mut points = of(head, step_s);
    let end = head.points.last().map_or(step_s, |point| point.start_s + head.bin_s);
    points.extend(of(whole, end.max(step_s)));
    points
}

/// Fits a response to a step of the power by so many watts (negative: downwards). Points
/// before the step and points that are no numbers are left out.
///
/// # Errors
/// When the record or the step is too small for any time constant.
pub fn fit(points: &[StepPoint], step_w: f64) -> Result<StepFit, Unfit> {
    let good = |point: &&StepPoint| {
        point.seconds >= 0.0 && point.seconds.is_finite() && point.temp_c.is_finite()
    };
    let mut points: Vec<StepPoint> = points.iter().filter(good).copied().collect();
    points.sort_by(|a, b| a.seconds.total_cmp(&b.seconds).then(a.temp_c.total_cmp(&b.temp_c)));
    let seconds = points.last().map_or(0.0, |last| last.seconds);
    if points.len() < POINTS_MIN || seconds <= 0.0 {
        return Err(Unfit::FewPoints(points.len()));
    }
    if !step_w.is_finite() || step_w.abs() < STEP_MIN_W {
        return Err(Unfit::SmallStep(step_w));
    }
    let record = Record::new(&points, step_w);
    let search = Search::new(&record);
    let (one, two) = (search.one(&record), search.two(&record));
    let freedom = points.len() as f64 - 5.0;
    let variance = (two.squares / freedom).max(NOISE_MIN_K * NOISE_MIN_K);
    let rise = step_w.abs() * (two.r1 + two.r2).max(one.r1);
    let numbers = [rise, one.t0, one.squares, two.t0, two.squares];
    if rise < RISE_MIN_K || numbers.iter().any(|number| !number.is_finite()) {
        return Err(Unfit::NoResponse);
    }
    let rms = |best: &Best| (best.squares / points.len() as f64).sqrt();
    let limit = EXCLUDED * variance;
    let better = (one.squares - two.squares) / 2.0 / variance;
    if better < TWO_PARTS_F || two.r1 <= 0.0 || two.r2 <= 0.0 {
        let highest = search.highest_one(&record, one.squares + limit);
        if one.r1 <= 0.0 {
            return Err(Unfit::NoResponse);
        }
        if one.t1 * TAUS_IN_RECORD > seconds || highest > seconds {
            return Err(Unfit::NotIdentified(seconds));
        }
        let fast = Part { k_per_w: one.r1, tau_s: one.t1 };
        return Ok(StepFit { t0_c: one.t0, fast, slow: Slow::NotSeen, rms_k: rms(&one) });
    }
    let wanted = TAUS_IN_RECORD * two.t2;
    let highest = search.highest_two(&record, two.squares + limit);
    let slow = if wanted <= seconds && highest <= seconds {
        Slow::Identified(Part { k_per_w: two.r2, tau_s: two.t2 })
    } else {
        Slow::NotIdentified { seconds, wanted: wanted.max(highest) }
    };
    let fast = Part { k_per_w: two.r1, tau_s: two.t1 };
    Ok(StepFit { t0_c: two.t0, fast, slow, rms_k: rms(&two) })
}

#[cfg(test)]
mod tests;
