//! The data plane: round trips, pairs and collectives that nobody saw.

use std::collections::{BTreeMap, BTreeSet};

use model::NodeName;
use model::plan::{PhaseKind, Requirement, Traffic};
use model::record::EventKind;

use super::{Concern, Gap};
use crate::case::{Case, list, plural};
use crate::digest::fabric::LatencyEvidence;

pub(super) fn data_plane(case: &Case) -> Vec<Gap> {
    let concerns = Concern::Requiring(Requirement::DataPlane);
    let nodes: Vec<&NodeName> = case.joined().map(|(node, _)| node).collect();
    if nodes.len() < 2 {
        return vec![Gap::new("data_plane", "one node has no peer to talk to", concerns)];
    }
    let mut gaps = Vec::new();
    let mut heard: BTreeSet<&NodeName> = BTreeSet::new();
    for (pair, _, _) in case.round_trips().filter(|(_, _, seen)| seen.histogram.count() > 0) {
        heard.extend([&pair.from, &pair.to]);
    }
    for ((pair, _), _) in case.seen.transfers.iter().filter(|(_, t)| t.gb_per_s.count() > 0) {
        heard.extend([&pair.from, &pair.to]);
    }
    let silent: Vec<_> = nodes.iter().filter(|node| !heard.contains(*node)).collect();
    if !silent.is_empty() {
        let why = format!("no round trip and no transfer with {}", list(silent));
        gaps.push(Gap::new("data_plane", why, concerns));
    }
    for (loaded, what) in [(false, "rtt_idle"), (true, "rtt_loaded")] {
        let answered = |seen: &LatencyEvidence| seen.histogram.count() > 0;
        if !case.round_trips().any(|(_, state, seen)| state == loaded && answered(seen)) {
            gaps.push(Gap::new(what, "no probe was answered in this state", Concern::Nobody));
        }
    }
    gaps.extend(pairs(case, &nodes));
    gaps.extend(missed(case));
    gaps
}

/// Slots in which two should have met and did not. A machine that was late is no finding, and
/// what was not measured is told.
fn missed(case: &Case) -> Option<Gap> {
    let mut nodes: BTreeMap<&NodeName, u64> = BTreeMap::new();
    for (node, _, group) in case.events(EventKind::TransferMissed) {
        *nodes.entry(node).or_default() += group.count;
    }
    if nodes.is_empty() {
        return None;
    }
    let slots = plural(nodes.values().sum(), "transfer");
    let by = list(nodes.iter().map(|(node, count)| format!("{node} ({count})")));
    let why =
        format!("{slots} that the timetable had did not come about, by who missed them: {by}");
    Some(Gap::new("bandwidth_pair", why, Concern::Nobody))
}

/// Pairs that a pairs phase should have met. One direction is enough for the requirement.
fn pairs(case: &Case, nodes: &[&NodeName]) -> Vec<Gap> {
    if !case.plan.phases.iter().any(|phase| phase.kind == PhaseKind::Pairs) {
        return vec![Gap::new("bandwidth_pair", "the plan has no pairs phase", Concern::Nobody)];
    }
    let met: BTreeSet<(&NodeName, &NodeName)> = case
        .seen
        .transfers
        .iter()
        .filter(|(_, seen)| seen.gb_per_s.count() > 0)
        .map(|((pair, _), _)| (&pair.from, &pair.to))
        .collect();
    let (mut never, mut one_way) = (Vec::new(), Vec::new());
    for (index, a) in nodes.iter().enumerate() {
        for b in &nodes[index + 1..] {
            match (met.contains(&(*a, *b)), met.contains(&(*b, *a))) {
                (true, true) => {}
                (false, false) => never.push(format!("{a}-{b}")),
                (true, false) => one_way.push(format!("{b}>{a}")),
                (false, true) => one_way.push(format!("{a}>{b}")),
            }
        }
    }
    let mut gaps = Vec::new();
    if !never.is_empty() {
        let why = format!("no transfer between {}", list(never));
        gaps.push(Gap::new("bandwidth_pair", why, Concern::Requiring(Requirement::DataPlane)));
    }
    if !one_way.is_empty() {
        let why = format!("only the other direction was measured of {}", list(one_way));
        gaps.push(Gap::new("bandwidth_pair", why, Concern::Nobody));
    }
    gaps
}

pub(super) fn collectives(case: &Case) -> Vec<Gap> {
    let concerns = Concern::Requiring(Requirement::Collective);
    let planned: Vec<&str> = case
        .plan
        .phases
        .iter()
        .filter(|phase| matches!(phase.traffic, Some(Traffic::Collective { .. })))
        .map(|phase| phase.name.as_str())
        .collect();
    if planned.is_empty() {
        return vec![Gap::new("collective", "the plan has no collective", concerns)];
    }
    let whole = |phase: &str| {
        case.seen.collectives.iter().any(|(key, ranks)| {
            let done: BTreeSet<u32> = ranks
                .iter()
                .filter(|(_, seen)| seen.operations > 0)
                .map(|((rank, _), _)| *rank)
                .collect();
            key.phase == phase
                && key.world_size > 1
                && done.len() as u64 == u64::from(key.world_size)
        })
    };
    let open: Vec<&str> = planned.into_iter().filter(|phase| !whole(phase)).collect();
    if open.is_empty() {
        return Vec::new();
    }
    let why = format!("not every rank reported an operation in {}", list(open));
    vec![Gap::new("collective", why, concerns)]
}

/// What tables of pairs left open.
pub(super) fn pair_tables(case: &Case) -> Vec<Gap> {
    let open = crate::fabric::untested(case).into_iter();
    open.map(|(what, why)| Gap::new(what, why, Concern::Nobody)).collect()
}
