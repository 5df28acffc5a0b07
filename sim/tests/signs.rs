//! Every fault moves power, clock, temperature and work the way that such faults do on
//! real machines. Each is compared with the same world without it: same seed, same noise,
//! so that what moves is the fault's.

mod laboratory;

use std::collections::BTreeSet;

use laboratory::{chunks, median, phase, plan, series, soak, world};
use model::plan::PhaseKind;
use model::sample_columns::{Metric, SampleColumns};
use sim::hall::{HallShape, LoopLayout};
use sim::world::{Cadence, START_NS, Sampling};

/// Rows of a phase here.
const ROWS: u32 = 12;

/// How far a phase's medians moved in share (K for temperature), over the given devices.
#[derive(Debug)]
struct Moved {
    power: f64,
    clock: f64,
    temp_k: f64,
    perf: f64,
    limit: f64,
}

struct Both {
    healthy: Vec<SampleColumns>,
    faulty: Vec<SampleColumns>,
    nodes: BTreeSet<String>,
}

impl Both {
    fn of(shape: &HallShape, fault: &str) -> Self {
        let site = shape.site().expect("a site");
        let faulty = world(&site, &soak(), &[fault], 11);
        let nodes = faulty.truth()[0].nodes.iter().cloned().collect();
        let healthy = chunks(&world(&site, &soak(), &[], 11), ROWS);
        Self { healthy, faulty: chunks(&faulty, ROWS), nodes }
    }

    fn moved(&self, phase: &str, of: impl Fn(&(String, u32)) -> bool) -> Moved {
        let both = |metric, relative: bool| {
            let before = series(&self.healthy, phase, metric);
            let after = series(&self.faulty, phase, metric);
            let shift = |key: &(String, u32)| {
                let (a, b) = (median(before[key].clone()), median(after[key].clone()));
                if relative { b / a - 1.0 } else { b - a }
            };
            median(after.keys().filter(|key| of(key)).map(shift).collect())
        };
        Moved {
            power: both(Metric::PowerW, true),
            clock: both(Metric::ClockMhz, true),
            temp_k: both(Metric::TempC, false),
            perf: both(Metric::Perf, true),
            limit: both(Metric::PowerLimitW, true),
        }
    }

    fn members(&self, phase: &str) -> Moved {
        self.moved(phase, |(node, _)| self.nodes.contains(node))
    }

    fn others(&self, phase: &str) -> Moved {
        self.moved(phase, |(node, _)| !self.nodes.contains(node))
    }

    /// Share of the members' rows under load whose mask has this bit.
    fn bit(&self, bit: u64) -> f64 {
        let (mut with, mut all) = (0_u32, 0_u32);
        for chunk in &self.faulty {
            let masks = chunk.clock_event_reasons.as_ref().expect("masks");
            for (row, mask) in masks.iter().enumerate() {
                let loaded = chunk.phase.as_ref().expect("phases").get(row) == "soak";
                if loaded && self.nodes.contains(chunk.node.get(row)) {
                    with += u32::from(mask.is_some_and(|mask| mask & bit != 0));
                    all += u32::from(mask.is_some());
                }
            }
        }
        f64::from(with) / f64::from(all)
    }
}

fn nothing(moved: &Moved) -> bool {
    let still = |value: f64| value.is_nan() || value.abs() < 1e-9;
    still(moved.power) && still(moved.clock) && still(moved.temp_k) && still(moved.perf)
}

/// Power down, clock down, temperature down, the brake in the mask.
fn is_braked(both: &Both) {
    let moved = both.members("soak");
    assert!(moved.power < -0.05, "{moved:?}");
    assert!(moved.clock < -0.02 && moved.perf < -0.02, "{moved:?}");
    assert!(moved.temp_k < -1.0, "{moved:?}");
    assert!(both.bit(0x80) > 0.05 && both.bit(0x8) > 0.05);
    assert!(nothing(&both.others("soak")));
    assert!(nothing(&both.members("idle")), "without load nothing shows");
}

