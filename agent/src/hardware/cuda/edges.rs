//! How far a square wave's edges lay from their commanded instants, by the kernels' own
//! stamps. Watts can't tell: NVML averages them over a second. Pure.

use model::load::Waveform;

/// The edges of one order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Edges {
    start_ns: u64,
    period_ns: u64,
    last_end_ns: Option<u64>,
    rises: u64,
    falls: u64,
    worst_rise_ns: u64,
    worst_fall_ns: u64,
}

impl Edges {
    /// For squares that fall to idle: others have no gap that could be seen.
    pub(super) fn of(waveform: Waveform, start_ns: u64) -> Option<Self> {
        let Waveform::Square { low, period_ns, .. } = waveform else { return None };
        let seen = low <= 0.0 && period_ns > 0;
        seen.then_some(Self {
            start_ns,
            period_ns,
            last_end_ns: None,
            rises: 0,
            falls: 0,
            worst_rise_ns: 0,
            worst_fall_ns: 0,
        })
    }

    /// A launch ran from `begin_ns` to `end_ns`; launches come in order.
    pub(super) fn see(&mut self, begin_ns: u64, end_ns: u64) {
        let half = self.period_ns / 2;
        let gap_from = match self.last_end_ns.replace(end_ns) {
            // A gap of half a half is an edge down and an edge up, and no hesitation.
            Some(last) if begin_ns.saturating_sub(last) > half / 2 => Some(last),
            Some(_) => return,
            None => None,
        };
        self.rises += 1;
        self.worst_rise_ns = self.worst_rise_ns.max(self.distance(begin_ns, 0));
        if let Some(last) = gap_from {
            self.falls += 1;
            self.worst_fall_ns = self.worst_fall_ns.max(self.distance(last, half));
        }
    }

    /// From an instant to the nearest commanded edge of its kind.
    fn distance(&self, at_ns: u64, offset_ns: u64) -> u64 {
        let first = self.start_ns + offset_ns;
        if at_ns <= first {
            return first - at_ns;
        }
        let beyond = (at_ns - first) % self.period_ns;
        beyond.min(self.period_ns - beyond)
    }

    /// In words, once there was an edge.
    pub(super) fn told(&self) -> Option<String> {
        let ms = |ns: u64| ns as f64 / 1e6;
        (self.rises > 0).then(|| {
            format!(
                "square wave by kernel stamps: {} rises at most {:.3} ms and {} falls at most \
                 {:.3} ms from their instants",
                self.rises,
                ms(self.worst_rise_ns),
                self.falls,
                ms(self.worst_fall_ns),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SQUARE: Waveform = Waveform::Square { low: 0.0, high: 1.0, period_ns: 1_000 };

    #[test]
    fn edges_are_measured_from_the_commanded_instants() {
        let mut edges = Edges::of(SQUARE, 10_000).unwrap();
        for (begin, end) in [(10_003, 10_250), (10_251, 10_490), (11_007, 11_300), (11_300, 11_520)]
        {
            edges.see(begin, end);
        }
        assert_eq!((edges.rises, edges.worst_rise_ns), (2, 7));
        assert_eq!((edges.falls, edges.worst_fall_ns), (1, 10));
        edges.see(11_990, 12_000);
        assert_eq!((edges.falls, edges.worst_fall_ns, edges.worst_rise_ns), (2, 20, 10));
        assert!(edges.told().unwrap().contains("3 rises"));
    }

    #[test]
    fn what_never_falls_to_idle_has_no_edges() {
        assert_eq!(Edges::of(Waveform::Hold { level: 1.0 }, 0), None);
        assert_eq!(Edges::of(Waveform::Square { low: 0.2, high: 1.0, period_ns: 9 }, 0), None);
        assert_eq!(Edges::of(SQUARE, 0).unwrap().told(), None);
    }
}
