//! Whole runs of the real binaries on fake GPUs: what their drivers do reaches the report.
//! No GPU takes part.

#![allow(clippy::unwrap_used, reason = "a test that meets nothing ends there")]

use serde_json::Value;
use system_tests::{Bank, Done};

/// Four seconds of heat in a kernel.
fn plan(kernel: &str) -> String {
    format!(
        r#"schema = 1
name = "gpu"
requires = ["compute"]

[[phase]]
name = "hold"
kind = "hold"
seconds = 4
load = {{ kernel = "{kernel}" }}
"#
    )
}

/// One node, on nothing that has a rating.
const SITE: &str = "schema = 1\nname = \"room\"\n[[nodes]]\nnames = \"n1\"\nmax_kw = 8.0\n";
const PERMIT: &str = r#"schema = 1
issued_by = "tests"
site = "room"
total_kw = 40
[[window]]
from = "2020-01-01T00:00:00+01:00"
to = "2120-01-01T00:00:00+01:00"
[[waveform]]
kind = "hold"
"#;

/// A bank with one agent `n1` whose driver follows a script.
fn bank(script: &str) -> Bank {
    let mut bank = Bank::new();
    let library = system_tests::double("fake-cuda").display().to_string();
    bank.set_agent_env("LOADBANK_CUDA_LIBRARY", &library);
    bank.set_agent_env("LOADBANK_FAKE_CUDA", script);
    // Four GPUs are more than what is heated without a permit; a site goes with it.
    let permit = bank.write("permit.toml", PERMIT);
    bank.serve_with(&["--permit", &permit]);
    bank.agent("n1", 0, &[]);
    bank.wait_for_agents(1);
    bank
}

fn run(bank: &Bank, kernel: &str, more: &[&str]) -> Done {
    let plan = bank.write("plan.toml", &plan(kernel));
    let site = bank.write("site.toml", SITE);
    bank.verb(&[["run", &plan, "--site", &site, "--json"].as_slice(), more].concat())
}

fn findings<'a>(report: &'a Value, kind: &str) -> Vec<&'a Value> {
    let findings = report["findings"].as_array().unwrap();
    findings.iter().filter(|finding| finding["kind"] == kind).collect()
}

#[test]
fn gpus_are_the_devices_of_a_node_and_a_healthy_one_is_ready() {
    let bank = bank("gpus=2 id=1");
    let done = run(&bank, "bf16", &[]);
    let report = done.json();
    assert_eq!(done.code, Some(0), "{}\n{}", done.stdout, done.stderr);
    let rates = report["measured"].as_array().unwrap();
    let rated = |id: &str| {
        rates.iter().any(|line| line["what"] == "gflops_bf16" && line["where"]["id"] == id)
    };
    assert!(rated("n1/0") && rated("n1/1") && !rated("n1/2"), "{rates:?}");
}

#[test]
fn the_fleets_vote_names_the_gpu_that_is_always_wrong() {
    // In the order of their PCI addresses the driver's third is our second.
    let bank = bank("gpus=4 wrong=2");
    let done = run(&bank, "bf16", &[]);
    let report = done.json();
    let found = findings(&report, "sdc");
    assert_eq!(found.len(), 1, "{report}");
    assert_eq!(found[0]["suspect"]["id"], "n1/1");
    assert_eq!(found[0]["standing"], "confirmed");
    assert_eq!((done.code, &report["run"]["injected"]), (Some(1), &Value::Bool(false)));
}

#[test]
fn corruption_that_fools_the_gpu_itself_is_outvoted_and_called_injected() {
    let bank = bank("gpus=3");
    let report = run(&bank, "bf16", &["--inject", "n1/2/4@always"]).json();
    let found = findings(&report, "sdc");
    assert_eq!(found.len(), 1, "{report}");
    assert_eq!((&found[0]["suspect"]["id"], &found[0]["injected"]), (&"n1/2".into(), &true.into()));
}

#[test]
fn an_error_that_nobody_knows_is_a_device_error_with_its_number_and_the_others_go_on() {
    // The driver's first is our second.
    let bank = bank("gpus=2 fail=0@500:12345");
    let report = run(&bank, "bf16", &[]).json();
    let found = findings(&report, "device_error");
    assert_eq!(found.len(), 1, "{report}");
    assert_eq!(found[0]["suspect"]["id"], "n1/1");
    assert!(found[0]["evidence"].to_string().contains("error 12345"), "{}", found[0]);
}

#[test]
fn a_gpu_that_somebody_else_fills_is_refused_and_the_run_is_not_ready() {
    let bank = bank("gpus=2 full=1");
    let done = run(&bank, "bf16", &[]);
    let report = done.json();
    // What else uses this machine may be told; nothing is said against a device.
    let findings = report["findings"].as_array().unwrap();
    assert!(findings.iter().all(|finding| finding["blame"] == "instrument"), "{report}");
    assert_eq!(report["verdict"], "INCONCLUSIVE");
    assert!(report["not_measured"].to_string().contains("n1/0 takes no load: out of memory"));
}

#[test]
fn without_a_driver_the_agent_says_so_and_loads_the_cpu() {
    let mut bank = Bank::new();
    bank.set_agent_env("LOADBANK_CUDA_LIBRARY", "/nowhere/libcuda.so.1");
    let permit = bank.write("permit.toml", PERMIT);
    bank.serve_with(&["--permit", &permit]);
    bank.agent("n1", 0, &[]);
    bank.wait_for_agents(1);
    assert!(bank.agent_process("n1").stderr().contains("no NVIDIA driver"));
    let done = run(&bank, "fp64", &[]);
    assert_eq!(done.code, Some(0), "{}\n{}", done.stdout, done.stderr);
    // What only a GPU can do is refused before anything gets warm.
    let done = run(&bank, "bf16", &[]);
    assert!(done.code != Some(0) && done.json()["verdict"] != "READY", "{}", done.stdout);
}

#[test]
fn the_bench_says_that_there_is_no_gpu() {
    let bench = std::process::Command::new(env!("CARGO_BIN_EXE_bench-gpu"))
        .env("LOADBANK_CUDA_LIBRARY", "/nowhere/libcuda.so.1")
        .output()
        .unwrap();
    assert_eq!(bench.status.code(), Some(2));
    let said = String::from_utf8_lossy(&bench.stderr);
    assert!(said.contains("no GPU: no NVIDIA driver: /nowhere/libcuda.so.1"), "{said}");
}

#[test]
fn copies_over_pcie_are_measured_each_way() {
    let bank = bank("gpus=1");
    let done = run(&bank, "copy", &[]);
    let report = done.json();
    assert_eq!(done.code, Some(0), "{}\n{}", done.stdout, done.stderr);
    let lines = report["measured"].as_array().unwrap();
    for way in ["copy_to_device_gb_per_s", "copy_from_device_gb_per_s"] {
        let line = lines.iter().find(|line| line["what"] == way);
        assert!(line.is_some_and(|line| line["value"].as_f64().unwrap() > 0.0), "{way}: {lines:?}");
    }
}
