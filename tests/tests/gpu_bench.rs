//! The script that proves the GPU side on a GPU, rehearsed beside fakes: every row is there and
//! is a measurement or says why not. No figure of it means anything.

#![allow(clippy::unwrap_used, reason = "a test that meets nothing ends there")]

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use system_tests::Bank;

const LOCAL: &str = "schema = 1\nname = \"gpu-local\"\nrequires = [\"compute\"]\n\
                     [[phase]]\nname = \"hold\"\nkind = \"hold\"\nseconds = 3\n\
                     load = { kernel = \"fp32\" }\n";
const NCCL: &str = "schema = 1\nname = \"gpu-nccl\"\nrequires = [\"collective\"]\n\
                    [[phase]]\nname = \"all_reduce\"\nkind = \"collective\"\nseconds = 2\n\
                    collective = { op = \"all_reduce\", bytes = 65536, over = \"nccl\" }\n";

fn row<'a>(session: &'a Value, what: &str) -> &'a Value {
    let rows = session["bench"]["results"].as_array().unwrap();
    rows.iter().find(|row| row["what"] == what).unwrap_or_else(|| panic!("no {what}: {rows:?}"))
}

#[test]
fn the_script_measures_every_row_or_says_why_not() {
    let bank = Bank::new();
    // The product's binaries lie beside the bench's own.
    let bench = Path::new(env!("CARGO_BIN_EXE_bench-gpu"));
    assert!(system_tests::binary("loadbank").parent() == bench.parent());
    let local = bank.write("local.toml", LOCAL);
    let nccl = bank.write("nccl.toml", NCCL);
    let gpus = bank.write("gpus.txt", "gpus 1\n");
    let out = bank.folder().join("results");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("gpu/run.sh");
    let double = |name: &str| system_tests::double(name);
    let done = Command::new("sh")
        .arg(script)
        .arg(bench.parent().unwrap())
        .arg("1")
        .env("LOADBANK_CUDA_LIBRARY", double("fake-cuda"))
        .env("LOADBANK_FAKE_CUDA", "gpus=1 plain=1 cc=9.0")
        .env("LOADBANK_NVML_LIBRARY", double("fake-nvml"))
        .env("LOADBANK_FAKE_NVML", gpus)
        .env("LOADBANK_NCCL_LIBRARY", double("fake-nccl"))
        .env("LOADBANK_FAKE_NCCL", "")
        .env("LOADBANK_CUBLAS_LIBRARY", "/nowhere/libcublas.so.12")
        .env("LOADBANK_BENCH_PLAN", local)
        .env("LOADBANK_BENCH_NCCL_PLAN", nccl)
        .env("LOADBANK_BENCH_OUT", &out)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    let told = format!("{said}\n{}", String::from_utf8_lossy(&done.stderr));
    let file = std::fs::read_dir(&out).unwrap_or_else(|_| panic!("{told}")).next().unwrap();
    let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
    let session: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"));
    for what in MEASURED {
        assert_eq!(row(&session, what)["measured"], true, "{what}: {told}");
    }
    for what in NOT_HERE {
        let row = row(&session, what);
        assert_eq!(row["measured"], false, "{what}: {told}");
        assert!(!row["why"].as_str().unwrap().is_empty(), "{what}");
    }
    for what in ["stop_to_idle", "flip_in_the_loop_bf16", "injected_flip_bf16"] {
        assert_eq!(row(&session, what)["met"], true, "{what}: {}", row(&session, what));
    }
    let measured = |run: &str, what: &str| {
        let lines = session[run]["report"]["measured"].as_array();
        lines.is_some_and(|lines| {
            lines.iter().any(|line| line["what"].as_str().unwrap().starts_with(what))
        })
    };
    assert!(measured("local", "power_mean_w"), "{told}\n{}", session["local"]);
    assert!(measured("nccl_two_ranks", "busbw_nccl_all_reduce"), "{}", session["nccl_two_ranks"]);
    for run in ["nccl_one_rank", "nccl_two_ranks"] {
        assert!(measured(run, "duration_nccl_all_reduce"), "{run}: {told}\n{}", session[run]);
    }
    // The table comes last, a line a row.
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines.last().unwrap().starts_with("nccl_two_ranks"), "{said}");
    assert!(lines.iter().any(|line| line.starts_with("cublas_bf16") && line.contains("no cuBLAS")));
}

/// What needs nothing but the doubles.
const MEASURED: [&str; 24] = [
    "self_test_hopper",
    "rates_bf16",
    "rates_int8",
    "rates_fp32",
    "rates_fp64",
    "rates_stream",
    "rates_l2",
    "rates_mix",
    "rates_memory",
    "rates_copy",
    "stop_to_idle",
    "square_1.0_hz",
    "flip_in_the_loop_bf16",
    "flip_in_the_loop_int8",
    "flip_in_the_loop_stream",
    "flip_in_the_loop_copy",
    "watts_bf16",
    "watts_mix",
    "cost_of_checking_bf16",
    "cost_of_checking_fp32",
    "injected_flip_bf16",
    "injected_not_a_number_bf16",
    "injected_word_bf16",
    "field_numbers",
];

/// What a rehearsal can't have.
const NOT_HERE: [&str; 6] = [
    "cublas_bf16",
    "bf16_of_cublas",
    "watts_cublas",
    "watts_of_cublas",
    "square_0.1_hz",
    "square_5.0_hz",
];

#[test]
fn the_script_says_that_there_is_no_gpu() {
    let bank = Bank::new();
    let bench = Path::new(env!("CARGO_BIN_EXE_bench-gpu"));
    assert!(system_tests::binary("loadbank").exists());
    let done = Command::new("sh")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("gpu/run.sh"))
        .arg(bench.parent().unwrap())
        .env("LOADBANK_CUDA_LIBRARY", "/nowhere/libcuda.so.1")
        .env("LOADBANK_BENCH_OUT", bank.folder().join("results"))
        .output()
        .unwrap();
    assert_eq!(done.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&done.stderr).contains("no GPU: no NVIDIA driver"));
}
