//! Collectives over NCCL with the real binaries, on fake GPUs and a fake NCCL that meets in a
//! hub on loopback. No GPU takes part: nothing here says how fast a collective would be.

#![allow(clippy::unwrap_used, reason = "a test that meets nothing ends there")]

use std::time::{Duration, Instant};

use serde_json::Value;
use system_tests::{Bank, Done, wait_until};

/// A bank whose agents have `gpus` GPUs each, in this order.
fn bank(gpus: &[u32], faults: &str, nccl: &str) -> Bank {
    let scripts: Vec<String> = gpus.iter().map(|gpus| format!("gpus={gpus}")).collect();
    bank_of(&scripts, faults, nccl)
}

/// The same with what the fake drivers follow on each node.
fn bank_of(scripts: &[String], faults: &str, nccl: &str) -> Bank {
    let mut bank = Bank::new();
    let cuda = system_tests::double("fake-cuda").display().to_string();
    bank.set_agent_env("LOADBANK_CUDA_LIBRARY", &cuda);
    bank.set_agent_env("LOADBANK_NCCL_LIBRARY", nccl);
    bank.set_agent_env("LOADBANK_FAKE_NCCL", faults);
    bank.serve();
    for (index, script) in scripts.iter().enumerate() {
        bank.set_agent_env("LOADBANK_FAKE_CUDA", &format!("{script} id={index}"));
        bank.agent(&format!("n{}", index + 1), 0, &[]);
    }
    bank.wait_for_agents(scripts.len());
    bank
}

fn nccl() -> String {
    system_tests::double("fake-nccl").display().to_string()
}

fn phase(op: &str, over: &str, seconds: u32) -> String {
    format!(
        "[[phase]]\nname = \"{op}\"\nkind = \"collective\"\nseconds = {seconds}\n\
         collective = {{ op = \"{op}\", bytes = 65536, over = \"{over}\" }}\n"
    )
}

fn run(bank: &Bank, phases: &str) -> Done {
    let head = "schema = 1\nname = \"nccl\"\nrequires = [\"collective\"]\n";
    let plan = bank.write("plan.toml", &format!("{head}{phases}"));
    bank.verb(&["run", &plan, "--json"])
}

fn measured<'a>(report: &'a Value, what: &str) -> Option<&'a Value> {
    report["measured"].as_array().unwrap().iter().find(|line| line["what"] == what)
}

#[test]
fn every_operation_runs_over_all_gpus_of_all_nodes_and_is_right() {
    let bank = bank(&[2, 1], "", &nccl());
    let ops = ["all_reduce", "all_gather", "reduce_scatter", "all_to_all", "send_recv"];
    let phases: String = ops.iter().map(|op| phase(op, "nccl", 2)).collect();
    let done = run(&bank, &phases);
    let report = done.json();
    assert_eq!(done.code, Some(0), "{}\n{}", done.stdout, done.stderr);
    for op in ops {
        // Three ranks: what is cut into parts leaves a word.
        let bytes = if ["all_reduce", "send_recv"].contains(&op) { 65_536 } else { 65_532 };
        let line = measured(&report, &format!("busbw_nccl_{op}_{bytes}"));
        assert!(line.is_some_and(|line| line["value"].as_f64().unwrap() > 0.0), "{op}");
    }
    assert_eq!(report["findings"], serde_json::json!([]));
}

#[test]
fn a_wrong_element_is_a_finding() {
    let bank = bank(&[1, 1], "wrong=1@3", &nccl());
    let done = run(&bank, &phase("all_reduce", "auto", 3));
    let report = done.json();
    assert_eq!(done.code, Some(1), "{}\n{}", done.stdout, done.stderr);
    let kinds: Vec<_> =
        report["findings"].as_array().unwrap().iter().map(|f| f["kind"].clone()).collect();
    assert!(kinds.contains(&serde_json::json!("host_io")), "{kinds:?}");
}

