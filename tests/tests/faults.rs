//! What is killed, and what must be true afterwards: no heat, no gap, no forgetting.

#![allow(clippy::unwrap_used, reason = "a test that meets nothing ends there")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use coordinator::store::JournalEntry;
use serde_json::Value;
use system_tests::bank::RUN_PATIENCE;
use system_tests::process::{Worker, spent_during};
use system_tests::{Bank, Done, plans, record, wait_until};

/// The coordinator's defaults: no heat outlives it by more than both.
const LEASE: Duration = Duration::from_secs(3);
const RAMP: Duration = Duration::from_secs(2);
/// What is killed is gone, and what depends on it, after this.
const GONE: Duration = Duration::from_secs(2);
/// Long enough to tell a load from a process that waits.
const LOOK: Duration = Duration::from_secs(1);

#[test]
fn an_agent_that_is_killed_takes_its_workers_along_and_the_others_finish() {
    let mut bank = Bank::with_agents(3);
    let (mut run, watch, id) = bank.begin(&plans::loaded_then_hold(7, 3));
    watch.wait_for_phase("loaded", 1.5);
    let orphans = bank.workers_of("n2");
    assert_heats(&orphans);
    bank.agent_process("n2").kill();
    wait_until("no worker without its agent", GONE, || none_lives(&orphans).then_some(()));

    let done = run.finish(RUN_PATIENCE);
    assert_eq!(done.code, Some(1), "{}\n{}", done.stdout, done.stderr);
    let report = done.json();
    let lost = of_kind(&report, "node_lost");
    assert_eq!(lost.len(), 1, "{report}");
    assert_eq!(lost[0]["standing"], "confirmed");
    assert_eq!(lost[0]["suspect"]["kind"], "node");
    assert_eq!(lost[0]["suspect"]["id"], "n2");
    assert_eq!(report["coverage"]["phases_completed"], 2, "{report}");
    let after: Vec<&Value> = report["measured"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|line| line["what"] == "gflops_fp64" && line["phase"] == "after")
        .map(|line| &line["where"]["id"])
        .collect();
    assert_eq!(after, ["n1/0", "n3/0"], "the others went on");
    assert_eq!(bank.run_row(&id).unwrap()["state"], "finished");
}

#[test]
fn a_coordinator_that_is_killed_leaves_no_heat_and_no_gap_and_a_person_resumes() {
    let mut bank = Bank::with_agents(2);
    let (mut run, watch, id) = bank.begin(&plans::hold(12));
    watch.wait_for_phase("hold", 3.5);
    let heating = bank.workers();
    assert_heats(&heating);
    // From the signal on: a process whose disk is slow may take a while to be gone.
    let killed = Instant::now();
    bank.coordinator().kill();
    let acknowledged = record::batches(&bank.run_folder(&id));
    assert!(!acknowledged.is_empty(), "nothing was stored before the crash");

    std::thread::sleep((LEASE + RAMP + Duration::from_secs(1)).saturating_sub(killed.elapsed()));
    assert_idle(&heating, "lease and ramp are over");

    bank.serve();
    bank.wait_for_agents(2);
    let cut = run.finish(RUN_PATIENCE);
    assert_eq!(cut.code, Some(4), "{}\n{}", cut.stdout, cut.stderr);
    assert!(cut.stderr.contains("suspended"), "{}", cut.stderr);
    assert_eq!(bank.run_row(&id).unwrap()["state"], "suspended");
    wait_for_uploads(&bank, &id, &["n1", "n2"]);
    let now = record::batches(&bank.run_folder(&id));
    let forgotten: Vec<_> = acknowledged.difference(&now).collect();
    assert!(forgotten.is_empty(), "acknowledged and gone: {forgotten:?}");
    assert!(now.len() > acknowledged.len(), "what was made meanwhile came");
    assert_contiguous(&bank, &id);
    std::thread::sleep(LEASE);
    assert_idle(&bank.workers(), "nobody said resume");
    assert_eq!(bank.run_row(&id).unwrap()["state"], "suspended");

    let resumed = bank.verb(&["resume", &id, "--json"]);
    assert!(matches!(resumed.code, Some(0 | 1)), "{}\n{}", resumed.stdout, resumed.stderr);
    let row = bank.run_row(&id).unwrap();
    assert_eq!(row["state"], "finished");
    assert_eq!(row["verdict"], resumed.json()["verdict"]);
    let journal = record::journal(&bank.run_folder(&id));
    let told = |wanted: fn(&JournalEntry) -> bool| journal.iter().filter(|e| wanted(e)).count();
    assert_eq!(told(|entry| matches!(entry, JournalEntry::Suspended { .. })), 1);
    assert_eq!(told(|entry| matches!(entry, JournalEntry::Resumed { .. })), 1);
    assert_contiguous(&bank, &id);
}

