//! Offset and drift of an agent's clock, with an error that is a bound and not a guess.
//!
//! Each exchange of four stamps (sent, received, replied, answered) says for certain that
//! offset >= sent - received and offset <= answered - replied: messages don't arrive before
//! they are sent. Over a window the offset is taken as a straight line whose slope a crystal
//! can have. All lines that satisfy every exchange form a convex set; at any instant the
//! estimate is the middle of what that set allows, the claimed error its half-width.

use std::collections::VecDeque;

/// Fastest drift that is believed, in seconds per second: twice what crystals of servers
/// are specified for (100 ppm).
const DRIFT_MAX: f64 = 200e-6;
/// Of each such span only the exchange with the shortest round trip is kept.
const BUCKET_NS: i64 = 2_000_000_000;
/// Of two round trips alike within this part the later one is kept: what it says is less old
/// at the next GO, and the claim need not reach so far ahead.
const ALIKE: i64 = 64;
/// Spans kept: a line over two minutes; temperature bends it on a longer one.
const BUCKETS_MAX: usize = 60;
/// Each step of a search leaves one straight piece behind: there are no more than bounds.
const PIECES_MAX: usize = 2 * BUCKETS_MAX + 2;
/// What counts as met, in nanoseconds: far below what a clock can tell.
const EXACT_NS: f64 = 1e-3;

/// The four stamps of one exchange: coordinator, agent, agent, coordinator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exchange {
    pub sent_ns: i64,
    pub received_ns: i64,
    pub replied_ns: i64,
    pub answered_ns: i64,
}

impl Exchange {
    /// Time on the wire and in queues, both ways; negative when the stamps contradict.
    #[must_use]
    pub fn round_trip_ns(&self) -> i64 {
        (self.answered_ns - self.sent_ns) - (self.replied_ns - self.received_ns)
    }
}

/// Coordinator's clock minus agent's, at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offset {
    pub offset_ns: i64,
    /// Half-width of what the exchanges allow.
    pub error_ns: u64,
    /// Nanoseconds a second that the coordinator's clock gains on the agent's: the middle of
    /// what the exchanges allow.
    pub drift_ppb: i64,
}

/// Keeps the exchanges of one agent and answers for any instant near them.
#[derive(Debug, Clone, Default)]
pub struct OffsetEstimator {
    kept: VecDeque<Exchange>,
    /// Exchanges that were taken in since the clock last contradicted itself.
    taken: usize,
    /// A slope that fitted what is kept: mostly it fits the next exchange as well.
    slope: f64,
}

impl OffsetEstimator {
    /// Takes one exchange in. Stamps that contradict each other are not kept.
    pub fn add(&mut self, exchange: Exchange) {
        if exchange.round_trip_ns() < 0 || exchange.replied_ns < exchange.received_ns {
            return;
        }
        self.taken += 1;
        let bucket = |e: &Exchange| e.sent_ns.div_euclid(BUCKET_NS);
        match self.kept.back_mut() {
            Some(last) if bucket(last) == bucket(&exchange) => {
                if exchange.round_trip_ns() > last.round_trip_ns() / ALIKE * (ALIKE + 1) {
                    return;
                }
                *last = exchange;
            }
            _ => self.kept.push_back(exchange),
        }
        while self.kept.len() > BUCKETS_MAX {
            self.kept.pop_front();
        }
        // A clock that was stepped contradicts its own past: believe the present.
        while self.kept.len() > 1 && !self.is_consistent() {
            self.kept.pop_front();
            self.taken = self.kept.len();
        }
    }

    /// How many exchanges the estimate was chosen from.
    #[must_use]
    pub fn exchanges(&self) -> usize {
        self.taken
    }

    /// The offset at an instant of the coordinator's clock; `None` before any exchange.
    #[must_use]
    pub fn at(&self, coordinator_ns: i64) -> Option<Offset> {
        let last = self.kept.back()?;
        let rough = last.sent_ns - last.received_ns;
        let problem = Problem::new(&self.kept, coordinator_ns - rough, rough);
        let fit = problem.fit()?;
        let (low, high) = (fit.low.floor() as i64, fit.high.ceil() as i64);
        Some(Offset {
            offset_ns: rough + (low + high) / 2,
            error_ns: (high - low) as u64 / 2 + 1,
            drift_ppb: (fit.slope * 1e9).round() as i64,
        })
    }

