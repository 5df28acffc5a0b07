use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn plain() -> Cusum {
    Cusum::new(Calibration::known(0.0, 1.0, 0.0).unwrap(), 1)
}

/// Uniform numbers from a fixed seed.
struct Dice(u64);

impl Dice {
    fn uniform(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Irwin-Hall: near enough to a Gaussian for a unit test.
    fn gaussian(&mut self) -> f64 {
        (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
    }
}

#[test]
fn a_steady_shift_alarms_when_the_arithmetic_says() {
    // Each sample adds 2 - 0.5; 15 is passed (not reached) by the eleventh.
    let mut cusum = plain();
    let alarms: Vec<_> = (0..11).map(|_| cusum.step(2.0)).collect();
    assert!(alarms[..10].iter().all(Option::is_none));
    assert_eq!(alarms[10], Some(Alarm { samples: 11, shift_sigma: 2.0 }));
    // It starts anew, and what stays wrong alarms again.
    assert_eq!(cusum.level(), 0.0);
    assert_eq!((0..11).filter_map(|_| cusum.step(2.0)).count(), 1);
}

#[test]
fn one_wild_sample_is_worth_three_sigma_and_a_cold_loop_nothing() {
    let mut cusum = plain();
    assert_eq!(cusum.step(1e300), None);
    assert!((cusum.level() - 2.5 / 15.0).abs() < 1e-9);
    for _ in 0..100 {
        assert_eq!(cusum.step(-1e300), None);
    }
    assert_eq!(cusum.level(), 0.0);
}

#[test]
fn missing_samples_move_nothing() {
    let mut cusum = plain();
    cusum.step(2.0);
    let before = cusum.level();
    for missing in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert_eq!(cusum.step(missing), None);
        assert_eq!(cusum.level(), before);
    }
}

#[test]
fn many_streams_have_a_higher_threshold() {
    assert_eq!((threshold(200), threshold(201)), (THRESHOLD, THRESHOLD_MANY));
}

/// The published table: 15.6 minutes, 1.6, 12 and 243 days, 99 years.
#[test]
fn siegmunds_table_is_reproduced() {
    let days = |h: f64| samples_to_false_alarm(h, SLOPE) / 86_400.0;
    for (h, expected) in
        [(5.0, 15.6 / 1440.0), (10.0, 1.6), (12.0, 12.0), (15.0, 243.0), (20.0, 99.0 * 365.25)]
    {
        assert!((days(h) / expected - 1.0).abs() < 0.05, "{h}: {} days", days(h));
    }
}

#[test]
fn a_smaller_slope_keeps_the_rate_of_false_alarms() {
    for slope in [0.5, 0.4, 0.29, 0.115] {
        let h = equal_threshold(THRESHOLD, slope);
        let ratio = samples_to_false_alarm(h, slope) / samples_to_false_alarm(THRESHOLD, SLOPE);
        assert!((ratio - 1.0).abs() < 1e-6, "slope {slope}: threshold {h}, ratio {ratio}");
    }
}

#[test]
fn a_healthy_window_gives_back_what_made_it() {
    let mut dice = Dice(88_172_645_463_325_252);
    let mut last = 0.0;
    let window: Vec<f64> = (0..20_000)
        .map(|_| {
            last = 0.5 * last + 0.75_f64.sqrt() * dice.gaussian();
            40.0 + 0.2 * last
        })
        .collect();
    let found = Calibration::of(&window).unwrap();
    assert!((found.centre - 40.0).abs() < 0.01, "{found:?}");
    assert!((found.sigma - 0.2).abs() < 0.005, "{found:?}");
    assert!((found.lag1 - 0.5).abs() < 0.03, "{found:?}");
}

#[test]
fn white_noise_is_not_whitened_and_wild_readings_do_not_widen_it() {
    let mut dice = Dice(362_436_069);
    let window: Vec<f64> =
        (0..3600).map(|i| if i % 100 == 7 { 1e6 } else { dice.gaussian() }).collect();
    let found = Calibration::of(&window).unwrap();
    assert_eq!(found.lag1, 0.0);
    assert!((0.95..1.15).contains(&found.sigma), "{found:?}");
}

#[test]
fn a_short_or_stuck_window_calibrates_nothing() {
    assert_eq!(Calibration::of(&[]), Err(CalibrationError::TooFew { samples: 0 }));
    let stuck = vec![3.0; 1000];
    assert_eq!(Calibration::of(&stuck), Err(CalibrationError::NoScatter));
    assert!(Calibration::known(0.0, 0.0, 0.0).is_err());
    assert!(Calibration::known(f64::NAN, 1.0, 0.0).is_err());
}

#[test]
fn the_loop_that_warms_is_named_and_the_fleet_that_warms_is_not() {
    let calibration = Calibration::known(0.0, 0.2, 0.0).unwrap();
    let loops = ["l1", "l2", "l3"].map(|id| (id.to_owned(), calibration));
    let mut watch = LoopWatch::new(&BTreeMap::from(loops));
    let mut instant = |warm: f64, all: f64| {
        let of = |extra: f64| vec![all + extra, all + extra - 0.1, all + extra + 0.1];
        let residuals = [("l1", of(0.0)), ("l2", of(warm)), ("l3", of(0.0))];
        watch.step(&residuals.map(|(id, values)| (id.to_owned(), values)).into())
    };
    assert_eq!((0..200).map(|_| instant(0.0, 9.0)).filter(|a| !a.is_empty()).count(), 0);
    let alarms: Vec<_> = (0..11).flat_map(|_| instant(0.4, 0.0)).collect();
    assert!(matches!(alarms.as_slice(), [(id, LoopAlarm::Warming(_))] if id == "l2"), "{alarms:?}");
}

#[test]
fn three_devices_of_one_loop_in_slowdown_need_no_statistics() {
    let mut watch = LoopWatch::default();
    assert_eq!(watch.slowdown("l1", "n1/0", 0.0), None);
    assert_eq!(watch.slowdown("l1", "n1/0", 1.0), None);
    assert_eq!(watch.slowdown("l1", "n1/1", 2.0), None);
    assert_eq!(watch.slowdown("l2", "n9/1", 2.0), None);
    assert_eq!(watch.slowdown("l1", "n2/0", f64::NAN), None);
    assert_eq!(watch.slowdown("l1", "n2/0", 9.0), Some(LoopAlarm::Slowdown { devices: 3 }));
    // Long after, the first of them no longer count.
    assert_eq!(watch.slowdown("l1", "n3/0", 60.0), None);
}

proptest! {
    #[test]
    fn no_sample_panics_and_the_level_stays_a_share(
        samples in prop::collection::vec(any::<f64>(), 0..200),
        lag1 in -2.0f64..2.0,
        streams in 0usize..1000,
    ) {
        let mut cusum = Cusum::new(Calibration::known(0.0, 1.0, lag1).unwrap(), streams);
        for x in samples {
            cusum.step(x);
            prop_assert!((0.0..=1.0).contains(&cusum.level()));
        }
    }

    #[test]
    fn no_window_panics(window in prop::collection::vec(any::<f64>(), 590..700)) {
        let _ = Calibration::of(&window);
    }
}
