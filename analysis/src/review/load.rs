//! Kilowatts: what each power and cooling domain would carry, beside what it may.
//!
//! A node that hangs on feeds A and B draws half from each until one fails; then the other
//! carries all of it. So a domain of one side is held against both numbers, and the second
//! decides.

use std::collections::BTreeSet;

use serde::Serialize;

use model::permit::Shape;
use model::plan::Phase;
use model::site::{DomainIx, Family, NodeIx, Site};

use super::count;

/// The heaviest load of one domain.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LoadReview {
    pub kind: String,
    pub id: String,
    /// `A` or `B` where power comes twice; null elsewhere.
    pub side: Option<String>,
    /// The phase in which it is heaviest.
    pub phase: String,
    pub nodes: u32,
    /// Nodes among them whose site entry has no `max_kw`: not in the sums.
    pub nodes_unknown: u32,
    /// With every feed up.
    pub kw: f64,
    /// With every other feed of its nodes down.
    pub kw_alone: f64,
    /// Budget, or rating times what is allowed for hours; null when the site says neither.
    pub limit_kw: Option<f64>,
    /// `kw_alone` as a share of the limit.
    pub share: Option<f64>,
    /// Least seconds for the whole load to come or go, where the site limits kW a second.
    pub ramp_seconds_least: Option<f64>,
}

impl LoadReview {
    /// Why the plan is refused on account of this domain.
    #[must_use]
    pub fn refusal(&self) -> Option<String> {
        let limit = self.limit_kw.filter(|limit| self.kw_alone > *limit)?;
        let (kind, id, kw) = (&self.kind, &self.id, self.kw_alone);
        let alone = if self.side.is_some() { " with the other feed down" } else { "" };
        let (phase, nodes) = (&self.phase, self.nodes);
        Some(format!(
            "{kind} {id} may give {limit:.1} kW; its {nodes} nodes draw {kw:.1} kW{alone} in phase {phase}"
        ))
    }
}

/// Domains without rating and budget, or of which a node's draw is unknown: they refuse
/// heat until the operator insists. One line for each reason and kind.
pub(super) fn unrated(load: &[LoadReview]) -> Vec<String> {
    let mut lines = Vec::new();
    let kinds: BTreeSet<&str> = load.iter().map(|domain| domain.kind.as_str()).collect();
    for kind in kinds {
        let of = |pick: &dyn Fn(&LoadReview) -> bool| -> Vec<&str> {
            let these = load.iter().filter(|domain| domain.kind == kind && pick(domain));
            these.map(|domain| domain.id.as_str()).collect()
        };
        let without = of(&|domain| domain.limit_kw.is_none());
        if !without.is_empty() {
            let names = crate::case::list(&without);
            lines.push(format!(
                "no rating_kw and no budget_kw on {kind} {names}: heat is refused without --allow-unrated"
            ));
        }
        let unknown = of(&|domain| domain.limit_kw.is_some() && domain.nodes_unknown > 0);
        if !unknown.is_empty() {
            let names = crate::case::list(&unknown);
            lines.push(format!(
                "nodes without max_kw on {kind} {names}: heat is refused without --allow-unrated"
            ));
        }
    }
    lines
}

/// The highest level that a phase commands, in percent; `None` without heat.
pub(super) fn peak_percent(phase: &Phase) -> Option<f64> {
    Some(Shape::of(phase)?.high * 100.0)
}

/// kW of a node in a phase (by its position) at level 1, where known: what the node draws at
/// most, or what a phase with watts or kw asks of it.
pub type FullKw<'a> = &'a dyn Fn(usize, NodeIx) -> Option<f64>;

/// kW that phases with watts or kw ask of a node, by the site's numbers of devices.
pub(super) fn asked_kw(
    site: &Site,
    phases: &[(&Phase, Vec<NodeIx>)],
    phase: usize,
    node: NodeIx,
) -> Option<f64> {
    let (phase, nodes) = phases.get(phase)?;
    let target = phase.load?.target?;
    let devices = |node: NodeIx| site.node(node).devices as usize;
    let watts = target.device_watts(nodes.iter().map(|node| devices(*node)).sum())?;
    Some(watts * devices(node) as f64 / 1e3)
}

