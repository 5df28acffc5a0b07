//! Watts on fake GPUs: their power follows what their kernels do, so that loops close. No GPU
//! takes part, and no figure here is one of a GPU.

#![allow(clippy::unwrap_used, reason = "a test that meets nothing ends there")]

use serde_json::Value;
use system_tests::Bank;

/// What a fake GPU draws at full level is 100 W and up to 500 W more, most with `mix` at 85 %
/// of tensor work.
const BEST_PERCENT: f64 = 85.0;

/// A bank with one agent `n1` of one GPU.
fn bank() -> Bank {
    let mut bank = Bank::new();
    let _ = bank.write("gpus.txt", "gpus 1\n");
    let draws = bank.folder().join("draws");
    std::fs::create_dir_all(&draws).unwrap();
    let cuda = system_tests::double("fake-cuda").display().to_string();
    bank.set_agent_env("LOADBANK_CUDA_LIBRARY", &cuda);
    bank.set_agent_env("LOADBANK_FAKE_CUDA", "gpus=1 plain=1");
    bank.set_agent_env("LOADBANK_FAKE_DRAWS", &draws.display().to_string());
    bank.serve();
    bank.gpu_agent("n1", "gpus.txt");
    bank.wait_for_agents(1);
    bank
}

fn hold(bank: &Bank, seconds: u32, load: &str) -> Value {
    let plan = format!(
        "schema = 1\nname = \"watts\"\nrequires = [\"compute\"]\n[[phase]]\nname = \"hold\"\n\
         kind = \"hold\"\nseconds = {seconds}\nload = {{ {load} }}\n"
    );
    let plan = bank.write("plan.toml", &plan);
    let done = bank.verb(&["run", &plan, "--json"]);
    assert_eq!(done.code, Some(0), "{}\n{}", done.stdout, done.stderr);
    done.json()
}

fn measured(report: &Value, what: &str) -> f64 {
    let lines = report["measured"].as_array().unwrap();
    let line = lines.iter().find(|line| line["what"] == what);
    line.and_then(|line| line["value"].as_f64()).unwrap_or_else(|| panic!("no {what}: {report}"))
}

#[test]
fn the_share_of_mix_that_draws_most_is_found_and_no_result_is_taken_for_wrong() {
    let report = hold(&bank(), 75, "kernel = \"mix\"");
    let percent = measured(&report, "mix_tensor_percent");
    assert!((percent - BEST_PERCENT).abs() <= 10.0, "{percent} %");
    assert!(measured(&report, "mix_power_w") > 500.0, "{report}");
    assert_eq!(report["findings"], serde_json::json!([]));
}

#[test]
fn a_gpu_holds_watts_by_what_its_sensor_says() {
    let report = hold(&bank(), 45, "kernel = \"fp64\", watts = 300");
    let held = measured(&report, "power_held_w");
    assert!((held / 300.0 - 1.0).abs() < 0.05, "{held} W: {report}");
}
