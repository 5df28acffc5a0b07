//! `loadbank analyze` on tables that others recorded and published: what it must say of
//! them, and what it must not. Where the data come from: `tests/data/README.md`.

#![allow(clippy::unwrap_used, reason = "a test that meets nothing ends there")]

use std::collections::BTreeSet;
use std::sync::LazyLock;

use serde_json::Value;
use system_tests::{data, loadbank};

fn analyze(site: &str, samples: &str) -> Value {
    let (site, samples) = (data(site), data(samples));
    let arguments = ["analyze", "--site", &site, "--samples", &samples, "--json"];
    let output = loadbank(&arguments);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(matches!(output.status.code(), Some(0 | 1 | 3)), "{:?}\n{told}", output.status);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["exit_code"], output.status.code().unwrap());
    assert_eq!(loadbank(&arguments).stdout, output.stdout, "the same input, the same bytes");
    report
}

/// Each table is judged once for all tests.
fn sgemm() -> &'static Value {
    static REPORT: LazyLock<Value> =
        LazyLock::new(|| analyze("longhorn/sgemm-site.toml", "longhorn/sgemm.csv.gz"));
    &REPORT
}

fn resnet() -> &'static Value {
    static REPORT: LazyLock<Value> =
        LazyLock::new(|| analyze("longhorn/resnet-site.toml", "longhorn/resnet.csv.gz"));
    &REPORT
}

fn fasrc() -> &'static Value {
    static REPORT: LazyLock<Value> =
        LazyLock::new(|| analyze("fasrc/site.toml", "fasrc/samples.csv.gz"));
    &REPORT
}

fn findings(report: &Value) -> &[Value] {
    report["findings"].as_array().unwrap()
}

fn suspect(finding: &Value) -> (&str, &str) {
    (finding["suspect"]["kind"].as_str().unwrap(), finding["suspect"]["id"].as_str().unwrap())
}

/// Nothing that several nodes share is confirmed to be weak.
fn no_part_is_confirmed(report: &Value) {
    for finding in findings(report) {
        let confirmed = finding["standing"] == "confirmed" && finding["blame"] == "facility";
        assert!(!confirmed, "{finding:#}");
    }
}

/// Devices whose middle value of a figure is told, and those values.
fn medians<'a>(report: &'a Value, what: &str) -> Vec<(&'a str, f64)> {
    let lines = report["measured"].as_array().unwrap().iter();
    let of = lines.filter(|line| line["what"] == what && line["where"]["kind"] == "device");
    of.map(|line| (line["where"]["id"].as_str().unwrap(), line["value"].as_f64().unwrap()))
        .collect()
}

fn median(values: &[(&str, f64)]) -> f64 {
    let mut values: Vec<f64> = values.iter().map(|(_, value)| *value).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[test]
fn longhorn_tables_are_read_whole() {
    let report = sgemm();
    assert_eq!(report["coverage"]["rows"], 8_803, "2,284 of 11,087 rows are there twice");
    assert_eq!(report["coverage"]["nodes_reporting"], 80);
    assert_eq!(report["coverage"]["domains"]["rack"]["loaded"], 8);
    let power = medians(report, "power_w_p50");
    assert_eq!(power.len(), 392, "one entry a UUID, 72 of them without a node");
    // 297.2 W over rows; the middle of the devices' middles lies beside it.
    assert!((median(&power) - 297.2).abs() < 0.3, "{}", median(&power));
    assert!((median(&medians(report, "temp_c_p50")) - 66.0).abs() < 0.01);
    assert_eq!(median(&medians(report, "clock_mhz_p50")), 1365.0);
    let report = resnet();
    assert_eq!(report["coverage"]["rows"], 1_404);
    assert_eq!(medians(report, "power_w_p50").len(), 336);
}

/// The GPU that is slowest by a fifth has a middle clock that is only 4 % low.
#[test]
fn the_worst_sgemm_clock_is_told() {
    let report = sgemm();
    let clocks = medians(report, "clock_mhz_p50");
    let worst =
        clocks.iter().find(|(id, _)| id.ends_with("GPU-87570fdd-b924-d1a1-8021-d92560f30d23"));
    let low = 1.0 - worst.unwrap().1 / median(&clocks);
    assert!((low - 0.04).abs() < 0.005, "{low}");
}

#[test]
fn telemetry_of_a_load_that_nobody_commanded_is_never_ready() {
    let report = fasrc();
    assert_ne!(report["verdict"], "READY");
    let gaps = report["not_measured"].as_array().unwrap();
    assert!(gaps.iter().any(|gap| gap["what"] == "load"), "{gaps:?}");
}

#[test]
fn silent_controllers_are_counted_not_filled() {
    let report = fasrc();
    assert_eq!(report["coverage"]["nodes_planned"], 1_724);
    // 35 say nothing at all, one more nothing but its system power, which is no column here.
    let reporting = report["coverage"]["nodes_reporting"].as_u64().unwrap();
    assert!((1_688..=1_689).contains(&reporting), "{reporting}");
    assert!(medians(report, "power_w_p50").iter().all(|(_, watts)| *watts > 0.0));
}

#[test]
fn fasrc_another_processor_is_no_weak_rack() {
    let report = fasrc();
    no_part_is_confirmed(report);
    for finding in findings(report) {
        assert_ne!(suspect(finding), ("rack", "rack-8a12"), "{finding:#}");
    }
}

#[test]
fn longhorn_blames_no_cabinet_and_no_power() {
    for report in [sgemm(), resnet()] {
        no_part_is_confirmed(report);
        for finding in findings(report) {
            assert_ne!(finding["kind"], "weak_power", "{finding:#}");
            let blamed = finding["blame"] == "facility" && suspect(finding) == ("rack", "c002");
            assert!(!blamed, "slow runs in c002 are no matter of the building: {finding:#}");
        }
    }
}

/// Suspects of these kinds and standings.
fn named<'a>(report: &'a Value, kinds: &[&str], standings: &[&str]) -> BTreeSet<&'a str> {
    let has = |value: &Value, words: &[&str]| words.contains(&value.as_str().unwrap());
    findings(report)
        .iter()
        .filter(|finding| has(&finding["kind"], kinds) && has(&finding["standing"], standings))
        .map(|finding| suspect(finding).1)
        .collect()
}