#[test]
fn a_weak_pdu_brakes_its_nodes() {
    is_braked(&Both::of(&HallShape::hall_96(), "pdu_limit:pdu-a-3=12%"));
}

#[test]
fn weak_power_supplies_brake_their_nodes() {
    is_braked(&Both::of(&HallShape::hall_96(), "weak_psu:gpu-0017=15%"));
    let mut shape = HallShape::hall_96();
    shape.nodes_per_psu_group = Some(3);
    is_braked(&Both::of(&shape, "psu_group_limit:psu-4=12%"));
}

#[test]
fn a_capped_supply_lowers_limit_power_clock_and_temperature_without_a_brake() {
    let both = Both::of(&HallShape::hall_96(), "bmc_cap:ups-a-1=15%");
    let moved = both.members("soak");
    assert!((moved.limit + 0.15).abs() < 1e-6 && (moved.power + 0.15).abs() < 0.02, "{moved:?}");
    assert!(moved.clock < -0.02 && moved.temp_k < -2.0, "{moved:?}");
    assert!(both.bit(0x4) > 0.95 && both.bit(0x80) == 0.0);
    assert!(nothing(&both.others("soak")));
}

#[test]
fn a_lost_feed_caps_who_has_another_and_takes_who_has_none() {
    let both = Both::of(&HallShape::hall_96(), "feed_lost:pdu-b-2=15%@600");
    let moved = both.members("soak");
    assert!(moved.limit < -0.1 && moved.power < -0.1 && moved.clock < -0.02, "{moved:?}");
    let both = Both::of(&HallShape::hall_96(), "trip:pdu-b-2@1800");
    let rows = series(&both.faulty, "soak", Metric::PowerW);
    for (key, rows) in &rows {
        let expected = if both.nodes.contains(&key.0) { ROWS / 2 } else { ROWS };
        assert_eq!(rows.len(), expected as usize, "{key:?}");
    }
}

#[test]
fn a_lost_feed_pulls_the_brake_for_two_seconds() {
    let site = HallShape::room_32().site().expect("a site");
    let short = plan(vec![phase("soak", PhaseKind::Hold, 60.0, Some(100.0))]);
    let world = world(&site, &short, &["feed_lost:pdu-a-1=15%@30"], 2);
    let every = Sampling { cadence: Cadence::Every(1.0), ..Sampling::default() };
    let braked: Vec<i64> = world
        .samples(every)
        .flat_map(|chunk| {
            let masks = chunk.clock_event_reasons.expect("masks").into_iter();
            let rows =
                masks.zip(chunk.time_ns).filter(|(mask, _)| mask.is_some_and(|m| m & 0x80 != 0));
            rows.map(|(_, time)| (time - START_NS) / 1_000_000_000).collect::<Vec<_>>()
        })
        .collect();
    assert!(braked.len() > 50, "four nodes of eight devices, twice, less a dropout or so");
    assert!(braked.iter().all(|second| [31, 32].contains(second)), "{braked:?}");
}

#[test]
fn a_soft_source_shows_nowhere_in_the_samples() {
    let both = Both::of(&HallShape::hall_96(), "soft_source:pdu-a-3=40mOhm");
    assert!(nothing(&both.members("soak")) && nothing(&both.others("soak")));
}

/// Temperature up, power the same, clock a little down (leakage), nobody else moved.
fn is_warm(both: &Both, phase: &str, kelvin: f64) {
    let moved = both.members(phase);
    assert!((moved.temp_k - kelvin).abs() < 0.35 * kelvin, "{moved:?}");
    assert!(moved.power.abs() < 0.01, "{moved:?}");
    assert!(moved.clock <= 0.0 && moved.clock > -0.03, "{moved:?}");
}