#[test]
fn a_collective_that_hangs_is_stopped_at_once() {
    let bank = bank(&[1, 1], "hang=1@40", &nccl());
    let head = "schema = 1\nname = \"nccl\"\nrequires = [\"collective\"]\n";
    let phases = phase("all_reduce", "nccl", 600);
    let plan = bank.write("plan.toml", &format!("{head}{phases}"));
    let mut running = bank.start_verb(&["run", &plan, "--json"]);
    std::thread::sleep(Duration::from_secs(6));
    let asked = Instant::now();
    assert_eq!(bank.verb(&["stop"]).code, Some(0));
    let done = running.finish(Duration::from_secs(30));
    assert_eq!(done.code, Some(130), "{}\n{}", done.stdout, done.stderr);
    assert!(asked.elapsed() < Duration::from_secs(15), "{:?}", asked.elapsed());
}

#[test]
fn a_job_of_a_supervisor_that_hangs_ends_with_its_lease() {
    let mut bank = bank(&[1, 1], "", &nccl());
    let head = "schema = 1\nname = \"nccl\"\nrequires = [\"collective\"]\n";
    let phases = phase("all_reduce", "nccl", 600);
    let (mut running, watch, _) = bank.begin(&format!("{head}{phases}"));
    watch.wait_for_phase("all_reduce", 2.0);
    let workers = bank.workers_of("n1");
    let jobs = || workers.iter().filter(|worker| worker.was_told("--nccl")).count();
    assert_eq!(jobs(), 1);
    // Stopped, it neither kills its workers nor dies and takes them along.
    bank.agent_process("n1").signal(libc::SIGSTOP);
    // Lease of 3 s, a tenth, 0.8 s to abort; the rest is for a loaded machine.
    wait_until("the job's end", Duration::from_secs(8), || (jobs() == 0).then_some(()));
    bank.agent_process("n1").signal(libc::SIGCONT);
    assert_eq!(bank.verb(&["stop"]).code, Some(0));
    let done = running.finish(Duration::from_secs(60));
    assert!(done.code.is_some_and(|code| code != 0), "{}\n{}", done.stdout, done.stderr);
}

#[test]
fn without_nccl_the_same_plan_goes_over_tcp_and_what_needs_it_is_refused() {
    let bank = bank(&[1, 1], "", "/nowhere/libnccl.so.2");
    let done = run(&bank, &phase("all_reduce", "auto", 2));
    assert_eq!(done.code, Some(0), "{}\n{}", done.stdout, done.stderr);
    assert!(measured(&done.json(), "busbw_all_reduce_65536").is_some());
    let refused = run(&bank, &phase("all_gather", "auto", 2));
    let report = refused.json();
    assert_eq!(refused.code, Some(1), "{report}");
    let kinds: Vec<_> = report["findings"].as_array().unwrap().iter().map(|f| &f["kind"]).collect();
    assert!(kinds.iter().any(|kind| *kind == "node_lost"), "{kinds:?}");
    // The agent's own words, not only that it was lost.
    let words = "all_gather needs GPUs and one version of NCCL on every node";
    assert!(report["findings"].to_string().contains(words), "{report}");
    assert!(measured(&report, "busbw_all_gather_65536").is_none());
}

#[test]
fn a_gpu_that_takes_no_load_is_no_rank() {
    // Another process holds one of the first node's two.
    let bank = bank_of(&["gpus=2 full=1".to_owned(), "gpus=1".to_owned()], "", &nccl());
    let idle = "[[phase]]\nname = \"idle\"\nkind = \"idle\"\nseconds = 3\n";
    let done = run(&bank, &format!("{idle}{}", phase("all_gather", "nccl", 3)));
    let report = done.json();
    // Two ranks share 65536 bytes evenly; three would leave some.
    let line = measured(&report, "busbw_nccl_all_gather_65536");
    assert!(line.is_some_and(|line| line["value"].as_f64().unwrap() > 0.0), "{report}");
    assert!(report["not_measured"].to_string().contains("out of memory"), "{report}");
}
