//! Coverage: what took part, and how much of it reported.

use std::collections::{BTreeMap, BTreeSet};

use model::plan::PhaseKind;
use model::report::Coverage;

use crate::case::Case;

pub(crate) fn coverage(case: &Case) -> Coverage {
    let planned = &case.facts.nodes;
    let reporting = planned.keys().filter(|node| {
        case.seen.nodes.get(*node).is_some_and(|seen| seen.streams.values().any(|s| s.records > 0))
    });
    let devices = case.devices();
    let seconds: Vec<f64> = devices.iter().map(|device| case.loaded_seconds(device)).collect();
    let has_pairs = case.plan.phases.iter().any(|phase| phase.kind == PhaseKind::Pairs);
    let completed =
        case.plan.phases.iter().filter(|p| case.facts.phases_completed.contains(&p.name));
    let (stored, missing, lost) = batches(case);
    Coverage {
        nodes_planned: count(planned.len()),
        nodes_reporting: count(reporting.count()),
        devices_planned: count(planned.values().map(|facts| facts.devices.len()).sum()),
        devices_reporting: count(devices.iter().filter(|d| case.device(d).is_some()).count()),
        pairs_measured: pairs_measured(case),
        pairs_planned: if has_pairs {
            count(planned.len().saturating_mul(planned.len().saturating_sub(1)))
        } else {
            0
        },
        phases_planned: count(case.plan.phases.len()),
        phases_completed: count(completed.count()),
        batches_stored: stored,
        batches_missing: missing,
        records_lost: lost,
        load_seconds_least: seconds.iter().copied().min_by(f64::total_cmp),
        load_seconds_most: seconds.iter().copied().max_by(f64::total_cmp),
        domains: BTreeMap::new(),
    }
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

fn pairs_measured(case: &Case) -> u32 {
    let pairs: BTreeSet<_> = case
        .seen
        .transfers
        .iter()
        .filter(|((pair, _), seen)| {
            let planned = |node| case.facts.nodes.contains_key(node);
            seen.gb_per_s.count() > 0 && planned(&pair.from) && planned(&pair.to)
        })
        .map(|((pair, _), _)| pair)
        .collect();
    count(pairs.len())
}

/// Batches stored, batches missing without a reason, records given up with one.
fn batches(case: &Case) -> (u64, u64, u64) {
    let mut sums = (0_u64, 0_u64, 0_u64);
    for (node, seen) in &case.seen.nodes {
        let facts = case.facts.nodes.get(node);
        for (instance, stream) in &seen.streams {
            let made = facts.and_then(|facts| facts.batches_made.get(instance).copied());
            sums.0 = sums.0.saturating_add(stream.seen.len());
            sums.1 = sums.1.saturating_add(stream.missing(made).len());
            sums.2 = sums.2.saturating_add(stream.records_given_up);
        }
    }
    sums
}
