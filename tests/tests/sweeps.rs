//! Runs that begin by themselves, with the real binaries. GPUs are fake ones whose power a script
//! says, so that something can drift.

#![allow(clippy::unwrap_used, reason = "a test that meets nothing ends there")]

use std::time::Duration;

use serde_json::Value;
use system_tests::{Bank, wait_until};

const PLAN: &str = "schema = 1\nname = \"night\"\nrequires = [\"compute\"]\n[[phase]]\n\
    name = \"hold\"\nkind = \"hold\"\nseconds = 5\nload = { kernel = \"fp32\" }\n";

fn bank(nodes: &[&str], more: &[&str]) -> Bank {
    let mut bank = Bank::new();
    let _ = bank.write("gpus.txt", "gpus 1\ngpu 0 power 600\n");
    let cuda = system_tests::double("fake-cuda").display().to_string();
    bank.set_agent_env("LOADBANK_CUDA_LIBRARY", &cuda);
    bank.serve_with(more);
    for (id, node) in nodes.iter().enumerate() {
        bank.set_agent_env("LOADBANK_FAKE_CUDA", &format!("gpus=1 plain=1 id={id}"));
        bank.gpu_agent(node, "gpus.txt");
    }
    bank.wait_for_agents(nodes.len());
    bank
}

fn add(bank: &Bank, more: &[&str]) -> Value {
    let plan = bank.write("night.toml", PLAN);
    let done = bank.verb(&[&["sweep", "add", "nightly", "--plan", &plan, "--json"], more].concat());
    assert_eq!(done.code, Some(0), "{done:?}");
    done.json()
}

