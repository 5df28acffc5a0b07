//! The guard as a table of stories, then against random ones.

use model::reading::{Absence, Reading};
use model::record::GpuSample;
use proptest::prelude::*;

use super::*;

const LIMIT: Limits = Limits { device_temp_c: Some(87.0) };
const FAILED: Reading<f64> = Reading::Absent(Absence::Failed);
const ABSENT: Reading<f64> = Reading::Absent(Absence::NotPresent);

fn temp(reading: Reading<f64>) -> Event {
    Event::Sensed(Sensed { temp_c: reading, ..Sensed::default() })
}

fn celsius(temp_c: f64) -> Event {
    temp(Reading::Value(temp_c))
}

/// Plays events one second apart and returns what was dropped, with the second.
fn play(limits: Limits, events: &[Event]) -> Vec<(usize, Trip)> {
    let mut guard = Guard::new(3, limits);
    let mut drops = Vec::new();
    for (second, event) in events.iter().enumerate() {
        for Action::Drop { device, why } in guard.step(second as u64 * NS_PER_S, event.clone()) {
            assert_eq!(device, 3);
            drops.push((second, why));
        }
    }
    drops
}

fn bad(readings: u32) -> Trip {
    Trip::SensorLost { sensor: Sensor::Temperature, how: Loss::Bad { readings } }
}

