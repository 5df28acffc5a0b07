//! GO is an instant: agents whose clocks are shifted and drift begin together all the same,
//! and the coordinator's claim about each clock holds. Real processes, false clocks.

#![allow(clippy::unwrap_used, reason = "a test that meets nothing ends there")]

use std::collections::BTreeMap;
use std::time::Duration;

use agent::clock::{AgentClock, FalseClock, monotonic_ns};
use coordinator::store::{JournalEntry, NodeClock, RunFile};
use model::record::Record;
use proto::convert::records_from_batch;
use system_tests::bank::RUN_PATIENCE;
use system_tests::process::spent_during;
use system_tests::{Bank, record, wait_until};

const MS: f64 = 1e6;
const AGENTS: usize = 32;
const OFFSET_MAX_NS: i64 = 50_000_000;
const DRIFT_MAX_PPB: i64 = 50_000;
/// Unix time at monotonic zero, the same for every agent: its true value does not matter.
const BASE_NS: i64 = 1_700_000_000_000_000_000;
/// What GO promises.
const SKEW_MAX_NS: f64 = 1.0 * MS;
/// Starts in which the claimed error must cover the truth.
const COVERED_LEAST: f64 = 0.95;
/// A worker process that waits may spend this share of a core: 60 wake-ups a second.
const IDLE_WORKER_CORES_MAX: f64 = 0.05;

/// Offsets from end to end, drifts in another order.
fn false_clock(index: usize, epoch_ns: u64) -> FalseClock {
    let spread = |max: i64, place: usize| 2 * max * place as i64 / (AGENTS as i64 - 1) - max;
    FalseClock {
        offset_ns: spread(OFFSET_MAX_NS, index),
        drift_ppb: spread(DRIFT_MAX_PPB, index * 13 % AGENTS),
        epoch_ns,
        base_ns: Some(BASE_NS),
    }
}

/// One quiet phase on a single node, so that the others' workers can be watched at rest, and
/// then phases that only begin.
fn plan() -> String {
    let rest = "[[phase]]\nname = \"rest\"\nkind = \"idle\"\nseconds = 12\non = \"n1\"\n";
    let begin =
        |i| format!("[[phase]]\nname = \"p{i}\"\nkind = \"idle\"\nseconds = {}\n", 1 + i % 2);
    let phases: String = (1..=12).map(begin).collect();
    format!("schema = 1\nname = \"clocks\"\nrequires = [\"data_plane\"]\n{rest}{phases}")
}

/// The p-th of the values, nearest rank.
fn quantile(values: &mut [f64], p: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let rank = (values.len() as f64 * p).ceil() as usize;
    values[rank.clamp(1, values.len()) - 1]
}

/// A claim about one start of one agent: the coordinator's time at monotonic zero.
#[derive(Debug, Clone, Copy)]
struct Claim {
    base_ns: f64,
    error_ns: f64,
}

/// What the coordinator sent, seen on the one clock that all processes share. The instant
/// that an agent was told is turned back by its false clock; the difference to the instant
/// that was meant is the same for every agent and every start, were the claims exact.
fn claims(
    start_ns: i64,
    clocks: &[NodeClock],
    falsified: &BTreeMap<String, AgentClock>,
) -> Vec<Claim> {
    let claim = |clock: &NodeClock| {
        let told_ns = start_ns - clock.offset_ns;
        let begins_ns = falsified[&clock.node].monotonic(told_ns) as i64;
        let base_ns = (start_ns - begins_ns - BASE_NS) as f64;
        Claim { base_ns, error_ns: clock.error_ns as f64 }
    };
    clocks.iter().map(claim).collect()
}

/// The value that most claims allow, and how many they are (Marzullo).
fn agreed(claims: &[Claim]) -> (f64, usize) {
    let covering = |at: f64| claims.iter().filter(|c| (c.base_ns - at).abs() <= c.error_ns).count();
    let ends = claims.iter().map(|claim| claim.base_ns - claim.error_ns);
    ends.map(|at| (at, covering(at))).max_by_key(|(_, count)| *count).unwrap()
}

/// Differences between any two agents of one start.
fn differences(claims: &[Claim]) -> Vec<f64> {
    let pairs = |(i, a): (usize, &Claim)| {
        claims[i + 1..].iter().map(|b| (a.base_ns - b.base_ns).abs()).collect::<Vec<_>>()
    };
    claims.iter().enumerate().flat_map(pairs).collect()
}

fn print_quantiles(what: &str, values: &mut [f64]) {
    let (p50, p99) = (quantile(values, 0.5) / 1e3, quantile(values, 0.99) / 1e3);
    let max = quantile(values, 1.0) / 1e3;
    println!("{what}: p50 {p50:.1} us, p99 {p99:.1} us, max {max:.1} us, n {}", values.len());
}

