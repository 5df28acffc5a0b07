//! What a GPU's driver says of its own hardware, and what becomes of it.

use model::finding::{Finding, FindingKind, Standing};
use model::policy::Gate;
use model::record::{EventKind, GpuSample, Health, Record, Sample};
use model::report::GateOutcome;
use model::{Gauge, Reading, Report};

use crate::judge;
use crate::scenario::{START_NS, Scenario, node};

const SECOND: i64 = 1_000_000_000;

/// Two nodes whose devices say what `of` makes of the second of each sample.
fn after(of: impl Fn(&str, f64) -> GpuSample, change: impl FnOnce(&mut Scenario)) -> Report {
    let mut scenario = Scenario::healthy(2);
    scenario.change(|node, record| {
        if let Record::Sample(Sample { time_ns, gpu, .. }) = record {
            let second = (*time_ns - START_NS) as f64 / SECOND as f64;
            *gpu = Some(Box::new(of(&node.0, second)));
        }
    });
    let gates = [
        "power_brake_seconds_most",
        "ecc_uncorrected_most",
        "xid_critical_most",
        "nvlink_inactive_most",
    ];
    scenario.policy.gates.extend(gates.map(|name| Gate {
        name: name.to_owned(),
        limit: 0.0,
        unit: String::new(),
        source: String::new(),
    }));
    change(&mut scenario);
    judge(&scenario)
}

/// Counters that stand, and a steady 500 W by the counter of joules.
fn sound(_node: &str, second: f64) -> GpuSample {
    GpuSample {
        power_limit_w: Reading::Value(700.0),
        energy_j: Reading::Value(1e6 + 500.0 * second),
        sw_power_cap_s: Reading::Value(50.0 + second),
        sw_thermal_s: Reading::Value(2.0),
        hw_thermal_s: Reading::Value(3.0),
        power_brake_s: Reading::Value(4.0),
        clock_event_reasons: Reading::Value(0x4),
        ecc_uncorrected: Reading::Value(7),
        ..GpuSample::default()
    }
}

fn found(report: &Report, kind: FindingKind) -> Vec<&Finding> {
    report.findings.iter().filter(|finding| finding.kind == kind).collect()
}

fn value(report: &Report, what: &str, phase: &str) -> Option<f64> {
    let here = |line: &&model::report::Measured| {
        line.what == what && line.at.id == "n1/0" && line.phase.as_deref() == Some(phase)
    };
    report.measured.iter().find(here).map(|line| line.value)
}

fn gate(report: &Report, name: &str) -> (GateOutcome, Option<f64>) {
    let gate = report.gates.iter().find(|gate| gate.gate == name);
    let gate = gate.expect("a gate of this name");
    (gate.outcome, gate.measured)
}

/// An Xid of the first node's device, ten seconds in.
fn xid(code: u64) -> impl FnOnce(&mut Scenario) {
    move |scenario| {
        let gpu = GpuSample { xid: Some(code), ..GpuSample::default() };
        let time_ns = START_NS + 10 * SECOND;
        let (phase, gpu) = ("idle".to_owned(), Some(Box::new(gpu)));
        let sample = Sample { time_ns, phase, gpu, ..Sample::default() };
        scenario.say(&node(0), Record::Sample(sample));
    }
}

fn health(gauge: Gauge, value: f64) -> impl FnOnce(&mut Scenario) {
    move |scenario| {
        let gauges = vec![(gauge, Reading::Value(value))];
        let (time_ns, phase) = (START_NS, "idle".to_owned());
        scenario.say(&node(0), Record::Health(Health { time_ns, device: 0, phase, gauges }));
    }
}

#[test]
fn old_counters_and_a_power_cap_accuse_nobody() {
    let report = after(sound, |_| {});
    assert_eq!(report.findings, []);
    let cap = value(&report, "throttle_sw_power_cap_seconds", "fp64");
    assert!(cap.is_some_and(|seconds| (18.5..20.5).contains(&seconds)), "{cap:?}");
    assert_eq!(value(&report, "throttle_power_brake_seconds", "fp64"), Some(0.0));
    let mean = value(&report, "power_mean_w", "fp64");
    assert!(mean.is_some_and(|mean| (mean - 500.0).abs() < 1e-6), "{mean:?}");
    assert_eq!(gate(&report, "power_brake_seconds_most"), (GateOutcome::Pass, Some(0.0)));
    assert_eq!(gate(&report, "ecc_uncorrected_most"), (GateOutcome::Pass, Some(0.0)));
    assert_eq!(gate(&report, "xid_critical_most").0, GateOutcome::NotEvaluated);
    for what in ["throttle", "memory_errors"] {
        assert!(report.not_measured.iter().all(|line| line.what != what), "{what}");
    }
}

#[test]
fn a_brake_of_one_device_is_short_of_power_and_told_once() {
    let braked = |name: &str, second: f64| {
        let brake = if name == "n1" { (second - 50.0).clamp(0.0, 6.0) } else { 0.0 };
        GpuSample { power_brake_s: Reading::Value(4.0 + brake), ..sound(name, second) }
    };
    let report = after(braked, |scenario| {
        scenario.event(&node(0), EventKind::GuardTrip, "fp64", "braked").device = Some(0);
    });
    let short = found(&report, FindingKind::PowerShort);
    assert_eq!((short.len(), short[0].standing), (1, Standing::Confirmed));
    assert_eq!(short[0].suspect.id, "n1/0");
    assert!(short[0].evidence[0].contains("6.0 s"), "{:?}", short[0].evidence);
    assert!(short[0].evidence[1].contains("the guard"), "{:?}", short[0].evidence);
    assert_eq!(report.findings.len(), 1, "{:?}", report.findings);
    let (outcome, seconds) = gate(&report, "power_brake_seconds_most");
    assert_eq!(outcome, GateOutcome::Fail);
    assert!(seconds.is_some_and(|seconds| (seconds - 6.0).abs() < 1e-9), "{seconds:?}");
}