/// Name, limits, one event a second, and the drop that must follow with its second.
type Story = (&'static str, Limits, Vec<Event>, Option<(usize, Trip)>);

#[test]
fn stories() {
    let nan = celsius(f64::NAN);
    let timed_out = temp(Reading::Absent(Absence::TimedOut));
    let not_yet = temp(Reading::Absent(Absence::NotYet));
    let hot = Trip::TooHot { temp_c: 87.0, limit_c: 87.0 };
    let hung = Trip::SamplerHung { silent_ns: SAMPLER_SILENT_MAX_NS };
    let silent = Trip::SensorLost {
        sensor: Sensor::Temperature,
        how: Loss::Silent { silent_ns: SENSOR_SILENT_MAX_NS },
    };
    let errors = Trip::UncorrectableErrors { before: 4, now: 5 };
    let ecc = |count| Event::Uncorrectable { count };
    let watts =
        |watts| Event::Sensed(Sensed { power_w: Reading::Value(watts), ..Sensed::default() });
    let no_watts = Trip::SensorLost { sensor: Sensor::Power, how: Loss::Bad { readings: 3 } };
    let cases: Vec<Story> = vec![
        ("cool", LIMIT, vec![celsius(86.9); 20], None),
        ("at the limit, once", LIMIT, vec![celsius(50.0), celsius(87.0)], Some((1, hot))),
        ("no limit", Limits::default(), vec![celsius(149.0); 9], None),
        ("never had a sensor", LIMIT, vec![temp(ABSENT); 30], None),
        ("never had one, fails", LIMIT, vec![temp(FAILED); 30], None),
        ("lost", LIMIT, [vec![celsius(50.0)], vec![temp(ABSENT); 9]].concat(), Some((3, bad(3)))),
        ("timed out", LIMIT, [vec![celsius(50.0)], vec![timed_out; 9]].concat(), Some((3, bad(3)))),
        ("NaN", LIMIT, [vec![celsius(50.0)], vec![nan; 9]].concat(), Some((3, bad(3)))),
        ("absurd, both", LIMIT, vec![celsius(50.0), celsius(151.0), celsius(-41.0)], None),
        (
            "absurd, thrice",
            LIMIT,
            vec![celsius(50.0), celsius(1e9), celsius(-41.0), celsius(f64::INFINITY)],
            Some((3, bad(3))),
        ),
        (
            "flapping",
            LIMIT,
            vec![vec![celsius(50.0), temp(FAILED), temp(FAILED)]; 9].concat(),
            None,
        ),
        (
            "not yet for ever",
            LIMIT,
            [vec![celsius(50.0)], vec![not_yet; 20]].concat(),
            Some((10, silent)),
        ),
        (
            "sampler hangs",
            LIMIT,
            [vec![celsius(50.0)], vec![Event::SenseTimedOut; 20]].concat(),
            Some((10, hung)),
        ),
        ("hangs from the start", LIMIT, vec![Event::Tick; 20], Some((10, hung))),
        ("old errors", LIMIT, vec![ecc(4), celsius(50.0), ecc(4), ecc(0), ecc(0)], None),
        ("a new error", LIMIT, vec![ecc(4), ecc(5), ecc(9)], Some((1, errors))),
        (
            "power lost",
            LIMIT,
            vec![watts(700.0), watts(-1.0), watts(f64::NAN), celsius(50.0)],
            Some((3, no_watts)),
        ),
    ];
    for (name, limits, events, expected) in cases {
        assert_eq!(play(limits, &events), Vec::from_iter(expected), "{name}");
    }
}

#[test]
fn a_limit_that_guards_nothing_allows_no_heat() {
    for limit_c in [f64::NAN, 1_000.0, -273.0] {
        let limits = Limits { device_temp_c: Some(limit_c) };
        let drops = play(limits, &[temp(ABSENT)]);
        assert!(matches!(drops[..], [(0, Trip::LimitAbsurd { .. })]), "{limit_c}");
    }
}

#[test]
fn a_reading_that_comes_after_a_hang_does_not_undo_it() {
    let mut guard = Guard::new(0, LIMIT);
    assert_eq!(guard.step(0, celsius(50.0)), vec![]);
    let drops = guard.step(60 * NS_PER_S, celsius(50.0));
    let why = Trip::SamplerHung { silent_ns: 60 * NS_PER_S };
    assert_eq!(drops, vec![Action::Drop { device: 0, why }]);
}

fn gpu(gpu: GpuSensed) -> Event {
    Event::Sensed(Sensed {
        power_w: Reading::Value(600.0),
        temp_c: Reading::Value(60.0),
        gpu: Some(Box::new(gpu)),
        ..Sensed::default()
    })
}

fn mask(mask: u64) -> Event {
    let sample = GpuSample { clock_event_reasons: Reading::Value(mask), ..GpuSample::default() };
    gpu(GpuSensed { sample, ..GpuSensed::default() })
}

#[test]
fn stories_of_a_gpu() {
    let ecc = |count| {
        let ecc_uncorrected = Reading::Value(count);
        let sample = GpuSample { ecc_uncorrected, ..GpuSample::default() };
        gpu(GpuSensed { sample, ..GpuSensed::default() })
    };
    let gone = gpu(GpuSensed { gone: Some("lost"), ..GpuSensed::default() });
    let held_ns = HELD_MAX_NS;
    let flicker = [mask(0x80), mask(0x80), mask(0x80), mask(0x4)].to_vec();
    let cases: Vec<Story> = vec![
        ("software's power cap is normal", LIMIT, vec![mask(0x4); 60], None),
        ("the umbrella alone is a flicker", LIMIT, vec![mask(0x8); 60], None),
        ("braked", LIMIT, vec![mask(0x8c); 9], Some((3, Trip::PowerBrake { held_ns }))),
        ("braked for a moment", LIMIT, [vec![mask(0x80); 3], vec![mask(0); 9]].concat(), None),
        (
            "braked most of the time",
            LIMIT,
            [flicker.clone(), flicker].concat(),
            Some((5, Trip::PowerBrake { held_ns })),
        ),
        ("hot hardware", LIMIT, vec![mask(0x48); 9], Some((3, Trip::HwThermal { held_ns }))),
        (
            "a new memory error",
            LIMIT,
            vec![ecc(2), ecc(2), ecc(3)],
            Some((2, Trip::UncorrectableErrors { before: 2, now: 3 })),
        ),
        ("off the bus", LIMIT, vec![mask(0), gone], Some((1, Trip::Gone { how: "lost" }))),
        (
            "a fatal Xid",
            LIMIT,
            vec![mask(0), Event::Xid { code: 79 }],
            Some((1, Trip::Xid(Xid::of(79)))),
        ),
        ("a program's Xid", LIMIT, vec![mask(0), Event::Xid { code: 13 }, mask(0)], None),
    ];
    for (name, limits, events, expected) in cases {
        assert_eq!(play(limits, &events), Vec::from_iter(expected), "{name}");
    }
}

#[test]
fn a_lost_eye_or_a_broken_device_does_not_end_the_run_for_the_rest() {
    let brake = Trip::PowerBrake { held_ns: 1 };
    assert!(brake.ends_the_run() && !brake.is_blindness());
    let hung = Trip::SamplerHung { silent_ns: 1 };
    assert!(hung.is_blindness() && !hung.ends_the_run());
    let xid = Trip::Xid(Xid::of(79));
    assert!(!xid.is_blindness() && !xid.ends_the_run());
}

#[test]
fn latched_until_a_person_arms_anew() {
    let mut guard = Guard::new(0, LIMIT);
    assert_eq!(guard.step(0, celsius(90.0)).len(), 1);
    assert_eq!(guard.step(NS_PER_S, celsius(91.0)), vec![]);
    assert_eq!(guard.step(2 * NS_PER_S, celsius(40.0)), vec![]);
    assert!(guard.tripped().is_some());
    guard.reset(3 * NS_PER_S, LIMIT);
    assert_eq!(guard.tripped(), None);
    assert_eq!(guard.step(4 * NS_PER_S, celsius(40.0)), vec![]);
    assert_eq!(guard.step(5 * NS_PER_S, celsius(90.0)).len(), 1);
}

#[test]
fn a_sensor_still_lost_trips_again_after_a_reset() {
    let mut guard = Guard::new(0, LIMIT);
    guard.step(0, celsius(50.0));
    guard.reset(60 * NS_PER_S, LIMIT);
    let seconds = 61..64_u64;
    let drops: Vec<_> = seconds.flat_map(|s| guard.step(s * NS_PER_S, temp(ABSENT))).collect();
    assert_eq!(drops, vec![Action::Drop { device: 0, why: bad(3) }]);
}

#[test]
fn what_was_never_measured_is_said() {
    let mut guard = Guard::new(0, LIMIT);
    assert_eq!(guard.not_measured(), vec![Sensor::Temperature, Sensor::Power]);
    guard.step(0, celsius(50.0));
    assert_eq!(guard.not_measured(), vec![Sensor::Power]);
}

#[test]
fn a_trip_reads_like_a_sentence() {
    let why = Trip::TooHot { temp_c: 88.25, limit_c: 87.0 };
    assert_eq!(why.to_string(), "88.2 °C reached the limit of 87.0 °C");
    let why = Trip::SensorLost { sensor: Sensor::Power, how: Loss::Silent { silent_ns: NS_PER_S } };
    assert_eq!(why.to_string(), "the power sensor gave no value for 1.0 s");
}

fn readings() -> impl Strategy<Value = Reading<f64>> {
    let absences = [Absence::NotPresent, Absence::Failed, Absence::TimedOut, Absence::NotYet];
    prop_oneof![
        3 => (-60.0..160.0_f64).prop_map(Reading::Value),
        1 => prop::sample::select(vec![f64::NAN, f64::INFINITY, -0.0, 1e300]).prop_map(Reading::Value),
        2 => prop::sample::select(absences.to_vec()).prop_map(Reading::Absent),
    ]
}

proptest! {
    #[test]
    fn never_blind_never_hot_and_one_drop(
        story in prop::collection::vec((readings(), 0..4_000_u64), 1..60),
    ) {
        let mut guard = Guard::new(0, LIMIT);
        let mut now_ns = 0;
        let mut last_good_ns = None;
        let mut drops = 0;
        for (reading, wait_ms) in story {
            now_ns += wait_ms * 1_000_000;
            drops += guard.step(now_ns, temp(reading)).len();
            let good = reading.value().filter(|t| (-40.0..=150.0).contains(t));
            if good.is_some() {
                last_good_ns = Some(now_ns);
            }
            if guard.tripped().is_none() {
                prop_assert!(good.is_none_or(|t| t < 87.0), "hot and not dropped");
                let blind_ns = last_good_ns.map_or(0, |good| now_ns - good);
                prop_assert!(blind_ns < SENSOR_SILENT_MAX_NS, "blind and not dropped");
            } else if last_good_ns.is_none() {
                prop_assert!(false, "dropped what was never measured");
            }
        }
        prop_assert!(drops <= 1);
    }
}
