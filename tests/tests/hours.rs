//! Waveforms keep their time for hours: the coordinator's estimator and the agent's time base,
//! over an hour of simulated exchanges with a thousand agents whose clocks are false.

#![allow(clippy::unwrap_used, reason = "a test that meets nothing ends there")]

use agent::time_base::{Correction, TimeBase};
use coordinator::clock::{Exchange, OffsetEstimator};
use model::Waveform;

const AGENTS: u64 = 1_000;
const S: i64 = 1_000_000_000;
const MS: i64 = 1_000_000;
/// Exchanges before GO: as long as an estimate reaches back.
const BEFORE_NS: i64 = 120 * S;
const HOUR_NS: i64 = 3_600 * S;
/// Probes and corrections come as rarely as they do to one of ten thousand agents.
const PROBE_NS: i64 = 7 * S;
/// Answers that follow a probe, the first one included.
const BURST: u32 = 4;
const OFFSET_MAX_NS: i64 = 50 * MS;
const DRIFT_MAX: f64 = 50e-6;
/// Temperature bends a crystal's drift by this over twenty minutes.
const WANDER: f64 = 0.5e-6;
const WANDER_S: f64 = 1_200.0;

/// A stream of numbers in 0..1 (splitmix64): each agent has its own.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    fn within(&mut self, most: f64) -> f64 {
        (2.0 * self.next() - 1.0) * most
    }

    /// One way through the network and two schedulers: 50 us and a tail of 200 us in the
    /// mean; one in fifty waits for milliseconds.
    fn delay_ns(&mut self) -> i64 {
        let tail = -(1.0 - self.next()).ln() * 200_000.0;
        let stall = if self.next() < 0.02 { self.next() * 20e6 } else { 0.0 };
        50_000 + (tail + stall) as i64
    }
}

/// An agent whose crystal is false. Its CLOCK_MONOTONIC is its told time here.
struct Agent {
    offset_ns: i64,
    drift: f64,
    turn: f64,
    draw: Draw,
    estimator: OffsetEstimator,
}

impl Agent {
    fn new(seed: u64) -> Self {
        let mut draw = Draw(seed.wrapping_mul(0x2545_f491_4f6c_dd1d));
        Self {
            offset_ns: draw.within(OFFSET_MAX_NS as f64) as i64,
            drift: draw.within(DRIFT_MAX),
            turn: draw.next() * std::f64::consts::TAU,
            draw,
            estimator: OffsetEstimator::default(),
        }
    }

    /// Its clock at an instant of the coordinator's.
    fn tells(&self, at_ns: i64) -> i64 {
        let swing = std::f64::consts::TAU / WANDER_S;
        let angle = swing * at_ns as f64 / 1e9 + self.turn;
        let wander_ns = WANDER / swing * angle.sin() * 1e9;
        at_ns + 100 * S + self.offset_ns + (self.drift * at_ns as f64 + wander_ns) as i64
    }

    /// A probe and the answers that follow; when the last one is here.
    fn probed(&mut self, mut at_ns: i64) -> i64 {
        for _ in 0..BURST {
            let there_ns = at_ns + self.draw.delay_ns();
            let thinks_ns = 5_000 + (self.draw.next() * 10_000.0) as i64;
            let answered_ns = there_ns + thinks_ns + self.draw.delay_ns();
            self.estimator.add(Exchange {
                sent_ns: at_ns,
                received_ns: self.tells(there_ns),
                replied_ns: self.tells(there_ns + thinks_ns),
                answered_ns,
            });
            at_ns = answered_ns;
        }
        at_ns
    }
}

/// What an hour brought: distances from the truth in nanoseconds.
#[derive(Default)]
struct Seen {
    go: Vec<i64>,
    edge_at_once: Vec<i64>,
    edge_after_an_hour: Vec<i64>,
    edge_at_any_time: Vec<i64>,
    /// The same hour without corrections.
    uncorrected: Vec<i64>,
}

