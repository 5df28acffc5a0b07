//! What a GPU does under our load, and what NVIDIA's own library does beside us.
//!
//! `bench-gpu measure [SECONDS]` measures and prints one JSON document; `bench-gpu table FILE`
//! prints the results of a whole session as a table. Every row is a measurement or says why it
//! is none. Exits with 2 where no GPU can be asked.

mod cublas;
mod load;
mod nvml;
mod raw;
mod row;

use std::process::ExitCode;

use agent::clock::monotonic_ns;
use agent::hardware::cuda::image::Inject;
use agent::hardware::cuda::self_test;
use agent::hardware::cuda::{self, discover};
use anyhow::Context;
use model::load::{Kernel, Waveform};
use serde_json::{Value, json};

use cublas::Cublas;
use load::{Bench, SECOND_NS};
use nvml::Nvml;
use raw::Raw;
use row::{Row, figure};

const KERNELS: [Kernel; 9] = [
    Kernel::Bf16,
    Kernel::Int8,
    Kernel::FmaF32,
    Kernel::FmaF64,
    Kernel::Stream,
    Kernel::L2,
    Kernel::Mix,
    Kernel::Memory,
    Kernel::Copy,
];
/// Periods of square waves, in milliseconds: 0.1, 0.5, 1, 2 and 5 Hz.
const PERIODS_MS: [u64; 5] = [10_000, 2_000, 1_000, 500, 200];
/// Those of a rehearsal.
const QUICK_PERIODS_MS: [u64; 1] = [1_000];
/// Power is watched for so many times the seconds of a rate: twenty-one for three.
const WATTS_TIMES: u64 = 7;
/// A shorter session is a rehearsal, which leaves the long waves out.
const WHOLE_SECONDS: u64 = 3;

struct Session {
    uuid: String,
    seconds: u64,
    rows: Vec<Row>,
}

impl Session {
    fn keep(&mut self, row: Row) {
        eprintln!("{}", row::line(&row.json()));
        self.rows.push(row);
    }

    /// By the worker's path.
    fn loads(&mut self) {
        let bench = Bench::start(self.uuid.clone());
        for kernel in KERNELS {
            let what = format!("rates_{}", kernel.word());
            self.keep(Row::of(&what, bench.rates(kernel, self.seconds)));
        }
        let stop = Row::of("stop_to_idle", bench.stop_ms(Kernel::Bf16));
        self.keep(stop.aim("below 100 ms", |row| figure(row, "ms") < 100.0));
        let quick = self.seconds < WHOLE_SECONDS;
        for period_ms in PERIODS_MS {
            let what = format!("square_{:.1}_hz", 1e3 / period_ms as f64);
            if quick && !QUICK_PERIODS_MS.contains(&period_ms) {
                self.keep(Row::not_measured(what, "a rehearsal leaves the other waves out"));
                continue;
            }
            let row = Row::of(&what, bench.square(Kernel::Bf16, period_ms));
            self.keep(row.aim("edges within 20 ms", |row| {
                figure(row, "worst_rise_ms") <= 20.0 && figure(row, "worst_fall_ms") <= 20.0
            }));
        }
        for kernel in [Kernel::Bf16, Kernel::Int8, Kernel::Stream, Kernel::Copy] {
            let what = format!("flip_in_the_loop_{}", kernel.word());
            let row = Row::of(&what, bench.injection(kernel));
            self.keep(row.aim("found, and nothing else", |row| {
                figure(row, "injected") >= 1.0
                    && figure(row, "injected") == figure(row, "mismatches")
            }));
        }
        self.watts_of_ours(&bench);
    }

    fn watts_of_ours(&mut self, bench: &Bench) {
        for kernel in [Kernel::Bf16, Kernel::Mix] {
            let what = format!("watts_{}", kernel.word());
            let result = self.watched(|seconds| {
                let full = Waveform::Hold { level: 1.0 };
                Ok(bench.begin(kernel, full, seconds * SECOND_NS, None))
            });
            if result.is_ok()
                && let Err(error) = bench.until_idle()
            {
                self.keep(Row::not_measured(what, format!("{error:#}")));
                continue;
            }
            self.keep(Row::of(&what, result).aim("0.97 of the limit within 10 s, held", |row| {
                figure(row, "reached_after_s") <= 10.0
                    && figure(row, "p10_w") >= 0.97 * figure(row, "limit_w")
            }));
        }
    }

