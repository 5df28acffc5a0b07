//! What a flow crosses: names of a table turned into directed parts of the site.

use std::collections::{BTreeMap, BTreeSet};

use model::site::{DomainIx, DomainKind, NodeIx, Site};

use crate::digest::pairs::Flow;

/// One directed part of the fabric that can be slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Element {
    /// A card with its cable and the leaf's port, sending. The card is a position in the
    /// node's list, `None` where the table or the site don't say which.
    HostUp(NodeIx, Option<u16>),
    /// The same, receiving.
    HostDown(NodeIx, Option<u16>),
    /// Some uplink of a leaf, from flows whose path is unknown.
    LeafUp(DomainIx),
    /// The same towards the leaf.
    LeafDown(DomainIx),
    /// The cables from one switch to another.
    Link(DomainIx, DomainIx),
}

/// How far a flow goes: flows are compared with flows that go as far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Hop {
    /// The site doesn't say where both ends are plugged in.
    Unknown,
    /// Both ends on one leaf.
    Leaf,
    /// Two leaves of one pod, or of a site without pods.
    Leaves,
    /// From one pod to another.
    Pods(DomainIx, DomainIx),
}

/// Both ends of a flow and all that lies between.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) hop: Hop,
    /// The sender's card.
    pub(super) card: Option<u16>,
    /// From the sender to the receiver.
    pub(super) elements: Vec<Element>,
}

/// The site as flows see it.
pub(super) struct Map<'a> {
    pub(super) site: &'a Site,
    /// Speed in Gbit/s between two switches, both ways round, all cables together.
    links: BTreeMap<(DomainIx, DomainIx), f64>,
    uplinks: BTreeMap<DomainIx, Vec<(DomainIx, f64)>>,
    pods: Vec<Option<DomainIx>>,
    addresses: BTreeMap<&'a str, DomainIx>,
}

impl<'a> Map<'a> {
    pub(super) fn new(site: &'a Site) -> Self {
        let mut links = BTreeMap::new();
        for link in site.links() {
            if let (Some(a), Some(b)) = (site.domain_ix(&link.a), site.domain_ix(&link.b)) {
                let gbps = link.gbps * f64::from(link.count);
                links.insert((a, b), gbps);
                links.insert((b, a), gbps);
            }
        }
        let mut uplinks: BTreeMap<DomainIx, Vec<(DomainIx, f64)>> = BTreeMap::new();
        for (&(a, b), &gbps) in &links {
            uplinks.entry(a).or_default().push((b, gbps));
        }
        let pod = |leaf| {
            let mut above = site.above(leaf).iter().copied();
            above.find(|&above| site.domain(above).kind == DomainKind::Pod)
        };
        let own = |ix| site.domain(ix).addresses.iter().map(move |own| (own.as_str(), ix));
        let addresses = site.domain_ixs().flat_map(own).collect();
        Self { site, links, uplinks, pods: site.domain_ixs().map(pod).collect(), addresses }
    }

    /// The way of a flow; `None` when the site has no node of one of its names.
    pub(super) fn route(&self, flow: &Flow) -> Option<Route> {
        let (src, dst) = (self.site.node_ix(&flow.src)?, self.site.node_ix(&flow.dst)?);
        let card = self.card(src, flow.nic.as_deref());
        // Rails join cards of one name.
        let far_card = self.card(dst, flow.nic.as_deref());
        let mut elements = vec![Element::HostUp(src, card)];
        let ends = (self.leaf(src, card), self.leaf(dst, far_card));
        let hop = match ends {
            (Some(from), Some(to)) if from == to => Hop::Leaf,
            (Some(from), Some(to)) => {
                self.between(from, to, flow.via.as_deref(), &mut elements);
                match (self.pods[from.index()], self.pods[to.index()]) {
                    (Some(a), Some(b)) if a != b => Hop::Pods(a, b),
                    _ => Hop::Leaves,
                }
            }
            _ => Hop::Unknown,
        };
        elements.push(Element::HostDown(dst, far_card));
        Some(Route { hop, card, elements })
    }