fn hour(seed: u64, seen: &mut Seen) {
    let mut agent = Agent::new(seed);
    let mut at_ns = (agent.draw.next() * PROBE_NS as f64) as i64;
    while at_ns < BEFORE_NS {
        agent.probed(at_ns);
        at_ns += PROBE_NS;
    }
    let start_ns = BEFORE_NS + S;
    let offset = agent.estimator.at(start_ns).unwrap();
    let told_ns = start_ns - offset.offset_ns;
    seen.go.push(told_ns - agent.tells(start_ns));
    let mut base = TimeBase::start(told_ns as u64, offset.drift_ppb);
    let alone = TimeBase::start(told_ns as u64, 0);
    let square = Waveform::Square { low: 0.0, high: 1.0, period_ns: 2 * S as u64 };
    // The edge that comes next, as the agent plays it, against the instant that is meant.
    let edge_error = |agent: &Agent, base: &TimeBase, at_ns: i64| {
        let edge_ns = square.edge_after((at_ns - start_ns) as u64, 5_000_000).unwrap();
        base.monotonic_ns(edge_ns) as i64 - agent.tells(start_ns + edge_ns as i64)
    };
    seen.edge_at_once.push(edge_error(&agent, &base, start_ns));
    at_ns += start_ns - BEFORE_NS;
    while at_ns < start_ns + HOUR_NS {
        // Just before it is corrected a base is at its worst.
        seen.edge_at_any_time.push(edge_error(&agent, &base, at_ns));
        let now_ns = agent.probed(at_ns);
        let offset = agent.estimator.at(now_ns).unwrap();
        let on_its_way_ns = agent.draw.delay_ns();
        let heard_ns = agent.tells(now_ns + on_its_way_ns) as u64;
        let correction = Correction {
            at_ns: (now_ns - offset.offset_ns) as u64,
            phase_ns: now_ns - start_ns,
            drift_ppb: offset.drift_ppb,
            error_ns: offset.error_ns,
        };
        let before = base.phase_ns(heard_ns);
        base.correct(heard_ns, &correction);
        assert_eq!(base.phase_ns(heard_ns), before, "a wave never jumps");
        at_ns += PROBE_NS;
    }
    let end_ns = start_ns + HOUR_NS;
    seen.edge_after_an_hour.push(edge_error(&agent, &base, end_ns));
    seen.uncorrected.push(edge_error(&agent, &alone, end_ns));
}

/// p50, p99 and the largest distance, in milliseconds.
fn told(what: &str, errors: &[i64]) -> [f64; 3] {
    let mut sizes: Vec<f64> = errors.iter().map(|ns| ns.unsigned_abs() as f64 / 1e6).collect();
    sizes.sort_by(f64::total_cmp);
    let rank = |p: f64| sizes[((sizes.len() as f64 * p).ceil() as usize).clamp(1, sizes.len()) - 1];
    let [p50, p99, max] = [rank(0.5), rank(0.99), rank(1.0)];
    println!("{what}: p50 {p50:.4} ms, p99 {p99:.4} ms, max {max:.4} ms of {}", sizes.len());
    [p50, p99, max]
}

#[test]
fn a_thousand_false_clocks_begin_together_and_keep_a_square_wave_for_an_hour() {
    let mut seen = Seen::default();
    for seed in 1..=AGENTS {
        hour(seed, &mut seen);
    }
    let [_, go_p99, _] = told("GO instants", &seen.go);
    told("first edges", &seen.edge_at_once);
    let [_, _, edge_max] = told("edges after an hour", &seen.edge_after_an_hour);
    let [_, any_p99, any_max] = told("edges at any time", &seen.edge_at_any_time);
    let [_, _, alone_max] = told("edges after an hour, uncorrected", &seen.uncorrected);
    assert!(go_p99 < 1.0, "GO within a millisecond at p99");
    assert!(edge_max < 2.0, "edges within two milliseconds after an hour");
    assert!(any_p99 < 1.0 && any_max < 2.0, "and at any time before");
    // The check can fail: left alone, these clocks are far off.
    assert!(alone_max > 100.0);
}
