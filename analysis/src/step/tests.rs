//! Responses whose answer is known.

use proptest::prelude::*;

use super::*;
use crate::digest::telemetry::Point;

/// A response with a zero-mean ripple of `noise` K in place of chance.
fn response(parts: &[(f64, f64)], step_w: f64, seconds: usize, noise: f64) -> Vec<StepPoint> {
    let temp = |t: f64| {
        let rise = parts.iter().map(|(r, tau)| r * (1.0 - (-t / tau).exp())).sum::<f64>();
        35.0 + step_w * rise
    };
    let ripple = |i: usize| noise * [1.0, -1.2, 0.3, 0.9, -1.0][i * 7 % 5];
    (0..seconds)
        .map(|i| StepPoint { seconds: i as f64 + 0.5, temp_c: temp(i as f64 + 0.5) + ripple(i) })
        .collect()
}

fn near(found: f64, truth: f64, relative: f64) -> bool {
    (found - truth).abs() <= truth.abs() * relative
}

#[test]
fn both_parts_come_back_from_a_long_record_up_and_down() {
    for (step_w, noise) in [(500.0, 0.0), (500.0, 0.2), (-400.0, 0.2)] {
        let points = response(&[(0.03, 4.0), (0.05, 40.0)], step_w, 300, noise);
        let found = fit(&points, step_w).unwrap();
        assert!(near(found.t0_c, 35.0, 0.02), "{found:?}");
        assert!(near(found.fast.k_per_w, 0.03, 0.05) && near(found.fast.tau_s, 4.0, 0.1));
        let Slow::Identified(slow) = found.slow else { panic!("{found:?}") };
        assert!(near(slow.k_per_w, 0.05, 0.05) && near(slow.tau_s, 40.0, 0.1), "{found:?}");
        assert!(found.rms_k <= noise + 0.01);
    }
}

#[test]
fn two_hundred_seconds_do_not_identify_a_heat_sink() {
    let points = response(&[(0.06, 3.0), (0.08, 150.0)], 250.0, 200, 0.3);
    let found = fit(&points, 250.0).unwrap();
    assert!(near(found.fast.tau_s, 3.0, 0.25), "{found:?}");
    let Slow::NotIdentified { seconds, wanted } = found.slow else { panic!("{found:?}") };
    assert!(seconds < 200.0 && wanted > 300.0, "{found:?}");
}

#[test]
fn one_part_is_not_made_two() {
    let found = fit(&response(&[(0.06, 5.0)], 300.0, 60, 0.2), 300.0).unwrap();
    assert_eq!(found.slow, Slow::NotSeen);
    assert!(near(found.fast.k_per_w, 0.06, 0.05) && near(found.fast.tau_s, 5.0, 0.15));
}

#[test]
fn what_can_not_be_fitted_says_why() {
    let points = response(&[(0.06, 5.0)], 300.0, 60, 0.0);
    assert_eq!(fit(&points[..5], 300.0), Err(Unfit::FewPoints(5)));
    assert_eq!(fit(&points, 1.0), Err(Unfit::SmallStep(1.0)));
    assert_eq!(fit(&points, -300.0), Err(Unfit::NoResponse));
    let flat = vec![StepPoint { seconds: 1.0, temp_c: 40.0 }; 20];
    assert_eq!(fit(&flat, 300.0), Err(Unfit::NoResponse));
    let slow = response(&[(0.06, 500.0)], 300.0, 60, 0.0);
    assert!(matches!(fit(&slow, 300.0), Err(Unfit::NotIdentified(_))));
}

#[test]
fn points_go_on_where_the_head_ends() {
    let curve = |bin_s: i64, bins: i64| Curve {
        bin_s,
        points: (0..bins)
            .map(|i| Point { start_s: 1_600 + i * bin_s, mean: i as f64, count: 1 })
            .collect(),
    };
    let points = points(&curve(1, 64), &curve(16, 10), 1_602);
    let seconds: Vec<f64> = points.iter().map(|point| point.seconds).collect();
    assert_eq!(seconds[..2], [0.5, 1.5]);
    assert_eq!(seconds[61..], [61.5, 70.0, 86.0, 102.0, 118.0, 134.0, 150.0]);
}

proptest! {
    // A fit is a search: some milliseconds, unoptimised.
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn nothing_panics_and_what_is_said_is_a_number(
        raw in prop::collection::vec((any::<f64>(), any::<f64>()), 0..80),
        sane in prop::collection::vec((0f64..500.0, -20f64..120.0), 0..80),
        step_w in prop_oneof![any::<f64>(), -800f64..800.0],
    ) {
        for points in [raw, sane] {
            let points: Vec<StepPoint> =
                points.iter().map(|(seconds, temp_c)| StepPoint { seconds: *seconds, temp_c: *temp_c }).collect();
            if let Ok(fit) = fit(&points, step_w) {
                let numbers = [fit.t0_c, fit.fast.k_per_w, fit.fast.tau_s, fit.rms_k];
                prop_assert!(numbers.iter().all(|number| number.is_finite()), "{fit:?}");
                prop_assert!(fit.fast.k_per_w > 0.0);
            }
        }
    }

    #[test]
    fn the_order_of_points_does_not_show(seed in 0usize..1000) {
        let mut points = response(&[(0.03, 4.0), (0.05, 40.0)], 500.0, 200, 0.3);
        let before = fit(&points, 500.0);
        let n = points.len();
        (0..n).for_each(|i| points.swap(i, (i * 31 + seed) % n));
        prop_assert_eq!(before, fit(&points, 500.0));
    }
}