    /// Power, and the fields whose numbers moved, while `begin` heats; `begin` says its start.
    fn watched(&self, begin: impl FnOnce(u64) -> anyhow::Result<u64>) -> anyhow::Result<Value> {
        let nvml = Nvml::open(&self.uuid)?;
        let seconds = WATTS_TIMES * self.seconds;
        let before = nvml.probed();
        let start_ns = begin(seconds)?;
        // The load's last second is its own.
        let mut row = nvml.watch(start_ns, seconds as f64 - 1.0)?;
        let after = nvml.probed();
        let fields = before.into_iter().zip(after).map(|((number, before), (_, after))| {
            (number.to_string(), json!({"before": before, "after": after}))
        });
        row["fields"] = Value::Object(fields.collect());
        Ok(row)
    }

    /// NVIDIA's library on operands of the same kind, in turn.
    fn cublas(&mut self) {
        let opened = Cublas::open(&self.uuid);
        let rate = opened.as_ref().map_err(|error| anyhow::anyhow!("{error:#}"));
        let rate = rate.and_then(|cublas| cublas.run(self.seconds as f64));
        let yardstick = rate.as_ref().ok().and_then(|row| row["gflops"].as_f64());
        self.keep(Row::of("cublas_bf16", rate));
        let ours = self.figure_of("rates_bf16", "gflops");
        let ratio = yardstick.zip(ours).map(|(yardstick, ours)| json!({"ratio": ours / yardstick}));
        let row = Row::of("bf16_of_cublas", ratio.context("cuBLAS or our own rate is missing"));
        self.keep(row.aim("at least 0.90", |row| figure(row, "ratio") >= 0.90));
        // The context of a thread is its own: the heat is made on this one, watched by another.
        let watts = opened.and_then(|cublas| {
            std::thread::scope(|scope| {
                let watch = scope.spawn(|| self.watched(|_| Ok(monotonic_ns())));
                let heat = cublas.run((WATTS_TIMES * self.seconds) as f64);
                let watched = watch.join().map_err(|_| anyhow::anyhow!("the watch panicked"))?;
                heat.and(watched)
            })
        });
        let theirs = watts.as_ref().ok().and_then(|row| row["mean_w"].as_f64());
        self.keep(Row::of("watts_cublas", watts));
        let ours = ["watts_mix", "watts_bf16"].map(|what| self.figure_of(what, "mean_w"));
        let ours = ours.into_iter().flatten().reduce(f64::max);
        let ratio = theirs.zip(ours).map(|(theirs, ours)| json!({"ratio": ours / theirs}));
        let row = Row::of("watts_of_cublas", ratio.context("cuBLAS' or our own watts are missing"));
        self.keep(row.aim("at least as many", |row| figure(row, "ratio") >= 1.0));
    }

    fn figure_of(&self, what: &str, name: &str) -> Option<f64> {
        let row = self.rows.iter().find(|row| row.what == what)?;
        row.json()[name].as_f64()
    }

    fn checks(&mut self) {
        for kernel in [Kernel::Bf16, Kernel::FmaF32] {
            let what = format!("cost_of_checking_{}", kernel.word());
            let cost = Raw::open(&self.uuid, kernel).and_then(|raw| raw.cost_of_checking());
            self.keep(Row::of(&what, cost).aim("at most 2 %", |row| figure(row, "percent") <= 2.0));
        }
        let kinds =
            [("flip", Inject::Flip), ("not_a_number", Inject::NotANumber), ("word", Inject::Word)];
        for (word, kind) in kinds {
            let what = format!("injected_{word}_bf16");
            let found = Raw::open(&self.uuid, Kernel::Bf16).and_then(|raw| raw.finds(kind));
            self.keep(Row::of(&what, found).aim("found, and nothing without", |row| {
                row.get("found") == Some(&json!(true)) && figure(row, "flaws_without") == 0.0
            }));
        }
    }

