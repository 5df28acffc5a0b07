//! When the next launch goes out so that the load follows its waveform. Pure: `now` is an
//! argument.
//!
//! Launches have one length (a *quantum*), so that their results can be compared. A level
//! below 1 is a share of launches within short frames; what a frame could not give or gave
//! too much is carried on. Full level keeps two launches ahead, so that the GPU never waits.

use super::super::programme::Active;

/// Length of a frame: some quanta long, and half of what an edge may be late.
pub(super) const FRAME_NS: u64 = 10_000_000;
/// Launches ahead of the GPU, the running one included.
const DEPTH: u64 = 2;

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Move {
    Submit,
    /// Nothing before this instant.
    Wait(u64),
}

/// Paces the launches of one order.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Pacer {
    /// Nanoseconds of load owed; negative after a launch longer than its frame's share.
    credit_ns: i64,
    frame_from_ns: u64,
    frame_to_ns: u64,
    level: f64,
}

impl Pacer {
    /// For an order that begins at an instant, or later when it came late.
    pub(super) fn new(start_ns: u64) -> Self {
        Self { credit_ns: 0, frame_from_ns: start_ns, frame_to_ns: start_ns, level: 0.0 }
    }

    /// Whether to launch now. `queue_end_ns` is when the GPU is expected to be done with what
    /// it has; `until_ns` when this order ends; `handed_over` whether another begins there.
    pub(super) fn next(
        &mut self,
        now_ns: u64,
        active: &Active,
        (quantum_ns, queue_end_ns): (u64, u64),
        (until_ns, handed_over): (u64, bool),
    ) -> Move {
        self.roll(now_ns, active, until_ns);
        let starts_ns = queue_end_ns.max(now_ns);
        if starts_ns - now_ns > (DEPTH - 1) * quantum_ns {
            return Move::Wait(starts_ns - (DEPTH - 1) * quantum_ns);
        }
        let hard_end =
            (self.frame_to_ns == until_ns && !handed_over) || self.ends_in_an_edge(active);
        // Rounded to the nearest edge: a launch goes out when most of it lies before.
        let end_ns = if hard_end { self.frame_to_ns } else { u64::MAX };
        let too_late = starts_ns + quantum_ns / 2 > end_ns || starts_ns >= until_ns;
        let owed = self.level >= 1.0 || self.credit_ns >= (quantum_ns / 2).max(1) as i64;
        if too_late || !owed {
            return Move::Wait(self.frame_to_ns);
        }
        self.credit_ns -= quantum_ns as i64;
        Move::Submit
    }

    /// A launch took longer or shorter than the quantum that was taken for it.
    pub(super) fn correct(&mut self, expected_ns: u64, actual_ns: u64) {
        self.credit_ns += expected_ns as i64 - actual_ns as i64;
    }

    /// The level changes now, not at the frame's end: what is left of it is planned anew.
    pub(super) fn replan(&mut self, now_ns: u64) {
        let left = self.frame_to_ns.saturating_sub(now_ns.max(self.frame_from_ns));
        self.credit_ns -= (self.level * left as f64) as i64;
        self.frame_to_ns = now_ns.min(self.frame_to_ns);
    }

    /// Opens frames until one holds `now`.
    fn roll(&mut self, now_ns: u64, active: &Active, until_ns: u64) {
        if now_ns < self.frame_to_ns {
            return;
        }
        // Frames that nobody looked at are not made up for: a host that slept owes a gap.
        if now_ns > self.frame_to_ns + FRAME_NS {
            self.frame_to_ns = now_ns;
        }
        while now_ns >= self.frame_to_ns {
            let from = self.frame_to_ns;
            let to = frame_end(active, from).min(until_ns.max(from + 1));
            (self.frame_from_ns, self.frame_to_ns) = (from, to);
            self.level = active.mean_level(from, to);
            let owed =
                self.credit_ns.min(FRAME_NS as i64) + (self.level * (to - from) as f64) as i64;
            let steady = self.level <= 0.0 || self.level >= 1.0;
            self.credit_ns = if steady { 0 } else { owed };
        }
    }

    fn ends_in_an_edge(&self, active: &Active) -> bool {
        edge_after(active, self.frame_from_ns) == Some(self.frame_to_ns)
    }
}

