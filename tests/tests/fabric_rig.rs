//! Real agents on a real leaf-spine fabric in network namespaces: what is damaged is named,
//! and a sound fabric accuses nobody.
//!
//! `LOADBANK_FABRIC=N` does every case with N seeds and prints the table of `docs/fabric.md`.

use std::time::Duration;

use serde_json::Value;
use system_tests::clos::{self, Clos, HOSTS, LEAVES, Place};
use system_tests::{Bank, require};

/// A run of the plan below, with its start and its end.
const PATIENCE: Duration = Duration::from_secs(240);

/// A quiet sweep with one flow on a link, then all hosts at once with many five-tuples.
const PLAN: &str = r#"schema = 1
name = "fabric"
requires = ["data_plane"]

[[phase]]
name = "idle"
kind = "rtt"
seconds = 4

[[phase]]
name = "quiet"
kind = "pairs"
seconds = 39
pairs = { quiet = true }

[[phase]]
name = "busy"
kind = "pairs"
seconds = 14
pairs = { streams = 16 }
"#;

/// Something wrong with the fabric, and what a report may call it.
struct Case {
    name: &'static str,
    limits: &'static [(Place, f64)],
    /// Kind of each finding that must be there, and the suspects of which one must be in it.
    wanted: &'static [(&'static str, &'static [&'static str])],
}

const HEALTHY: Case = Case { name: "none", limits: &[], wanted: &[] };
const HALF: Case = Case {
    name: "one uplink at half rate",
    limits: &[(Place::Up(1, 2), 0.5)],
    wanted: &[("slow_uplink", &["leaf-1>spine-2"])],
};

/// The report's verdict, the run's report as JSON and as text.
fn measure(case: &Case) -> (Value, String) {
    let mut bank = Bank::clos();
    let site = bank.write("site.toml", &clos::site());
    bank.serve();
    for host in 1..=LEAVES * HOSTS {
        bank.agent(&format!("n{host}"), host, &["--data-address", &clos::address(host)]);
    }
    bank.wait_for_agents(LEAVES * HOSTS);
    for (place, share) in case.limits {
        Clos::of(bank.network()).limit(*place, *share);
    }
    let plan = bank.write("plan.toml", PLAN);
    let mut run = bank.start_verb(&["run", &plan, "--site", &site, "--json"]);
    let done = run.finish(PATIENCE);
    let id = done.stderr.lines().find_map(|line| line.strip_prefix("run ")).expect("a run's id");
    let folder = bank.run_folder(id).display().to_string();
    let text = bank.loadbank(&["report", &folder]).finish(PATIENCE).stdout;
    let json = bank.loadbank(&["report", &folder, "--json"]).finish(PATIENCE).json();
    (json, text)
}

/// Kind, suspect and rivals of each confirmed finding.
fn confirmed(report: &Value) -> Vec<(String, Vec<String>)> {
    let findings = report["findings"].as_array().expect("findings").iter();
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    findings
        .filter(|finding| finding["standing"] == "confirmed")
        .map(|finding| {
            let rivals = finding["cannot_exclude"].as_array().into_iter().flatten();
            let named = std::iter::once(&finding["suspect"]).chain(rivals);
            (word(&finding["kind"]), named.map(|suspect| word(&suspect["id"])).collect())
        })
        .collect()
}

fn judge(case: &Case) {
    let (report, text) = measure(case);
    println!("{}:\n{text}", case.name);
    let found = confirmed(&report);
    for (kind, suspects) in case.wanted {
        let named = found.iter().any(|(found, named)| {
            found == kind && suspects.iter().any(|suspect| named.iter().any(|n| n == suspect))
        });
        assert!(named, "{}: no {kind} with {suspects:?} in {found:?}\n{text}", case.name);
    }
    assert_eq!(found.len(), case.wanted.len(), "{}: {found:?}\n{text}", case.name);
}

#[test]
fn a_sound_fabric_accuses_nobody() {
    if require("root") {
        judge(&HEALTHY);
    }
}

#[test]
fn an_uplink_at_half_rate_is_named() {
    if require("root") {
        judge(&HALF);
    }
}
