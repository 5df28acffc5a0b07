//! Real agents on a real leaf-spine fabric in network namespaces: what is damaged is named,
//! and a sound fabric accuses nobody.
//!
//! `LOADBANK_FABRIC=N` does every case with N seeds and prints the table of `docs/fabric.md`.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;
use system_tests::clos::{self, Clos, HOSTS, LEAVES, Place, SPINES};
use system_tests::{Bank, require};

/// A run of the plan below, with its start and its end.
const PATIENCE: Duration = Duration::from_secs(240);

/// How long a flapping link is bad: two slots of the quiet sweep.
const BAD: Duration = Duration::from_secs(1);

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
seconds = 52
pairs = { quiet = true }

[[phase]]
name = "busy"
kind = "pairs"
seconds = 42
pairs = { streams = 16 }
"#;

/// Something wrong with the fabric, and what a report may call it.
struct Case {
    name: &'static str,
    limits: Vec<(Place, f64)>,
    /// A place that is at a tenth for a quarter of the time.
    flaps: Option<Place>,
    /// Kind of each finding that must be there, and the names of which one must be in it.
    wanted: Vec<(&'static str, Vec<String>)>,
}

/// What can be wrong; the place is the seed's.
const CASES: [fn(usize) -> Case; 7] = [none, half, fifth, card, cut, flap, two];

fn sound(name: &'static str) -> Case {
    Case { name, limits: Vec::new(), flaps: None, wanted: Vec::new() }
}

fn uplink(seed: usize) -> (usize, usize) {
    (1 + seed % LEAVES, 1 + (seed + seed / LEAVES) % SPINES)
}

fn none(_: usize) -> Case {
    sound("none")
}

fn half(seed: usize) -> Case {
    let (leaf, spine) = uplink(seed);
    let wanted = vec![("slow_uplink", vec![format!("leaf-{leaf}>spine-{spine}")])];
    Case { limits: vec![(Place::Up(leaf, spine), 0.5)], wanted, ..sound("one uplink at half rate") }
}

fn fifth(seed: usize) -> Case {
    let (leaf, spine) = uplink(seed + 1);
    let wanted = vec![("slow_uplink", vec![format!("spine-{spine}>leaf-{leaf}")])];
    Case { limits: vec![(Place::Down(leaf, spine), 0.2)], wanted, ..sound("one uplink at a fifth") }
}

fn card(seed: usize) -> Case {
    let host = 1 + (3 * seed + 4) % (LEAVES * HOSTS);
    let wanted = vec![("slow_nic", vec![format!("n{host}/fab0")])];
    Case {
        limits: vec![(Place::HostUp(host), 0.5)],
        wanted,
        ..sound("one host's card at half rate")
    }
}

fn cut(_: usize) -> Case {
    let named = ["pod-1>pod-2", "pod-2>pod-1", "pod-1", "pod-2"].map(str::to_owned).to_vec();
    let limits = vec![(Place::Cut(1), 0.25), (Place::Cut(2), 0.25)];
    Case { limits, wanted: vec![("network_island", named)], ..sound("a pod's cut at 4:1") }
}

fn flap(seed: usize) -> Case {
    let (leaf, spine) = uplink(seed + 2);
    let wanted = vec![("flaky_link", vec![format!("leaf-{leaf}>spine-{spine}")])];
    let flaps = Some(Place::Up(leaf, spine));
    Case { flaps, wanted, ..sound("one link that flaps a quarter of the time") }
}

fn two(seed: usize) -> Case {
    let (leaf, spine) = uplink(seed + 3);
    // On another leaf, so that each has its own witnesses.
    let host = 1 + (HOSTS * leaf + seed) % (LEAVES * HOSTS);
    let limits = vec![(Place::Up(leaf, spine), 0.5), (Place::HostDown(host), 0.4)];
    let link = vec![format!("leaf-{leaf}>spine-{spine}")];
    let wanted = vec![("slow_uplink", link), ("slow_nic", vec![format!("n{host}/fab0")])];
    Case { limits, wanted, ..sound("an uplink and a card at once") }
}

/// Limits a place and mends it again until it is told to stop.
fn flapping(clos: &Clos, place: Place, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        clos.limit(place, 0.1);
        std::thread::sleep(BAD);
        clos.limit(place, 1.0);
        std::thread::sleep(3 * BAD);
    }
}