    /// Speed that the site declares for a part, in Gbit/s.
    pub(super) fn declared_gbps(&self, element: Element) -> Option<f64> {
        match element {
            Element::HostUp(node, card) | Element::HostDown(node, card) => {
                let nics = &self.site.node(node).nics;
                nics.get(usize::from(card?))?.gbps
            }
            Element::Link(a, b) => self.links.get(&(a, b)).copied(),
            Element::LeafUp(leaf) | Element::LeafDown(leaf) => {
                let all = self.uplinks(leaf);
                (!all.is_empty()).then(|| all.iter().map(|(_, gbps)| gbps).sum())
            }
        }
    }

    /// Switches that a leaf is cabled to, with the speed of each in Gbit/s.
    pub(super) fn uplinks(&self, leaf: DomainIx) -> &[(DomainIx, f64)] {
        self.uplinks.get(&leaf).map_or(&[], Vec::as_slice)
    }

    /// Every directed part that the site declares.
    pub(super) fn declared(&self) -> BTreeSet<Element> {
        self.links.keys().map(|&(a, b)| Element::Link(a, b)).collect()
    }

    pub(super) fn is_leaf(&self, domain: DomainIx) -> bool {
        self.site.domain(domain).kind == DomainKind::Leaf
    }

    pub(super) fn card(&self, node: NodeIx, name: Option<&str>) -> Option<u16> {
        let nics = &self.site.node(node).nics;
        let position = match name {
            Some(name) => nics.iter().position(|nic| nic.name == name)?,
            None if nics.len() == 1 => 0,
            None => return None,
        };
        u16::try_from(position).ok()
    }

    /// The leaf of a card, or the only leaf of its node.
    pub(super) fn leaf(&self, node: NodeIx, card: Option<u16>) -> Option<DomainIx> {
        let nics = &self.site.node(node).nics;
        let own = card.and_then(|card| nics.get(usize::from(card))?.leaf.as_deref());
        if let Some(leaf) = own {
            return self.site.domain_ix(leaf);
        }
        let mut leaves = self.site.ancestors_of_kind(node, DomainKind::Leaf);
        let first = leaves.next()?;
        leaves.next().is_none().then_some(first)
    }

    /// What lies between two leaves. `via` names switches in order, joined by `>`; the
    /// leaves themselves may be named or not. Where it leaves a gap at either end, that
    /// leaf's side is unknown: some uplink of it.
    fn between(&self, from: DomainIx, to: DomainIx, via: Option<&str>, out: &mut Vec<Element>) {
        let named = via.into_iter().flat_map(|via| via.split('>'));
        let mut stops: Vec<DomainIx> = named.filter_map(|name| self.switch(name.trim())).collect();
        stops.retain(|&stop| stop != from && stop != to);
        let Some((&first, &last)) = stops.first().zip(stops.last()) else {
            out.extend([Element::LeafUp(from), Element::LeafDown(to)]);
            return;
        };
        out.push(self.link(from, first).unwrap_or(Element::LeafUp(from)));
        let inner = stops.windows(2).filter_map(|two| self.link(two[0], two[1]));
        out.extend(inner);
        out.push(self.link(last, to).unwrap_or(Element::LeafDown(to)));
    }

    /// A switch by its id, or by one of the addresses that it answers from.
    fn switch(&self, name: &str) -> Option<DomainIx> {
        self.site.domain_ix(name).or_else(|| self.addresses.get(name).copied())
    }

    /// A link between two switches: one that the site declares, or, where the site has no
    /// links at all, one that the table says was crossed.
    fn link(&self, a: DomainIx, b: DomainIx) -> Option<Element> {
        (self.links.is_empty() || self.links.contains_key(&(a, b))).then_some(Element::Link(a, b))
    }
}
