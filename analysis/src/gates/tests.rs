use std::collections::BTreeSet;

use model::finding::{FindingKind, Standing};
use model::plan::{Limits, Phase, PhaseLoad, Plan, Selector};
use model::policy::Gate;
use model::report::{GateOutcome, GateResult};
use model::site::{Domain, DomainKind, Node, Site, SiteDraft};
use model::table::{MeterRow, SampleRow};
use model::{Kernel, PhaseKind, Policy, Report, RunFacts, SampleColumns};
use proptest::prelude::*;

use super::table::CHECKS;
use crate::{Digest, Terms};

const SECOND: i64 = 1_000_000_000;
const NODES: usize = 8;

/// Every gate with a limit that fits these tests: published ones where a value is held.
fn policy() -> Policy {
    let limit = |gate: &str| match gate {
        "temp_margin_k_least" => 10.0,
        "power_ratio_least" | "perf_ratio_least" | "clock_ratio_least" => 0.95,
        "air_inlet_c_least" => 18.0,
        "air_inlet_c_most" => 27.0,
        "coolant_supply_c_least" => 17.0,
        "coolant_supply_c_most" => 45.0,
        "breaker_percent_most" | "failover_percent_most" => 80.0,
        "r_th_ratio_most" => 1.15,
        _ => 0.0,
    };
    let gates = CHECKS.iter().map(|check| Gate {
        name: check.gate.to_owned(),
        limit: limit(check.gate),
        unit: "unit".to_owned(),
        source: "a test".to_owned(),
    });
    Policy { gates: gates.collect(), ..Policy::default() }
}

fn plan() -> Plan {
    Plan {
        name: "acceptance".to_owned(),
        requires: BTreeSet::new(),
        seed: 1,
        limits: Limits { device_temp_c: Some(87.0) },
        least_seconds: 0.0,
        least_rating_percent: None,
        experiments: Vec::new(),
        phases: vec![Phase {
            name: "soak".to_owned(),
            kind: PhaseKind::Hold,
            seconds: 900.0,
            on: Selector::All,
            load: Some(PhaseLoad::of(Kernel::Mix, 100.0)),
            traffic: None,
            act: None,
        }],
    }
}

fn site() -> Site {
    let domains = vec![
        Domain { rating_kw: Some(10.0), ..Domain::new(DomainKind::Pdu, "pdu-1") },
        Domain {
            rating_kw: Some(10.0),
            continuous: Some(1.0),
            ..Domain::new(DomainKind::Pdu, "pdu-2")
        },
    ];
    let node = |i| Node::new(format!("n{i}"), &[if i < NODES / 2 { "pdu-1" } else { "pdu-2" }]);
    let nodes = (0..NODES).map(node).collect();
    Site::new(SiteDraft { name: "hall".to_owned(), domains, links: vec![], nodes }).unwrap()
}

fn sample(node: usize, time_s: i64) -> SampleRow {
    SampleRow {
        time_ns: time_s * SECOND,
        node: format!("n{node}"),
        phase: Some("soak".to_owned()),
        power_w: Some(690.0),
        power_limit_w: Some(700.0),
        temp_c: Some(65.0),
        inlet_air_c: Some(24.0),
        clock_mhz: Some(1700.0),
        perf: Some(100.0),
        clock_event_reasons: Some(0x4),
        ecc_uncorrected: Some(2),
        ..SampleRow::default()
    }
}

/// A soak of 900 s with a row every 10 s, changed as the test says.
fn soak(change: impl Fn(usize, i64, &mut SampleRow)) -> Vec<SampleRow> {
    let mut rows = Vec::new();
    for node in 0..NODES {
        for time_s in (0..=900).step_by(10) {
            let mut row = sample(node, time_s);
            change(node, time_s, &mut row);
            rows.push(row);
        }
    }
    rows
}

fn judge(samples: &[SampleRow], meters: &[MeterRow]) -> Report {
    let (site, plan, policy) = (site(), plan(), policy());
    let mut digest = Digest::new(&plan);
    digest.add_samples(&SampleColumns::from_rows(samples));
    digest.add_meters(meters);
    let terms = Terms { plan: &plan, site: Some(&site), policy: &policy };
    crate::judge(&terms, &digest.finish(RunFacts::default()))
}

fn gate<'a>(report: &'a Report, name: &str) -> &'a GateResult {
    report.gates.iter().find(|gate| gate.gate == name).unwrap_or_else(|| panic!("no gate {name}"))
}

