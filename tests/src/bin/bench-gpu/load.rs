//! The worker's own path on a thread of this process: rates, stop to idle, edges of square
//! waves by kernel stamps, one flipped bit.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use agent::clock::monotonic_ns;
use agent::hardware::cuda;
use agent::hardware::cuda::self_test::Tester;
use agent::hardware::{Injection, LoadCommand, LoadOrder, LoadReport};
use anyhow::Context;
use model::load::{Kernel, Waveform};
use serde_json::{Map, Value, json};

/// Start of an order after it is given: preparation happens meanwhile.
const AHEAD_NS: u64 = 1_000_000_000;
pub(crate) const SECOND_NS: u64 = 1_000_000_000;
/// Nothing that is measured here takes longer.
const PATIENCE: Duration = Duration::from_secs(90);

/// The worker's path on a thread of this process.
pub(crate) struct Bench {
    tell: Sender<LoadCommand>,
    heard: Receiver<LoadReport>,
}

impl Bench {
    pub(crate) fn start(uuid: String) -> Self {
        let (tell, commands) = channel();
        let (reports, heard) = channel();
        // The self-test of an image: this very program with `--self-test`.
        let tester = std::env::current_exe().ok();
        let tester = tester.map(|program| Tester { program, before: Vec::new() });
        std::thread::spawn(move || {
            cuda::run(&cuda::library(), &uuid, tester.as_ref(), &commands, &reports);
        });
        Self { tell, heard }
    }

    /// Gives an order; its start.
    pub(crate) fn begin(
        &self,
        kernel: Kernel,
        waveform: Waveform,
        for_ns: u64,
        inject: Option<Injection>,
    ) -> u64 {
        let start_ns = monotonic_ns() + AHEAD_NS;
        let end_ns = start_ns + for_ns;
        let (drift_ppb, power_scale) = (0, None);
        let order =
            LoadOrder { kernel, waveform, start_ns, end_ns, drift_ppb, inject, power_scale };
        // A load that has ended already said why: `until_idle` hears it.
        let _ = self.tell.send(LoadCommand::Begin(order));
        start_ns
    }

    /// Everything that is said until the load is idle.
    pub(crate) fn until_idle(&self) -> anyhow::Result<Vec<LoadReport>> {
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
    pub(crate) fn rates(&self, kernel: Kernel, seconds: u64) -> anyhow::Result<Value> {
        self.begin(kernel, Waveform::Hold { level: 1.0 }, seconds * SECOND_NS, None);
        Ok(summed(kernel, &self.until_idle()?))
    }

    /// From the command to drop a full load until the GPU is idle, in milliseconds.
    pub(crate) fn stop_ms(&self, kernel: Kernel) -> anyhow::Result<Value> {
        self.begin(kernel, Waveform::Hold { level: 1.0 }, 60 * SECOND_NS, None);
        std::thread::sleep(Duration::from_nanos(AHEAD_NS + SECOND_NS));
        let told_ns = monotonic_ns();
        let _ = self.tell.send(LoadCommand::Drop);
        let said = self.until_idle()?;
        let idle_ns = said.iter().find_map(|report| match report {
            LoadReport::Idle { at_ns } => Some(*at_ns),
            _ => None,
        });
        let idle_ns = idle_ns.context("never idle")?;
        Ok(json!({"ms": idle_ns.saturating_sub(told_ns) as f64 / 1e6}))
    }

    /// Three periods, or at least two seconds, of a square wave.
    pub(crate) fn square(&self, kernel: Kernel, period_ms: u64) -> anyhow::Result<Value> {
        let period_ns = period_ms * 1_000_000;
        let for_ns = (3 * period_ns / 2).max(2 * SECOND_NS);
        self.begin(kernel, Waveform::Square { low: 0.0, high: 1.0, period_ns }, for_ns, None);
        let notes: Vec<String> = self.until_idle()?.into_iter().filter_map(note).collect();
        let edges = notes.iter().find_map(|text| edges(text));
        let (rises, worst_rise_ms, falls, worst_fall_ms) =
            edges.with_context(|| format!("no edge was seen: {notes:?}"))?;
        Ok(json!({
            "hz": 1e3 / period_ms as f64, "rises": rises, "worst_rise_ms": worst_rise_ms,
            "falls": falls, "worst_fall_ms": worst_fall_ms,
        }))
    }

    /// One flipped bit: how many results were wrong, and how many of them were ours.
    pub(crate) fn injection(&self, kernel: Kernel) -> anyhow::Result<Value> {
        let inject = Some(Injection { core: 3, after_blocks: 5, always: false });
        self.begin(kernel, Waveform::Hold { level: 1.0 }, SECOND_NS, inject);
        Ok(summed(kernel, &self.until_idle()?))
    }
}

/// Rises, the worst of them, falls, the worst of them, out of the load's own words.
fn edges(text: &str) -> Option<(u64, f64, u64, f64)> {
    let numbers = text.strip_prefix("square wave by kernel stamps: ")?.split(' ');
    let mut numbers = numbers.filter(|word| word.starts_with(|c: char| c.is_ascii_digit()));
    let rises = numbers.next()?.parse().ok()?;
    let worst_rise_ms = numbers.next()?.parse().ok()?;
    let falls = numbers.next()?.parse().ok()?;
    Some((rises, worst_rise_ms, falls, numbers.next()?.parse().ok()?))
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
    let mut gauges = Map::new();
    let (mut flops, mut bytes, mut busy_ns, mut whole_ns) = (0, 0, 0, 0);
    for report in said {
        if let LoadReport::Gauges { gauges: told, .. } = report {
            gauges
                .extend(told.iter().map(|(gauge, value)| (gauge.word().to_owned(), json!(value))));
        }
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
    let mut line = json!({
        "kernel": kernel.word(), "gflops": per_ns(flops),
        "gb_per_s": per_ns(bytes), "busy": per_ns(busy_ns), "blocks": blocks,
        "verified": verified, "mismatches": mismatches, "injected": injected,
    });
    if let Some(line) = line.as_object_mut() {
        line.extend(gauges);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_are_read_out_of_the_loads_words() {
        let text = "square wave by kernel stamps: 3 rises at most 1.250 ms and 2 falls at most \
                    0.5 ms from their instants";
        assert_eq!(edges(text), Some((3, 1.25, 2, 0.5)));
        assert_eq!(edges("image hopper passed its self-test on this GPU"), None);
    }
}
