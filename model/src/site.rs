//! The site graph: what several nodes share.
//!
//! Think of one family tree for each thing that a node needs: its power comes down from
//! a UPS over a PDU, its heat leaves over a loop and a CDU, it stands in a rack in a row.
//! A [`SiteDraft`] is what somebody wrote; a [`Site`] is a draft that passed every check
//! and answers questions by dense index. Refuses I/O and judging.

mod check;
mod draft;
mod kind;
mod select;

use std::collections::HashMap;

pub use draft::{Domain, Link, Nic, Node, SiteDraft, SitePart, SiteProblem};
pub use kind::{DomainKind, Family};
pub use select::SelectError;

/// Most domains of one site: ten times a campus of 10,000 racks, and small enough for
/// dense tables.
pub const DOMAINS_MAX: usize = 100_000;
/// Most nodes of one site: ten times the largest fleet that one coordinator serves.
pub const NODES_MAX: usize = 100_000;
/// Most levels of `within`: a building has about ten from transformer to power supply.
pub const LEVELS_MAX: usize = 64;
/// Most devices of one node: far above any machine, and small enough to allocate for.
pub const DEVICES_MAX: u32 = 1_024;

/// A domain's position in its site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DomainIx(u32);

/// A node's position in its site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeIx(u32);

impl DomainIx {
    /// The position, for tables with one row per domain.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }

    // Positions come from lists that the checks hold below DOMAINS_MAX.
    fn at(position: usize) -> Self {
        Self(u32::try_from(position).unwrap_or(u32::MAX))
    }
}

impl NodeIx {
    /// The position, for tables with one row per node.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }

    // Positions come from lists that the checks hold below NODES_MAX.
    fn at(position: usize) -> Self {
        Self(u32::try_from(position).unwrap_or(u32::MAX))
    }
}

/// A checked site: every name is unique and known, `within` has no cycle.
#[derive(Debug, Clone, PartialEq)]
pub struct Site {
    draft: SiteDraft,
    domain_ix: HashMap<String, DomainIx>,
    node_ix: HashMap<String, NodeIx>,
    /// Of each domain: all domains above it, ascending.
    above: Vec<Vec<DomainIx>>,
    /// Of each node: all domains that it hangs on, directly or through others, ascending.
    ancestors: Vec<Vec<DomainIx>>,
    /// Of each domain: all nodes that hang on it, directly or through others, ascending.
    members: Vec<Vec<NodeIx>>,
}

impl Site {
    /// Checks a draft and builds its indices.
    ///
    /// # Errors
    /// Every problem of the draft, in the order of its parts.
    pub fn new(draft: SiteDraft) -> Result<Self, Vec<SiteProblem>> {
        let names = check::names(&draft)?;
        let above = check::closure(&draft, &names)?;
        let ancestors: Vec<_> =
            draft.nodes.iter().map(|node| ancestors_of(node, &names.domains, &above)).collect();
        check::places(&draft, &ancestors, &above)?;

        let mut members = vec![Vec::new(); draft.domains.len()];
        for (position, domains) in ancestors.iter().enumerate() {
            for domain in domains {
                members[domain.index()].push(NodeIx::at(position));
            }
        }
        let check::Names { domains: domain_ix, nodes: node_ix } = names;
        Ok(Self { draft, domain_ix, node_ix, above, ancestors, members })
    }

    /// The site's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.draft.name
    }

    /// Every domain, in the order of the site file: index them with [`DomainIx::index`].
    #[must_use]
    pub fn domains(&self) -> &[Domain] {
        &self.draft.domains
    }

    /// Every node, in the order of the site file: index them with [`NodeIx::index`].
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.draft.nodes
    }

    /// Every link between switches, in the order of the site file.
    #[must_use]
    pub fn links(&self) -> &[Link] {
        &self.draft.links
    }

    /// Position of a domain by its id.
    #[must_use]
    pub fn domain_ix(&self, id: &str) -> Option<DomainIx> {
        self.domain_ix.get(id).copied()
    }

    /// Position of a node by its name.
    #[must_use]
    pub fn node_ix(&self, name: &str) -> Option<NodeIx> {
        self.node_ix.get(name).copied()
    }

    /// A domain by its position.
    #[must_use]
    pub fn domain(&self, domain: DomainIx) -> &Domain {
        &self.draft.domains[domain.index()]
    }

    /// A node by its position.
    #[must_use]
    pub fn node(&self, node: NodeIx) -> &Node {
        &self.draft.nodes[node.index()]
    }

    /// A node by its name.
    #[must_use]
    pub fn node_named(&self, name: &str) -> Option<&Node> {
        self.node_ix(name).map(|node| self.node(node))
    }

    /// Positions of all domains.
    pub fn domain_ixs(&self) -> impl Iterator<Item = DomainIx> + use<> {
        (0..self.draft.domains.len()).map(DomainIx::at)
    }

    /// Positions of all nodes.
    pub fn node_ixs(&self) -> impl Iterator<Item = NodeIx> + use<> {
        (0..self.draft.nodes.len()).map(NodeIx::at)
    }

    /// Domains of one kind, ascending.
    pub fn of_kind(&self, kind: DomainKind) -> impl Iterator<Item = DomainIx> + '_ {
        self.domain_ixs().filter(move |&domain| self.domain(domain).kind == kind)
    }

    /// All domains that a node hangs on, directly or through `within`, ascending.
    #[must_use]
    pub fn ancestors(&self, node: NodeIx) -> &[DomainIx] {
        &self.ancestors[node.index()]
    }

    /// All domains above a domain through `within`, ascending, without itself.
    #[must_use]
    pub fn above(&self, domain: DomainIx) -> &[DomainIx] {
        &self.above[domain.index()]
    }

    /// All nodes that hang on a domain, directly or through nested domains, ascending.
    #[must_use]
    pub fn members(&self, domain: DomainIx) -> &[NodeIx] {
        &self.members[domain.index()]
    }

    /// The domains of one kind that a node hangs on, ascending.
    pub fn ancestors_of_kind(
        &self,
        node: NodeIx,
        kind: DomainKind,
    ) -> impl Iterator<Item = DomainIx> + '_ {
        self.ancestors(node).iter().copied().filter(move |&domain| self.domain(domain).kind == kind)
    }

    /// Number of devices of all nodes.
    #[must_use]
    pub fn devices(&self) -> u64 {
        self.draft.nodes.iter().map(|node| u64::from(node.devices)).sum()
    }
}

fn ancestors_of(
    node: &Node,
    domain_ix: &HashMap<String, DomainIx>,
    above: &[Vec<DomainIx>],
) -> Vec<DomainIx> {
    let mut all = Vec::new();
    for domain in check::attachments(node).filter_map(|(_, id)| domain_ix.get(id)) {
        all.push(*domain);
        all.extend_from_slice(&above[domain.index()]);
    }
    all.sort_unstable();
    all.dedup();
    all
}

#[cfg(test)]
mod tests;
