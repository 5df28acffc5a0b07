//! What a building's own records say hangs from what: a NetBox, or the metadata of its bus.
//!
//! Records are one more source that may be wrong: they make a first site file, or are held
//! against one. Nothing is merged; a person decides which side is right.

mod difference;
mod dsx;
mod netbox;
#[cfg(test)]
mod tests;
mod written;

use std::collections::{BTreeMap, BTreeSet};

use model::site::DomainKind;

/// Domains and nodes by their names, and what could not be used.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Inventory {
    pub domains: BTreeMap<String, Recorded>,
    /// Each node with the domains that it hangs on.
    pub nodes: BTreeMap<String, BTreeSet<String>>,
    /// What was passed over, in words.
    pub notes: BTreeSet<String>,
    /// Cords whose two ends are known by name only: from what draws to what feeds it.
    cords: Vec<(String, String)>,
}

/// What records say of a domain.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    pub kind: DomainKind,
    /// Domains that it hangs from.
    pub within: BTreeSet<String>,
    pub side: Option<&'static str>,
    /// Nominal voltage and rated current of one phase, in volts and amperes.
    pub volts: Option<f64>,
    pub amps: Option<f64>,
    pub phases: Option<u32>,
}

impl Recorded {
    fn new(kind: DomainKind) -> Self {
        Self { kind, within: BTreeSet::new(), side: None, volts: None, amps: None, phases: None }
    }
}

impl Inventory {
    /// The domain of this name; a second kind for one name is noted, and the first stays.
    fn domain(&mut self, id: &str, kind: DomainKind) -> &mut Recorded {
        let known = self.domains.entry(id.to_owned()).or_insert_with(|| Recorded::new(kind));
        if known.kind != kind {
            let (first, second) = (known.kind.word(), kind.word());
            self.notes.insert(format!("{id} is a {first} and a {second}: taken as a {first}"));
        }
        known
    }

    /// Hangs everything on what its cords end at, once all lists are read: they come in any
    /// order.
    pub fn finish(&mut self) {
        for (drawing, feeding) in std::mem::take(&mut self.cords) {
            if let Some(on) = self.nodes.get_mut(&drawing) {
                on.insert(feeding);
            } else if let Some(domain) = self.domains.get_mut(&drawing) {
                domain.within.insert(feeding);
            }
        }
    }

    fn note(&mut self, words: String) {
        self.notes.insert(words);
    }

    /// Everything that a node hangs on, with what that is within.
    fn above(&self, node: &str) -> BTreeSet<&str> {
        let mut found = BTreeSet::new();
        let mut open: Vec<&str> =
            self.nodes.get(node).into_iter().flatten().map(String::as_str).collect();
        while let Some(id) = open.pop() {
            if found.insert(id) {
                let within = self.domains.get(id).map(|domain| &domain.within);
                open.extend(within.into_iter().flatten().map(String::as_str));
            }
        }
        found
    }
}
