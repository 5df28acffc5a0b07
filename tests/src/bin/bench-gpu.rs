//! What a GPU does under our load, by the worker's own path: rates, stop to idle, edges of
//! square waves, injection. One JSON document on standard output, a table on standard error.
//! Exits with 2 where no GPU can be asked.
//!
//! Not here yet: watts, cuBLAS beside us, what checking costs.

use std::process::ExitCode;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use agent::clock::monotonic_ns;
use agent::hardware::cuda::{self, discover};
use agent::hardware::{Injection, LoadCommand, LoadOrder, LoadReport};
use model::load::{Kernel, Waveform};
use serde_json::{Value, json};

/// Start of an order after it is given: preparation happens meanwhile.
const AHEAD_NS: u64 = 1_000_000_000;
const SECOND_NS: u64 = 1_000_000_000;
/// Nothing that is measured here takes longer.
const PATIENCE: Duration = Duration::from_secs(60);
const KERNELS: [Kernel; 8] = [
    Kernel::Bf16,
    Kernel::Int8,
    Kernel::FmaF32,
    Kernel::FmaF64,
    Kernel::Stream,
    Kernel::L2,
    Kernel::Mix,
    Kernel::Memory,
];
/// Periods of square waves, in milliseconds: 0.1, 0.5, 1, 2 and 5 Hz.
const PERIODS_MS: [u64; 5] = [10_000, 2_000, 1_000, 500, 200];

/// The worker's path on a thread of this process.
struct Bench {
    tell: Sender<LoadCommand>,
    heard: Receiver<LoadReport>,
}

impl Bench {
    fn start(uuid: String) -> Self {
        let (tell, commands) = channel();
        let (reports, heard) = channel();
        std::thread::spawn(move || cuda::run(&cuda::library(), &uuid, &commands, &reports));
        Self { tell, heard }
    }

    fn begin(&self, kernel: Kernel, waveform: Waveform, for_ns: u64, inject: Option<Injection>) {
        let start_ns = monotonic_ns() + AHEAD_NS;
        let end_ns = start_ns + for_ns;
        let order = LoadOrder { kernel, waveform, start_ns, end_ns, drift_ppb: 0, inject };
        // A load that has ended already said why: `until_idle` hears it.
        let _ = self.tell.send(LoadCommand::Begin(order));
    }

    /// Everything that is said until the load is idle.
    fn until_idle(&self) -> anyhow::Result<Vec<LoadReport>> {
        let deadline = Instant::now() + PATIENCE;
        let mut said = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.heard.recv_timeout(left) {
                Ok(LoadReport::Failed { code, text, .. }) => {
                    anyhow::bail!("failed ({code}): {text}")
                }
                Ok(report) => {
                    let idle = matches!(report, LoadReport::Idle { .. });
                    said.push(report);
                    if idle {
                        return Ok(said);
                    }
                }
                Err(RecvTimeoutError::Timeout) => anyhow::bail!("not idle in {PATIENCE:?}"),
                Err(RecvTimeoutError::Disconnected) => anyhow::bail!("the load's thread ended"),
            }
        }
    }

    /// Rates at full level.
    fn rates(&self, kernel: Kernel, seconds: u64) -> anyhow::Result<Value> {
        self.begin(kernel, Waveform::Hold { level: 1.0 }, seconds * SECOND_NS, None);
        Ok(summed(kernel, &self.until_idle()?))
    }

    /// From the command to drop a full load until the GPU is idle, in milliseconds.
    fn stop_ms(&self, kernel: Kernel) -> anyhow::Result<Value> {
        self.begin(kernel, Waveform::Hold { level: 1.0 }, 60 * SECOND_NS, None);
        std::thread::sleep(Duration::from_nanos(AHEAD_NS + SECOND_NS));
        let told_ns = monotonic_ns();
        let _ = self.tell.send(LoadCommand::Drop);
        let said = self.until_idle()?;
        let idle_ns = said.iter().find_map(|report| match report {
            LoadReport::Idle { at_ns } => Some(*at_ns),
            _ => None,
        });
        let ms = idle_ns.map(|at_ns| at_ns.saturating_sub(told_ns) as f64 / 1e6);
        Ok(json!({"what": "stop_to_idle", "kernel": kernel.word(), "ms": ms}))
    }

    /// Three periods, or at least two seconds, of a square wave.
    fn square(&self, kernel: Kernel, period_ms: u64) -> anyhow::Result<Value> {
        let period_ns = period_ms * 1_000_000;
        let for_ns = (3 * period_ns / 2).max(2 * SECOND_NS);
        self.begin(kernel, Waveform::Square { low: 0.0, high: 1.0, period_ns }, for_ns, None);
        let notes: Vec<String> = self.until_idle()?.into_iter().filter_map(note).collect();
        Ok(json!({"what": "square", "period_ms": period_ms, "edges": notes}))
    }

    /// One flipped bit: how many results were wrong, and how many of them were ours.
    fn injection(&self, kernel: Kernel) -> anyhow::Result<Value> {
        let inject = Some(Injection { core: 3, after_blocks: 50, always: false });
        self.begin(kernel, Waveform::Hold { level: 1.0 }, SECOND_NS, inject);
        let mut line = summed(kernel, &self.until_idle()?);
        line["what"] = json!("injection");
        Ok(line)
    }
}

