//! Values of the data plane: pairs, collectives, round trips, starts.

use std::collections::{BTreeMap, BTreeSet};

use model::NodeName;
use model::finding::Suspect;
use model::plan::{Phase, Traffic};

use super::{Found, Value};
use crate::case::Case;

/// Bits in a byte.
const BITS: f64 = 8.0;

/// Middle bandwidth of each pair and phase over the speed of the slower card. With a quiet
/// sweep only what ran in it: with all nodes busy sound pairs share uplinks.
pub(super) fn pair_ratio(case: &Case) -> Found {
    let Some(site) = case.site else {
        return Err("no site says how fast the nodes' cards are".to_owned());
    };
    // One card's speed, where all of a node's cards have the same.
    let speed = |node: &NodeName| {
        let nics = &site.node_named(&node.0)?.nics;
        let gbps = nics.first()?.gbps?;
        nics.iter().all(|nic| nic.gbps == Some(gbps)).then_some(gbps)
    };
    let mut values = Vec::new();
    let quiet = |phase: &Phase| matches!(phase.traffic, Some(Traffic::Pairs { quiet: true, .. }));
    let alone: BTreeSet<&str> =
        case.plan.phases.iter().filter(|p| quiet(p)).map(|p| p.name.as_str()).collect();
    let counts = |phase: &str| alone.is_empty() || alone.contains(phase);
    for ((pair, _), seen) in case.seen.transfers.iter().filter(|((_, phase), _)| counts(phase)) {
        let card = speed(&pair.from).zip(speed(&pair.to)).map(|(a, b)| a.min(b));
        if let (Some(gbps), Some(rate)) = (card, seen.gb_per_s.median()) {
            values.push(Value::new(Suspect::new("pair", pair.to_string()), rate * BITS / gbps));
        }
    }
    let why = "no transfer between nodes whose cards' speed the site gives";
    if values.is_empty() { Err(why.to_owned()) } else { Ok(values) }
}

/// Round trips that never came back, in percent, pair by pair.
pub(super) fn rtt_lost_percent(case: &Case) -> Found {
    let mut pairs: BTreeMap<String, (f64, f64)> = BTreeMap::new();
    for (pair, _, seen) in case.round_trips() {
        let (lost, all) = pairs.entry(pair.to_string()).or_default();
        *lost += seen.lost as f64;
        *all += seen.lost as f64 + seen.histogram.count() as f64;
    }
    let values: Vec<Value> = pairs
        .into_iter()
        .filter(|(_, (_, all))| *all > 0.0)
        .map(|(pair, (lost, all))| Value::new(Suspect::new("pair", pair), 100.0 * lost / all))
        .collect();
    if values.is_empty() { Err("no round trip was probed".to_owned()) } else { Ok(values) }
}

/// Collective operations with a wrong result, by rank's node.
pub(super) fn wrong_operations(case: &Case) -> Found {
    let mut nodes: BTreeMap<&NodeName, f64> = BTreeMap::new();
    for ranks in case.seen.collectives.values() {
        for ((_, node), seen) in ranks.iter().filter(|(_, seen)| seen.operations > 0) {
            *nodes.entry(node).or_default() += seen.wrong as f64;
        }
    }
    let values: Vec<Value> = nodes
        .into_iter()
        .map(|(node, wrong)| Value::new(Suspect::new("node", node.0.clone()), wrong))
        .collect();
    if values.is_empty() { Err("no collective ran".to_owned()) } else { Ok(values) }
}

/// Largest distance of a start from the common instant, in milliseconds, phase by phase.
pub(super) fn start_skew_ms(case: &Case) -> Found {
    let lines = crate::measured::skew::measured(case);
    let values: Vec<Value> = lines
        .into_iter()
        .filter(|line| line.what == "start_skew_max")
        .map(|line| Value { note: line.phase, ..Value::new(line.at, line.value / 1000.0) })
        .collect();
    if values.is_empty() { Err("no start was recorded".to_owned()) } else { Ok(values) }
}