/// The run's report as JSON and as text.
fn measure(case: &Case) -> (Value, String) {
    let mut bank = Bank::clos();
    let site = bank.write("site.toml", &clos::site());
    bank.serve();
    for host in 1..=LEAVES * HOSTS {
        bank.agent(&format!("n{host}"), host, &["--data-address", &clos::address(host)]);
    }
    bank.wait_for_agents(LEAVES * HOSTS);
    let fabric = Clos::of(bank.network());
    for (place, share) in &case.limits {
        fabric.limit(*place, *share);
    }
    let plan = bank.write("plan.toml", PLAN);
    let mut run = bank.start_verb(&["run", &plan, "--site", &site, "--json"]);
    let stop = AtomicBool::new(false);
    let done = std::thread::scope(|scope| {
        if let Some(place) = case.flaps {
            let (fabric, stop) = (&fabric, &stop);
            scope.spawn(move || flapping(fabric, place, stop));
        }
        let done = catch_unwind(AssertUnwindSafe(|| run.finish(PATIENCE)));
        stop.store(true, Ordering::Relaxed);
        done.unwrap_or_else(|why| resume_unwind(why))
    });
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
        .filter(|finding| finding["standing"] == "confirmed" && finding["blame"] != "instrument")
        .map(|finding| {
            let rivals = finding["cannot_exclude"].as_array().into_iter().flatten();
            let named = std::iter::once(&finding["suspect"]).chain(rivals);
            (word(&finding["kind"]), named.map(|suspect| word(&suspect["id"])).collect())
        })
        .collect()
}

/// What is missing or too much; empty when the report is right.
fn wrong(case: &Case, found: &[(String, Vec<String>)]) -> Vec<String> {
    let mut open: Vec<&(String, Vec<String>)> = found.iter().collect();
    let mut wrong = Vec::new();
    for (kind, suspects) in &case.wanted {
        let is = |(found, named): &(String, Vec<String>)| {
            found == kind && suspects.iter().any(|suspect| named.contains(suspect))
        };
        match open.iter().position(|finding| is(finding)) {
            Some(at) => _ = open.remove(at),
            None => wrong.push(format!("no {kind} with {suspects:?}")),
        }
    }
    wrong.extend(open.iter().map(|(kind, named)| format!("{kind} {named:?} is not so")));
    wrong
}

fn judge(cases: &[fn(usize) -> Case], seeds: usize) {
    if !require("root") {
        return;
    }
    let mut failed = Vec::new();
    for (case, seed) in cases.iter().flat_map(|case| (0..seeds).map(move |seed| (case, seed))) {
        let case = case(seed);
        let (report, text) = measure(&case);
        let found = confirmed(&report);
        let wrong = wrong(&case, &found);
        let named: Vec<String> =
            found.iter().map(|(kind, named)| format!("{kind} {}", named.join(" or "))).collect();
        let named = if named.is_empty() { "nothing".to_owned() } else { named.join("; ") };
        let right = if wrong.is_empty() { "right" } else { "WRONG" };
        println!("| {} | {seed} | {} | {named} | {right} |", case.name, report["verdict"]);
        for state in ["idle", "under load"] {
            let matrix = format!("round trips from leaf to leaf, {state}");
            assert!(text.contains(&matrix), "no {matrix} in\n{text}");
        }
        if case.wanted.is_empty() || !wrong.is_empty() {
            println!("{text}");
        }
        if !wrong.is_empty() {
            failed.push(format!("{}, seed {seed}: {}", case.name, wrong.join("; ")));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn what_is_damaged_is_named_and_a_sound_fabric_accuses_nobody() {
    let seeds = std::env::var("LOADBANK_FABRIC").ok().and_then(|text| text.parse().ok());
    match seeds {
        Some(seeds) => judge(&CASES, seeds),
        // One of each sort that the others build on: the rest takes half an hour.
        None => judge(&[none, cut, two], 1),
    }
}
