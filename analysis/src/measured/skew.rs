//! Start skew: how far from the commanded instant each device really began.
//!
//! Two things that are never added: the distance between the commanded and the actual
//! instant once the agent's clock is put on the coordinator's, and how well that offset was
//! known. A skew below the claimed error names no straggler.

use std::collections::BTreeMap;

use model::NodeName;
use model::facts::{StartFact, TimeFact};
use model::report::Measured;

use super::{fleet, line};
use crate::case::Case;
use crate::digest::device::StartSeen;

/// What was commanded, by node and phase.
type Facts<'a> = BTreeMap<(&'a NodeName, &'a str), &'a StartFact>;

/// One start on the coordinator's clock, in nanoseconds.
struct Skew {
    distance_ns: u64,
    claimed_error_ns: u64,
}

pub(crate) fn measured(case: &Case) -> Vec<Measured> {
    let facts: Facts = case.facts.starts.iter().map(|f| ((&f.node, f.phase.as_str()), f)).collect();
    let mut phases: BTreeMap<&str, Vec<Skew>> = BTreeMap::new();
    for (node, evidence) in &case.seen.nodes {
        for (phase, seen) in evidence.devices.values().flatten() {
            // Only the first start answers the command; a later one follows a dead worker.
            if let Some(start) = seen.starts.first() {
                let fact = facts.get(&(node, phase.as_str())).copied();
                phases.entry(phase).or_default().push(skew(fact, start));
            }
        }
    }
    let mut lines: Vec<Measured> =
        phases.iter().flat_map(|(phase, skews)| summary(Some(phase), skews.iter())).collect();
    lines.extend(summary(None, phases.values().flatten()));
    lines.extend(case.facts.times.iter().flat_map(at_the_end));
    lines
}

/// How far agents had come from the coordinator's time of a phase at their last corrections:
/// edges of waveforms lay apart by no more than twice that and the claim.
fn at_the_end(fact: &TimeFact) -> Vec<Measured> {
    let us = |ns: u64| ns as f64 / 1e3;
    let values = [
        ("start_skew_end_p50", nearest_rank(&fact.skews_ns, 0.5)),
        ("start_skew_end_p99", nearest_rank(&fact.skews_ns, 0.99)),
        ("start_skew_end_max", fact.skews_ns.last().copied()),
        ("start_skew_end_claimed_error", Some(fact.claimed_error_ns)),
    ];
    let known = values.into_iter().filter_map(|(what, ns)| Some((what, ns?)));
    known.map(|(what, ns)| line(what, &fleet(), Some(&fact.phase), us(ns), "us")).collect()
}

fn skew(fact: Option<&StartFact>, start: &StartSeen) -> Skew {
    let actual = i128::from(start.actual_ns);
    // Without the coordinator's word only the agent's own lateness is known.
    let (commanded, claimed_error_ns) = match fact {
        Some(fact) => (
            i128::from(fact.commanded_unix_ns) + i128::from(fact.offset_ns),
            fact.claimed_error_ns.max(start.claimed_error_ns),
        ),
        None => (i128::from(start.intended_ns), start.claimed_error_ns),
    };
    let distance = (actual - commanded).unsigned_abs();
    Skew { distance_ns: u64::try_from(distance).unwrap_or(u64::MAX), claimed_error_ns }
}

fn summary<'a>(phase: Option<&str>, skews: impl Iterator<Item = &'a Skew>) -> Vec<Measured> {
    let (mut distances, mut claims): (Vec<u64>, Vec<u64>) =
        skews.map(|skew| (skew.distance_ns, skew.claimed_error_ns)).unzip();
    distances.sort_unstable();
    claims.sort_unstable();
    let us = |ns: u64| ns as f64 / 1e3;
    let values = [
        ("start_skew_p50", nearest_rank(&distances, 0.5)),
        ("start_skew_p99", nearest_rank(&distances, 0.99)),
        ("start_skew_max", distances.last().copied()),
        ("start_skew_claimed_error", claims.last().copied()),
    ];
    let known = values.into_iter().filter_map(|(what, ns)| Some((what, ns?)));
    known.map(|(what, ns)| line(what, &fleet(), phase, us(ns), "us")).collect()
}

/// The value at rank `ceil(share * count)` of sorted values.
fn nearest_rank(sorted: &[u64], share: f64) -> Option<u64> {
    let rank = ((share * sorted.len() as f64).ceil() as usize).max(1);
    sorted.get(rank - 1).copied()
}
