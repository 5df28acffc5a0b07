//! Chaos from seeds: whatever is killed or stands still, nothing heats without a lease, what
//! was acknowledged is kept, and the run ends in words.
//!
//! `LOADBANK_CHAOS=N` does N schedules, `LOADBANK_CHAOS_SEED=S` begins with seed S: with N = 1
//! that one alone.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use system_tests::chaos::{self, Act, Allowed, Disturbance, Schedule, Span, breach_ns};
use system_tests::require;

/// Schedules where nobody says how many.
const SCHEDULES: u64 = 20;
/// So much of a failure is said again at the end, where the last lines of a log show it.
const WORDS: usize = 600;
/// Each of them is among those.
const KINDS: usize = 11;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().and_then(|text| text.parse().ok())
}

#[test]
fn no_schedule_heats_without_a_lease_or_loses_what_was_acknowledged() {
    let seed = number("LOADBANK_CHAOS_SEED");
    let count = number("LOADBANK_CHAOS").unwrap_or(if seed.is_some() { 1 } else { SCHEDULES });
    let from = seed.unwrap_or(0);
    let mut failed = Vec::new();
    for seed in from..from + count {
        let mut schedule = Schedule::from_seed(seed);
        let acts = schedule.disturbances.iter();
        if acts.clone().any(|disturbance| disturbance.act.needs_root()) && !require("root") {
            println!("seed {seed}: without its links and disks");
            schedule.disturbances.retain(|disturbance| !disturbance.act.needs_root());
        }
        println!("{schedule}");
        match catch_unwind(AssertUnwindSafe(|| chaos::run(&schedule))) {
            Ok(ended) => println!("seed {seed}: {ended}"),
            Err(why) => {
                let why = why.downcast_ref::<String>().map_or("no words", String::as_str);
                let why = why.chars().take(WORDS).collect::<String>();
                println!("seed {seed}: FAILED: {why}");
                failed.push(format!("seed {seed}: {why}"));
            }
        }
    }
    let failed = failed.join("\n");
    assert!(failed.is_empty(), "LOADBANK_CHAOS_SEED=S runs one alone:\n{failed}");
}

#[test]
fn workers_of_a_supervisor_that_hangs_stop_with_its_lease() {
    let act = Act::PauseAgent { agent: 0, for_ms: 9000 };
    let disturbances = vec![Disturbance { at_ms: 1000, act }];
    let (agents, loaded_s, hold_s) = (2, 3, 12);
    let schedule = Schedule { seed: 0, agents, loaded_s, hold_s, resumes: false, disturbances };
    println!("{}", chaos::run(&schedule));
}

#[test]
fn a_seed_gives_the_same_schedule_in_order_and_seeds_differ() {
    for seed in 0..200 {
        let schedule = Schedule::from_seed(seed);
        assert_eq!(schedule, Schedule::from_seed(seed));
        assert!((2..=3).contains(&schedule.agents));
        assert!((2..=4).contains(&schedule.disturbances.len()));
        assert!(schedule.disturbances.is_sorted_by_key(|disturbance| disturbance.at_ms));
    }
    let usual = (0..SCHEDULES).flat_map(|seed| Schedule::from_seed(seed).disturbances);
    let kinds: BTreeSet<_> = usual.map(|disturbance| disturbance.act.kind()).collect();
    assert_eq!(kinds.len(), KINDS, "{kinds:?}");
    assert_ne!(Schedule::from_seed(1).disturbances, Schedule::from_seed(2).disturbances);
}

#[test]
fn heat_beyond_a_lease_is_a_breach_and_heat_within_is_none() {
    let log = "DEBUG lease now_ns=100 idle_from_ns=500\nINFO other\nDEBUG lease now_ns=300 idle_from_ns=700\n";
    let allowed = Allowed::from_log(log);
    let span = |from_ns, to_ns| Span { from_ns, to_ns };
    assert_eq!(breach_ns(&allowed, span(100, 700), 600, 0), 0);
    assert_eq!(breach_ns(&allowed, span(100, 800), 700, 0), 100);
    assert_eq!(breach_ns(&allowed, span(700, 800), 40, 0), 40);
    assert_eq!(breach_ns(&allowed, span(700, 800), 40, 50), 0);
    assert_eq!(breach_ns(&allowed, span(0, 100), 40, 0), 40, "before the first lease");
    assert_eq!(breach_ns(&Allowed::default(), span(0, 100), 40, 1000), 40);
    // A drop ends what an earlier line allowed.
    let dropped =
        Allowed::from_log("lease now_ns=100 idle_from_ns=500\nlease now_ns=200 idle_from_ns=200\n");
    assert_eq!(breach_ns(&dropped, span(100, 500), 400, 0), 300);
}

#[test]
fn a_wall_clock_steps_under_a_process_that_runs() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("clock");
    let mut child = Command::new(std::env::current_exe().expect("a program"))
        .args(["--exact", "says_what_its_clocks_say", "--ignored", "--nocapture"])
        .env("LD_PRELOAD", system_tests::double("fake-clock"))
        .env("LOADBANK_FAKE_CLOCK", &file)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this program again");
    let mut asks = child.stdin.take().expect("a pipe");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let mut off_s = || {
        let began = Instant::now();
        asks.write_all(b"?\n").expect("it listens");
        let line = lines.find_map(|line| Some(line.ok()?.strip_prefix("unix ")?.to_owned()));
        let theirs: f64 = line.and_then(|line| line.parse().ok()).expect("a number");
        let ours = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
        assert!(began.elapsed() < Duration::from_secs(20), "too slow a machine to tell");
        theirs - ours.as_secs_f64()
    };
    assert!(off_s().abs() < 20.0, "no file moves nothing");
    for step_s in [60, -60, 0] {
        std::fs::write(&file, step_s.to_string()).expect("a file");
        let off_s = off_s();
        assert!((off_s - f64::from(step_s)).abs() < 20.0, "{step_s}: {off_s}");
    }
    drop(asks);
    assert!(child.wait().expect("a child").success());
}

/// The other end of the test above: its wall clock for each line, and a monotonic clock
/// that never jumps.
#[test]
#[ignore = "started by the test of the false clock"]
fn says_what_its_clocks_say() {
    let began = Instant::now();
    for _ in std::io::stdin().lines() {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
        println!("\nunix {}", now.as_secs_f64());
        assert!(began.elapsed() < Duration::from_secs(50), "the monotonic clock jumped");
    }
}
