//! Simulated devices: what they draw, and what their sensors say of it (gpu.md §3.3, §4.4:
//! readings ten times a second, each a mean over up to a second).

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

const MS: u64 = 1_000_000;
const STEP_NS: u64 = 20 * MS;
const START_NS: u64 = 1_000_000 * MS;

/// A device: `idle + span * level^bend`, behind a lag, under a limit of its own.
#[derive(Debug, Clone)]
struct Plant {
    idle_w: f64,
    span_w: f64,
    bend: f64,
    limit_w: f64,
    lag_s: f64,
    window_ns: u64,
    every_ns: u64,
    noise: f64,
    /// Levels come in steps of this; 0 for fine ones.
    quantum: f64,
    /// Share of its heat that a power brake leaves, from and to seconds.
    brake: Option<(f64, f64, f64)>,
    /// No reading from and to seconds.
    blind: Option<(f64, f64)>,
    tells_brake: bool,
    cap: f64,
}

fn gpu() -> Plant {
    Plant {
        idle_w: 110.0,
        span_w: 620.0,
        bend: 1.0,
        limit_w: 700.0,
        lag_s: 0.05,
        window_ns: 1_000 * MS,
        every_ns: 100 * MS,
        noise: 0.005,
        quantum: 0.0,
        brake: None,
        blind: None,
        tells_brake: true,
        cap: 1.0,
    }
}

/// What happened.
struct Story {
    /// Seconds since the start, true watts, scale.
    course: Vec<(f64, f64, f64)>,
    moves: Vec<(f64, f64)>,
    control: Control,
}

impl Story {
    fn most(&self, from_s: f64, to_s: f64) -> f64 {
        let inside = self.course.iter().filter(|(t, ..)| (from_s..to_s).contains(t));
        inside.map(|(_, watts, _)| *watts).fold(0.0, f64::max)
    }

    fn mean(&self, from_s: f64, to_s: f64) -> f64 {
        let inside = || self.course.iter().filter(|(t, ..)| (from_s..to_s).contains(t));
        inside().map(|(_, watts, _)| *watts).sum::<f64>() / inside().count().max(1) as f64
    }

    /// Changes of direction by more than 1 % of the scale.
    fn reversals(&self, from_s: f64) -> usize {
        let mut scales: Vec<f64> = vec![];
        for (_, to) in self.moves.iter().filter(|(t, _)| *t >= from_s) {
            if scales.last().is_none_or(|last| (to / last - 1.0).abs() > 0.01) {
                scales.push(*to);
            }
        }
        scales.windows(3).filter(|w| (w[1] > w[0]) != (w[2] > w[1])).count()
    }
}

fn play(plant: &Plant, order: Order, known: Known, seconds: f64) -> Story {
    let mut control = Control::new(order, known);
    let (mut watts, mut course, mut moves) = (plant.idle_w, Vec::new(), Vec::new());
    let mut window: VecDeque<f64> = VecDeque::new();
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut next_ns = START_NS;
    let mut now_ns = START_NS;
    while now_ns < START_NS + (seconds * 1e9) as u64 {
        let t = (now_ns - START_NS) as f64 / 1e9;
        let wave = order.waveform.level_at(now_ns - START_NS);
        let mut level = wave * control.scale_at(now_ns).min(plant.cap);
        if plant.quantum > 0.0 {
            level = (level / plant.quantum).round() * plant.quantum;
        }
        let braked = plant.brake.filter(|(from, to, _)| (*from..*to).contains(&t));
        let left = braked.map_or(1.0, |(.., left)| left);
        let steady =
            (plant.idle_w + plant.span_w * level.powf(plant.bend) * left).min(plant.limit_w);
        watts += (steady - watts) * (STEP_NS as f64 / 1e9 / plant.lag_s.max(0.02)).min(1.0);
        window.push_back(watts);
        while window.len() as u64 * STEP_NS > plant.window_ns.max(STEP_NS) {
            window.pop_front();
        }
        course.push((t, watts, control.scale_at(now_ns)));
        if now_ns >= next_ns {
            next_ns += plant.every_ns;
            let blind = plant.blind.is_some_and(|(from, to)| (from..to).contains(&t));
            let mean = window.iter().sum::<f64>() / window.len() as f64;
            // The sum of four uniform numbers is near enough to a bell.
            let mut noise = -2.0;
            for _ in 0..4 {
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                noise += (seed >> 11) as f64 / (1u64 << 53) as f64;
            }
            let read = mean * (1.0 + plant.noise * noise * 1.7);
            let slowed = braked.is_some() && plant.tells_brake;
            let look =
                Look { at_ns: now_ns, watts: (!blind).then_some(read), cap: plant.cap, slowed };
            if let Some(change) = control.look(look) {
                moves.push((t, change.to));
            }
        }
        now_ns += STEP_NS;
    }
    Story { course, moves, control }
}

