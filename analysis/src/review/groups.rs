//! Groups: which domains hold enough nodes, which hold the same ones, which lie within
//! each other.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use model::policy::Policy;
use model::site::{DomainIx, DomainKind, Family, NodeIx, Site};

use super::count;
use super::effect::{Detectable, detectable};
use super::experiment;

/// What a phase can show of the domains of one kind.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KindReview {
    /// The word of the kind.
    pub kind: String,
    pub domains: u32,
    /// Domains with a node that takes part.
    pub exercised: u32,
    /// Domains with enough nodes inside and outside.
    pub testable: u32,
    /// Domains with too few nodes that take part to be told from chance.
    pub too_few: Vec<String>,
    /// Domains beside which too few nodes take part: nothing to compare with.
    pub nothing_beside: Vec<String>,
    /// What the smallest testable domain can show of heat and power; null when none is
    /// testable, and for the network, whose transfers are judged path by path.
    pub detectable: Option<Detectable>,
}

/// One of several domains that hold the same nodes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Member {
    pub kind: String,
    pub id: String,
}

/// Domains that hold the same nodes wherever the plan goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Alias {
    pub domains: Vec<Member>,
    /// Nodes that they share.
    pub nodes: u32,
    /// Whether nodes that the plan leaves out would tell them apart.
    pub whole_site: bool,
    /// What would separate them.
    pub experiment: String,
}

/// Every domain of `inner` lies within one domain of `outer`, and some share no border.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Nesting {
    pub inner: String,
    pub outer: String,
}

/// A kind's groups among the nodes that take part.
struct Group {
    id: String,
    inside: u32,
}

pub(super) fn kinds(
    site: &Site,
    policy: &Policy,
    nodes: &[NodeIx],
    kinds: &[DomainKind],
) -> Vec<KindReview> {
    let chosen: BTreeSet<NodeIx> = nodes.iter().copied().collect();
    let groups: BTreeMap<DomainKind, Vec<Group>> = kinds
        .iter()
        .map(|kind| (*kind, groups_of(site, *kind, &chosen)))
        .filter(|(_, groups)| !groups.is_empty())
        .collect();
    let least = policy.floors.group_nodes_least;
    let all = count(chosen.len());
    let testable = |group: &Group| group.inside >= least && all - group.inside >= least;
    let of_heat = |kind: DomainKind| kind.family() != Family::Network;
    // One gate over everything that this phase tests.
    let tested: Vec<&Group> = groups
        .iter()
        .filter(|(kind, _)| of_heat(**kind))
        .flat_map(|(_, groups)| groups)
        .filter(|group| testable(group))
        .collect();
    let tested = tested.len();
    let review = |(kind, groups): (DomainKind, Vec<Group>)| {
        let with = |pick: &dyn Fn(&Group) -> bool| -> Vec<String> {
            groups.iter().filter(|group| pick(group)).map(|group| group.id.clone()).collect()
        };
        let smallest =
            groups.iter().filter(|group| testable(group)).map(|group| group.inside).min();
        KindReview {
            kind: kind.word().to_owned(),
            domains: count(groups.len()),
            exercised: count(groups.iter().filter(|group| group.inside > 0).count()),
            testable: count(groups.iter().filter(|group| testable(group)).count()),
            too_few: with(&|group| group.inside > 0 && group.inside < least),
            nothing_beside: with(&|group| group.inside >= least && all - group.inside < least),
            detectable: smallest
                .filter(|_| of_heat(kind))
                .map(|inside| detectable(&policy.floors, (inside, all - inside), tested)),
        }
    };
    groups.into_iter().map(review).collect()
}

fn groups_of(site: &Site, kind: DomainKind, chosen: &BTreeSet<NodeIx>) -> Vec<Group> {
    let group = |domain: DomainIx| Group {
        id: site.domain(domain).id.clone(),
        inside: count(site.members(domain).iter().filter(|node| chosen.contains(node)).count()),
    };
    site.of_kind(kind).map(group).collect()
}