#[test]
fn an_agent_that_is_started_again_uploads_what_its_first_life_left() {
    let mut bank = Bank::with_agents(3);
    let (mut run, watch, id) = bank.begin(&plans::hold(9));
    watch.wait_for_phase("hold", 1.5);
    let first = instance_of(&bank, "n1");
    // A coordinator that stands still takes nothing, so that something is left for sure.
    bank.coordinator().signal(libc::SIGSTOP);
    std::thread::sleep(Duration::from_millis(1500));
    bank.agent_process("n1").kill();
    let left = record::spooled(&bank.agent_dir("n1"));
    bank.coordinator().signal(libc::SIGCONT);
    let [(instance, from_seq, to_seq)] = left.as_slice() else {
        panic!("one stream waits: {left:?}");
    };
    assert_eq!(*instance, first);
    assert!(from_seq <= to_seq, "{left:?}");

    bank.agent("n1", 0, &[]);
    let done = run.finish(RUN_PATIENCE);
    assert_eq!(done.code, Some(1), "{}\n{}", done.stdout, done.stderr);
    wait_until("the first life's batches", RUN_PATIENCE, || {
        let stored = record::by_instance(&record::batches(&bank.run_folder(&id)));
        stored.get(&first).filter(|(_, _, highest)| highest >= to_seq).map(|_| ())
    });
    let stored = record::by_instance(&record::batches(&bank.run_folder(&id)));
    let (node, count, highest) = &stored[&first];
    assert_eq!((node.as_str(), *count, highest), ("n1", *to_seq, to_seq), "no gap: {stored:?}");
    assert_ne!(instance_of(&bank, "n1"), first);
    let lost = of_kind(&judged(&bank, &id).json(), "node_lost");
    assert_eq!(lost.len(), 1, "{lost:?}");
    assert_eq!(lost[0]["suspect"]["id"], "n1");
}

#[test]
fn a_stop_of_a_suspended_run_ramps_what_still_heats() {
    let mut bank = Bank::with_agents(2);
    let (_run, watch, id) = bank.begin(&plans::hold(30));
    watch.wait_for_phase("hold", 1.5);
    let heating = bank.workers();
    assert_heats(&heating);
    bank.coordinator().kill();
    let killed = Instant::now();
    bank.serve();
    wait_until("the agents are back", RUN_PATIENCE, || {
        let connected = bank.agents().iter().filter(|agent| agent["connected"] == true).count();
        (connected == 2).then_some(())
    });
    let asked = killed.elapsed();
    let mut stop = bank.start_verb(&["stop", &id]);
    let gone = wait_until("every worker is gone", LEASE + RAMP + GONE, || {
        none_lives(&heating).then(|| killed.elapsed())
    });
    let done = stop.finish(RUN_PATIENCE);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    // The ramp begins with the stop, or where the lease was lost before it: that was asked
    // for every second. A worker is told to be down a tenth of a second early.
    let begins = asked.min(LEASE - Duration::from_secs(1));
    let least = begins + RAMP - Duration::from_millis(200);
    assert!(gone >= least, "dropped: gone {gone:?} after the kill, asked {asked:?} after it");
    // How much they made came behind the end of the run, and is in its record.
    let closed = |entry: &JournalEntry| matches!(entry, JournalEntry::Closed { .. });
    wait_until("both agents closed their part", GONE, || {
        let journal = record::journal(&bank.run_folder(&id));
        (journal.iter().filter(|entry| closed(entry)).count() == 2).then_some(())
    });
}

fn assert_heats(workers: &[Worker]) {
    assert!(!workers.is_empty(), "no workers to judge by");
    let spent = spent_during(workers, LOOK);
    assert!(spent > LOOK / 4, "{spent:?} of processor time in {LOOK:?} is no load");
}

/// A worker that waits still looks at its sockets now and then.
fn assert_idle(workers: &[Worker], when: &str) {
    let spent = spent_during(workers, LOOK);
    assert!(spent < LOOK / 20, "{spent:?} of processor time in {LOOK:?}, and {when}");
}

fn none_lives(workers: &[Worker]) -> bool {
    !workers.iter().any(|worker| worker.lives())
}

fn of_kind(report: &Value, kind: &str) -> Vec<Value> {
    let findings = report["findings"].as_array().unwrap();
    findings.iter().filter(|finding| finding["kind"] == kind).cloned().collect()
}

fn judged(bank: &Bank, run: &str) -> Done {
    let folder = bank.run_folder(run).display().to_string();
    bank.loadbank(&["report", &folder, "--json"]).finish(RUN_PATIENCE)
}

fn instance_of(bank: &Bank, node: &str) -> String {
    let agents = bank.agents();
    let agent = agents.iter().find(|agent| agent["node"] == node).unwrap();
    agent["instance"].as_str().unwrap().to_owned()
}

/// Waits until the store has nearly all that lies in these agents' spools: new samples
/// come while we look.
fn wait_for_uploads(bank: &Bank, run: &str, nodes: &[&str]) {
    wait_until("the upload after the crash", RUN_PATIENCE, || {
        let stored = record::by_instance(&record::batches(&bank.run_folder(run)));
        let highest: BTreeMap<&String, u64> = stored.iter().map(|(i, s)| (i, s.2)).collect();
        let done = nodes.iter().all(|node| {
            let waiting = record::spooled(&bank.agent_dir(node));
            waiting.iter().all(|(instance, _, to_seq)| {
                highest.get(instance).is_some_and(|seq| seq + 2 >= *to_seq)
            })
        });
        done.then_some(())
    });
}

fn assert_contiguous(bank: &Bank, run: &str) {
    let stored = record::by_instance(&record::batches(&bank.run_folder(run)));
    assert!(!stored.is_empty());
    for (instance, (node, count, highest)) in &stored {
        assert_eq!(count, highest, "a gap in the batches of {node}, instance {instance}");
    }
}