    /// The offset by the last exchange alone, half its round trip off at most: for whom a
    /// millisecond is nothing, at a hundredth of the cost of [`OffsetEstimator::at`].
    #[must_use]
    pub fn rough_ns(&self) -> Option<i64> {
        let last = self.kept.back()?;
        Some((last.sent_ns - last.received_ns + last.answered_ns - last.replied_ns) / 2)
    }

    /// Whether anything is known.
    #[must_use]
    pub fn is_known(&self) -> bool {
        !self.kept.is_empty()
    }

    fn is_consistent(&mut self) -> bool {
        let Some(last) = self.kept.back() else { return true };
        let rough = last.sent_ns - last.received_ns;
        let problem = Problem::new(&self.kept, last.received_ns, rough);
        if problem.room(self.slope).at >= 0.0 {
            return true;
        }
        let best = problem.best_slope();
        self.slope = best.unwrap_or(self.slope);
        best.is_some()
    }
}

/// What all lines that satisfy the exchanges allow.
struct Fit {
    low: f64,
    high: f64,
    slope: f64,
}

/// Bounds on a line: at `x` (agent ns from the instant asked for) it lies above or below.
struct Problem {
    lower: Vec<(f64, f64)>,
    upper: Vec<(f64, f64)>,
}

impl Problem {
    /// `rough` is taken off every bound: the numbers stay small enough for f64.
    fn new(kept: &VecDeque<Exchange>, agent_ns: i64, rough: i64) -> Self {
        let lower: Vec<(f64, f64)> = kept
            .iter()
            .map(|e| {
                ((e.received_ns - agent_ns) as f64, (e.sent_ns - e.received_ns - rough) as f64)
            })
            .collect();
        let upper: Vec<(f64, f64)> = kept
            .iter()
            .map(|e| {
                ((e.replied_ns - agent_ns) as f64, (e.answered_ns - e.replied_ns - rough) as f64)
            })
            .collect();
        Self { lower: hull(&lower, 1.0), upper: hull(&upper, -1.0) }
    }

    /// Highest value at x = 0 of a line with this slope under every upper bound.
    fn highest(&self, slope: f64) -> Value {
        let values = self.upper.iter().map(|(x, y)| Value { at: y - slope * x, rise: -x });
        values.fold(Value { at: f64::INFINITY, rise: 0.0 }, |a, b| if b.at < a.at { b } else { a })
    }

    /// Lowest value at x = 0 of a line with this slope over every lower bound, negative.
    fn minus_lowest(&self, slope: f64) -> Value {
        let values = self.lower.iter().map(|(x, y)| Value { at: slope * x - y, rise: *x });
        values.fold(Value { at: f64::INFINITY, rise: 0.0 }, |a, b| if b.at < a.at { b } else { a })
    }

    fn room(&self, slope: f64) -> Value {
        let (high, low) = (self.highest(slope), self.minus_lowest(slope));
        Value { at: high.at + low.at, rise: high.rise + low.rise }
    }

    /// The slope that leaves most room; `None` when no line fits.
    fn best_slope(&self) -> Option<f64> {
        let best = peak(-DRIFT_MAX, DRIFT_MAX, |slope| self.room(slope));
        (self.room(best).at >= 0.0).then_some(best)
    }

    /// Least and greatest value at x = 0 over all lines that fit; `None` when none does.
    fn fit(&self) -> Option<Fit> {
        let best = self.best_slope()?;
        let room = |slope: f64| self.room(slope);
        let least = edge(best, -DRIFT_MAX, room);
        let most = edge(best, DRIFT_MAX, room);
        let high = self.highest(peak(least, most, |slope| self.highest(slope))).at;
        let low = -self.minus_lowest(peak(least, most, |slope| self.minus_lowest(slope))).at;
        Some(Fit { low: low.min(high), high: high.max(low), slope: f64::midpoint(least, most) })
    }
}

/// A concave function of straight pieces, at one argument: what it is and how it rises there.
#[derive(Debug, Clone, Copy)]
struct Value {
    at: f64,
    rise: f64,
}

/// Of bounds in the order of time those that can ever be the tightest: their convex hull,
/// from above (`way` 1) or from below (-1). A handful of a minute's exchanges.
fn hull(points: &[(f64, f64)], way: f64) -> Vec<(f64, f64)> {
    // A clock that was stepped back: whatever does not fit must be seen.
    if !points.is_sorted_by(|a, b| a.0 <= b.0) {
        return points.to_vec();
    }
    let mut kept: Vec<(f64, f64)> = Vec::new();
    for &(x, y) in points {
        while let [.., a, b] = kept.as_slice() {
            // Below the straight line from `a` to here `b` bounds nothing.
            let turn = (b.0 - a.0) * (y - a.1) - (b.1 - a.1) * (x - a.0);
            if turn * way < 0.0 {
                break;
            }
            kept.pop();
        }
        kept.push((x, y));
    }
    kept
}

