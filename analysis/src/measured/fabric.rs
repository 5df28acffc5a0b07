//! Collectives, pairs and round trips.

use std::collections::BTreeMap;

use model::LatencyHistogram;
use model::finding::Suspect;
use model::report::Measured;

use super::{fleet, line};
use crate::case::{Case, utc};
use crate::digest::fabric::{LatencyEvidence, Pair, busbw};

/// Percentiles of a round trip that are reported, with their suffixes.
const PERCENTILES: [(f64, &str); 3] = [(0.5, "p50"), (0.99, "p99"), (0.999, "p999")];

pub(super) fn measured(case: &Case) -> Vec<Measured> {
    let mut lines = Vec::new();
    for (key, ranks) in &case.seen.collectives {
        if let Some(busbw) = busbw(key, ranks) {
            let what = format!("busbw_{}_{}", key.op.word(), key.bytes);
            lines.push(line(&what, &fleet(), Some(&key.phase), busbw, "GB/s"));
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

/// Round trips of each pair and of the fleet, idle and loaded apart. Histograms are added,
/// percentiles never averaged.
fn round_trips(case: &Case) -> Vec<Measured> {
    let mut merged: BTreeMap<(bool, Suspect), LatencyEvidence> = BTreeMap::new();
    for (key, seen) in &case.seen.latencies {
        for place in [at(&key.pair), fleet()] {
            let sum = merged.entry((key.loaded, place)).or_default();
            sum.histogram.merge(&seen.histogram);
            sum.lost = sum.lost.saturating_add(seen.lost);
        }
    }
    let mut lines = Vec::new();
    for ((loaded, place), seen) in &merged {
        let state = if *loaded { "rtt_loaded" } else { "rtt_idle" };
        lines.extend(percentiles(state, place, &seen.histogram));
        if seen.lost > 0 || seen.histogram.count() > 0 {
            let lost = seen.lost as f64;
            lines.push(line(&format!("{state}_lost"), place, None, lost, "probes"));
        }
    }
    lines
}

fn percentiles(state: &str, place: &Suspect, histogram: &LatencyHistogram) -> Vec<Measured> {
    let mut lines = Vec::new();
    let longest = histogram.longest();
    for (share, suffix) in PERCENTILES {
        if let Some(ns) = histogram.quantile_ns(share) {
            // A histogram answers with the upper edge of a bin; nothing was longer than
            // the longest.
            let ns = longest.map_or(ns, |longest| ns.min(longest.latency_ns));
            let what = format!("{state}_{suffix}");
            lines.push(line(&what, place, None, ns as f64 / 1e3, "us"));
        }
    }
    if let Some(longest) = longest {
        let us = longest.latency_ns as f64 / 1e3;
        let mut max = line(&format!("{state}_max"), place, None, us, "us");
        max.when = utc(longest.at_ns);
        lines.push(max);
    }
    lines
}
