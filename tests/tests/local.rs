//! `loadbank local`: the first command that anybody types, from start to report.

#![allow(clippy::unwrap_used, reason = "a test that meets nothing ends there")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use formats::SampleReader;
use serde_json::Value;
use system_tests::bank::RUN_PATIENCE;
use system_tests::{Bank, plans};

/// The keys of the report's contract.
const REPORT_KEYS: [&str; 9] = [
    "schema",
    "verdict",
    "exit_code",
    "requires",
    "run",
    "findings",
    "measured",
    "coverage",
    "not_measured",
];
const RUN_KEYS: [&str; 7] = ["id", "plan", "site", "simulated", "injected", "started", "seconds"];

#[test]
fn local_measures_this_machine_and_leaves_a_record_that_judges_the_same() {
    let bank = Bank::new();
    let plan = bank.write("plan.toml", plans::SHORT);
    let state_dir = bank.state_dir().display().to_string();
    let arguments = ["local", "--plan", &plan, "--state-dir", &state_dir, "--json"];
    let done = bank.loadbank(&arguments).finish(RUN_PATIENCE);
    assert_eq!(done.code, Some(0), "{}\n{}", done.stdout, done.stderr);
    let report = done.json();
    check_keys(&report);
    check_measured(&report);
    check_not_measured(&report);
    let folder = PathBuf::from(report["run"]["folder"].as_str().unwrap());
    assert!(done.stderr.contains(&folder.display().to_string()), "{}", done.stderr);
    check_folder(&folder);
    check_judged_again(&bank, &report, &folder);
    let homes = bank.state_dir().join("local");
    let left = std::fs::read_dir(homes).map_or(0, |entries| entries.count());
    assert_eq!(left, 0, "the agents' folders are gone after a run that took everything");
}

fn check_keys(report: &Value) {
    assert_eq!(report["schema"], "loadbank.report/1");
    assert_eq!(report["verdict"], "READY");
    assert_eq!(report["exit_code"], 0);
    for key in REPORT_KEYS {
        assert!(report.get(key).is_some(), "{key} is missing: {report}");
    }
    for key in RUN_KEYS {
        assert!(report["run"].get(key).is_some(), "run.{key} is missing: {report}");
    }
    assert_eq!(report["run"]["plan"], "short");
    assert_eq!(report["run"]["simulated"], false);
    assert_eq!(report["run"]["injected"], false);
    for line in list(report, "measured") {
        assert!(line["value"].as_f64().is_some_and(f64::is_finite), "{line}");
        assert!(line["where"]["kind"].is_string() && line["unit"].is_string(), "{line}");
    }
    let coverage = &report["coverage"];
    assert_eq!(coverage["nodes_reporting"], 2, "{coverage}");
    assert_eq!(coverage["phases_completed"], 5, "{coverage}");
    assert_eq!(coverage["batches_missing"], 0, "{coverage}");
    assert_eq!(coverage["records_lost"], 0, "{coverage}");
    assert!(coverage["batches_stored"].as_u64() > Some(0), "{coverage}");
}

fn check_measured(report: &Value) {
    let devices: BTreeSet<&str> = list(report, "measured")
        .iter()
        .filter(|line| line["what"] == "gflops_fp64" && line["value"].as_f64() > Some(0.0))
        .filter_map(|line| line["where"]["id"].as_str())
        .collect();
    assert_eq!(devices, BTreeSet::from(["local-0/0", "local-1/0"]), "a rate for each device");
    let begins = [
        "busbw_all_reduce_1048576",
        "bandwidth_",
        "rtt_idle_p50",
        "rtt_idle_p99",
        "rtt_idle_p999",
        "rtt_loaded_",
        "start_skew_",
    ];
    for begin in begins {
        let found = list(report, "measured").iter().any(|line| {
            line["what"].as_str().is_some_and(|what| what.starts_with(begin))
                && line["value"].as_f64() >= Some(0.0)
        });
        assert!(found, "nothing measured that begins with {begin}");
    }
}

/// What this machine can't feel is listed with a reason, never left out.
fn check_not_measured(report: &Value) {
    for what in ["power_w", "temp_c"] {
        let median = format!("{what}_p50");
        let measured = list(report, "measured").iter().any(|line| line["what"] == *median);
        let gap = list(report, "not_measured").iter().find(|gap| gap["what"] == what);
        let why = gap.and_then(|gap| gap["why"].as_str()).unwrap_or_default();
        assert!(measured || !why.is_empty(), "{what} is neither measured nor a gap: {report}");
    }
}

fn check_folder(folder: &Path) {
    assert!(folder.join("report.json").is_file());
    assert!(!folder.join("run.sqlite-wal").exists(), "the run file is whole by itself");
    let file = rusqlite::Connection::open(folder.join("run.sqlite")).unwrap();
    let whole: String = file.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(whole, "ok");
    let mut nodes = BTreeSet::new();
    let mut rows = 0;
    for batch in SampleReader::open(&folder.join("samples.parquet")).unwrap() {
        for row in batch.unwrap() {
            rows += 1;
            nodes.insert(row.node);
        }
    }
    assert!(rows > 20, "{rows} samples in a run of some 16 s on two devices");
    assert_eq!(nodes, BTreeSet::from(["local-0".to_owned(), "local-1".to_owned()]));
}

fn check_judged_again(bank: &Bank, report: &Value, folder: &Path) {
    let folder = folder.display().to_string();
    let again = bank.loadbank(&["report", &folder, "--json"]).finish(RUN_PATIENCE);
    assert_eq!(again.code, Some(0), "{}", again.stderr);
    assert_eq!(&again.json(), report, "the same record gives the same report");
    let text = bank.loadbank(&["report", &folder]).finish(RUN_PATIENCE);
    assert_eq!(text.code, Some(0), "{}", text.stderr);
    let line = text.stdout.lines().find(|line| line.starts_with("VERDICT"));
    let line = line.unwrap_or_else(|| panic!("no verdict in:\n{}", text.stdout));
    assert!(line.contains("READY  for: compute, data_plane"), "{line}");
}

fn list<'a>(report: &'a Value, key: &str) -> &'a Vec<Value> {
    report[key].as_array().unwrap()
}
