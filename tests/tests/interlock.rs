//! Interlocks end to end: from a row of a meter to workers that are idle.

#![allow(clippy::unwrap_used, reason = "a test that meets nothing ends there")]

use std::time::Duration;

use coordinator::store::JournalEntry;
use serde_json::Value;
use system_tests::bank::RUN_PATIENCE;
use system_tests::interlock::{Hall, How, Outcome, plan, rule};
use system_tests::record;

const NODES: usize = 6;
/// Defaults of the coordinator, in milliseconds.
const LEASE_MS: f64 = 3_000.0;
const RAMP_MS: f64 = 2_000.0;
/// What a machine that builds something else meanwhile may add.
const BUSY_MS: f64 = 4_000.0;

fn worst(outcome: &Outcome) -> f64 {
    assert_eq!(outcome.idle_ms.len(), NODES, "{:?}", outcome.idle_ms);
    outcome.idle_ms.values().copied().fold(0.0, f64::max)
}

fn measured(report: &Value, what: &str) -> Value {
    let lines = report["measured"].as_array().unwrap();
    let found = lines.iter().find(|line| line["what"] == what);
    found.unwrap_or_else(|| panic!("no {what} in {report}")).clone()
}

#[test]
fn a_reading_over_its_limit_drops_everything_and_stays_until_a_person_resumes() {
    let mut hall = Hall::new(NODES, 100.0, &rule("stop_drop"));
    let outcome = hall.trip(&plan(5.0, 120), How::Drop);
    println!("drop: {:?}", outcome.idle_ms);
    assert!(worst(&outcome) < BUSY_MS, "{outcome:?}");
    assert_eq!((outcome.code, &outcome.report["verdict"]), (Some(5), &"ABORTED".into()));
    let line = measured(&outcome.report, "stop_reading_to_idle_ms_max");
    assert_eq!(line["where"], serde_json::json!({ "kind": "interlock", "id": "supply" }));
    let (told, ours) = (line["value"].as_f64().unwrap(), worst(&outcome));
    assert!((told - ours).abs() < 100.0, "report {told} ms, by this clock {ours} ms");
    assert_eq!(measured(&outcome.report, "stop_nodes_idle")["value"], NODES as f64);
    let reasons = outcome.report["reasons"].to_string();
    assert!(reasons.contains("interlocks.toml:3"), "{reasons}");
    assert!(reasons.contains("loop loop-1 supply_c is 46.5, above 45"), "{reasons}");

    // The reading is back, the coordinator is another one, and still nothing heats before a
    // person says so.
    hall.restart();
    hall.says(30.0);
    std::thread::sleep(Duration::from_millis(300));
    let site = hall.bank.folder().join("site.toml").display().to_string();
    let again = hall.bank.write("again.toml", &plan(5.0, 2));
    let done = hall.bank.verb(&["run", &again, "--site", &site]);
    assert_eq!(done.code, Some(2), "{done:?}");
    assert!(done.stderr.contains("`loadbank resume --interlock supply`"), "{}", done.stderr);
    hall.resume();
    let done = hall.bank.verb(&["run", &again, "--site", &site]);
    assert_ne!(done.code, Some(2), "{done:?}");
    let journal = record::journal(&outcome.folder);
    let resumed = |entry: &JournalEntry| matches!(entry, JournalEntry::InterlockResumed { rule, who } if rule == "supply" && !who.is_empty());
    assert!(journal.iter().any(resumed), "{journal:?}");
}

#[test]
fn a_ramp_keeps_the_domains_kw_per_second() {
    // 0.12 kW at 0.03 kW/s: four seconds where the usual ramp is two.
    let mut hall = Hall::new(NODES, 0.03, &rule("stop_ramp"));
    let outcome = hall.trip(&plan(5.0, 120), How::Ramp);
    println!("ramp: {:?}", outcome.idle_ms);
    assert_eq!(outcome.code, Some(5));
    let first = outcome.idle_ms.values().copied().fold(f64::MAX, f64::min);
    assert!(first >= 4_000.0, "a node left too early: {outcome:?}");
    assert!(worst(&outcome) < 4_200.0 + BUSY_MS, "{outcome:?}");
}

#[test]
fn the_coordinator_killed_at_the_same_moment_leaves_no_heat_beyond_lease_and_ramp() {
    let mut hall = Hall::new(NODES, 100.0, &rule("stop_drop"));
    let outcome = hall.trip(&plan(5.0, 120), How::Killed);
    println!("killed: {:?}", outcome.idle_ms);
    let most = LEASE_MS + RAMP_MS + 500.0;
    assert!(worst(&outcome) < most, "{outcome:?}");
}

#[test]
fn a_shed_domain_goes_idle_and_the_rest_goes_on() {
    let rules = rule("stop_ramp") + &rule("shed").replace("schema = 1\n", "");
    let rules = rules.replacen("above = 45\n", "above = 99\n", 1);
    let rules = rules.replacen("\"supply\"", "\"loop\"", 1).replacen(
        "of = \"loop=loop-1\"\nabove = 45",
        "of = \"pdu\"\nunread = \"allow\"\nabove = 45",
        1,
    );
    let hall = Hall::new(NODES, 100.0, &rules);
    let (mut run, watch, id) = hall.begin(&plan(5.0, 12));
    watch.wait_for_phase("hold", 3.0);
    hall.says_of("pdu-a", 46.5);
    let done = run.finish(RUN_PATIENCE);
    let report = done.json();
    assert_eq!((done.code, &report["verdict"]), (Some(3), &"INCONCLUSIVE".into()), "{report}");
    let gaps = report["not_measured"].to_string();
    assert!(gaps.contains("pdu pdu-a (n1, n2, n3) was shed at"), "{gaps}");
    assert_eq!(report["findings"].as_array().unwrap().len(), 0, "{}", report["findings"]);
    let idle = system_tests::interlock::idle_ns(&hall.bank.run_folder(&id));
    let of = |node: &str| idle[node] as f64 / 1e9;
    println!("idle: {idle:?}");
    assert!(of("n4") - of("n1") > 3.0, "the rest went on: {idle:?}");
    let shed = measured(&report, "stop_nodes_idle");
    assert_eq!(shed["value"], 3.0, "{shed}");
}

#[test]
fn nothing_begins_while_a_meter_was_never_heard() {
    let hall = Hall::new(1, 100.0, &rule("stop_drop"));
    let site = hall.bank.folder().join("site.toml").display().to_string();
    let plan = hall.bank.write("plan.toml", &plan(5.0, 2));
    let done = hall.bank.verb(&["run", &plan, "--site", &site]);
    assert_eq!(done.code, Some(2), "{done:?}");
    let words = "the interlock supply has no reading of loop loop-1 supply_c: no heat";
    assert!(done.stderr.contains(words), "{}", done.stderr);
}

#[test]
fn a_person_who_stops_is_named_with_the_time_to_idle() {
    let hall = Hall::new(2, 100.0, &rule("stop_drop"));
    let (mut run, watch, _) = hall.begin(&plan(5.0, 60));
    watch.wait_for_phase("hold", 1.5);
    assert_eq!(hall.bank.verb(&["stop", "--now"]).code, Some(0));
    let done = run.finish(RUN_PATIENCE);
    assert_eq!(done.code, Some(130));
    let line = measured(&done.json(), "stop_reading_to_idle_ms_max");
    assert_eq!(line["where"]["kind"], "person", "{line}");
    assert!(line["value"].as_f64().unwrap() < BUSY_MS, "{line}");
}
