//! What tables lack: rows of nodes and devices, columns, locations, and somebody's word
//! that the load was commanded. Agents, batches and leases have no part in this.

use std::collections::{BTreeMap, BTreeSet};

use model::facts::Source;
use model::plan::{Phase, PhaseKind, Requirement, Traffic};
use model::{Metric, NodeName};

use super::load::LOAD_SECONDS_TOLERANCE;
use super::{Concern, Gap};
use crate::case::{Case, list, plural};
use crate::diagnose::load_spread;
use crate::digest::telemetry::{Cell, DeviceKey};
use crate::panel::{Located, located, suspect};

pub(super) fn tables(case: &Case) -> Vec<Gap> {
    let mut gaps = Vec::new();
    if case.seen.telemetry.is_empty() {
        let why = "no row of samples was handed in";
        let concerns = if something_else(case) { Concern::Nobody } else { Concern::Everybody };
        gaps.push(Gap::new("samples", why, concerns));
    } else {
        let devices = located(&case.seen.telemetry);
        gaps.extend(attendance(case));
        gaps.extend(places(case, &devices));
        gaps.extend(columns(case, &devices));
        gaps.extend(load_seconds(case, &devices));
    }
    gaps.extend(load(case));
    gaps.extend(load_spread::gap(case));
    gaps.extend(fabric(case));
    gaps
}

fn something_else(case: &Case) -> bool {
    !case.seen.pairs.is_empty() || !case.seen.meters.is_empty()
}

/// Nobody of ours commanded the load of other people's telemetry: finding nothing in it
/// shows nothing, unless somebody vouches for the load.
fn load(case: &Case) -> Option<Gap> {
    let open = case.facts.source == Source::Tables && !case.policy.load_was_commanded;
    open.then(|| {
        let why = "nobody vouches that the load was commanded (policy: load_was_commanded = true)";
        Gap::new("load", why, Concern::Everybody)
    })
}

/// A plan that asks for a least time under load, held against the time that rows span.
fn load_seconds(case: &Case, devices: &[Located]) -> Option<Gap> {
    let least = case.plan.least_seconds * (1.0 - LOAD_SECONDS_TOLERANCE);
    let seconds = |(key, cells): &Located| {
        let loaded = cells.iter().filter(|(cell, _)| case.heats(&cell.phase));
        let spans = loaded.filter_map(|(_, cell)| cell.span_ns());
        let ns: i64 = spans.map(|(first, last)| last - first).sum();
        (ns as f64 / 1e9 < least).then(|| name(key))
    };
    let short: Vec<String> = devices.iter().filter_map(seconds).collect();
    (!short.is_empty()).then(|| {
        let (least, names) = (case.plan.least_seconds, list(&short));
        let why = format!("rows under load span less than {least} s: {names}");
        Gap::new("load_seconds", why, Concern::Everybody)
    })
}

/// More missing than the policy allows keeps anybody from READY.
fn missing(case: &Case, missing: usize, total: usize) -> Concern {
    let share = missing as f64 / total.max(1) as f64;
    if share > case.policy.floors.missing_most { Concern::Everybody } else { Concern::Nobody }
}

fn attendance(case: &Case) -> Vec<Gap> {
    let nodes = &case.facts.nodes;
    let mut gaps = Vec::new();
    let absent: Vec<_> = nodes.iter().filter(|(_, facts)| !facts.joined).map(|(n, _)| n).collect();
    if !absent.is_empty() {
        let (count, total) = (absent.len(), nodes.len());
        let why =
            format!("{count} of {total} nodes of the site have no reading: {}", list(&absent));
        gaps.push(Gap::new("nodes", why, missing(case, count, total)));
    }
    let mut named: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
    for (key, _) in case.seen.telemetry.devices() {
        named.entry(&key.node).or_default().push(key.device);
    }
    let (mut silent, mut total) = (Vec::new(), 0);
    for (node, facts) in nodes.iter().filter(|(_, facts)| facts.joined) {
        let here = named.get(node.0.as_str()).map_or(&[][..], Vec::as_slice);
        total += facts.devices.len();
        // Where indices say nothing (all 0), devices are counted instead.
        if here.len() < facts.devices.len() {
            let absent = facts.devices.keys().filter(|index| !here.contains(index));
            silent.extend(absent.map(|index| format!("{node}/{index}")));
        }
    }
    if !silent.is_empty() {
        let count = silent.len();
        let why = format!(
            "{count} of {total} devices of nodes that report have no row: {}",
            list(&silent)
        );
        gaps.push(Gap::new("devices", why, missing(case, count, total)));
    }
    gaps
}

/// Devices that can't be put anywhere: they are judged by themselves, in no group.
fn places(case: &Case, devices: &[Located]) -> Vec<Gap> {
    let mut gaps = Vec::new();
    let lost = devices.iter().filter(|(key, _)| key.node.is_empty()).count();
    if lost > 0 {
        let why = format!(
            "{} without a node: judged by themselves, in no group",
            plural(lost as u64, "device")
        );
        gaps.push(Gap::new("location", why, Concern::Nobody));
    }
    let Some(site) = case.site else { return gaps };
    let nodes = case.seen.telemetry.devices().map(|(key, _)| key.node.as_str());
    let strangers: BTreeSet<&str> =
        nodes.filter(|node| !node.is_empty() && site.node_ix(node).is_none()).collect();
    if !strangers.is_empty() {
        let count = plural(strangers.len() as u64, "node");
        let why = format!(
            "the site lacks {count} that rows name, judged in no group: {}",
            list(&strangers)
        );
        gaps.push(Gap::new("location", why, Concern::Nobody));
    }
    gaps
}

