//! The course of a supply's power: as its meter says it, or as its energy counter grew.

use crate::digest::meters::Trace;

/// A counter's growth between two instants is held to be known once it is so many of its steps
/// (proposal: a fifth of the growth is its rounding then).
const STEPS_LEAST: f64 = 5.0;
const HOUR_S: f64 = 3600.0;

/// Kilowatts over time.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Course {
    /// Middles in seconds since the Unix epoch, and means around them.
    pub(super) points: Vec<(f64, f64)>,
    /// Over how many seconds each is a mean.
    pub(super) width_s: f64,
}

impl Course {
    pub(super) fn of_power(trace: &Trace) -> Self {
        Self { points: trace.bins_s().collect(), width_s: trace.width_s() }
    }

    /// What a counter of kWh grew by, over spans that are long enough for its steps; `None` for
    /// one that stands still. One that was set back says nothing of that span.
    pub(super) fn of_energy(trace: &Trace) -> Option<Self> {
        let counts: Vec<(f64, f64)> = trace.bins_s().collect();
        let grown = counts.windows(2).map(|pair| pair[1].1 - pair[0].1);
        let mut grown: Vec<f64> = grown.filter(|grown| *grown > 0.0).collect();
        grown.sort_by(f64::total_cmp);
        let step = *grown.first()?;
        // Of what each bin grows by, the ones that stand still included.
        let usual = grown.iter().sum::<f64>() / counts.len() as f64;
        let stride = (STEPS_LEAST * step / usual).ceil().max(1.0) as usize;
        let width_s = stride as f64 * trace.width_s();
        let pairs = counts.iter().zip(counts.iter().skip(stride)).step_by(stride);
        let points = pairs.filter_map(|((from_s, from), (to_s, to))| {
            let whole = to_s - from_s <= width_s && to >= from;
            whole.then(|| ((from_s + to_s) / 2.0, (to - from) / (to_s - from_s) * HOUR_S))
        });
        Some(Self { points: points.collect(), width_s })
    }

    /// From the first point's beginning to the last one's end.
    pub(super) fn seconds(&self) -> f64 {
        match (self.points.first(), self.points.last()) {
            (Some((first, _)), Some((last, _))) => last - first + self.width_s,
            _ => 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A counter of so coarse steps beside a supply of 36 kW, and of 72 kW from second 300 on.
    fn counter(step_kwh: f64) -> Trace {
        let mut trace = Trace::default();
        let mut kwh = 1000.0;
        for second in 0..600 {
            kwh += if second < 300 { 0.01 } else { 0.02 };
            trace.add(second * 1_000_000_000, (kwh / step_kwh).floor() * step_kwh);
        }
        trace
    }

    #[test]
    fn a_counter_that_grows_tells_the_power_however_coarse_its_steps_are() {
        for step_kwh in [0.001, 0.01, 0.1] {
            let course = Course::of_energy(&counter(step_kwh)).unwrap();
            let mean = |from: f64, to: f64| {
                let within = course.points.iter().filter(|(at, _)| (from..to).contains(at));
                let values: Vec<f64> = within.map(|(_, kw)| *kw).collect();
                values.iter().sum::<f64>() / values.len() as f64
            };
            let (before, after) = (mean(0.0, 250.0), mean(350.0, 600.0));
            assert!((before - 36.0).abs() < 4.0, "{step_kwh}: {before}");
            assert!((after - 72.0).abs() < 4.0, "{step_kwh}: {after}");
            assert!(course.width_s <= 64.0, "{step_kwh}: {}", course.width_s);
        }
    }

    #[test]
    fn a_counter_that_is_set_back_says_nothing_of_that_span_and_one_that_stands_nothing_at_all() {
        let mut trace = Trace::default();
        for second in 0..100 {
            let kwh = if second < 50 { 500.0 } else { 0.0 } + second as f64;
            trace.add(second * 1_000_000_000, kwh);
        }
        let course = Course::of_energy(&trace).unwrap();
        assert!(course.points.iter().all(|(_, kw)| (0.0..=3601.0).contains(kw)), "{course:?}");
        let mut still = Trace::default();
        (0..100).for_each(|second| still.add(second * 1_000_000_000, 7.0));
        assert_eq!(Course::of_energy(&still), None);
    }
}
