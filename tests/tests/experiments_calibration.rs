//! Experiments on simulated halls: healthy ones stay without findings of theirs, and each
//! experiment finds its planted fault. `docs/experiments.md` has the same counts.

#![allow(clippy::unwrap_used, reason = "a test that meets nothing ends there")]

use analysis::{Digest, Terms, tables};
use model::{Report, RunFacts, Site, Source, Standing};
use sim::fault::Fault;
use sim::hall::HallShape;
use sim::physics::Physics;
use sim::world::{Sampling, World};

/// Healthy halls of each experiment.
const HEALTHY: u64 = 40;
/// Halls with a fault of each experiment.
const FAULTY: u64 = 5;
/// Rows of each phase: medians of a dozen readings.
const ROWS: u32 = 12;

/// A small room with two devices a node: eight racks on PDU pairs, loops across two racks.
fn room() -> Site {
    HallShape { devices: 2, node_kw: 2.4, ..HallShape::room_32() }.site().expect("a site")
}

/// What is said of a plan of one phase after an idle one.
fn judged(site: &Site, phase: &str, faults: &[&str], seed: u64) -> Report {
    let text = format!(
        "schema = 1\nname = \"e\"\nrequires = [\"compute\"]\nseed = {seed}\n\
         [[phase]]\nkind = \"idle\"\nseconds = 300\n[[phase]]\n{phase}\n"
    );
    let plan = formats::plan::parse("plan.toml", &text).unwrap().expanded(Some(site)).unwrap();
    let faults: Vec<Fault> = faults.iter().map(|fault| Fault::read(fault, site).unwrap()).collect();
    let world = World::new(site, &plan, &faults, seed, Physics::default()).unwrap();
    let mut digest = Digest::new(&plan);
    for columns in world.samples(Sampling::per_phase(ROWS)) {
        digest.add_samples(&columns);
    }
    digest.add_meters(&world.meters());
    let mut seen = digest.finish(RunFacts::default());
    seen.facts = tables::facts(&seen.seen, Some(site), &plan, Source::Rehearsal);
    let policy = formats::policy::builtin();
    analysis::judge(&Terms { plan: &plan, site: Some(site), policy: &policy }, &seen)
}

/// Confirmed findings that an experiment made or changed.
fn of_experiments(report: &Report) -> Vec<String> {
    let told = report.findings.iter().filter(|finding| {
        let cited = finding.evidence.iter().any(|line| line.contains("experiment "));
        let coupled = finding.suspect.kind == "cut";
        finding.standing == Standing::Confirmed && (cited || coupled)
    });
    told.map(|f| format!("{} {} {:?}", f.kind.word(), f.suspect.id, f.evidence)).collect()
}

const ISOLATED: &str = "kind = \"isolated\"\nby = \"pdu\"\nseconds = 180";
const HALVES: &str = "kind = \"halves\"\nover = [\"pdu\", \"loop\"]\nseconds = 180";
const COUPLING: &str = "kind = \"coupling\"\nby = \"loop\"\nseconds = 180";
const WIRING: &str = "kind = \"wiring\"\nby = \"pdu\"\nseconds = 60";

#[test]
#[ignore = "160 halls take many minutes on a busy machine: run by hand"]
fn healthy_halls_have_no_finding_of_an_experiment() {
    let site = room();
    let mut wrong = Vec::new();
    for phase in [ISOLATED, HALVES, COUPLING, WIRING] {
        for seed in 1..=HEALTHY {
            let found = of_experiments(&judged(&site, phase, &[], seed));
            wrong.extend(found.into_iter().map(|found| format!("{phase} seed {seed}: {found}")));
        }
    }
    assert!(wrong.is_empty(), "{} of {}: {wrong:#?}", wrong.len(), 4 * HEALTHY);
}

/// How often a fault's finding has the suspect wanted, and how many suspects it has then.
fn found(phase: &str, fault: &str, wanted: &str) -> Vec<usize> {
    let site = room();
    let each = (1..=FAULTY).filter_map(|seed| {
        let report = judged(&site, phase, &[fault], seed);
        let mut findings =
            report.findings.iter().filter(|found| found.standing == Standing::Confirmed);
        let found = findings.find(|found| {
            let rivals = found.cannot_exclude.iter().map(|suspect| suspect.id.as_str());
            found.suspect.id == wanted || rivals.into_iter().any(|id| id == wanted)
        })?;
        Some(1 + found.cannot_exclude.len())
    });
    each.collect()
}

const HOLD: &str = "kind = \"hold\"\nseconds = 180";

#[test]
#[ignore = "20 halls with all their shuffles take minutes on a busy machine: run by hand"]
fn halves_tell_a_limit_of_supplies_and_a_warm_place_apart() {
    // The warm place stays under its floor in two of the rooms: nothing is confirmed there.
    for (fault, wanted, by_hold, (by_halves, least)) in
        [("pdu_limit:pdu-a-2", "pdu-a-2", 3, (2, 5)), ("recirculation:rack-2", "rack-2", 3, (1, 3))]
    {
        assert_eq!(found(HOLD, fault, wanted), [by_hold; FAULTY as usize], "{fault}, hold");
        let halves = found(HALVES, fault, wanted);
        assert!(halves.len() >= least, "{fault}, halves: {halves:?}");
        assert!(halves.iter().all(|suspects| *suspects == by_halves), "{fault}: {halves:?}");
    }
}

#[test]
fn isolated_finds_an_exchanger_that_all_its_loops_overload_together() {
    let fault = "cdu_capacity:cdu-1";
    let found = found(ISOLATED, fault, "cdu-1");
    assert_eq!(found.len(), FAULTY as usize, "{found:?}");
}

#[test]
fn coupling_names_loops_that_share_what_nobody_drew() {
    let found = found(COUPLING, "shared_header:loop-1>loop-3", "loop-1>loop-3");
    assert_eq!(found, [1; FAULTY as usize]);
}

#[test]
fn wiring_names_two_meters_that_are_swapped_and_says_that_they_count_for_nothing() {
    let found = found(WIRING, "swapped_meters:pdu-a-2>pdu-a-5", "pdu-a-5");
    assert_eq!(found, [2; FAULTY as usize]);
    let report = judged(&room(), WIRING, &["swapped_meters:pdu-a-2>pdu-a-5"], 1);
    let gap = report.not_measured.iter().find(|gap| gap.what == "meters").unwrap();
    assert!(gap.why.contains("pdu-a-2, pdu-a-5"), "{gap:?}");
    let cited = |found: &&model::Finding| found.evidence.iter().any(|l| l.contains("experiment "));
    let mut own = report.findings.iter().filter(cited);
    assert!(own.all(|found| found.blame == model::Blame::Instrument));
}

#[test]
fn the_same_plan_site_and_seed_give_the_same_report() {
    let site = room();
    let twice = [1, 1].map(|seed| judged(&site, HALVES, &["pdu_limit:pdu-a-2"], seed));
    assert_eq!(
        serde_json::to_string(&twice[0]).unwrap(),
        serde_json::to_string(&twice[1]).unwrap()
    );
}
