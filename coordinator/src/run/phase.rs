//! Phases of a plan, ready to be sent: waveforms, members, traffic.

use std::collections::{BTreeMap, BTreeSet};

use model::collective::Transport;
use model::course::courses;
use model::plan::{Phase, Plan, Selector, Traffic};
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
    /// Of every member that has none of its own.
    pub load: Option<v1::PhaseLoad>,
    /// Of members in groups that move at their own times.
    pub own_loads: BTreeMap<String, v1::PhaseLoad>,
    pub traffic: Option<v1::PhaseTraffic>,
    /// Whether latency of this phase counts as under load.
    pub loaded: bool,
}

impl PhaseSpec {
    /// Whether a node takes part.
    #[must_use]
    pub fn has(&self, node: &str) -> bool {
        self.members.binary_search_by(|member| member.as_str().cmp(node)).is_ok()
    }

    /// Whether any of its members is loaded.
    #[must_use]
    pub fn heats(&self) -> bool {
        self.load.is_some() || !self.own_loads.is_empty()
    }

    /// The load of a member; `None` without heat.
    #[must_use]
    pub fn load_of(&self, node: &str) -> Option<&v1::PhaseLoad> {
        self.own_loads.get(node).or(self.load.as_ref())
    }
}

/// Every phase of a plan over the nodes that take part in the run, with the waveform of each
/// node: nothing is left to decide while it runs.
///
/// # Errors
/// Phases whose groups can't be made or don't fit, a line each.
pub fn phase_specs(
    plan: &Plan,
    site: Option<&Site>,
    nodes: &[String],
) -> Result<Vec<PhaseSpec>, Vec<String>> {
    let each =
        plan.phases.iter().map(|phase| phase_spec(phase, plan.attending(phase), site, nodes));
    let (specs, wrong): (Vec<_>, Vec<_>) = each.partition(Result::is_ok);
    let wrong: Vec<String> = wrong.into_iter().filter_map(Result::err).collect();
    if wrong.is_empty() { Ok(specs.into_iter().flatten().collect()) } else { Err(wrong) }
}

/// `attending`: who takes part, some of them perhaps without load.
fn phase_spec(
    phase: &Phase,
    attending: &Selector,
    site: Option<&Site>,
    nodes: &[String],
) -> Result<PhaseSpec, String> {
    let loaded = members_of(&phase.on, site, nodes);
    let members = members_of(attending, site, nodes);
    let (mut load, mut own_loads) = (None, BTreeMap::new());
    if let Some(asked) = phase.load {
        for (at, course) in courses(phase, site, &loaded)?.into_iter().enumerate() {
            let wire = load_to_wire(asked.kernel, course.waveform);
            if at == 0 && loaded.len() == members.len() {
                load = Some(wire);
            } else {
                own_loads.extend(course.nodes.into_iter().map(|node| (node, wire.clone())));
            }
        }
    }
    let moves = matches!(phase.traffic, Some(Traffic::Collective { .. } | Traffic::Pairs { .. }));
    Ok(PhaseSpec {
        name: phase.name.clone(),
        kind: phase.kind.word().to_owned(),
        duration_ns: seconds_to_ns(phase.seconds),
        members,
        load,
        own_loads,
        traffic: Some(traffic_of(phase)),
        loaded: phase.load.is_some() || moves,
    })
}

/// Writes the watts of each device into the loads of phases that ask for power.
pub(crate) fn ask_power(specs: &mut [PhaseSpec], asked: &Asked) {
    for (at, spec) in specs.iter_mut().enumerate() {
        for load in spec.load.iter_mut().chain(spec.own_loads.values_mut()) {
            load.target_w = asked.device_w(at);
        }
    }
}

/// The nodes that a selector picks, in name order.
#[must_use]
pub fn members_of(selector: &Selector, site: Option<&Site>, nodes: &[String]) -> Vec<String> {
    let mut picked: Vec<String> = match selector {
        Selector::All => nodes.to_vec(),
        Selector::Nodes(names) => {
            let names: BTreeSet<&String> = names.iter().collect();
            nodes.iter().filter(|node| names.contains(node)).cloned().collect()
        }
        Selector::Domain(kind, id) => {
            let hangs_on = |node: &&String| site.is_some_and(|site| hangs_on(site, node, kind, id));
            nodes.iter().filter(hangs_on).cloned().collect()
        }
        Selector::Percent(percent) => {
            let count = (nodes.len() * usize::from(*percent)).div_ceil(100);
            nodes.iter().take(count).cloned().collect()
        }
        Selector::Any(parts) => {
            let each = parts.iter().flat_map(|part| members_of(part, site, nodes));
            each.collect::<BTreeSet<_>>().into_iter().collect()
        }
        Selector::Share(percent, of) => {
            members_of(&Selector::Percent(*percent), site, &members_of(of, site, nodes))
        }
    };
    picked.sort();
    picked
}

/// What a selector names that the site does not have, with the mend.
#[must_use]
pub fn unknown_domain(selector: &Selector, site: Option<&Site>) -> Option<String> {
    match selector {
        Selector::All | Selector::Nodes(_) | Selector::Percent(_) => None,
        Selector::Any(parts) => parts.iter().find_map(|part| unknown_domain(part, site)),
        Selector::Share(_, of) => unknown_domain(of, site),
        Selector::Domain(kind, id) => {
            let Some(site) = site else {
                return Some(format!("{kind}={id} needs a site: give --site"));
            };
            let named = site.domain_ix(id).map(|ix| site.domain(ix).kind.word());
            if named == Some(kind.as_str()) {
                return None;
            }
            let of_kind = site.domains().iter().filter(|domain| domain.kind.word() == kind);
            let ids: Vec<&str> = of_kind.map(|domain| domain.id.as_str()).collect();
            let mend = match (named, formats::nearest(id, &ids)) {
                (Some(other), _) => format!("{id} is a {other}: write {other}={id}"),
                (None, Some(near)) => format!("did you mean {kind}={near}?"),
                (None, None) if ids.is_empty() => format!("the site has no {kind} at all"),
                (None, None) => format!("`loadbank site show` lists its {}", ids.len()),
            };
            Some(format!("the site has no {kind} \"{id}\": {mend}"))
        }
    }
}

fn hangs_on(site: &Site, node: &str, kind: &str, id: &str) -> bool {
    let Some(domain) = site.domain_ix(id) else { return false };
    site.domain(domain).kind.word() == kind
        && site.node_ix(node).is_some_and(|node| site.ancestors(node).contains(&domain))
}

/// Every phase carries probes: latency under load is the point of sampling it.
fn traffic_of(phase: &Phase) -> v1::PhaseTraffic {
    use v1::phase_traffic::Kind;
    let kind = match phase.traffic {
        Some(Traffic::Collective { op, bytes, over }) => {
            let transport = over.map_or("", Transport::word).to_owned();
            Kind::Collective(v1::Collective { op: op.word().to_owned(), bytes, transport })
        }
        Some(Traffic::Pairs { bytes, streams, both_ways, quiet }) => {
            Kind::Pairs(v1::Pairs { bytes, streams, both_ways, quiet })
        }
        None => Kind::ProbesOnly(v1::ProbesOnly {}),
    };
    v1::PhaseTraffic { kind: Some(kind) }
}

fn seconds_to_ns(seconds: f64) -> u64 {
    (seconds * 1e9).round().max(0.0) as u64
}
