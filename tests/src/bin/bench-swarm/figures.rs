//! What was measured, for people and for programs.

use std::time::Duration;

use serde_json::{Value, json};

use crate::args::Args;
use crate::plant::Heard;

/// The figures of one run of the benchmark.
#[derive(Debug, Clone)]
pub(crate) struct Figures {
    /// From the first connection to the last agent that is there.
    pub(crate) ramp: Duration,
    /// The server's processor time over the window, and its largest resident set.
    pub(crate) cpu: Duration,
    pub(crate) window: Duration,
    pub(crate) peak_bytes: u64,
    /// Upload to acknowledgement, each batch of the window, in µs, sorted.
    pub(crate) ack_us: Vec<u32>,
    /// Batches said, acknowledged, and found in the store afterwards (not where nothing stores).
    pub(crate) sent: u64,
    pub(crate) acked: u64,
    pub(crate) stored: Option<u64>,
    /// Distance of each agent's GO from the middle one, true time, in µs, sorted.
    pub(crate) go_us: Vec<u32>,
    /// What was kept of the building.
    pub(crate) heard: Option<Heard>,
    /// The swarm's own processor time.
    pub(crate) swarm_cpu: Duration,
}

/// A percentile of sorted values, in ms.
fn percentile_ms(sorted_us: &[u32], share: f64) -> Option<f64> {
    let at = ((sorted_us.len() as f64 * share).ceil() as usize).saturating_sub(1);
    sorted_us.get(at).map(|us| f64::from(*us) / 1e3)
}

fn three(sorted_us: &[u32]) -> String {
    let said =
        |share| percentile_ms(sorted_us, share).map_or("-".to_owned(), |ms| format!("{ms:.2}"));
    format!("{} / {} / {} ms", said(0.5), said(0.99), said(1.0))
}

impl Figures {
    fn cores(&self) -> f64 {
        self.cpu.as_secs_f64() / self.window.as_secs_f64()
    }

    /// Lines for a terminal.
    pub(crate) fn table(&self, args: &Args) -> String {
        let who = if args.bare { "bare server" } else { "coordinator" };
        let stored =
            self.stored.map_or("not stored".to_owned(), |stored| format!("{stored} stored"));
        let rate = self.acked as f64 / self.window.as_secs_f64();
        let lines = [
            format!(
                "{} agents, {} connection(s) each, TLS, {} B a second each, {} s, {who}",
                args.agents, args.connections, args.bytes, args.seconds
            ),
            format!("{:<34} {:.1} s", "all agents there after", self.ramp.as_secs_f64()),
            format!("{:<34} {:.3} cores ({rate:.0} batches/s)", "processor", self.cores()),
            format!("{:<34} {} MiB", "largest resident set", self.peak_bytes >> 20),
            format!("{:<34} {}", "upload to ack p50 / p99 / max", three(&self.ack_us)),
            format!("{:<34} {} sent, {} acked, {stored}", "batches", self.sent, self.acked),
            format!("{:<34} {}", "GO off the middle p50 / p99 / max", three(&self.go_us)),
            format!(
                "{:<34} {:.3} cores",
                "the swarm itself",
                self.swarm_cpu.as_secs_f64() / self.window.as_secs_f64()
            ),
        ];
        let building = self.heard.map(|heard| {
            format!(
                "{:<34} {} of {} devices in full, {} readings, longest pause {:.2} s\n",
                "the building, once a second",
                heard.complete,
                args.pdus + args.cdus,
                heard.readings,
                heard.longest_s
            )
        });
        lines.join("\n") + "\n" + &building.unwrap_or_default()
    }

    /// The same for a program.
    pub(crate) fn json(&self, args: &Args) -> Value {
        let spread = |sorted: &[u32]| {
            json!({
                "p50": percentile_ms(sorted, 0.5),
                "p99": percentile_ms(sorted, 0.99),
                "max": percentile_ms(sorted, 1.0),
            })
        };
        json!({
            "agents": args.agents, "connections": args.connections, "bytes": args.bytes,
            "seconds": args.seconds, "bare": args.bare,
            "ramp_s": self.ramp.as_secs_f64(), "cores": self.cores(),
            "peak_mib": self.peak_bytes >> 20, "ack_ms": spread(&self.ack_us),
            "sent": self.sent, "acked": self.acked, "stored": self.stored,
            "go_ms": spread(&self.go_us), "pdus": args.pdus, "cdus": args.cdus,
            "building": self.heard.map(|heard| json!({
                "devices": heard.devices, "complete": heard.complete,
                "readings": heard.readings, "longest_pause_s": heard.longest_s,
            })),
        })
    }
}