    /// Which numbering of fields the driver has, by its version and by what moved under load.
    fn field_numbers(&mut self) {
        let moved = |number: u32| -> Option<bool> {
            let row = self.rows.iter().find(|row| row.what == "watts_mix")?.json();
            let field = &row["fields"][number.to_string()];
            Some(field["after"].as_u64()? > field["before"].as_u64()?)
        };
        let driver = Nvml::open(&self.uuid).and_then(|nvml| nvml.driver());
        let answer = driver.map(|driver| {
            json!({
                "driver": driver, "power_cap_74_moved": moved(74),
                "old_251_moved": moved(251), "old_252_moved": moved(252),
                "old_253_moved": moved(253), "new_269_moved": moved(269),
                "new_270_moved": moved(270), "new_271_moved": moved(271),
            })
        });
        self.keep(Row::of("field_numbers", answer));
    }
}

/// What the load asks of a process of its own: exit code 0 when the image may be used.
fn test_images(uuid: &str) -> ExitCode {
    match self_test::run(&cuda::library(), uuid) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            println!("failed: {why}");
            ExitCode::FAILURE
        }
    }
}

/// The image for Hopper against its reference, in a process of its own.
fn hopper(uuid: &str) -> anyhow::Result<()> {
    let program = std::env::current_exe()?;
    let gpu = format!("--gpu={uuid}");
    let said = std::process::Command::new(program).args(["--self-test", &gpu]).output()?;
    let text = String::from_utf8_lossy(&said.stdout).trim().to_owned();
    anyhow::ensure!(said.status.success(), "{} ({text})", said.status);
    Ok(())
}

fn measure(seconds: u64) -> ExitCode {
    let found = discover::ask(&cuda::library());
    let Some(gpu) = found.devices.first() else {
        eprintln!("bench-gpu: no GPU: {}", found.notes.join("; "));
        return ExitCode::from(2);
    };
    let uuid = gpu.uuid.clone().unwrap_or_default();
    let hopper = hopper(&uuid);
    let mut session = Session { uuid, seconds, rows: Vec::new() };
    session.keep(Row::of("self_test_hopper", hopper.map(|()| json!({"passed": true}))));
    session.loads();
    session.checks();
    session.cublas();
    session.field_numbers();
    let rows: Vec<Value> = session.rows.iter().map(Row::json).collect();
    println!("{}", json!({"gpu": gpu.model, "uuid": gpu.uuid, "results": rows}));
    let broken = session.rows.iter().any(|row| row.what == "rates_bf16" && !row.is_measured());
    if broken { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Rows of a session's file: of the bench, and of the runs of the product beside it.
fn table(path: &str) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(path).with_context(|| path.to_owned())?;
    let session: Value = serde_json::from_str(&text).with_context(|| path.to_owned())?;
    let results = session["bench"]["results"].as_array().into_iter().flatten();
    results.for_each(|row| println!("{}", row::line(row)));
    for run in ["local", "nccl_one_rank", "nccl_two_ranks"] {
        println!("{}", row::line(&run_row(run, &session[run])));
    }
    Ok(())
}

/// A run's report as a row.
fn run_row(what: &str, run: &Value) -> Value {
    let report = &run["report"];
    if !report.is_object() {
        let why = run["why"].as_str().unwrap_or("the run left no report");
        return Row::not_measured(what, why).json();
    }
    let wanted = ["power_mean_w", "r_th", "busbw_nccl_", "duration_nccl_"];
    let lines = report["measured"].as_array().into_iter().flatten();
    let mut values = json!({"verdict": report["verdict"], "exit": run["exit"]});
    for line in lines {
        let name = line["what"].as_str().unwrap_or_default();
        if wanted.iter().any(|wanted| name.starts_with(wanted)) {
            values[name] = line["value"].clone();
        }
    }
    Row::measured(what, values).json()
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["--self-test", gpu] => test_images(gpu.trim_start_matches("--gpu=")),
        ["measure", seconds] => measure(seconds.parse().unwrap_or(5)),
        ["measure"] | [] => measure(5),
        ["table", path] => match table(path) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("bench-gpu: {error:#}");
                ExitCode::FAILURE
            }
        },
        _ => {
            eprintln!("bench-gpu measure [SECONDS], or bench-gpu table FILE");
            ExitCode::from(2)
        }
    }
}