fn hold(target_w: f64) -> Order {
    Order {
        target_w,
        waveform: Waveform::Hold { level: 1.0 },
        start_ns: START_NS,
        sensor_ns: 1_200 * MS,
    }
}

fn known() -> Known {
    Known { idle_w: Some(110.0), limit_w: Some(700.0), point: None }
}

#[test]
fn a_card_is_brought_to_its_watts_and_kept_there() {
    let story = play(&gpu(), hold(500.0), known(), 60.0);
    let settled_s = story.control.settled_ns().unwrap() as f64 / 1e9;
    assert!(settled_s < 10.0, "{settled_s} s; {:?}", story.moves);
    let mean = story.mean(settled_s, 60.0);
    assert!((mean / 500.0 - 1.0).abs() < 0.01, "{mean}");
    assert!(story.most(0.0, 60.0) < 510.0, "{}", story.most(0.0, 60.0));
    assert_eq!(story.control.short(), None);
}

#[test]
fn a_second_load_of_the_same_kernel_begins_near_its_watts() {
    let first = play(&gpu(), hold(500.0), known(), 30.0);
    let second = Known { point: first.control.point(), ..known() };
    let story = play(&gpu(), hold(400.0), second, 10.0);
    assert!(story.control.settled_ns().unwrap() < 4_000 * MS, "{:?}", story.control.settled_ns());
    assert!(story.most(0.0, 10.0) < 410.0);
}

#[test]
fn what_nobody_knows_is_approached_from_far_below() {
    let story = play(&gpu(), hold(500.0), Known::default(), 40.0);
    assert!(story.course[10].1 < 200.0, "{:?}", story.course[10]);
    assert!(story.control.settled_ns().unwrap() < SETTLES_NS);
    assert!(story.most(0.0, 40.0) < 510.0);
}

#[test]
fn a_target_out_of_reach_is_told_and_leaves_no_debt() {
    let weak = Plant { span_w: 300.0, ..gpu() };
    let story = play(&weak, hold(500.0), known(), 40.0);
    assert_eq!(story.control.short(), Some(Short::Full));
    assert_eq!(story.control.settled_ns(), None);
    let capped = Plant { cap: 0.3, ..gpu() };
    let story = play(&capped, hold(500.0), known(), 40.0);
    assert_eq!(story.control.short(), Some(Short::Capped));
    // When the cap goes, the level is one that was worked out from what was measured.
    assert!(story.control.scale_at(u64::MAX) < 0.75, "{:?}", story.moves.last());
}

#[test]
fn a_power_brake_is_no_reason_to_push() {
    let braked = Plant { brake: Some((15.0, 30.0, 0.4)), ..gpu() };
    let story = play(&braked, hold(500.0), known(), 45.0);
    assert!(story.most(0.0, 45.0) < 500.0 * (1.0 + OVERSHOOT), "{}", story.most(0.0, 45.0));
    // Nor is one that nobody tells of: it can jump by no more than it may rise.
    let silent = Plant { tells_brake: false, ..braked };
    let story = play(&silent, hold(500.0), known(), 45.0);
    assert!(story.most(0.0, 45.0) < 500.0 * RISE_HELD, "{}", story.most(0.0, 45.0));
}