fn note(report: LoadReport) -> Option<String> {
    match report {
        LoadReport::Note { text, .. } => Some(text),
        _ => None,
    }
}

/// Windows added up; rates by the time that kernels ran.
fn summed(kernel: Kernel, said: &[LoadReport]) -> Value {
    let (mut blocks, mut verified, mut mismatches, mut injected) = (0, 0, 0, 0);
    let (mut flops, mut bytes, mut busy_ns, mut whole_ns) = (0, 0, 0, 0);
    for report in said {
        let LoadReport::Window { from_ns, to_ns, cores, .. } = report else { continue };
        whole_ns += to_ns - from_ns;
        for core in cores {
            blocks += core.blocks;
            verified += core.verified;
            mismatches += core.mismatches;
            injected += core.injected;
            flops += core.flops;
            bytes += core.bytes;
            busy_ns += core.busy_ns;
        }
    }
    let per_ns = |count: u64| count as f64 / (whole_ns as f64).max(1.0);
    json!({
        "what": "rates", "kernel": kernel.word(), "gflops": per_ns(flops),
        "gb_per_s": per_ns(bytes), "busy": per_ns(busy_ns), "blocks": blocks,
        "verified": verified, "mismatches": mismatches, "injected": injected,
    })
}

fn measure(uuid: String, seconds: u64) -> anyhow::Result<Vec<Value>> {
    let bench = Bench::start(uuid);
    let mut lines = Vec::new();
    let mut keep = |line: Value| {
        eprintln!("{line}");
        lines.push(line);
    };
    for kernel in KERNELS {
        keep(bench.rates(kernel, seconds)?);
    }
    keep(bench.stop_ms(Kernel::Bf16)?);
    for period_ms in PERIODS_MS {
        keep(bench.square(Kernel::Bf16, period_ms)?);
    }
    for kernel in [Kernel::Bf16, Kernel::Int8, Kernel::Stream] {
        keep(bench.injection(kernel)?);
    }
    Ok(lines)
}

fn main() -> ExitCode {
    let seconds = std::env::args().nth(1).and_then(|word| word.parse().ok()).unwrap_or(5);
    let found = discover::ask(&cuda::library());
    let Some(gpu) = found.devices.first() else {
        eprintln!("bench-gpu: no GPU: {}", found.notes.join("; "));
        return ExitCode::from(2);
    };
    let uuid = gpu.uuid.clone().unwrap_or_default();
    match measure(uuid, seconds) {
        Ok(lines) => {
            println!("{}", json!({"gpu": gpu.model, "uuid": gpu.uuid, "results": lines}));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("bench-gpu: {error:#}");
            ExitCode::FAILURE
        }
    }
}
