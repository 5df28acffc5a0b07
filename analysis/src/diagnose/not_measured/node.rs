//! What the node itself could say beside its devices, and did not: the counters of its network
//! ports, and what its supplies draw.

use std::collections::BTreeSet;

use super::{Concern, Gap};
use crate::case::{Case, list};

/// A port of the whole node: its kernel's TCP, which is no cable.
const TCP: &str = "tcp";

pub(super) fn node(case: &Case) -> Vec<Gap> {
    let cables = |looked_at: &BTreeSet<String>| looked_at.iter().any(|port| port != TCP);
    let counting = case.seen.ports.nodes().filter(|(_, ports)| cables(&ports.looked_at));
    let counted: BTreeSet<&str> = counting.map(|(node, _)| node.0.as_str()).collect();
    let metered = case.seen.node_meters.domains().map(|(id, _)| id.as_str()).collect();
    let ports = "no port here tells its errors";
    let supply = "hwmon has no power_meter or PMBus";
    let gap = |what: &str, why: &str, told: &BTreeSet<&str>| {
        let present = || case.facts.nodes.iter().filter(|(_, node)| node.joined);
        let silent = present().map(|(name, _)| name).filter(|name| !told.contains(name.0.as_str()));
        let without: Vec<_> = silent.collect();
        let who = match (without.len(), present().count()) {
            (0, _) => return None,
            (none, all) if none == all => "every node".to_owned(),
            (some, all) => format!("{some} of {all} nodes: {}", list(without)),
        };
        Some(Gap::new(what, format!("{why} ({who})"), Concern::Nobody))
    };
    let ports = gap("port_counters", ports, &counted);
    // Where no node tells it, that is said beside the building's meters.
    let supply = gap("power_input", supply, &metered).filter(|_| !metered.is_empty());
    ports.into_iter().chain(supply).collect()
}
