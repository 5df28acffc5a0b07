//! Network ports that lose bits, by their own counters.

use model::finding::{Finding, FindingKind, Standing};
use model::record::{PortCount, PortCounts, Record};
use model::{Report, Verdict};

use crate::judge;
use crate::scenario::{START_NS, Scenario, node};

const HOUR_NS: u64 = 3_600_000_000_000;

fn counting(grown: &[(&str, &str, u64)], span_ns: u64) -> Report {
    let mut scenario = Scenario::healthy(3);
    let grown = grown.iter().map(|(port, counter, count)| PortCount {
        port: (*port).to_owned(),
        counter: (*counter).to_owned(),
        count: *count,
    });
    let counts = PortCounts {
        time_ns: START_NS,
        span_ns,
        phase: "fp64".to_owned(),
        ports: vec!["eth0".to_owned(), "mlx5_0/1".to_owned(), "tcp".to_owned()],
        grown: grown.collect(),
    };
    scenario.say(&node(1), Record::Ports(counts));
    judge(&scenario)
}

fn flaky(report: &Report) -> Vec<&Finding> {
    report.findings.iter().filter(|finding| finding.kind == FindingKind::FlakyLink).collect()
}

#[test]
fn a_node_that_says_nothing_of_its_ports_is_told() {
    let mut scenario = Scenario::healthy(3);
    for batch in scenario.batches.iter_mut().filter(|batch| batch.node != node(1)) {
        batch.records.retain(|record| !matches!(record, Record::Ports(_)));
    }
    let report = judge(&scenario);
    let gap = report.not_measured.iter().find(|gap| gap.what == "port_counters").unwrap();
    assert!(gap.why.ends_with("(2 of 3 nodes: n1, n3)"), "{gap:?}");
    assert!(!gap.needed);
}

#[test]
fn what_sound_links_count_is_told_and_accuses_nobody() {
    let sound = [
        ("mlx5_0/1", "np_cnp_sent", 90_000),
        ("mlx5_0/1", "port_xmit_wait", u64::MAX),
        ("mlx5_0/1", "symbol_error", 9),
        ("tcp", "RetransSegs", 1_200),
    ];
    let report = counting(&sound, HOUR_NS);
    assert_eq!((flaky(&report).len(), report.verdict), (0, Verdict::Ready));
    let told = report.measured.iter().find(|line| line.what == "port_np_cnp_sent").unwrap();
    assert_eq!((told.at.id.as_str(), told.phase.as_deref()), ("n2/mlx5_0/1", Some("fp64")));
    assert_eq!((told.value, told.unit.as_str()), (90_000.0, "count"));
}

#[test]
fn wrong_bits_are_watched_and_a_link_that_went_away_is_confirmed() {
    let report = counting(&[("mlx5_0/1", "symbol_error", 9)], HOUR_NS / 2);
    let found = flaky(&report);
    assert_eq!((found.len(), report.verdict), (1, Verdict::Ready));
    assert_eq!((found[0].suspect.id.as_str(), found[0].standing), ("n2/mlx5_0/1", Standing::Watch));
    assert!(found[0].evidence[0].contains("symbol_error grew by 9 in 1800 s"), "{found:?}");

    let report = counting(&[("mlx5_0/1", "link_downed", 1)], HOUR_NS);
    assert_eq!(
        (flaky(&report)[0].standing, report.verdict),
        (Standing::Confirmed, Verdict::NotReady)
    );
    // It may be a port that nothing of ours goes through.
    let report = counting(&[("eth0", "carrier_down_count", 2)], HOUR_NS);
    assert_eq!((flaky(&report)[0].standing, report.verdict), (Standing::Watch, Verdict::Ready));
}

#[test]
fn impossible_counts_panic_nothing() {
    let report = counting(&[("mlx5_0/1", "symbol_error", u64::MAX)], u64::MAX);
    assert_eq!(flaky(&report).len(), 1);
    let report = counting(&[("mlx5_0/1", "symbol_error", 3)], 0);
    assert_eq!(flaky(&report).len(), 1);
}
