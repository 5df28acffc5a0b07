//! Goldens of what an operator sees: four runs, as text and as JSON.

// The judge's scenarios hold more than the renderers need.
#[allow(dead_code)]
#[path = "../../analysis/tests/judge/scenario.rs"]
mod scenario;

use loadbank_cli::report::{json, text};
use model::Report;
use model::facts::{LossReason, NodeLoss, RunEnd};
use model::record::{EventKind, Record};
use scenario::{START_NS, Scenario, node};

fn judge(scenario: &Scenario) -> Report {
    let mut digest = analysis::Digest::new(&scenario.plan);
    scenario.batches.iter().for_each(|batch| digest.add(batch));
    analysis::judge(&scenario.terms(), &digest.finish(scenario.facts.clone()))
}

/// Both forms against their goldens; no line of text leaves the page.
fn check(name: &str, scenario: &Scenario) {
    let report = judge(scenario);
    let text = text::render(&report);
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    insta::assert_snapshot!(format!("{name}_text"), text);
    let json = json::pretty(&report).expect("a report is JSON");
    let back: Report = serde_json::from_str(&json).expect("and back");
    assert_eq!(back, report, "the JSON form keeps everything");
    insta::assert_snapshot!(format!("{name}_json"), json);
}

#[test]
fn ready_without_sensors() {
    check("ready", &Scenario::healthy(2));
}

#[test]
fn corruption_injected() {
    let mut scenario = Scenario::healthy(2);
    scenario.facts.injected = true;
    let event =
        scenario.event(&node(1), EventKind::Sdc, "fp64", "block 77: 1 of 512 words differs");
    (event.core, event.injected) = (Some(3), true);
    scenario.change(|node, record| {
        if let Record::Work(work) = record {
            let hit = node.0 == "n2" && work.from_ns == START_NS + 45_000_000_000;
            work.mismatches = u64::from(hit);
        }
    });
    check("injected", &scenario);
}

#[test]
fn a_node_lost() {
    let mut scenario = Scenario::healthy(3);
    scenario.batches.retain(|batch| batch.node != node(2) || batch.seq <= 3);
    scenario.event(&node(0), EventKind::DataPlaneFailed, "pairs", "transfer to n3: timed out");
    let facts = scenario.facts.nodes.get_mut(&node(2)).unwrap();
    facts.batches_made.clear();
    facts.lost = Some(NodeLoss {
        at_unix_ns: START_NS + 63_500_000_000,
        phase: "fp32".to_owned(),
        reason: LossReason::LeaseExpired,
        why: String::new(),
        boot_id_before: Some("boot-n3".to_owned()),
        boot_id_after: None,
        returned: false,
    });
    check("node_lost", &scenario);
}

#[test]
fn a_person_interrupted() {
    let mut scenario = Scenario::healthy(2);
    scenario.batches.retain(|batch| batch.seq <= 3);
    for facts in scenario.facts.nodes.values_mut() {
        facts.batches_made.clear();
    }
    scenario.facts.phases_completed.truncate(2);
    scenario.facts.ended_unix_ns = Some(START_NS + 61_000_000_000);
    scenario.facts.end = RunEnd::Stopped { now: false };
    check("interrupted", &scenario);
}

#[test]
fn a_rehearsal_says_so_on_the_verdict_line() {
    let mut scenario = Scenario::healthy(2);
    scenario.facts.simulated = true;
    let text = text::render(&judge(&scenario));
    let verdict = text.lines().find(|line| line.starts_with("VERDICT")).unwrap();
    assert!(verdict.contains("WOULD BE READY") && verdict.contains("SIMULATED"), "{verdict}");
}

#[test]
fn a_large_fleet_stays_on_its_page() {
    let report = judge(&Scenario::healthy(30));
    assert_eq!(report.findings, []);
    let text = text::render(&report);
    assert!(text.lines().all(|line| line.chars().count() <= 80));
    assert!(text.lines().count() <= 140, "{} lines", text.lines().count());
    assert!(text.contains("and 14 more devices"));
}

#[test]
fn every_key_of_the_contract_is_there() {
    let mut scenario = Scenario::healthy(2);
    scenario.slow(&node(0), 0.8);
    let report: serde_json::Value =
        serde_json::from_str(&json::compact(&judge(&scenario)).unwrap()).unwrap();
    let keys = |value: &serde_json::Value, expected: &[&str]| {
        for key in expected {
            assert!(value.get(key).is_some(), "{key} of {value}");
        }
    };
    keys(
        &report,
        &[
            "schema",
            "verdict",
            "exit_code",
            "requires",
            "run",
            "findings",
            "measured",
            "coverage",
            "not_measured",
        ],
    );
    keys(&report["run"], &["id", "plan", "site", "simulated", "injected", "started", "seconds"]);
    keys(
        &report["findings"][0],
        &[
            "id",
            "kind",
            "blame",
            "standing",
            "severity",
            "suspect",
            "cannot_exclude",
            "confidence",
            "p_value",
            "q_value",
            "effect",
            "members",
            "evidence",
            "action",
            "next_experiment",
        ],
    );
    keys(&report["findings"][0]["effect"], &["metric", "relative", "absolute", "unit"]);
    keys(&report["measured"][0], &["what", "where", "phase", "value", "unit"]);
    keys(&report["not_measured"][0], &["what", "why"]);
}
