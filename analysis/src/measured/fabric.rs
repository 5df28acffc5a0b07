//! Collectives, pairs and round trips.

use std::collections::BTreeMap;

use model::LatencyHistogram;
use model::collective::Transport;
use model::finding::Suspect;
use model::report::Measured;

use super::{fleet, line};
use crate::case::{Case, utc};
use crate::digest::fabric::{LatencyEvidence, LatencyKey, Pair, busbw};

/// Percentiles of a round trip that are reported, with their suffixes.
const PERCENTILES: [(f64, &str); 3] = [(0.5, "p50"), (0.99, "p99"), (0.999, "p999")];

pub(super) fn measured(case: &Case) -> Vec<Measured> {
    let mut lines = Vec::new();
    for (key, ranks) in &case.seen.collectives {
        if let Some(busbw) = busbw(key, ranks) {
            let over = if key.over == Transport::Nccl { "nccl_" } else { "" };
            let what = format!("busbw_{over}{}_{}", key.op.word(), key.bytes);
            lines.push(line(&what, &fleet(), Some(&key.phase), busbw, "GB/s"));
        }
        if key.over == Transport::Nccl {
            // By the GPU's own events; one rank alone has these and no bus bandwidth.
            let mut durations = LatencyHistogram::default();
            ranks.values().for_each(|rank| durations.merge(&rank.durations));
            let what = format!("duration_nccl_{}_{}", key.op.word(), key.bytes);
            lines.extend(percentiles(&what, &fleet(), Some(&key.phase), &durations));
        }
    }
    for ((pair, phase), transfers) in &case.seen.transfers {
        if let Some(rate) = transfers.gb_per_s.median() {
            lines.push(line("bandwidth_pair", &at(pair), Some(phase), rate, "GB/s"));
        }
        if transfers.retransmits > 0 {
            let count = transfers.retransmits as f64;
            lines.push(line("retransmits_pair", &at(pair), Some(phase), count, "segments"));
        }
    }
    lines.extend(round_trips(case));
    lines
}

fn at(pair: &Pair) -> Suspect {
    Suspect::new("pair", pair.to_string())
}

/// Round trips of each pair, of the fleet in each phase, and of the fleet as a whole; idle
/// and loaded apart. Histograms are added, percentiles never averaged.
fn round_trips(case: &Case) -> Vec<Measured> {
    let mut lines = Vec::new();
    let mut whole: BTreeMap<bool, LatencyEvidence> = BTreeMap::new();
    for (key, seen) in &case.seen.latencies {
        match key {
            LatencyKey::Pair { pair, loaded } => {
                lines.extend(state(*loaded, &at(pair), None, seen));
            }
            LatencyKey::Phase { phase, loaded } => {
                let sum = whole.entry(*loaded).or_default();
                sum.histogram.merge(&seen.histogram);
                sum.lost = sum.lost.saturating_add(seen.lost);
                // Time outside of phases is in the whole only: no phase name, no line.
                if !phase.is_empty() {
                    lines.extend(state(*loaded, &fleet(), Some(phase), seen));
                }
            }
        }
    }
    lines.extend(whole.iter().flat_map(|(loaded, seen)| state(*loaded, &fleet(), None, seen)));
    lines
}

pub(super) fn state(
    loaded: bool,
    place: &Suspect,
    phase: Option<&str>,
    seen: &LatencyEvidence,
) -> Vec<Measured> {
    let state = if loaded { "rtt_loaded" } else { "rtt_idle" };
    let mut lines = percentiles(state, place, phase, &seen.histogram);
    if seen.lost > 0 || seen.histogram.count() > 0 {
        lines.push(line(&format!("{state}_lost"), place, phase, seen.lost as f64, "probes"));
    }
    lines
}

fn percentiles(
    state: &str,
    place: &Suspect,
    phase: Option<&str>,
    histogram: &LatencyHistogram,
) -> Vec<Measured> {
    let mut lines = Vec::new();
    let longest = histogram.longest();
    for (share, suffix) in PERCENTILES {
        if let Some(ns) = histogram.quantile_ns(share) {
            // A histogram answers with the upper edge of a bin; nothing was longer than
            // the longest.
            let ns = longest.map_or(ns, |longest| ns.min(longest.latency_ns));
            let what = format!("{state}_{suffix}");
            lines.push(line(&what, place, phase, ns as f64 / 1e3, "us"));
        }
    }
    if let Some(longest) = longest {
        let us = longest.latency_ns as f64 / 1e3;
        let mut max = line(&format!("{state}_max"), place, phase, us, "us");
        max.when = utc(longest.at_ns);
        lines.push(max);
    }
    lines
}