#[test]
fn cooling_faults_warm_their_nodes_at_the_same_power() {
    let shape = HallShape::hall_256();
    let both = Both::of(&shape, "loop_flow:loop-3=40%");
    is_warm(&both, "soak", 8.7);
    assert!(nothing(&both.others("soak")));
    let both = Both::of(&shape, "warm_supply:loop-3=6K");
    is_warm(&both, "soak", 6.0);
    is_warm(&both, "idle", 6.0);
    let both = Both::of(&shape, "cdu_capacity:cdu-2=70%");
    is_warm(&both, "soak", 5.0);
    assert!(both.members("idle").temp_k.abs() < 1.1, "the exchanger suffices without load");
    let both = Both::of(&shape, "blocked_manifold:manifold-3-1-1=40%");
    is_warm(&both, "soak", 7.8);
    let both = Both::of(&shape, "recirculation:air-2=14K");
    is_warm(&both, "soak", 4.9);
    let air = HallShape { loops: LoopLayout::Air, ..shape };
    let both = Both::of(&air, "recirculation:air-2=6K");
    is_warm(&both, "soak", 6.0);
    assert!(nothing(&both.others("soak")));
}

#[test]
fn a_bad_cold_plate_heats_one_device_until_it_slows() {
    let both = Both::of(&HallShape::room_32(), "cold_plate:gpu-0005/3=150%");
    let one = both.moved("soak", |key| *key == ("gpu-0005".to_owned(), 3));
    assert!(one.temp_k > 8.0 && one.power < -0.01 && one.clock < -0.01, "{one:?}");
    assert!(both.bit(0x20) > 0.1, "one of eight devices");
    let rest = both.moved("soak", |key| *key != ("gpu-0005".to_owned(), 3));
    assert!(rest.temp_k.abs() < 0.5 && rest.power.abs() < 1e-3, "{rest:?}");
}

#[test]
fn a_slow_device_holds_its_power_and_a_waiting_host_its_clock() {
    let both = Both::of(&HallShape::room_32(), "slow_device:gpu-0005/3=10%");
    let one = both.moved("soak", |key| *key == ("gpu-0005".to_owned(), 3));
    assert!((one.perf + 0.10).abs() < 0.005 && (one.clock + 0.10).abs() < 0.01, "{one:?}");
    assert!(one.power.abs() < 0.01 && one.temp_k.abs() <= 1.0, "{one:?}");
    let both = Both::of(&HallShape::room_32(), "host_io:gpu-0005=40%");
    let all = both.members("soak");
    assert!(all.power < -0.1 && all.perf < -0.2, "{all:?}");
    assert!(all.clock > 0.02 && all.temp_k < -2.0, "{all:?}");
    assert!(both.bit(0x80) == 0.0 && both.bit(0x1) > 0.2);
}

#[test]
fn a_fleet_wide_fault_moves_everything_at_once() {
    let both = Both::of(&HallShape::room_32(), "fleet_cap:fleet=10%");
    let moved = both.members("soak");
    assert!((moved.power + 0.1).abs() < 0.01 && moved.clock < -0.02, "{moved:?}");
    let both = Both::of(&HallShape::room_32(), "warm_hall:fleet=6K");
    assert!(both.members("soak").temp_k > 5.0);
}

#[test]
fn lost_sensors_leave_rows_without_values() {
    let both = Both::of(&HallShape::room_32(), "sensor_dropout:gpu-0005=90%");
    let rows = series(&both.faulty, "soak", Metric::PowerW);
    let lost = |key: &(String, u32)| rows[key].iter().filter(|value| value.is_nan()).count();
    let members: usize = rows.keys().filter(|key| key.0 == "gpu-0005").map(lost).sum();
    assert!(members > 8 * ROWS as usize * 7 / 10, "{members}");
    let both = Both::of(&HallShape::room_32(), "stuck_sensor:gpu-0005/1@600");
    let rows = &series(&both.faulty, "soak", Metric::TempC)[&("gpu-0005".to_owned(), 1)];
    assert!(rows.iter().all(|temp| temp.is_nan() || *temp == rows[0]), "{rows:?}");
}
