//! Coverage: what took part, and how much of it reported.

use std::collections::{BTreeMap, BTreeSet};

use model::NodeName;
use model::facts::Source;
use model::plan::PhaseKind;
use model::report::{Coverage, DomainCoverage};
use model::site::{DomainKind, Site};

use crate::case::Case;

pub(crate) fn coverage(case: &Case) -> Coverage {
    let planned = &case.facts.nodes;
    let reporting = reporting(case);
    let devices = case.devices();
    // Tables say when a row was taken, not for how long a device worked.
    let worked = if case.facts.source == Source::Agents { devices.as_slice() } else { &[] };
    let seconds: Vec<f64> = worked.iter().map(|device| case.loaded_seconds(device)).collect();
    let has_pairs = case.plan.phases.iter().any(|phase| phase.kind == PhaseKind::Pairs);
    let completed =
        case.plan.phases.iter().filter(|p| case.facts.phases_completed.contains(&p.name));
    let (stored, missing, lost) = batches(case);
    Coverage {
        nodes_planned: count(planned.len()),
        nodes_reporting: count(reporting.len()),
        devices_planned: count(planned.values().map(|facts| facts.devices.len()).sum()),
        devices_reporting: count(devices_reporting(case)),
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
        rows: rows(case),
        load_seconds_least: seconds.iter().copied().min_by(f64::total_cmp),
        load_seconds_most: seconds.iter().copied().max_by(f64::total_cmp),
        domains: case.site.map(|site| domains(site, &reporting)).unwrap_or_default(),
    }
}

/// Planned nodes of which anything arrived.
fn reporting<'a>(case: &Case<'a>) -> BTreeSet<&'a NodeName> {
    let seen = case.seen;
    let spoke = |node: &&NodeName| {
        seen.nodes.get(*node).is_some_and(|seen| seen.streams.values().any(|s| s.records > 0))
    };
    let facts = case.facts;
    match facts.source {
        Source::Agents => facts.nodes.keys().filter(spoke).collect(),
        Source::Tables | Source::Rehearsal => case.joined().map(|(node, _)| node).collect(),
    }
}

fn devices_reporting(case: &Case) -> usize {
    match case.facts.source {
        Source::Agents => case.devices().iter().filter(|d| case.device(d).is_some()).count(),
        Source::Tables | Source::Rehearsal => {
            let devices = case.seen.telemetry.devices();
            let placed = |node: &str| case.facts.nodes.contains_key(&NodeName::from(node));
            let speaks = |cells: &BTreeMap<_, _>| cells.values().any(crate::tables::has_reading);
            devices.filter(|(key, cells)| placed(&key.node) && speaks(cells)).count()
        }
    }
}

/// Rows of tables; what agents of ours said is counted in batches.
fn rows(case: &Case) -> u64 {
    if case.facts.source == Source::Agents {
        return 0;
    }
    let cells = case.seen.telemetry.devices().flat_map(|(_, cells)| cells.values());
    cells.map(|cell| cell.rows()).sum()
}

/// Of each kind, how many domains there are and how many had a node that reported.
fn domains(site: &Site, reporting: &BTreeSet<&NodeName>) -> BTreeMap<String, DomainCoverage> {
    let here: Vec<bool> =
        site.nodes().iter().map(|node| reporting.contains(&NodeName(node.name.clone()))).collect();
    let mut kinds = BTreeMap::new();
    for kind in DomainKind::ALL {
        let total = site.of_kind(kind).count();
        let spoke = |domain| site.members(domain).iter().any(|node| here[node.index()]);
        let loaded = site.of_kind(kind).filter(|domain| spoke(*domain)).count();
        if total > 0 {
            let coverage = DomainCoverage { total: count(total), loaded: count(loaded) };
            kinds.insert(kind.word().to_owned(), coverage);
        }
    }
    kinds
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

fn pairs_measured(case: &Case) -> u32 {
    if case.facts.source != Source::Agents {
        let pairs: BTreeSet<_> =
            case.seen.pairs.flows().map(|flow| (&flow.src, &flow.dst)).collect();
        return count(pairs.len());
    }
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