/// The sweep as `sweep list` has it.
fn listed(bank: &Bank) -> Value {
    let done = bank.verb(&["sweep", "list", "--json"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    done.json()["sweeps"][0].clone()
}

/// Waits for the end of a run that is another than this; what became of it.
fn wait_for_run(bank: &Bank, before: &Value, patience: Duration) -> Value {
    wait_until("the sweep's run", patience, || {
        let last = listed(bank)["last"].clone();
        let over = !last.is_null() && last["what"] != "running" && last["due"] != before["due"];
        std::thread::sleep(Duration::from_millis(200));
        over.then_some(last)
    })
}

fn report(bank: &Bank, last: &Value) -> Value {
    let run = last["run"].as_str().unwrap_or_else(|| panic!("no run: {last}"));
    bank.verb(&["report", run, "--json"]).json()
}

#[test]
fn a_sweep_runs_at_its_minute_is_listed_and_its_second_run_tells_the_drift() {
    let bank = bank(&["n1"], &[]);
    let next = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(63);
    let at = next.strftime("%M %H * * *").to_string();
    let added = add(&bank, &["--at", &at]);
    assert_eq!(added["sweep"], "nightly");
    assert_eq!(listed(&bank)["last"], Value::Null);
    let first = wait_for_run(&bank, &Value::Null, Duration::from_secs(120));
    assert_eq!(first["what"], "READY", "{first}");
    let told = report(&bank, &first);
    assert!(!told.to_string().contains("drift_"), "{told}");

    let _ = bank.write("gpus.txt", "gpus 1\ngpu 0 power 500\n");
    let begun = bank.verb(&["sweep", "run", "nightly"]);
    assert_eq!(begun.code, Some(0), "{begun:?}");
    let second = wait_for_run(&bank, &first, Duration::from_secs(60));
    let told = report(&bank, &second);
    let lines = told["measured"].as_array().unwrap();
    let drifts = lines
        .iter()
        .filter(|line| line["what"].as_str().is_some_and(|what| what.starts_with("drift_power_")));
    let percent = drifts.filter_map(|line| line["value"].as_f64()).fold(0.0, f64::min);
    assert!((-18.0..-15.0).contains(&percent), "{percent} %: {told}");
    let findings = told["findings"].as_array().unwrap();
    let short = findings.iter().find(|finding| finding["kind"] == "power_short");
    let short = short.unwrap_or_else(|| panic!("{told}"));
    assert_eq!((&short["standing"], &short["suspect"]["id"]), (&"watch".into(), &"n1/0".into()));
    assert!(short["evidence"].to_string().contains("sweep nightly"), "{short}");

    // What repeats is no chance, and an old report does not change by it.
    assert_eq!(bank.verb(&["sweep", "run", "nightly"]).code, Some(0));
    let third = wait_for_run(&bank, &second, Duration::from_secs(60));
    let findings = report(&bank, &third)["findings"].clone();
    let short = findings.as_array().unwrap().iter().find(|f| f["kind"] == "power_short").cloned();
    assert_eq!(short.unwrap()["standing"], "confirmed", "{findings}");
    assert_eq!(report(&bank, &second), told);
}

#[test]
fn hooks_leave_nodes_out_and_the_one_after_always_runs() {
    let hooks = tempfile::tempdir().unwrap();
    let script = |name: &str, text: &str| {
        use std::os::unix::fs::PermissionsExt;
        let path = hooks.path().join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    let said = hooks.path().join("said.txt").display().to_string();
    script("drain", "echo \"skip n2 down for repair\"");
    script("undrain", &format!("echo \"$1 $LOADBANK_NODES $LOADBANK_VERDICT\" >> {said}"));
    script("broken", "exit 3");
    let folder = hooks.path().display().to_string();
    let bank = bank(&["n1", "n2"], &["--sweep-hooks", &folder]);
    let never = ["--at", "0 0 29 2 *", "--after", "undrain"];
    add(&bank, &[never.as_slice(), &["--before", "drain"]].concat());
    assert_eq!(bank.verb(&["sweep", "run", "nightly"]).code, Some(0));
    let again = bank.verb(&["sweep", "run", "nightly"]);
    assert_ne!(again.code, Some(0), "two never overlap: {again:?}");
    let told = ["runs just now", "is active"].iter().any(|words| again.stderr.contains(words));
    assert!(told, "{}", again.stderr);
    let first = wait_for_run(&bank, &Value::Null, Duration::from_secs(60));
    assert_eq!(first["what"], "READY", "{first}");
    let told = report(&bank, &first);
    assert!(!told["measured"].to_string().contains("n2/0"), "{told}");
    let reasons = told["reasons"].to_string();
    assert!(reasons.contains("sweep nightly left n2 out: down for repair"), "{reasons}");

    add(&bank, &[never.as_slice(), &["--before", "broken"]].concat());
    assert_eq!(bank.verb(&["sweep", "run", "nightly"]).code, Some(0));
    let second = wait_for_run(&bank, &first, Duration::from_secs(60));
    let what = second["what"].as_str().unwrap();
    assert!(what.starts_with("skipped: the hook before it failed"), "{second}");
    assert_eq!(second["run"], Value::Null);
    let said = std::fs::read_to_string(said).unwrap();
    assert_eq!(said, "nightly n1,n2 READY\nnightly n1,n2 NOT_RUN\n");

    let wrong = bank.verb(&[
        "sweep",
        "add",
        "x",
        "--plan",
        "quick",
        "--at",
        "0 0 * * *",
        "--before",
        "../sh",
    ]);
    assert_eq!(wrong.code, Some(2), "{wrong:?}");
    assert!(wrong.stderr.contains("plain name"), "{}", wrong.stderr);
    assert_eq!(bank.verb(&["sweep", "rm", "nightly"]).code, Some(0));
    assert_eq!(listed(&bank), Value::Null);
}

/// A run that outlasts any window of a test.
fn long(bank: &Bank) -> String {
    bank.write("long.toml", &PLAN.replace("seconds = 5", "seconds = 600"))
}

fn wait_until_it_runs(bank: &Bank) -> String {
    wait_until("the sweep's run to be told", Duration::from_secs(60), || {
        std::thread::sleep(Duration::from_millis(200));
        let last = listed(bank)["last"].clone();
        last["run"].as_str().filter(|run| !run.is_empty()).map(str::to_owned)
    })
}

#[test]
fn a_run_is_ramped_down_when_its_window_ends() {
    let bank = bank(&["n1"], &[]);
    // The minute that is 15 to 75 seconds away.
    let now = jiff::Timestamp::now();
    let end = (now + jiff::SignedDuration::from_secs(75)).strftime("%H:%M").to_string();
    let start = (now - jiff::SignedDuration::from_secs(60)).strftime("%H:%M").to_string();
    let plan = long(&bank);
    let window = format!("{start}-{end}");
    let add = ["sweep", "add", "nightly", "--plan", &plan, "--at", "0 0 29 2 *", "--window"];
    let added = bank.verb(&[add.as_slice(), &[&window]].concat());
    assert_eq!(added.code, Some(0), "{added:?}");
    assert_eq!(bank.verb(&["sweep", "run", "nightly"]).code, Some(0));
    let last = wait_for_run(&bank, &Value::Null, Duration::from_secs(120));
    assert_eq!(last["what"], "INTERRUPTED", "{last}");
    let report = report(&bank, &last);
    assert_eq!(report["exit_code"], 130, "{report}");
    let seconds = report["run"]["seconds"].as_f64().unwrap();
    assert!((5.0..100.0).contains(&seconds), "{seconds} s: {report}");
    let outside = bank.verb(&["sweep", "run", "nightly"]);
    assert_eq!(outside.code, Some(2), "{outside:?}");
    assert!(outside.stderr.contains("outside of the window"), "{}", outside.stderr);
}

#[test]
fn a_coordinator_that_died_in_a_sweep_owes_its_hook_and_heats_nothing_by_itself() {
    let hooks = tempfile::tempdir().unwrap();
    let path = hooks.path().join("undrain");
    let said = hooks.path().join("said.txt").display().to_string();
    let text = format!("#!/bin/sh\necho \"$1 $LOADBANK_RUN $LOADBANK_VERDICT\" >> {said}\n");
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let serve = ["--sweep-hooks".to_owned(), hooks.path().display().to_string()];
    let serve: Vec<&str> = serve.iter().map(String::as_str).collect();
    let mut bank = bank(&["n1"], &serve);
    let plan = long(&bank);
    let added = bank.verb(&[
        "sweep",
        "add",
        "nightly",
        "--plan",
        &plan,
        "--at",
        "0 0 29 2 *",
        "--after",
        "undrain",
    ]);
    assert_eq!(added.code, Some(0), "{added:?}");
    assert_eq!(bank.verb(&["sweep", "run", "nightly"]).code, Some(0));
    let run = wait_until_it_runs(&bank);
    bank.coordinator().kill();
    bank.serve_with(&serve);
    let last = wait_for_run(&bank, &Value::Null, Duration::from_secs(60));
    assert_eq!((last["run"].as_str(), said.is_empty()), (Some(run.as_str()), false));
    let what = last["what"].as_str().unwrap();
    assert!(what.starts_with("the coordinator ended in the middle of it"), "{last}");
    let told = std::fs::read_to_string(said).unwrap();
    assert_eq!(told, format!("nightly {run} NOT_JUDGED\n"));
    // The run waits for a person; nothing brings its heat back, and no other sweep begins over it.
    let row = bank.run_row(&run).unwrap();
    assert_eq!(row["state"], "suspended", "{row}");
}