fn on_fleet(report: &Report) -> Vec<(FindingKind, Standing)> {
    let of = report.findings.iter().filter(|finding| finding.suspect.kind == "fleet");
    of.map(|finding| (finding.kind, finding.standing)).collect()
}

#[test]
fn every_check_is_there_once_and_no_gate_twice() {
    let numbers: BTreeSet<u32> = CHECKS.iter().filter_map(|check| check.number).collect();
    assert_eq!(numbers, (1..=25).collect());
    let names: BTreeSet<&str> = CHECKS.iter().map(|check| check.gate).collect();
    assert_eq!(names.len(), CHECKS.len());
}

#[test]
fn nothing_measured_passes_nothing() {
    let report = judge(&[], &[]);
    assert_eq!(report.gates.len(), CHECKS.len());
    for gate in &report.gates {
        // What the site lists and nobody heard of is missing indeed.
        if gate.gate == "devices_missing_most" {
            assert_eq!((gate.outcome, gate.failed), (GateOutcome::Fail, NODES as u32));
            continue;
        }
        assert_eq!(gate.outcome, GateOutcome::NotEvaluated, "{gate:?}");
        assert!(gate.measured.is_none() && gate.why.is_some(), "{gate:?}");
    }
}

#[test]
fn a_policy_without_gates_evaluates_nothing() {
    let (plan, policy) = (plan(), Policy::default());
    let mut digest = Digest::new(&plan);
    digest.add_samples(&SampleColumns::from_rows(&soak(|_, _, _| ())));
    let terms = Terms { plan: &plan, site: None, policy: &policy };
    let report = crate::judge(&terms, &digest.finish(RunFacts::default()));
    assert!(report.gates.iter().all(|gate| gate.outcome == GateOutcome::NotEvaluated));
}

#[test]
fn a_good_soak_passes_what_was_measured() {
    let report = judge(&soak(|_, _, _| ()), &[]);
    for name in [
        "devices_missing_most",
        "ecc_uncorrected_most",
        "thermal_throttle_seconds_most",
        "hw_slowdown_seconds_most",
        "power_brake_seconds_most",
        "power_ratio_least",
        "temp_margin_k_least",
        "air_inlet_c_most",
        "perf_ratio_least",
        "clock_ratio_least",
    ] {
        let gate = gate(&report, name);
        assert_eq!((gate.outcome, gate.failed), (GateOutcome::Pass, 0), "{gate:?}");
        assert_eq!(gate.evaluated, NODES as u32, "{gate:?}");
    }
    assert_eq!(on_fleet(&report), []);
    // The log of Xids may not have been watched at all.
    assert_eq!(gate(&report, "xid_critical_most").outcome, GateOutcome::NotEvaluated);
}

#[test]
fn one_bad_device_fails_the_gate_and_is_not_the_fleets_fault() {
    let report = judge(
        &soak(|node, time_s, row| {
            if node == 5 && time_s >= 500 {
                row.clock_event_reasons = Some(0x4 | 0x40);
                row.ecc_uncorrected = Some(3);
                row.xid = Some(79);
            }
        }),
        &[],
    );
    let throttle = gate(&report, "thermal_throttle_seconds_most");
    assert_eq!((throttle.outcome, throttle.failed), (GateOutcome::Fail, 1));
    assert_eq!(throttle.at.as_ref().map(|at| at.id.as_str()), Some("n5/0"));
    // 41 of 91 rows, ten seconds each.
    assert!((throttle.measured.unwrap() - 410.0).abs() < 1e-6, "{throttle:?}");
    assert_eq!(gate(&report, "ecc_uncorrected_most").measured, Some(1.0));
    assert_eq!(gate(&report, "xid_critical_most").measured, Some(41.0));
    assert_eq!(gate(&report, "power_brake_seconds_most").outcome, GateOutcome::Pass);
    assert_eq!(on_fleet(&report), []);
}

#[test]
fn a_hall_that_is_uniformly_warm_has_no_outlier_and_is_found() {
    let report = judge(&soak(|_, _, row| row.temp_c = Some(80.0)), &[]);
    let margin = gate(&report, "temp_margin_k_least");
    assert_eq!((margin.outcome, margin.failed), (GateOutcome::Fail, NODES as u32));
    assert!((margin.measured.unwrap() - 7.0).abs() < 0.5, "{margin:?}");
    assert_eq!(on_fleet(&report), [(FindingKind::WeakCooling, Standing::Confirmed)]);
}

