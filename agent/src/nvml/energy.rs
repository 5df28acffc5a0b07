//! The energy counter: how often it steps, because a mean over few steps is no mean.

use model::reading::{Absence, Reading};

/// The counter of joules of one card.
#[derive(Debug, Default)]
pub(super) struct Energy {
    last: Option<u64>,
    stepped_ns: Option<u64>,
    period_ns: Option<u64>,
}

impl Energy {
    /// Takes a look. Joules; a counter that went back was reset and says nothing.
    pub(super) fn take(&mut self, now_ns: u64, millijoules: Reading<u64>) -> Reading<f64> {
        let Reading::Value(count) = millijoules else {
            return millijoules.map(|count| count as f64);
        };
        let last = self.last.replace(count);
        if last.is_some_and(|last| count < last) {
            self.stepped_ns = None;
            return Reading::Absent(Absence::Failed);
        }
        let stepped = last.is_some_and(|last| count > last);
        if stepped && let Some(before_ns) = self.stepped_ns.replace(now_ns) {
            let apart_ns = now_ns.saturating_sub(before_ns);
            self.period_ns = Some(self.period_ns.map_or(apart_ns, |least| least.min(apart_ns)));
        }
        Reading::Value(count as f64 / 1e3)
    }

    /// Shortest time between two steps that was seen, in milliseconds: an upper bound of the
    /// counter's period, no finer than the looks at it.
    pub(super) fn period_ms(&self) -> Reading<f64> {
        self.period_ns
            .map_or(Reading::Absent(Absence::NotYet), |ns| Reading::Value(ns as f64 / 1e6))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_period_is_the_shortest_time_between_steps() {
        let mut energy = Energy::default();
        assert_eq!(energy.period_ms(), Reading::Absent(Absence::NotYet));
        for (ms, count) in [(0, 10), (100, 10), (200, 40), (300, 40), (500, 90), (700, 140)] {
            let joules = energy.take(ms * 1_000_000, Reading::Value(count));
            assert_eq!(joules, Reading::Value(count as f64 / 1e3));
        }
        assert_eq!(energy.period_ms(), Reading::Value(200.0));
        let reset = energy.take(800_000_000, Reading::Value(1));
        assert_eq!(reset, Reading::Absent(Absence::Failed));
    }
}