/// Without the place: the UUID alone.
fn uuid(id: &str) -> &str {
    id.rsplit('/').next().unwrap()
}

/// Four of 392 GPUs draw less than 290 W of their 297 W and are hot: those, and no others.
#[test]
fn sgemm_names_four_hot_gpus() {
    const HOT: [&str; 4] = [
        "GPU-87570fdd-b924-d1a1-8021-d92560f30d23",
        "GPU-8bd5126e-0bf7-b353-7f26-e20aaa0af1a4",
        "GPU-8ebc1398-8d26-9f20-acd3-9470de8d081c",
        "GPU-bf17fd1b-650b-c81b-2474-3a5e15a45f0d",
    ];
    /// Near the cap, but 79 C and hotter: may be watched.
    const WARM: [&str; 5] = ["01f6142b", "366c4822", "ceb4c42d", "a4faaa33", "0eb2efda"];
    let report = sgemm();
    let hot = named(report, &["device_hot"], &["confirmed"]);
    let uuids: BTreeSet<&str> = hot.iter().map(|id| uuid(id)).collect();
    assert_eq!(uuids, BTreeSet::from(HOT));
    // Two of them can't be placed, and are not.
    assert_eq!(hot.iter().filter(|id| !id.contains('/')).count(), 2, "{hot:?}");
    assert!(hot.iter().any(|id| id.starts_with("c008-11/")), "{hot:?}");
    assert!(hot.iter().any(|id| id.starts_with("c008-3/")), "{hot:?}");
    for id in named(report, &["device_hot"], &["watch"]) {
        let known = WARM.iter().any(|warm| uuid(id).contains(warm));
        assert!(known, "{id} is not among those that may be watched");
    }
}

/// A device is named by itself or with its node.
fn names(named: &BTreeSet<&str>, device: &str) -> bool {
    let node = device.split('/').next().unwrap();
    named.contains(device) || named.contains(node)
}

#[test]
fn resnet_names_two_nodes_and_the_throttled_gpus() {
    const NODES: [&str; 5] = ["c008-8/1", "c008-8/2", "c008-8/3", "c007-12/1", "c007-12/3"];
    const SINGLE: [&str; 13] = [
        "c002-9/1",
        "c002-11/1",
        "c002-12/3",
        "c004-1/1",
        "c004-1/3",
        "c004-12/1",
        "c005-10/3",
        "c005-11/3",
        "c008-3/3",
        "c008-5/3",
        "c008-9/1",
        "c008-11/2",
        "c009-3/1",
    ];
    let report = resnet();
    let either = ["confirmed", "watch"];
    let hot = named(report, &["device_hot", "weak_cooling"], &either);
    for device in NODES.iter().chain(&SINGLE) {
        assert!(names(&hot, device), "{device} is not named: {hot:?}");
    }
    assert!(!hot.contains("c008-8/0"), "that one is fine: {hot:?}");
}

#[test]
fn slow_resnet_runs_are_the_hosts() {
    let report = resnet();
    let hosts = named(report, &["host_io"], &["confirmed", "watch"]);
    for node in ["c002-1", "c002-4", "c002-11"] {
        assert!(hosts.contains(node), "{node} is not named: {hosts:?}");
    }
    for finding in findings(report).iter().filter(|finding| finding["kind"] == "host_io") {
        assert_eq!(finding["blame"], "host");
        assert_eq!(finding["suspect"]["kind"], "node", "{finding:#}");
    }
}
