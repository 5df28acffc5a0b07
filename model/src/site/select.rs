//! Which nodes of a site a selector takes.

use super::kind::DomainKind;
use super::{NodeIx, Site};
use crate::plan::Selector;

/// A selector that does not fit the site.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectError {
    /// No node has this name.
    #[error("the site has no node \"{0}\"")]
    UnknownNode(String),
    /// No domain of this kind has this id.
    #[error("the site has no {kind} \"{id}\"")]
    UnknownDomain { kind: String, id: String },
    /// The domain is there, and nothing hangs on it.
    #[error("no node hangs on {kind} \"{id}\"")]
    Empty { kind: String, id: String },
    /// The groups of a phase can't be made, or don't fit into it.
    #[error("{0}")]
    Groups(String),
}

impl Site {
    /// The nodes that a selector takes, ascending; at least one.
    ///
    /// # Errors
    /// When the selector names a node or a domain that the site does not have, or a
    /// domain without nodes.
    pub fn selected(&self, selector: &Selector) -> Result<Vec<NodeIx>, SelectError> {
        match selector {
            Selector::All => Ok(self.node_ixs().collect()),
            Selector::Nodes(names) => self.named(names),
            Selector::Domain(kind, id) => self.hanging_on(kind, id),
            Selector::Percent(percent) => Ok(self.first_share(*percent, self.node_ixs().collect())),
            Selector::Any(parts) => {
                let each = parts.iter().map(|part| self.selected(part));
                let mut nodes = each.collect::<Result<Vec<_>, _>>()?.concat();
                nodes.sort_unstable();
                nodes.dedup();
                Ok(nodes)
            }
            Selector::Share(percent, of) => Ok(self.first_share(*percent, self.selected(of)?)),
        }
    }

    fn named(&self, names: &[String]) -> Result<Vec<NodeIx>, SelectError> {
        let position = |name: &String| {
            self.node_ix(name).ok_or_else(|| SelectError::UnknownNode(name.clone()))
        };
        let mut nodes = names.iter().map(position).collect::<Result<Vec<_>, _>>()?;
        nodes.sort_unstable();
        nodes.dedup();
        Ok(nodes)
    }

    fn hanging_on(&self, kind: &str, id: &str) -> Result<Vec<NodeIx>, SelectError> {
        let (kind, id) = (kind.to_owned(), id.to_owned());
        let known = self
            .domain_ix(&id)
            .filter(|&domain| DomainKind::from_word(&kind) == Some(self.domain(domain).kind));
        match known.map(|domain| self.members(domain)) {
            None => Err(SelectError::UnknownDomain { kind, id }),
            Some([]) => Err(SelectError::Empty { kind, id }),
            Some(members) => Ok(members.to_vec()),
        }
    }

    /// The first share of nodes in name order, rounded up.
    fn first_share(&self, percent: u8, mut nodes: Vec<NodeIx>) -> Vec<NodeIx> {
        nodes.sort_by_key(|&node| self.node(node).name.as_str());
        nodes.truncate((nodes.len() * usize::from(percent)).div_ceil(100));
        nodes.sort_unstable();
        nodes
    }
}