#[test]
fn without_readings_it_holds_and_then_comes_down_and_never_rises() {
    let blind = Plant { blind: Some((15.0, 25.0)), ..gpu() };
    let story = play(&blind, hold(500.0), known(), 60.0);
    let during: Vec<f64> =
        story.moves.iter().filter(|(t, _)| (15.2..25.0).contains(t)).map(|(_, to)| *to).collect();
    assert!(during.len() >= 5 && during.windows(2).all(|w| w[1] < w[0]), "{during:?}");
    assert!(story.mean(17.0, 17.8) > 490.0, "it holds first");
    assert!(story.mean(24.0, 25.0) < 400.0, "{}", story.mean(24.0, 25.0));
    assert!((story.mean(55.0, 60.0) / 500.0 - 1.0).abs() < 0.02, "{}", story.mean(55.0, 60.0));
    let never = Plant { blind: Some((0.0, 60.0)), ..gpu() };
    let story = play(&never, hold(500.0), known(), 30.0);
    assert!(story.course.last().unwrap().2 < 0.05);
}

#[test]
fn watts_below_idle_end_at_no_level() {
    let story = play(&gpu(), hold(100.0), known(), 60.0);
    assert!(story.course.last().unwrap().2 < 0.05, "{:?}", story.course.last());
}

#[test]
fn of_a_square_wave_the_watts_are_the_high_level() {
    for (period_s, sensor) in [(0.5, 1_000 * MS), (10.0, 1_000 * MS)] {
        let waveform = Waveform::Square { low: 0.2, high: 1.0, period_ns: (period_s * 1e9) as u64 };
        let plant = Plant { window_ns: sensor, ..gpu() };
        let story = play(&plant, Order { waveform, ..hold(500.0) }, known(), 60.0);
        let (_, _, scale) = story.course.last().unwrap();
        let high = plant.idle_w + plant.span_w * scale;
        assert!((high / 500.0 - 1.0).abs() < 0.04, "{period_s} s: {high}; {:?}", story.moves);
    }
}

#[test]
fn coarse_levels_come_to_rest() {
    let coarse = Plant { quantum: 0.05, ..gpu() };
    let story = play(&coarse, hold(500.0), known(), 120.0);
    assert_eq!(story.reversals(40.0), 0, "{:?}", story.moves);
    assert!((story.mean(40.0, 120.0) / 500.0 - 1.0).abs() < COARSE_MAX);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn it_settles_in_time_without_passing_its_target_or_swinging(
        idle_w in 20.0f64..150.0,
        span_w in 200.0f64..1_300.0,
        bend in 0.8f64..1.15,
        lag_s in 0.02f64..0.3,
        window_ms in prop::sample::select(vec![25u64, 100, 1_000]),
        every_ms in prop::sample::select(vec![100u64, 200]),
        noise in 0.0f64..0.01,
        share in 0.15f64..0.9,
        knows_idle in any::<bool>(),
        knows_limit in any::<bool>(),
    ) {
        let plant = Plant {
            idle_w, span_w, bend, lag_s, noise,
            limit_w: idle_w + span_w,
            window_ns: window_ms * MS,
            every_ns: every_ms * MS,
            ..gpu()
        };
        let target_w = idle_w + share * span_w;
        let known = Known {
            idle_w: knows_idle.then_some(idle_w),
            limit_w: knows_limit.then_some(idle_w + span_w),
            point: None,
        };
        let story = play(&plant, hold(target_w), known, 60.0);
        let settled = story.control.settled_ns();
        if knows_idle {
            prop_assert!(settled.is_some_and(|ns| ns < SETTLES_NS), "{settled:?} {:?}", story.moves);
            let off = story.mean(30.0, 60.0) / target_w - 1.0;
            prop_assert!(off.abs() < NEAR, "off by {off}; {:?}", story.moves);
        }
        let most = story.most(0.0, 60.0) / target_w - 1.0;
        prop_assert!(most < OVERSHOOT, "over by {most}; {:?}", story.moves);
        prop_assert!(story.reversals(20.0) <= 2, "{:?}", story.moves);
    }

    #[test]
    fn whatever_is_read_its_scale_stays_a_scale(
        readings in prop::collection::vec(prop::option::of(-1e9f64..1e9), 0..200),
        cap in 0.0f64..=1.0,
        target_w in 1.0f64..10_000.0,
    ) {
        let mut control = Control::new(hold(target_w), Known::default());
        for (i, watts) in readings.into_iter().enumerate() {
            let at_ns = START_NS + i as u64 * 100 * MS;
            let moved = control.look(Look { at_ns, watts, cap, slowed: false });
            prop_assert!(moved.is_none_or(|m| (0.0..=1.0).contains(&m.to)));
            prop_assert!((0.0..=1.0).contains(&control.scale_at(at_ns)));
        }
    }
}
