//! A site's fabric: cards, leaves and the cables between switches, as somebody wrote them.

use std::collections::BTreeMap;

use model::site::{DomainIx, DomainKind, Node, NodeIx, Site};

use super::dice::mix;

/// Of a card that the site says nothing about, in Gbit/s: what a card of a GPU has had
/// since 2022.
const CARD_GBPS: f64 = 400.0;
/// Further from a leaf than any switch is.
const NOWHERE: u32 = u32::MAX;

/// Why a site has no fabric to send anything over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoFabric {
    /// Switches stand alone.
    #[error("the site has no [[link]] between switches")]
    NoLinks,
    /// Fewer than two nodes say which leaf they are plugged into.
    #[error("fewer than two nodes of the site say on which leaf they are")]
    NoLeaves,
}

/// One card in its leaf.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Port {
    pub(super) leaf: usize,
    pub(super) gbps: f64,
}

/// Parallel cables from one switch to another.
#[derive(Debug, Clone, PartialEq)]
struct Bundle {
    to: usize,
    /// Position of its first cable in the table of capacities.
    first: usize,
    cables: usize,
}

/// What lies between two cards.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Way {
    /// Positions in the table of capacities.
    pub(super) links: Vec<usize>,
    /// Switches between the two leaves, by position in the site.
    pub(super) switches: Vec<usize>,
}

/// A fabric of any shape that a site can describe. Each cable is a link of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct Wiring {
    pub(super) node_names: Vec<String>,
    pub(super) switch_names: Vec<String>,
    /// Names of cards, in the order in which the site first says them; rails join cards of
    /// one name. `None` is the only card of nodes that list none.
    pub(super) rails: Vec<Option<String>>,
    ports: Vec<Port>,
    /// Of each node: its ports by rail.
    pub(super) by_node: Vec<BTreeMap<usize, usize>>,
    /// Of each domain.
    bundles: Vec<Vec<Bundle>>,
    /// Gbit/s of every directed link without any fault: each port up and down, then cables.
    pub(super) capacities: Vec<f64>,
    /// Of each leaf with cards: hops from every domain.
    hops: BTreeMap<usize, Vec<u32>>,
}

impl Wiring {
    /// The leaf of each of a node's ports, rail by rail.
    pub(super) fn leaves_of(&self, node: usize) -> Vec<usize> {
        self.by_node[node].values().map(|port| self.ports[*port].leaf).collect()
    }

    /// The fabric of a site.
    ///
    /// # Errors
    /// When the site names no links, or no leaves with nodes.
    pub fn of(site: &Site) -> Result<Self, NoFabric> {
        if site.links().is_empty() {
            return Err(NoFabric::NoLinks);
        }
        let mut wiring = Self {
            node_names: site.nodes().iter().map(|node| node.name.clone()).collect(),
            switch_names: site.domains().iter().map(|domain| domain.id.clone()).collect(),
            rails: Vec::new(),
            ports: Vec::new(),
            by_node: vec![BTreeMap::new(); site.nodes().len()],
            bundles: vec![Vec::new(); site.domains().len()],
            capacities: Vec::new(),
            hops: BTreeMap::new(),
        };
        for ix in site.node_ixs() {
            wiring.plug(site, ix);
        }
        if wiring.by_node.iter().filter(|ports| !ports.is_empty()).count() < 2 {
            return Err(NoFabric::NoLeaves);
        }
        wiring.capacities = wiring.ports.iter().flat_map(|port| [port.gbps; 2]).collect();
        for link in site.links() {
            let (Some(a), Some(b)) = (site.domain_ix(&link.a), site.domain_ix(&link.b)) else {
                continue;
            };
            let (a, b, cables) = (a.index(), b.index(), link.count as usize);
            for (from, to) in [(a, b), (b, a)] {
                let first = wiring.capacities.len();
                wiring.bundles[from].push(Bundle { to, first, cables });
                wiring.capacities.extend(std::iter::repeat_n(link.gbps, cables));
            }
        }
        let leaves: Vec<usize> = wiring.ports.iter().map(|port| port.leaf).collect();
        for leaf in leaves {
            if !wiring.hops.contains_key(&leaf) {
                let hops = wiring.hops_to(leaf);
                wiring.hops.insert(leaf, hops);
            }
        }
        Ok(wiring)
    }

