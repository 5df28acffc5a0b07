//! Candidate classes: domains that hold the same reporting nodes can't be told apart by
//! data and are one candidate.

use std::collections::BTreeMap;

use model::site::{DomainIx, Family, Site};

use crate::panel::Panel;

/// Domains with the same reporting members.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Class {
    /// Ascending.
    pub(crate) domains: Vec<DomainIx>,
    /// Positions on the panel of the members that report, ascending.
    pub(crate) nodes: Vec<usize>,
}

/// Classes of at least `least` reporting nodes, with at least as many reporting outside.
///
/// Network domains carry no heat and no supply current: they are judged by the fabric's
/// own witness.
pub(crate) fn classes(site: &Site, panel: &Panel, least: usize) -> Vec<Class> {
    let mut at = vec![None; site.nodes().len()];
    for (position, node) in panel.nodes.iter().enumerate() {
        if let Some(ix) = node.site.filter(|_| node.reports()) {
            at[ix.index()] = Some(position);
        }
    }
    let reporting = panel.nodes.iter().filter(|node| node.reports()).count();
    let mut by_nodes: BTreeMap<Vec<usize>, Vec<DomainIx>> = BTreeMap::new();
    for domain in site.domain_ixs() {
        if site.domain(domain).kind.family() == Family::Network {
            continue;
        }
        let mut nodes: Vec<usize> =
            site.members(domain).iter().filter_map(|node| at[node.index()]).collect();
        nodes.sort_unstable();
        if nodes.len() >= least && reporting - nodes.len() >= least {
            by_nodes.entry(nodes).or_default().push(domain);
        }
    }
    by_nodes.into_iter().map(|(nodes, domains)| Class { domains, nodes }).collect()
}
