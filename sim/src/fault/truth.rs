//! What a judge should have said.

use model::finding::{FindingKind, Suspect};
use model::site::{DomainIx, NodeIx, Site};

use super::kind::SeenIn;
use super::{Fault, FaultError, FaultKind, Target};

/// The truth about one fault.
#[derive(Debug, Clone, PartialEq)]
pub struct Truth {
    /// The fault as text.
    pub fault: String,
    pub kind: FindingKind,
    pub suspect: Suspect,
    /// Other domains with exactly the same nodes: no data can tell them from the suspect.
    pub aliases: Vec<Suspect>,
    /// Nodes that the fault touches, ascending.
    pub nodes: Vec<String>,
    /// Whether that is every node of the site: then nothing is left to compare with.
    pub whole_site: bool,
    pub seen_in: SeenIn,
}

/// The truth about a fault of a site.
///
/// # Errors
/// When the site has not what the fault works on.
pub fn truth_of(fault: &Fault, site: &Site) -> Result<Truth, FaultError> {
    fault.check(site)?;
    let mut aliases = Vec::new();
    let mut nodes: Vec<NodeIx> = Vec::new();
    let suspect = match &fault.target {
        Target::Domain(id) => {
            let ix = fault.domain_ix(site, id)?;
            nodes = site.members(ix).to_vec();
            aliases = aliases_of(site, ix);
            Suspect::new(site.domain(ix).kind.word(), id.as_str())
        }
        Target::Node(name) => {
            nodes = site.node_ix(name).into_iter().collect();
            Suspect::new("node", name.as_str())
        }
        Target::Device { node, index } => {
            nodes = site.node_ix(node).into_iter().collect();
            Suspect::new("device", format!("{node}/{index}"))
        }
        Target::Link { from, to } => Suspect::new("link", format!("{from}>{to}")),
        Target::Cut { from, to } => {
            // Of two domains that are coupled, the second one's nodes feel it.
            if let (FaultKind::SharedHeader, Some(ix)) = (fault.kind, site.domain_ix(to)) {
                nodes = site.members(ix).to_vec();
            }
            Suspect::new("cut", format!("{from}>{to}"))
        }
        Target::Nic { node, nic } => {
            nodes = site.node_ix(node).into_iter().collect();
            Suspect::new("nic", format!("{node}/{nic}"))
        }
        Target::Fleet => {
            nodes = site.node_ixs().collect();
            Suspect::new("fleet", site.name())
        }
    };
    let entry = fault.kind.entry();
    Ok(Truth {
        fault: fault.to_string(),
        kind: entry.finding,
        suspect,
        aliases,
        whole_site: nodes.len() == site.nodes().len(),
        nodes: nodes.into_iter().map(|node| site.node(node).name.clone()).collect(),
        seen_in: entry.seen_in,
    })
}

fn aliases_of(site: &Site, ix: DomainIx) -> Vec<Suspect> {
    let members = site.members(ix);
    let same = site.domain_ixs().filter(|&other| other != ix && site.members(other) == members);
    same.map(|other| Suspect::new(site.domain(other).kind.word(), site.domain(other).id.as_str()))
        .collect()
}