    fn plug(&mut self, site: &Site, ix: NodeIx) {
        let node: &Node = site.node(ix);
        let mut own = site.ancestors_of_kind(ix, DomainKind::Leaf);
        // Which of several leaves an unnamed card is on, nobody said.
        let only = own.next().filter(|_| own.next().is_none()).map(DomainIx::index);
        let said = node.nics.iter().map(|nic| {
            let leaf = nic.leaf.as_deref().and_then(|id| site.domain_ix(id));
            let leaf = leaf.map(DomainIx::index).or(only);
            (Some(nic.name.clone()), leaf, nic.gbps)
        });
        let mut cards: Vec<_> = said.collect();
        if cards.is_empty() {
            cards.push((None, only, None));
        }
        for (name, leaf, gbps) in cards {
            let Some(leaf) = leaf else { continue };
            let rail = self.rails.iter().position(|rail| *rail == name).unwrap_or_else(|| {
                self.rails.push(name);
                self.rails.len() - 1
            });
            self.by_node[ix.index()].insert(rail, self.ports.len());
            self.ports.push(Port { leaf, gbps: gbps.unwrap_or(CARD_GBPS) });
        }
    }

    /// Hops from every switch to one leaf (breadth first; cables count both ways alike).
    fn hops_to(&self, leaf: usize) -> Vec<u32> {
        let mut hops = vec![NOWHERE; self.bundles.len()];
        hops[leaf] = 0;
        let mut edge = vec![leaf];
        while !edge.is_empty() {
            let mut next = Vec::new();
            for &switch in &edge {
                for bundle in &self.bundles[switch] {
                    if hops[bundle.to] == NOWHERE {
                        hops[bundle.to] = hops[switch] + 1;
                        next.push(bundle.to);
                    }
                }
            }
            edge = next;
        }
        hops
    }

    /// Speed of a port, in Gbit/s.
    pub(super) fn port_gbps(&self, port: usize) -> f64 {
        self.ports[port].gbps
    }

    /// The way that the switches' hashes choose for a five-tuple, one of the shortest;
    /// `None` when no cables lead there. Every switch hashes with a seed of its own, over
    /// all cables that lead nearer, as switches do that are set up well.
    pub(super) fn way(&self, src: usize, dst: usize, tuple: u64) -> Option<Way> {
        let (mut here, last) = (self.ports[src].leaf, self.ports[dst].leaf);
        let hops = self.hops.get(&last)?;
        if hops[here] == NOWHERE {
            return None;
        }
        let mut way = Way { links: vec![2 * src], switches: Vec::new() };
        while here != last {
            let nearer = |bundle: &&Bundle| hops[bundle.to] < hops[here];
            let cables: usize = self.bundles[here].iter().filter(nearer).map(|b| b.cables).sum();
            let hash = mix(tuple ^ mix(here as u64 + 1));
            let mut at = (hash % cables.max(1) as u64) as usize;
            let chosen = self.bundles[here].iter().filter(nearer).find(|bundle| {
                let found = at < bundle.cables;
                at -= if found { 0 } else { bundle.cables };
                found
            })?;
            way.links.push(chosen.first + at);
            here = chosen.to;
            if here != last {
                way.switches.push(here);
            }
        }
        way.links.push(2 * dst + 1);
        Some(way)
    }

    /// All cables from one switch to another; none when there are none.
    pub(super) fn cables(&self, from: DomainIx, to: DomainIx) -> Vec<usize> {
        let bundles = self.bundles[from.index()].iter().filter(|b| b.to == to.index());
        bundles.flat_map(|bundle| bundle.first..bundle.first + bundle.cables).collect()
    }

    /// Both directions of a node's card; none when the site does not say where it is plugged.
    pub(super) fn card(&self, node: NodeIx, nic: &str) -> Vec<usize> {
        let rail = self.rails.iter().position(|rail| rail.as_deref() == Some(nic));
        let port = rail.and_then(|rail| self.by_node[node.index()].get(&rail));
        port.map(|port| vec![2 * port, 2 * port + 1]).unwrap_or_default()
    }
}