/// Each power and cooling domain in the phase that loads it most; in the site's order.
pub fn domain_loads(
    site: &Site,
    phases: &[(&Phase, Vec<NodeIx>)],
    full_kw: FullKw<'_>,
) -> Vec<LoadReview> {
    let carries = |domain: &DomainIx| {
        matches!(site.domain(*domain).kind.family(), Family::Power | Family::Cooling)
    };
    let sides = sides(site);
    let heaviest = |domain: DomainIx| {
        let loads = phases.iter().enumerate().filter_map(|(at, (phase, nodes))| {
            let percent = peak_percent(phase).filter(|percent| *percent > 0.0)?;
            let full_kw = |node| full_kw(at, node);
            load_of((site, &sides, &full_kw), domain, (&phase.name, percent), nodes)
        });
        // The first of equals: phases of one level are told by the one that comes first.
        loads.reduce(|most, next| if next.kw_alone > most.kw_alone { next } else { most })
    };
    site.domain_ixs().filter(carries).filter_map(heaviest).collect()
}

/// kW of a node at full level; `None` where nobody says.
type NodeKw<'a> = &'a dyn Fn(NodeIx) -> Option<f64>;

fn load_of(
    (site, sides, full_kw): (&Site, &[Option<String>], NodeKw<'_>),
    domain: DomainIx,
    (phase, percent): (&str, f64),
    nodes: &[NodeIx],
) -> Option<LoadReview> {
    let members: Vec<NodeIx> =
        nodes.iter().copied().filter(|n| site.members(domain).binary_search(n).is_ok()).collect();
    if members.is_empty() {
        return None;
    }
    let side = sides[domain.index()].as_deref();
    let (mut kw, mut kw_alone, mut unknown) = (0.0, 0.0, 0);
    for node in &members {
        let Some(most) = full_kw(*node) else {
            unknown += 1;
            continue;
        };
        let draw = most * percent / 100.0;
        kw_alone += draw;
        kw += draw / feeds(site, sides, *node, side) as f64;
    }
    let at = site.domain(domain);
    let limit_kw = at.budget_kw();
    Some(LoadReview {
        kind: at.kind.word().to_owned(),
        id: at.id.clone(),
        side: side.map(str::to_owned),
        phase: phase.to_owned(),
        nodes: count(members.len()),
        nodes_unknown: unknown,
        kw,
        kw_alone,
        limit_kw,
        share: limit_kw.filter(|limit| *limit > 0.0).map(|limit| kw_alone / limit),
        ramp_seconds_least: at.ramp_kw_per_s.filter(|rate| *rate > 0.0).map(|rate| kw / rate),
    })
}

/// Over how many feeds a node's draw is spread as seen from a domain of one side.
fn feeds(site: &Site, sides: &[Option<String>], node: NodeIx, side: Option<&str>) -> usize {
    if side.is_none() {
        return 1;
    }
    let feeds: BTreeSet<&str> =
        site.ancestors(node).iter().filter_map(|domain| sides[domain.index()].as_deref()).collect();
    feeds.len().max(1)
}

/// The side of each power domain: its own, else the one that everything above it has, else
/// the one that everything below it has.
fn sides(site: &Site) -> Vec<Option<String>> {
    let own = |domain: DomainIx| {
        let domain = site.domain(domain);
        domain.side.clone().filter(|_| domain.kind.family() == Family::Power)
    };
    let mut below: Vec<BTreeSet<String>> = vec![BTreeSet::new(); site.domains().len()];
    for domain in site.domain_ixs() {
        for above in site.above(domain) {
            below[above.index()].extend(own(domain));
        }
    }
    let only =
        |sides: BTreeSet<String>| if sides.len() == 1 { sides.into_iter().next() } else { None };
    site.domain_ixs()
        .map(|domain| {
            if site.domain(domain).kind.family() != Family::Power {
                return None;
            }
            let above = site.above(domain).iter().filter_map(|above| own(*above)).collect();
            own(domain).or_else(|| only(above)).or_else(|| only(below[domain.index()].clone()))
        })
        .collect()
}
