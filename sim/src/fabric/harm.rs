//! What a fault of the catalogue does to a site's fabric.

use model::site::Site;

use super::wiring::Wiring;
use crate::fault::{Fault, FaultKind, Target};

/// A network fault in its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Harm {
    fault: Fault,
    what: What,
}

#[derive(Debug, Clone, PartialEq)]
enum What {
    /// Positions of links that carry less.
    Links(Vec<usize>),
    /// Of each node: whether it is in the group that sends, and in the one that receives.
    /// What passes from one to the other is held to a share of the sender's card: cables
    /// of a slower kind, or a device between the groups that polices.
    Cut { from: Vec<bool>, to: Vec<bool> },
}

impl Harm {
    /// The harm of a fault, `None` for faults that don't touch the fabric.
    #[must_use]
    pub fn of(fault: &Fault, site: &Site, wiring: &Wiring) -> Option<Self> {
        let what = match (fault.kind, &fault.target) {
            (FaultKind::SlowUplink | FaultKind::FlakyUplink, Target::Link { from, to }) => {
                What::Links(wiring.cables(site.domain_ix(from)?, site.domain_ix(to)?))
            }
            (FaultKind::SlowNic, Target::Nic { node, nic }) => {
                What::Links(wiring.card(site.node_ix(node)?, nic))
            }
            (FaultKind::NetworkIsland, Target::Cut { from, to }) => {
                let group = |id: &str| {
                    let mut inside = vec![false; site.nodes().len()];
                    for node in site.members(site.domain_ix(id)?) {
                        inside[node.index()] = true;
                    }
                    Some(inside)
                };
                What::Cut { from: group(from)?, to: group(to)? }
            }
            _ => return None,
        };
        Some(Self { fault: fault.clone(), what })
    }

    /// Share of the capacity that is left in an interval, in seconds from the run's start.
    pub(super) fn left(&self, from_s: f64, to_s: f64) -> f64 {
        1.0 - self.fault.size * self.fault.share(from_s, to_s)
    }

    /// Takes its share from the links that it works on.
    pub(super) fn strike(&self, left: f64, capacities: &mut [f64]) {
        if let What::Links(links) = &self.what {
            for &link in links {
                capacities[link] *= left;
            }
        }
    }

    /// Whether it holds back what one node sends to the other.
    pub(super) fn parts(&self, src: usize, dst: usize) -> bool {
        matches!(&self.what, What::Cut { from, to } if from[src] && to[dst])
    }
}