/// Where a frame ends: on the grid of frames, or at a square's edge.
fn frame_end(active: &Active, from: u64) -> u64 {
    let since = from.saturating_sub(active.order.start_ns);
    let grid = from + FRAME_NS - since % FRAME_NS;
    edge_after(active, from).map_or(grid, |edge| grid.min(edge))
}

/// The next edge of a waveform whose levels last a frame at least.
fn edge_after(active: &Active, from: u64) -> Option<u64> {
    active.edge_after(from, FRAME_NS)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::load::{Kernel, Waveform};
    use proptest::prelude::*;

    use super::super::super::LoadOrder;
    use super::super::super::programme::{Change, Programme};
    use super::*;

    const START: u64 = 1_000_000_000;

    fn active(waveform: Waveform, end_ns: u64) -> Active {
        let order = LoadOrder {
            kernel: Kernel::Bf16,
            waveform,
            start_ns: START,
            end_ns,
            drift_ppb: 0,
            inject: None,
            power_scale: None,
        };
        let mut programme = Programme::new();
        programme.begin(1, Arc::new(order));
        assert_eq!(programme.advance(START), Some(Change::Began));
        programme.active().unwrap().clone()
    }

    /// Plays a GPU that takes `quantum` for each launch; the spans that it was busy.
    fn play(active: &Active, quantum: u64, until: u64) -> Vec<(u64, u64)> {
        let (mut pacer, mut now, mut queue_end) = (Pacer::new(START), START, 0);
        let mut spans = Vec::new();
        while now < until {
            match pacer.next(now, active, (quantum, queue_end), (until, false)) {
                Move::Submit => {
                    let begin = queue_end.max(now) + 5_000;
                    queue_end = begin + quantum;
                    spans.push((begin, queue_end));
                }
                Move::Wait(at) => now = at.max(now + 20_000),
            }
        }
        spans
    }

    fn busy(spans: &[(u64, u64)], from: u64, to: u64) -> f64 {
        let inside = |(begin, end): &(u64, u64)| end.min(&to).saturating_sub(*begin.max(&from));
        spans.iter().map(inside).sum::<u64>() as f64 / (to - from) as f64
    }

    #[test]
    fn full_level_leaves_no_gap() {
        let until = START + 200_000_000;
        let spans = play(&active(Waveform::Hold { level: 1.0 }, until), 1_500_000, until);
        assert!(busy(&spans, START, until) > 0.99, "{}", busy(&spans, START, until));
        let end = spans.last().unwrap().1;
        assert!(end.abs_diff(until) < 1_600_000, "ends {end} at {until}");
    }

    #[test]
    fn edges_of_a_square_are_met_within_a_quantum() {
        for period_ns in [200_000_000, 1_000_000_000] {
            let until = START + 3 * period_ns;
            let square = Waveform::Square { low: 0.0, high: 1.0, period_ns };
            let spans = play(&active(square, until), 1_500_000, until);
            for period in 0..3 {
                let rise = START + period * period_ns;
                let fall = rise + period_ns / 2;
                let first = spans.iter().find(|span| span.0 >= rise).unwrap().0;
                let last = spans.iter().rfind(|span| span.0 < fall).unwrap().1;
                assert!(first - rise < 1_000_000, "rise {period}: {}", first - rise);
                assert!(last.abs_diff(fall) < 1_600_000, "fall {period}");
                assert!(busy(&spans, fall + 2_000_000, rise + period_ns) < 0.001);
            }
        }
    }

    #[test]
    fn a_level_that_drops_within_a_frame_is_planned_anew() {
        let active = active(Waveform::Hold { level: 0.5 }, u64::MAX);
        let mut pacer = Pacer::new(START);
        let next = pacer.next(START, &active, (1_000_000, 0), (u64::MAX, false));
        assert_eq!(next, Move::Submit);
        pacer.replan(START + 1_000_000);
        assert!(pacer.credit_ns <= 0, "{}", pacer.credit_ns);
        assert_eq!(pacer.frame_to_ns, START + 1_000_000);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn the_busy_share_is_the_level(level in 0.02f64..0.98, quantum in 300_000u64..5_000_000) {
            let until = START + 4_000_000_000;
            let spans = play(&active(Waveform::Hold { level }, until), quantum, until);
            let share = busy(&spans, START, until);
            prop_assert!((share - level).abs() < 0.01, "{share} for {level}");
        }
    }
}
