//! Phases of a plan, ready to be sent: waveforms, members, traffic.

use model::collective::Transport;
use model::load::Waveform;
use model::plan::{Phase, PhaseKind, Plan, Selector, Traffic};
use model::site::Site;
use proto::convert::load_to_wire;
use proto::v1;

use crate::budget::Asked;

/// One phase as the machine and the wire need it.
#[derive(Debug, Clone, PartialEq)]
pub struct PhaseSpec {
    pub name: String,
    pub kind: String,
    pub duration_ns: u64,
    /// Nodes that take part, in name order: their place is their rank.
    pub members: Vec<String>,
    pub load: Option<v1::PhaseLoad>,
    pub traffic: Option<v1::PhaseTraffic>,
    /// Whether latency of this phase counts as under load.
    pub loaded: bool,
}

/// Every phase of a plan over the nodes that take part in the run.
#[must_use]
pub fn phase_specs(plan: &Plan, site: Option<&Site>, nodes: &[String]) -> Vec<PhaseSpec> {
    plan.phases
        .iter()
        .map(|phase| PhaseSpec {
            name: phase.name.clone(),
            kind: phase.kind.word().to_owned(),
            duration_ns: seconds_to_ns(phase.seconds),
            members: members_of(&phase.on, site, nodes),
            load: load_of(phase),
            traffic: Some(traffic_of(phase)),
            loaded: phase.load.is_some()
                || matches!(
                    phase.traffic,
                    Some(Traffic::Collective { .. } | Traffic::Pairs { .. })
                ),
        })
        .collect()
}

/// Writes the watts of each device into the loads of phases that ask for power.
pub(crate) fn ask_power(specs: &mut [PhaseSpec], asked: &Asked) {
    for (at, spec) in specs.iter_mut().enumerate() {
        if let Some(load) = &mut spec.load {
            load.target_w = asked.device_w(at);
        }
    }
}

/// The nodes that a selector picks, in name order.
#[must_use]
pub fn members_of(selector: &Selector, site: Option<&Site>, nodes: &[String]) -> Vec<String> {
    let mut picked: Vec<String> = match selector {
        Selector::All => nodes.to_vec(),
        Selector::Nodes(names) => nodes.iter().filter(|n| names.contains(n)).cloned().collect(),
        Selector::Domain(kind, id) => {
            let hangs_on = |node: &&String| site.is_some_and(|site| hangs_on(site, node, kind, id));
            nodes.iter().filter(hangs_on).cloned().collect()
        }
        Selector::Percent(percent) => {
            let count = (nodes.len() * usize::from(*percent)).div_ceil(100);
            nodes.iter().take(count).cloned().collect()
        }
    };
    picked.sort();
    picked
}

fn hangs_on(site: &Site, node: &str, kind: &str, id: &str) -> bool {
    let Some(domain) = site.domain_ix(id) else { return false };
    site.domain(domain).kind.word() == kind
        && site.node_ix(node).is_some_and(|node| site.ancestors(node).contains(&domain))
}

fn load_of(phase: &Phase) -> Option<v1::PhaseLoad> {
    let load = phase.load?;
    let waveform = match phase.kind {
        PhaseKind::Ramp { from_percent, to_percent } => Waveform::Ramp {
            from: from_percent / 100.0,
            to: to_percent / 100.0,
            over_ns: seconds_to_ns(phase.seconds),
        },
        PhaseKind::Square { low_percent, high_percent, period_seconds } => Waveform::Square {
            low: low_percent / 100.0,
            high: high_percent / 100.0,
            period_ns: seconds_to_ns(period_seconds),
        },
        _ => Waveform::Hold { level: load.percent / 100.0 },
    };
    Some(load_to_wire(load.kernel, waveform))
}

/// Every phase carries probes: latency under load is the point of sampling it.
fn traffic_of(phase: &Phase) -> v1::PhaseTraffic {
    use v1::phase_traffic::Kind;
    let kind = match phase.traffic {
        Some(Traffic::Collective { op, bytes, over }) => {
            let transport = over.map_or("", Transport::word).to_owned();
            Kind::Collective(v1::Collective { op: op.word().to_owned(), bytes, transport })
        }
        Some(Traffic::Pairs { bytes, streams, both_ways }) => {
            Kind::Pairs(v1::Pairs { bytes, streams, both_ways })
        }
        None => Kind::ProbesOnly(v1::ProbesOnly {}),
    };
    v1::PhaseTraffic { kind: Some(kind) }
}

fn seconds_to_ns(seconds: f64) -> u64 {
    (seconds * 1e9).round().max(0.0) as u64
}
