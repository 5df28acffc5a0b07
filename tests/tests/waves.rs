//! Waveforms over groups of nodes: refused where the site would feel them too hard, else
//! played by each node at its own time, which follows the coordinator's clock.

#![allow(clippy::unwrap_used, reason = "a test that meets nothing ends there")]

use coordinator::store::JournalEntry;
use model::record::Work;
use system_tests::bank::RUN_PATIENCE;
use system_tests::{Bank, record, wait_until};

/// Two racks on one PDU, one node each.
const SITE: &str = "schema = 1\nname = \"hall-t\"\n\
    [[domain]]\nkind = \"pdu\"\nid = \"pdu-a1\"\nbudget_kw = 1\nramp_kw_per_s = 0.05\n\
    [[domain]]\nkind = \"rack\"\nid = \"rack-2\"\n[[domain]]\nkind = \"rack\"\nid = \"rack-1\"\n\
    [[nodes]]\nnames = \"n1\"\ndomains = [\"pdu-a1\", \"rack-1\"]\nmax_kw = 0.1\n\
    [[nodes]]\nnames = \"n2\"\ndomains = [\"pdu-a1\", \"rack-2\"]\nmax_kw = 0.1\n";

fn plan(phase: &str) -> String {
    let load = "load = { kernel = \"fp64\", percent = 60 }";
    format!("schema = 1\nname = \"w\"\nrequires = [\"compute\"]\n[[phase]]\n{phase}\n{load}\n")
}

const STAGGER: &str = "name = \"s\"\nkind = \"stagger\"\nseconds = 16\nby = \"rack\"\n\
    delay_seconds = 2\nramp_seconds = 2";

/// Level times seconds before and behind the middle of a phase.
fn halves(windows: &[(String, Work)], node: &str, middle_ns: i64) -> (f64, f64) {
    let of = |early: bool| {
        let here = windows.iter().filter(|(of, work)| of == node && work.phase == "s");
        here.filter(|(_, work)| (work.to_ns <= middle_ns) == early)
            .map(|(_, work)| work.level * (work.to_ns - work.from_ns) as f64 / 1e9)
            .sum()
    };
    (of(true), of(false))
}

#[test]
fn racks_go_up_one_after_another_where_all_together_would_be_refused() {
    let bank = Bank::with_agents(2);
    let site = bank.write("site.toml", SITE);
    let refused = |name: &str, phase: &str, words: &str| {
        let plan = bank.write(name, &plan(phase));
        let done = bank.verb(&["run", &plan, "--site", &site]);
        assert_eq!(done.code, Some(2), "{done:?}");
        assert!(done.stderr.contains(words), "{}\nexpected: {words}", done.stderr);
    };
    let hold = "kind = \"hold\"\nseconds = 2";
    refused("hold.toml", hold, "pdu pdu-a1 may go up by 0.05 kW/s (ramp_kw_per_s); phase hold");
    let near = "on = \"rack=rack1\"\nkind = \"hold\"\nseconds = 2";
    refused("near.toml", near, "the site has no rack \"rack1\": did you mean rack=rack-1?");
    refused("long.toml", &STAGGER.replace("= 16", "= 6"), "give it at least 8 s");

    let (mut run, _watch, id) = bank.begin_with(&plan(STAGGER), &["--site", &site]);
    assert_eq!(run.finish(RUN_PATIENCE).code.map(|code| code < 4), Some(true));
    let windows = wait_until("the windows are stored", RUN_PATIENCE, || {
        Some(record::windows(&bank.run_folder(&id), &id)).filter(|windows| !windows.is_empty())
    });
    let journal = record::journal(&bank.run_folder(&id));
    let start_ns = journal.iter().find_map(|entry| match entry {
        JournalEntry::PhaseStarts { start_ns, .. } => Some(*start_ns),
        _ => None,
    });
    // Both agents' clocks are the coordinator's here, within the time of one window.
    let middle_ns = start_ns.unwrap() + 8_000_000_000;
    let (early_1, late_1) = halves(&windows, "n1", middle_ns);
    let (early_2, late_2) = halves(&windows, "n2", middle_ns);
    println!("n1 {early_1:.2} {late_1:.2}, n2 {early_2:.2} {late_2:.2} level seconds");
    // rack-2 comes first in the site: n2 leads by two seconds at 60 %, up and down.
    assert!((early_2 - early_1 - 1.2).abs() < 0.7, "n2 leads on the way up");
    assert!((late_1 - late_2 - 1.2).abs() < 0.7, "and on the way down");
    let times = journal.iter().filter_map(|entry| match entry {
        JournalEntry::PhaseTime { skews_ns, .. } => Some(skews_ns.len()),
        _ => None,
    });
    assert_eq!(times.collect::<Vec<_>>(), [2], "both were corrected, and the record says how far");
    let report = bank.verb(&["report", &id, "--format", "json"]).json();
    let measured = report["measured"].as_array().unwrap();
    assert!(measured.iter().any(|line| line["what"] == "start_skew_end_max"), "{measured:?}");
}