/// What a device's rows may measure, and which requirement hangs on it.
const METRICS: [(Metric, Concern); 5] = [
    (Metric::PowerW, Concern::Requiring(Requirement::Power)),
    (Metric::TempC, Concern::Requiring(Requirement::Temperature)),
    (Metric::Perf, Concern::Requiring(Requirement::Compute)),
    (Metric::ClockMhz, Concern::Nobody),
    (Metric::ClockMinMhz, Concern::Nobody),
];

fn columns(case: &Case, devices: &[Located]) -> Vec<Gap> {
    let devices: Vec<(&DeviceKey, Vec<&Cell>)> = devices
        .iter()
        .map(|(key, cells)| {
            let loaded = cells.iter().filter(|(key, _)| case.heats(&key.phase));
            (*key, loaded.map(|(_, cell)| cell).collect())
        })
        .collect();
    let mut gaps: Vec<Gap> = METRICS
        .iter()
        .filter_map(|(metric, concern)| column(case, &devices, *metric, *concern))
        .collect();
    let any =
        |has: &dyn Fn(&Cell) -> bool| devices.iter().any(|(_, cells)| cells.iter().any(|c| has(c)));
    if !any(&|cell| cell.reasons().rows > 0) {
        gaps.push(Gap::new("throttle", "no row says why clocks were low", Concern::Nobody));
    }
    if !any(&|cell| cell.ecc_uncorrected().is_some()) {
        gaps.push(Gap::new("memory_errors", "no row counts memory errors", Concern::Nobody));
    }
    if !any(&|cell| cell.count(Metric::CoolantSupplyC) + cell.count(Metric::InletAirC) > 0) {
        let why = "no row has the temperature of the coolant or air that came in";
        gaps.push(Gap::new("supply_temperature", why, Concern::Nobody));
    }
    gaps
}

fn column(
    case: &Case,
    devices: &[(&DeviceKey, Vec<&Cell>)],
    metric: Metric,
    concern: Concern,
) -> Option<Gap> {
    let without = devices.iter().filter(|(_, cells)| cells.iter().all(|c| c.count(metric) == 0));
    let names: Vec<String> = without.map(|(key, _)| name(key)).collect();
    if names.is_empty() {
        return None;
    }
    let (count, total) = (names.len(), devices.len());
    let why = if count == total {
        "no row under load has a value".to_owned()
    } else {
        format!("no value under load of {count} of {total} devices: {}", list(&names))
    };
    // A few silent sensors of many are told; they don't take the rest's word away.
    let tolerated = missing(case, count, total) == Concern::Nobody;
    Some(Gap::new(metric.word(), why, if tolerated { Concern::Nobody } else { concern }))
}

fn name(key: &DeviceKey) -> String {
    // The index is what the table calls it, whether or not it tells devices apart.
    suspect(key, true).id
}

fn fabric(case: &Case) -> Vec<Gap> {
    let mut gaps = Vec::new();
    let pairs = &case.seen.pairs;
    if pairs.is_empty() {
        let why = "no transfer between nodes was handed in";
        gaps.push(Gap::new("data_plane", why, Concern::Requiring(Requirement::DataPlane)));
    }
    if pairs.refused() > 0 {
        let rows = plural(pairs.refused(), "row");
        let why = format!("{rows} of pairs without a usable rate or without two nodes, not used");
        gaps.push(Gap::new("bandwidth_pair", why, Concern::Nobody));
    }
    if case.plan.phases.iter().any(|phase| phase.kind == PhaseKind::Rtt) {
        gaps.push(Gap::new("rtt", "tables hold no histograms of round trips", Concern::Nobody));
    }
    let collective = |phase: &Phase| matches!(phase.traffic, Some(Traffic::Collective { .. }));
    if case.requires(Requirement::Collective) || case.plan.phases.iter().any(collective) {
        let why = "tables hold no collectives";
        gaps.push(Gap::new("collective", why, Concern::Requiring(Requirement::Collective)));
    }
    gaps.extend(unmet(case));
    gaps
}

/// Nodes of the run that neither sent nor received, where others did.
fn unmet(case: &Case) -> Option<Gap> {
    let pairs = &case.seen.pairs;
    let met: BTreeSet<&str> = pairs.flows().flat_map(|flow| [&*flow.src, &*flow.dst]).collect();
    let alone = case.joined().map(|(node, _)| node).filter(|node| !met.contains(node.0.as_str()));
    let alone: Vec<&NodeName> = alone.collect();
    (!met.is_empty() && !alone.is_empty()).then(|| {
        let why = format!("no transfer with {}", list(alone));
        Gap::new("data_plane", why, Concern::Requiring(Requirement::DataPlane))
    })
}