#[test]
fn xids_accuse_what_they_name() {
    for (code, kind) in [
        (79, Some(FindingKind::DeviceError)),
        (119, Some(FindingKind::DeviceError)),
        (48, Some(FindingKind::MemoryError)),
        (64, Some(FindingKind::MemoryError)),
        (95, Some(FindingKind::MemoryError)),
        (13, None),
        (63, None),
        (4_242, None),
    ] {
        let report = after(sound, xid(code));
        let kinds: Vec<FindingKind> = report.findings.iter().map(|f| f.kind).collect();
        assert_eq!(kinds, Vec::from_iter(kind), "Xid {code}");
    }
    assert_eq!(gate(&after(sound, xid(79)), "xid_critical_most").0, GateOutcome::Fail);
}

#[test]
fn no_xid_passes_only_where_somebody_watched() {
    let watched = after(sound, health(Gauge::XidWatched, 1.0));
    assert_eq!(gate(&watched, "xid_critical_most"), (GateOutcome::Pass, Some(0.0)));
    let asleep = after(sound, health(Gauge::XidWatched, 0.0));
    assert_eq!(gate(&asleep, "xid_critical_most").0, GateOutcome::NotEvaluated);
}

#[test]
fn memory_that_fails_during_the_run_is_a_memory_error() {
    let worse = |name: &str, second: f64| GpuSample {
        ecc_uncorrected: Reading::Value(7 + u64::from(name == "n1" && second > 60.0)),
        ..sound(name, second)
    };
    let report = after(worse, |_| {});
    assert_eq!(found(&report, FindingKind::MemoryError).len(), 1, "{:?}", report.findings);
    let report = after(sound, health(Gauge::RemapFailed, 1.0));
    assert_eq!(found(&report, FindingKind::MemoryError).len(), 1, "{:?}", report.findings);
    assert_eq!(after(sound, health(Gauge::RemapFailed, 0.0)).findings, []);
}

#[test]
fn a_limit_from_outside_is_watched() {
    let report = after(sound, health(Gauge::PowerRequestedW, 800.0));
    let short = found(&report, FindingKind::PowerShort);
    assert_eq!((short.len(), short[0].standing), (1, Standing::Watch));
    assert!(short[0].evidence[0].contains("700 W"), "{:?}", short[0].evidence);
    assert_eq!(after(sound, health(Gauge::PowerRequestedW, 700.0)).findings, []);
}

/// Gauges of the first node's device in a phase.
fn told(phase: &'static str, at_s: i64, gauges: &'static [(Gauge, f64)]) -> impl Fn(&mut Scenario) {
    move |scenario| {
        let gauges = gauges.iter().map(|(gauge, value)| (*gauge, Reading::Value(*value)));
        let (time_ns, phase) = (START_NS + at_s * SECOND, phase.to_owned());
        let health = Health { time_ns, device: 0, phase, gauges: gauges.collect() };
        scenario.say(&node(0), Record::Health(health));
    }
}

#[test]
fn a_link_that_rests_at_idle_is_sound_and_a_narrow_one_under_load_is_not() {
    const NARROW: [(Gauge, f64); 4] = [
        (Gauge::PcieWidth, 8.0),
        (Gauge::PcieWidthMax, 16.0),
        (Gauge::PcieGeneration, 1.0),
        (Gauge::PcieGenerationMax, 5.0),
    ];
    let report = after(sound, told("idle", 1, &NARROW));
    assert_eq!(report.findings, []);
    let report = after(sound, told("fp64", 30, &NARROW));
    let links = found(&report, FindingKind::HostIo);
    assert_eq!((links.len(), links[0].standing), (1, Standing::Confirmed), "{links:?}");
    assert!(links[0].evidence[0].contains("8 of 16 lanes"), "{links:?}");
    assert!(links[0].evidence[1].contains("it may have rested"), "{links:?}");
}

#[test]
fn replays_of_before_the_run_accuse_nobody_and_those_of_the_run_do() {
    let old = told("fp64", 30, &[(Gauge::PcieReplays, 5000.0)]);
    assert_eq!(after(sound, &old).findings, []);
    let report = after(sound, |scenario| {
        old(scenario);
        told("fp64", 35, &[(Gauge::PcieReplays, 5200.0)])(scenario);
    });
    let links = found(&report, FindingKind::HostIo);
    assert!(links[0].evidence[0].contains("200 replays"), "{links:?}");
}

#[test]
fn an_nvlink_that_goes_down_is_the_devices_and_fails_its_gate() {
    let report = after(sound, |scenario| {
        told("idle", 1, &[(Gauge::NvlinkActive, 18.0), (Gauge::NvlinkInactive, 0.0)])(scenario);
        told("fp64", 30, &[(Gauge::NvlinkActive, 17.0), (Gauge::NvlinkInactive, 1.0)])(scenario);
    });
    let links = found(&report, FindingKind::DeviceError);
    assert!(links[0].evidence[0].contains("1 of its NVLinks went down"), "{links:?}");
    assert_eq!(gate(&report, "nvlink_inactive_most"), (GateOutcome::Fail, Some(1.0)));
}
