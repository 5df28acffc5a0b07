//! Network ports whose own counters say that bits are lost at them.
//!
//! A counter tells the receiving end of a cable: the cable, its two transceivers and the
//! switch's port can all be it.

use model::NodeName;
use model::finding::{Blame, Finding, FindingKind, Severity, Standing, Suspect};
use model::site::DomainKind;

use super::draft;
use crate::case::{Case, node_suspect};
use crate::digest::ports::NodePorts;

/// A port of the fabric whose link went away, in a run in which none may; and any port at all,
/// which may be one that nothing of ours goes through.
const DOWN: &str = "link_downed";
const CARRIER: [&str; 2] = ["carrier_down_count", "link_down_events_phy"];
/// Bits that were wrong behind the error correction.
const WRONG: [&str; 8] = [
    "symbol_error",
    "port_rcv_errors",
    "local_link_integrity_errors",
    "rx_crc_errors",
    "rx_icrc_encapsulated",
    "rx_crc_errors_phy",
    "rx_symbol_err_phy",
    "rx_pcs_symbol_err_phy",
];
/// Fewer wrong ones an hour, or in all, are what a sound link may do (InfiniBand's bit error
/// rate of 1e-12 behind the correction is a few an hour at 400 Gbit/s and part load; proposal).
const WRONG_AN_HOUR_MOST: f64 = 10.0;
const WRONG_LEAST: u64 = 3;
const HOUR_NS: f64 = 3.6e12;

pub(super) fn testify(case: &Case) -> Vec<Finding> {
    let nodes = case.seen.ports.nodes();
    let found = nodes.flat_map(|(node, ports)| {
        let looked_at = ports.looked_at.iter();
        looked_at.filter_map(|port| Some(finding(case, node, port, lines(ports, port)?)))
    });
    found.collect()
}

fn finding(
    case: &Case,
    node: &NodeName,
    port: &str,
    (standing, lines): (Standing, Vec<String>),
) -> Finding {
    let severity = match standing {
        Standing::Confirmed => Severity::Major,
        _ => Severity::Minor,
    };
    let suspect = Suspect::new("nic", format!("{node}/{port}"));
    let mut finding = draft(FindingKind::FlakyLink, Blame::Facility, (standing, severity), suspect);
    finding.evidence = lines;
    // The other end of the cable: one switch that went away takes a link of each node with it.
    let leaves = case.site.into_iter().flat_map(|site| {
        let of_node = site.node_ix(&node.0).into_iter();
        let leaves = of_node.flat_map(|ix| site.ancestors_of_kind(ix, DomainKind::Leaf));
        leaves.map(|leaf| Suspect::new("leaf", site.domain(leaf).id.clone()))
    });
    finding.cannot_exclude = std::iter::once(node_suspect(node)).chain(leaves).collect();
    finding.action = format!(
        "clean or change the cable at {port} of {node} and its transceivers; read the counters \
         of the switch's port at its other end"
    );
    finding.next_experiment =
        Some(format!("the same load with the cable of {port} of {node} changed"));
    finding
}

/// What is wrong with a port, and whether it is beyond doubt.
fn lines(ports: &NodePorts, port: &str) -> Option<(Standing, Vec<String>)> {
    let hours = ports.span_ns as f64 / HOUR_NS;
    let told = |counter: &&str| {
        let count = ports.whole(port, counter);
        (count, format!("{counter} grew by {count} in {:.0} s of the run", hours * 3600.0))
    };
    let down: Vec<_> =
        [DOWN].iter().chain(&CARRIER).map(told).filter(|(count, _)| *count > 0).collect();
    let many = |(count, _): &(u64, String)| {
        *count >= WRONG_LEAST && *count as f64 > WRONG_AN_HOUR_MOST * hours
    };
    let wrong: Vec<_> = WRONG.iter().map(told).filter(many).collect();
    let standing = match ports.whole(port, DOWN) {
        0 => Standing::Watch,
        _ => Standing::Confirmed,
    };
    let lines: Vec<String> = down.into_iter().chain(wrong).map(|(_, line)| line).collect();
    (!lines.is_empty()).then_some((standing, lines))
}