#[test]
fn heat_that_throttles_is_one_finding_and_explains_the_power() {
    let report = judge(
        &soak(|_, _, row| {
            row.temp_c = Some(86.0);
            row.power_w = Some(500.0);
            row.clock_event_reasons = Some(0x20);
        }),
        &[],
    );
    assert_eq!(on_fleet(&report), [(FindingKind::WeakCooling, Standing::Confirmed)]);
    let heat = report.findings.iter().find(|f| f.suspect.kind == "fleet").unwrap();
    assert_eq!(heat.evidence.len(), 2, "{heat:?}");
    assert_eq!(gate(&report, "power_ratio_least").outcome, GateOutcome::Fail);
}

#[test]
fn a_hall_that_is_braked_or_capped_throughout_is_found() {
    let braked = judge(&soak(|_, _, row| row.clock_event_reasons = Some(0x80)), &[]);
    assert_eq!(on_fleet(&braked), [(FindingKind::WeakPower, Standing::Confirmed)]);
    let capped = judge(&soak(|_, _, row| row.power_w = Some(500.0)), &[]);
    assert_eq!(on_fleet(&capped), [(FindingKind::WeakPower, Standing::Watch)]);
    // Half of the fleet is not most of it.
    let half = judge(
        &soak(|node, _, row| {
            if node % 2 == 0 {
                row.clock_event_reasons = Some(0x80);
            }
        }),
        &[],
    );
    assert_eq!(on_fleet(&half), []);
}

#[test]
fn rated_power_is_judged_only_where_full_load_was_asked_for_long_enough() {
    let elsewhere = judge(&soak(|_, _, row| row.phase = Some("other".to_owned())), &[]);
    assert_eq!(gate(&elsewhere, "power_ratio_least").outcome, GateOutcome::NotEvaluated);
    let short: Vec<SampleRow> =
        soak(|_, _, _| ()).into_iter().filter(|row| row.time_ns <= 300 * SECOND).collect();
    assert_eq!(gate(&judge(&short, &[]), "power_ratio_least").outcome, GateOutcome::NotEvaluated);
}

#[test]
fn a_domain_keeps_its_own_limit() {
    let row = |domain: &str, value: f64| MeterRow {
        time_ns: 0,
        domain: domain.to_owned(),
        point: "power_kw".to_owned(),
        value: Some(value),
        ..MeterRow::default()
    };
    // pdu-2 is an assembly that is listed for 100 %.
    let good = judge(&[], &[row("pdu-1", 7.9), row("pdu-2", 9.9)]);
    assert_eq!(gate(&good, "breaker_percent_most").outcome, GateOutcome::Pass);
    let bad = judge(&[], &[row("pdu-1", 8.1), row("pdu-2", 9.9)]);
    let breaker = gate(&bad, "breaker_percent_most");
    assert_eq!((breaker.outcome, breaker.failed), (GateOutcome::Fail, 1));
    assert_eq!(breaker.at.as_ref().map(|at| at.id.as_str()), Some("pdu-1"));
    assert!(breaker.why.as_ref().unwrap().contains("3 h"), "{breaker:?}");
}

fn any_sample() -> impl Strategy<Value = SampleRow> {
    let real = || prop::option::of(prop_oneof![3 => 0.0f64..900.0, 1 => any::<f64>()]);
    let whole = || prop::option::of(any::<u64>());
    ((0usize..9, any::<i64>()), real(), real(), real(), real(), (whole(), whole(), whole()))
        .prop_map(|((node, time_ns), power_w, power_limit_w, temp_c, perf, (mask, ecc, xid))| {
            SampleRow {
                time_ns,
                power_w,
                power_limit_w,
                temp_c,
                perf,
                inlet_air_c: temp_c,
                clock_event_reasons: mask,
                ecc_uncorrected: ecc,
                xid,
                ..sample(node, 0)
            }
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn no_sample_panics_and_order_does_not_show(
        rows in prop::collection::vec(any_sample(), 0..60),
    ) {
        let report = judge(&rows, &[]);
        let backwards: Vec<SampleRow> = rows.into_iter().rev().collect();
        prop_assert_eq!(&report.gates, &judge(&backwards, &[]).gates);
        for gate in &report.gates {
            let evaluated = gate.outcome != GateOutcome::NotEvaluated;
            prop_assert_eq!(evaluated, gate.measured.is_some_and(f64::is_finite), "{:?}", gate);
            prop_assert_eq!(gate.outcome == GateOutcome::Fail, gate.failed > 0);
        }
    }
}