/// Argument of the maximum of a concave function of straight pieces: where the pieces at both
/// ends of what is left meet, until that lies on the function itself. A few steps, because
/// each meets a piece that was not seen before.
fn peak(mut from: f64, mut to: f64, f: impl Fn(f64) -> Value) -> f64 {
    let (mut left, mut right) = (f(from), f(to));
    if left.rise <= 0.0 {
        return from;
    }
    if right.rise >= 0.0 {
        return to;
    }
    for _ in 0..PIECES_MAX {
        let meet = right.at - left.at + left.rise * from - right.rise * to;
        let next = (meet / (left.rise - right.rise)).clamp(from, to);
        let value = f(next);
        let most = left.at + left.rise * (next - from);
        if value.at >= most - EXACT_NS {
            return next;
        }
        if value.rise >= 0.0 {
            (from, left) = (next, value);
        } else {
            (to, right) = (next, value);
        }
    }
    f64::midpoint(from, to)
}

/// The furthest point from `inside` towards `outside` where a concave function of straight
/// pieces is not negative (Newton's method: from outside it never steps over that point).
fn edge(inside: f64, outside: f64, f: impl Fn(f64) -> Value) -> f64 {
    let mut at = outside;
    for _ in 0..PIECES_MAX {
        let value = f(at);
        if value.at >= -EXACT_NS {
            return at;
        }
        at -= value.at / value.rise;
        // Rounding where both ends are one point.
        if (at - inside) * (outside - inside) <= 0.0 {
            return inside;
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// An agent whose clock is the coordinator's, shifted and drifting.
    fn exchange(now: i64, offset: i64, drift: f64, out: i64, think: i64, back: i64) -> Exchange {
        let agent = |t: i64| t - offset - (t as f64 * drift) as i64;
        Exchange {
            sent_ns: now,
            received_ns: agent(now + out),
            replied_ns: agent(now + out + think),
            answered_ns: now + out + think + back,
        }
    }

    #[test]
    fn nothing_is_claimed_before_the_first_exchange() {
        assert_eq!(OffsetEstimator::default().at(0), None);
    }

    #[test]
    fn a_stepped_clock_is_believed_after_its_step() {
        let mut estimator = OffsetEstimator::default();
        for i in 0..10 {
            estimator.add(exchange(i * BUCKET_NS, 0, 0.0, 1000, 10, 1000));
        }
        for i in 10..14 {
            estimator.add(exchange(i * BUCKET_NS, 60_000_000_000, 0.0, 1000, 10, 1000));
        }
        let offset = estimator.at(14 * BUCKET_NS).unwrap();
        assert!((offset.offset_ns - 60_000_000_000).abs() < 2_000_000, "{offset:?}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn the_truth_lies_within_the_claim(
            offset in -50_000_000i64..50_000_000,
            drift in -50e-6f64..50e-6,
            delays in prop::collection::vec((20_000i64..5_000_000, 20_000i64..5_000_000), 3..40),
            ahead in 0i64..5_000_000_000,
        ) {
            let mut estimator = OffsetEstimator::default();
            let mut now = 0;
            for (out, back) in &delays {
                now += 500_000_000;
                estimator.add(exchange(now, offset, drift, *out, 5_000, *back));
            }
            let at = now + ahead;
            let claim = estimator.at(at).unwrap();
            let truth = offset + (at as f64 * drift) as i64;
            prop_assert!((claim.offset_ns - truth).unsigned_abs() <= claim.error_ns + 2,
                "truth {truth}, claim {claim:?}");
        }

        #[test]
        fn short_round_trips_make_small_errors(offset in -50_000_000i64..50_000_000, drift in -50e-6f64..50e-6) {
            let mut estimator = OffsetEstimator::default();
            for i in 0..40i64 {
                estimator.add(exchange(i * 500_000_000, offset, drift, 100_000, 5_000, 120_000));
            }
            let claim = estimator.at(40 * 500_000_000 + 1_000_000_000).unwrap();
            prop_assert!(claim.error_ns < 150_000, "{claim:?}");
        }
    }
}
