//! The fleet's vote: who computes otherwise than its likes, and when nobody can say.

use model::finding::{Finding, FindingKind, Standing};
use model::record::{Checksum, EventKind, Record};
use model::{Report, Severity, Verdict};

use crate::judge;
use crate::scenario::{START_NS, Scenario, node};

/// A healthy fleet whose devices say these values under one key, node by node.
fn voting(values: &[&[u64]]) -> Scenario {
    let mut scenario = Scenario::healthy(values.len() as u32);
    for (index, values) in (0..).zip(values) {
        for value in *values {
            let checksum = Checksum {
                time_ns: START_NS,
                device: 0,
                phase: "fp64".to_owned(),
                key: "bf16 seed 1 on a card".to_owned(),
                value: *value,
            };
            scenario.say(&node(index), Record::Checksum(checksum));
        }
    }
    scenario
}

fn sdc(report: &Report) -> Vec<&Finding> {
    report.findings.iter().filter(|finding| finding.kind == FindingKind::Sdc).collect()
}

fn is_lonely(report: &Report) -> bool {
    report.not_measured.iter().any(|line| line.what == "checksum_vote")
}

#[test]
fn equal_results_are_nothing_to_tell() {
    let report = judge(&voting(&[&[7], &[7], &[7, 7]]));
    assert_eq!((sdc(&report).len(), report.verdict), (0, Verdict::Ready));
    assert!(!is_lonely(&report));
}

#[test]
fn a_clear_majority_names_who_is_always_wrong() {
    let report = judge(&voting(&[&[7], &[7], &[9], &[7]]));
    let found = sdc(&report);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].suspect.id, "n3/0");
    assert_eq!((found[0].standing, found[0].severity), (Standing::Confirmed, Severity::Critical));
    assert!(found[0].evidence[0].contains("3 of 4"), "{:?}", found[0].evidence);
    assert_eq!(report.verdict, Verdict::NotReady);
}

#[test]
fn two_that_differ_are_watched_both() {
    let report = judge(&voting(&[&[7], &[9]]));
    let found = sdc(&report);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].standing, Standing::Watch);
    let names: Vec<&str> = std::iter::once(&found[0].suspect)
        .chain(&found[0].cannot_exclude)
        .map(|suspect| suspect.id.as_str())
        .collect();
    assert_eq!(names, ["n1/0", "n2/0"]);
    assert_eq!(report.verdict, Verdict::Ready);
}

#[test]
fn half_against_half_names_nobody() {
    let report = judge(&voting(&[&[7], &[9], &[7], &[9]]));
    let found = sdc(&report);
    assert_eq!((found.len(), found[0].standing), (1, Standing::Watch));
    assert_eq!(found[0].cannot_exclude.len(), 3);
}

#[test]
fn one_alone_has_no_partner_and_says_so() {
    let mut scenario = voting(&[&[7], &[], &[]]);
    let report = judge(&scenario);
    assert_eq!((sdc(&report).len(), is_lonely(&report)), (0, true));
    // Nothing in the plan needs it.
    assert_eq!(report.verdict, Verdict::Ready);
    scenario = Scenario::healthy(3);
    assert!(!is_lonely(&judge(&scenario)));
}

#[test]
fn one_that_contradicts_itself_can_blame_nobody_else() {
    let report = judge(&voting(&[&[7, 9], &[], &[]]));
    let found = sdc(&report);
    assert_eq!((found.len(), found[0].standing), (1, Standing::Confirmed));
    assert_eq!(found[0].suspect.id, "n1/0");
    // Among others it is outvoted by them, and by itself.
    let report = judge(&voting(&[&[7, 9], &[7], &[7]]));
    let found = sdc(&report);
    assert_eq!((found.len(), found[0].suspect.id.as_str()), (1, "n1/0"));
    assert!(found[0].evidence.iter().any(|line| line.contains("right at other times")));
}

#[test]
fn an_injected_fault_is_called_so() {
    let mut scenario = voting(&[&[7], &[9], &[7]]);
    let event = scenario.event(&node(1), EventKind::Injection, "fp64", "core 3, every block");
    event.injected = true;
    let report = judge(&scenario);
    assert!(sdc(&report)[0].injected);
}

#[test]
fn a_refused_device_keeps_the_run_from_ready_and_accuses_nobody() {
    let mut scenario = Scenario::healthy(2);
    scenario.event(&node(1), EventKind::DeviceRefused, "fp64", "out of memory");
    let report = judge(&scenario);
    assert_eq!(report.findings, []);
    assert_eq!(report.verdict, Verdict::Inconclusive);
    let told = |what: &str| report.not_measured.iter().any(|line| line.why.contains(what));
    assert!(told("n2/0 takes no load: out of memory"));
}

#[test]
fn a_driver_that_gave_up_is_an_error_of_the_device_with_its_number() {
    let mut scenario = Scenario::healthy(2);
    scenario.event(&node(0), EventKind::DeviceFailed, "fp64", "cuEventQuery: error 12345");
    let report = judge(&scenario);
    assert_eq!(report.findings.len(), 1);
    assert_eq!(report.findings[0].kind, FindingKind::DeviceError);
    assert_eq!(report.findings[0].suspect.id, "n1/0");
    assert!(report.findings[0].evidence[0].contains("12345"));
    assert_eq!(report.verdict, Verdict::NotReady);
}
