//! Readings gathered at one level until their mean means something.

use std::collections::VecDeque;

/// Fewest readings of a mean.
const LEAST: usize = 3;
/// Shortest and longest time of a taste.
const SHORT_NS: u64 = 400_000_000;
const LONG_NS: u64 = 2_000_000_000;
/// The mean is good enough at this standard error, as a share of the target.
const ERROR: f64 = 0.003;
/// Most readings kept: a minute of the fastest sampler.
const KEPT_MAX: usize = 4_096;
/// Readings that make too much a fact.
const ALARMS: usize = 2;

/// The readings since the last change.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Taste {
    readings: VecDeque<Reading>,
    /// Readings in a row that are far above the target.
    alarms: Vec<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Reading {
    at_ns: u64,
    watts: f64,
    level: f64,
}

impl Taste {
    /// Repeating waveforms are tasted over whole periods of at least so long.
    pub(super) const SPAN_NS: u64 = 2 * LONG_NS;

    pub(super) fn clear(&mut self) {
        self.readings.clear();
        self.alarms.clear();
    }

    pub(super) fn add(&mut self, at_ns: u64, watts: f64, level: f64) {
        if self.readings.len() == KEPT_MAX {
            self.readings.pop_front();
        }
        self.readings.push_back(Reading { at_ns, watts, level });
    }

    pub(super) fn alarm(&mut self, watts: f64) {
        self.alarms.push(watts);
    }

    pub(super) fn calm(&mut self) {
        self.alarms.clear();
    }

    pub(super) fn alarmed(&self) -> bool {
        self.alarms.len() >= ALARMS
    }

    pub(super) fn alarm_mean(&self) -> f64 {
        self.alarms.iter().sum::<f64>() / self.alarms.len().max(1) as f64
    }

    /// Mean watts and level, once they are known well enough; `thorough` takes its time.
    pub(super) fn enough(&self, target_w: f64, thorough: bool) -> Option<(f64, f64)> {
        let (first, last) = (self.readings.front()?, self.readings.back()?);
        let span_ns = last.at_ns - first.at_ns;
        let n = self.readings.len();
        if n < LEAST || span_ns < SHORT_NS {
            return None;
        }
        let mean = |of: fn(&Reading) -> f64| self.readings.iter().map(of).sum::<f64>() / n as f64;
        let (watts, level) = (mean(|r| r.watts), mean(|r| r.level));
        let spread: f64 = self.readings.iter().map(|r| (r.watts - watts).powi(2)).sum();
        let error = (spread / (n - 1) as f64 / n as f64).sqrt();
        let good = error <= ERROR * target_w && !thorough;
        (good || span_ns >= LONG_NS).then_some((watts, level))
    }

    /// Mean watts of the readings of a span that ends now, where it is covered.
    pub(super) fn over(&self, now_ns: u64, span_ns: u64) -> Option<f64> {
        let from_ns = now_ns.saturating_sub(span_ns);
        let inside = || self.readings.iter().filter(|reading| reading.at_ns > from_ns);
        let n = inside().count();
        (n >= LEAST).then(|| inside().map(|reading| reading.watts).sum::<f64>() / n as f64)
    }
}