/// Domains that one signal shows (of heat, or of traffic) and that hold the same nodes in
/// every selection that the signal comes from.
pub(super) fn aliases(site: &Site, selections: &[&[NodeIx]], signal: Signal) -> Vec<Alias> {
    let selections: BTreeSet<&[NodeIx]> = selections.iter().copied().collect();
    let chosen: Vec<BTreeSet<NodeIx>> =
        selections.into_iter().map(|nodes| nodes.iter().copied().collect()).collect();
    let mut classes: BTreeMap<Vec<Vec<NodeIx>>, Vec<DomainIx>> = BTreeMap::new();
    for domain in site.domain_ixs().filter(|domain| signal.shows(site.domain(*domain).kind)) {
        let within = |nodes: &BTreeSet<NodeIx>| -> Vec<NodeIx> {
            site.members(domain).iter().copied().filter(|node| nodes.contains(node)).collect()
        };
        let trace: Vec<Vec<NodeIx>> = chosen.iter().map(within).collect();
        if trace.iter().any(|nodes| !nodes.is_empty()) {
            classes.entry(trace).or_default().push(domain);
        }
    }
    let network = |domain: &DomainIx| site.domain(*domain).kind.family() == Family::Network;
    let mut aliases: Vec<Alias> = classes
        .into_iter()
        .filter(|(_, domains)| domains.len() > 1)
        // Places alone are told with heat.
        .filter(|(_, domains)| signal == Signal::Heat || domains.iter().any(network))
        .map(|(trace, domains)| alias(site, &trace, &domains))
        .collect();
    aliases.sort_by(|a, b| a.domains.cmp(&b.domains));
    aliases
}

/// What makes a weakness visible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signal {
    /// Temperature, power, clock.
    Heat,
    /// Transfers between nodes.
    Traffic,
}

impl Signal {
    /// Whether a weakness of such a domain shows in it.
    pub(super) fn shows(self, kind: DomainKind) -> bool {
        match (self, kind.family()) {
            (_, Family::Place) => true,
            (Self::Heat, family) => family != Family::Network,
            (Self::Traffic, family) => family == Family::Network,
        }
    }
}

fn alias(site: &Site, trace: &[Vec<NodeIx>], domains: &[DomainIx]) -> Alias {
    let nodes: BTreeSet<NodeIx> = trace.iter().flatten().copied().collect();
    let whole_site = domains.windows(2).all(|two| site.members(two[0]) == site.members(two[1]));
    let member = |domain: &DomainIx| Member {
        kind: site.domain(*domain).kind.word().to_owned(),
        id: site.domain(*domain).id.clone(),
    };
    Alias {
        domains: domains.iter().map(member).collect(),
        nodes: count(nodes.len()),
        whole_site,
        experiment: experiment::separating(site, domains, whole_site),
    }
}

/// Pairs of kinds of which one always lies within the other. Such domains can be told
/// apart: a weakness of the outer one shows in its other members as well.
pub(super) fn nested(site: &Site) -> Vec<Nesting> {
    let kinds: Vec<DomainKind> =
        DomainKind::ALL.into_iter().filter(|kind| site.of_kind(*kind).next().is_some()).collect();
    let mut nestings = Vec::new();
    for inner in &kinds {
        for outer in kinds.iter().filter(|outer| *outer != inner) {
            if lies_within(site, *inner, *outer) {
                let (inner, outer) = (inner.word().to_owned(), outer.word().to_owned());
                nestings.push(Nesting { inner, outer });
            }
        }
    }
    nestings
}

/// Whether each inner domain has one outer domain that holds all its nodes, and at least
/// one of them holds others as well.
fn lies_within(site: &Site, inner: DomainKind, outer: DomainKind) -> bool {
    let mut larger = false;
    for domain in site.of_kind(inner).filter(|domain| !site.members(*domain).is_empty()) {
        let members = site.members(domain);
        let holds_all = |above: &DomainIx| {
            members.iter().all(|node| site.ancestors(*node).binary_search(above).is_ok())
        };
        let around: Vec<DomainIx> =
            site.ancestors_of_kind(members[0], outer).filter(holds_all).collect();
        let [around] = around.as_slice() else { return false };
        larger |= site.members(*around).len() > members.len();
    }
    larger
}
