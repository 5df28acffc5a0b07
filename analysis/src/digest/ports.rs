//! By how much the error counters of network ports grew, by phase.

use std::collections::{BTreeMap, BTreeSet};

use model::NodeName;
use model::record::PortCounts;

/// Ports of a node, counters of a port, and phases of a counter that are kept: far more than
/// any node has, and a bound on what one agent can make of the evidence. The first in
/// alphabetical order stay.
const KEYS_MAX: usize = 4096;

/// A port's counter in a phase.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PortKey {
    pub port: String,
    pub counter: String,
    /// Empty outside of phases.
    pub phase: String,
}

/// What the ports of each node counted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ports {
    nodes: BTreeMap<NodeName, NodePorts>,
}

/// What the ports of one node counted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NodePorts {
    /// Ports that were looked at.
    pub looked_at: BTreeSet<String>,
    /// Nanoseconds that were counted.
    pub span_ns: u64,
    pub grown: BTreeMap<PortKey, u64>,
}

impl Ports {
    pub(super) fn add(&mut self, node: &NodeName, phase: String, counts: &PortCounts) {
        let node = self.nodes.entry(node.clone()).or_default();
        node.look(counts.ports.iter().cloned());
        node.span_ns = node.span_ns.saturating_add(counts.span_ns);
        for grown in &counts.grown {
            let (port, counter) = (grown.port.clone(), grown.counter.clone());
            node.grow(PortKey { port, counter, phase: phase.clone() }, grown.count);
        }
    }

    pub(super) fn merge(&mut self, other: Self) {
        for (name, theirs) in other.nodes {
            let node = self.nodes.entry(name).or_default();
            node.look(theirs.looked_at);
            node.span_ns = node.span_ns.saturating_add(theirs.span_ns);
            for (key, count) in theirs.grown {
                node.grow(key, count);
            }
        }
    }

    /// Each node that told of its ports.
    pub fn nodes(&self) -> impl Iterator<Item = (&NodeName, &NodePorts)> {
        self.nodes.iter()
    }
}

impl NodePorts {
    fn grow(&mut self, key: PortKey, count: u64) {
        let known = self.grown.entry(key).or_default();
        *known = known.saturating_add(count);
        while self.grown.len() > KEYS_MAX {
            self.grown.pop_last();
        }
    }

    fn look(&mut self, ports: impl IntoIterator<Item = String>) {
        for port in ports {
            self.looked_at.insert(port);
            if self.looked_at.len() > KEYS_MAX {
                self.looked_at.pop_last();
            }
        }
    }

    /// A port's counter over all phases.
    #[must_use]
    pub fn whole(&self, port: &str, counter: &str) -> u64 {
        let of = self.grown.iter().filter(|(key, _)| key.port == port && key.counter == counter);
        of.fold(0, |sum: u64, (_, count)| sum.saturating_add(*count))
    }
}
