//! Silent data corruption: one flipped bit is found, and where it was; none is invented.

#![allow(clippy::unwrap_used, reason = "a test that meets nothing ends there")]

use serde_json::Value;
use system_tests::bank::{RUN_PATIENCE, cores};
use system_tests::{Bank, plans};

fn local(bank: &Bank, more: &[&str]) -> system_tests::Done {
    let plan = bank.write("plan.toml", &plans::hold(3));
    let state_dir = bank.state_dir().display().to_string();
    let arguments = ["local", "--plan", &plan, "--state-dir", &state_dir, "--json"];
    bank.loadbank(&[arguments.as_slice(), more].concat()).finish(RUN_PATIENCE)
}

fn of_kind(report: &Value, kind: &str) -> Vec<Value> {
    let findings = report["findings"].as_array().unwrap();
    findings.iter().filter(|finding| finding["kind"] == kind).cloned().collect()
}

#[test]
fn one_flipped_bit_is_one_finding_with_its_place_and_is_marked_as_injected() {
    let bank = Bank::new();
    // The second agent of `local` has the second half of the cores.
    let cores = cores();
    let core = cores[cores.len() / 2];
    let done = local(&bank, &["--inject", &format!("local-1/0/{core}@7")]);
    assert_eq!(done.code, Some(1), "{}\n{}", done.stdout, done.stderr);
    let report = done.json();
    assert_eq!(report["verdict"], "NOT_READY");
    assert_eq!(report["run"]["injected"], true);
    let found = of_kind(&report, "sdc");
    assert_eq!(found.len(), 1, "{report}");
    let finding = &found[0];
    assert_eq!(finding["standing"], "confirmed");
    assert_eq!(finding["blame"], "device");
    assert_eq!(finding["injected"], true);
    assert_eq!(finding["suspect"]["kind"], "device");
    assert_eq!(finding["suspect"]["id"], "local-1/0");
    assert_eq!(finding["suspect"]["core"], core);
}

#[test]
fn without_an_injection_nothing_is_found() {
    let bank = Bank::new();
    let done = local(&bank, &[]);
    let report = done.json();
    assert_eq!(of_kind(&report, "sdc"), Vec::<Value>::new());
    assert_eq!(report["run"]["injected"], false);
    assert_eq!(done.code, Some(0), "{}\n{}", done.stdout, done.stderr);
}