/// Share of a core that a worker at rest spends, on average.
fn idle_cores(bank: &Bank) -> f64 {
    let look = Duration::from_secs(2);
    let resting: Vec<_> =
        (2..=AGENTS).flat_map(|index| bank.workers_of(&format!("n{index}"))).collect();
    assert_eq!(resting.len(), 2 * (AGENTS - 1), "a device and a fabric worker each");
    spent_during(&resting, look).as_secs_f64() / look.as_secs_f64() / resting.len() as f64
}

fn starts_of(bank: &Bank, run: &str) -> Vec<(usize, i64, Vec<NodeClock>)> {
    let start = |entry| match entry {
        JournalEntry::PhaseStarts { phase, start_ns, clocks, .. } => {
            Some((phase, start_ns, clocks))
        }
        _ => None,
    };
    record::journal(&bank.run_folder(run)).into_iter().filter_map(start).collect()
}

#[test]
fn thirty_two_false_clocks_begin_together() {
    let mut bank = Bank::new();
    bank.serve();
    let epoch_ns = monotonic_ns();
    let mut falsified = BTreeMap::new();
    for index in 0..AGENTS {
        let node = format!("n{}", index + 1);
        let clock = false_clock(index, epoch_ns);
        let FalseClock { offset_ns, drift_ppb, .. } = clock;
        let switch = format!("--false-clock={offset_ns},{drift_ppb},{epoch_ns},{BASE_NS}");
        bank.agent(&node, index, &[&switch]);
        falsified.insert(node, AgentClock::start(clock));
    }
    bank.wait_for_agents(AGENTS);
    let (mut run, watch, id) = bank.begin(&plan());
    watch.wait_for_phase("rest", 1.0);
    let idle = idle_cores(&bank);
    println!("a worker at rest: {:.4} cores", idle);
    assert_eq!(run.finish(RUN_PATIENCE).code.map(|code| code < 4), Some(true));

    let starts = starts_of(&bank, &id);
    assert_eq!(starts.len(), 13);
    let (mut all, mut skews, mut errors) = (Vec::new(), Vec::new(), Vec::new());
    // The first start on all of them is the one that no phase before it has warmed up.
    for (phase, start_ns, clocks) in starts.iter().filter(|(phase, ..)| *phase > 1) {
        assert_eq!(clocks.len(), AGENTS, "every agent is told phase {phase}");
        let claims = claims(*start_ns, clocks, &falsified);
        skews.extend(differences(&claims));
        errors.extend(claims.iter().map(|claim| claim.error_ns));
        all.extend(claims);
    }
    let (truth, covered) = agreed(&all);
    let share = covered as f64 / all.len() as f64;
    let mut off: Vec<f64> = all.iter().map(|claim| (claim.base_ns - truth).abs()).collect();
    print_quantiles("difference of two agents' starts", &mut skews);
    print_quantiles("distance from the common instant", &mut off);
    print_quantiles("claimed error", &mut errors);
    println!("claims that cover it: {:.2} % of {}", share * 100.0, all.len());
    assert!(quantile(&mut skews, 0.99) < SKEW_MAX_NS);
    assert!(share >= COVERED_LEAST, "{share}");
    assert!(idle <= IDLE_WORKER_CORES_MAX, "{idle} cores");
}

/// Intended and actual instants of every load that was started.
fn load_starts(bank: &Bank, run: &str) -> Vec<f64> {
    let file = RunFile::open(&bank.run_folder(run)).unwrap();
    let mut late = Vec::new();
    let read = file.for_each_batch(run, |stored| {
        for record in records_from_batch(&stored.batch).unwrap().records {
            if let Record::Start(start) = record {
                late.push((start.actual_ns - start.intended_ns) as f64);
            }
        }
        Ok(())
    });
    read.unwrap();
    late
}

#[test]
fn loads_start_within_a_millisecond_of_their_instant() {
    let bank = Bank::with_agents(2);
    let hold = |i| {
        let load = "load = { kernel = \"fp64\", percent = 60 }";
        format!("[[phase]]\nname = \"h{i}\"\nkind = \"hold\"\nseconds = 2\n{load}\n")
    };
    let phases: String = (1..=8).map(hold).collect();
    let plan = format!("schema = 1\nname = \"starts\"\nrequires = [\"compute\"]\n{phases}");
    let (mut run, _watch, id) = bank.begin(&plan);
    assert_eq!(run.finish(RUN_PATIENCE).code.map(|code| code < 4), Some(true));
    let mut late = wait_until("the starts are stored", RUN_PATIENCE, || {
        Some(load_starts(&bank, &id)).filter(|late| late.len() == 16)
    });
    let earliest = quantile(&mut late, 0.0);
    print_quantiles("load began after its instant", &mut late);
    println!("earliest: {:.1} us", earliest / 1e3);
    // A machine that does something else beside proves nothing about the scheduler.
    let quiet = std::env::var(system_tests::REQUIRE).unwrap_or_default();
    if quiet.split(',').any(|word| word.trim() == "quiet") {
        assert!(earliest >= 0.0 && quantile(&mut late, 1.0) < SKEW_MAX_NS);
    }
}
