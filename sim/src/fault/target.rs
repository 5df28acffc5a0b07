//! What a fault works on, and whether a site has it.

use std::fmt;

use model::site::{DomainIx, DomainKind, NodeIx, Site};

use super::kind::TargetSort;
use super::{Fault, FaultError};

/// What a fault works on, as somebody wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    Domain(String),
    Node(String),
    Device {
        node: String,
        index: u32,
    },
    /// One direction of a link between two switches.
    Link {
        from: String,
        to: String,
    },
    /// Everything between two groups of nodes.
    Cut {
        from: String,
        to: String,
    },
    Nic {
        node: String,
        nic: String,
    },
    Fleet,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Domain(id) => f.write_str(id),
            Self::Node(name) => f.write_str(name),
            Self::Device { node, index } => write!(f, "{node}/{index}"),
            Self::Link { from, to } | Self::Cut { from, to } => write!(f, "{from}>{to}"),
            Self::Nic { node, nic } => write!(f, "{node}/{nic}"),
            Self::Fleet => f.write_str("fleet"),
        }
    }
}

impl Target {
    /// The target of a text; `None` when it has not the form.
    pub(super) fn parse(sort: TargetSort, text: &str) -> Option<Self> {
        let two = |mark| text.split_once(mark).filter(|(a, b)| !a.is_empty() && !b.is_empty());
        let device = || {
            let (node, index) = text.rsplit_once('/').filter(|(node, _)| !node.is_empty())?;
            Some(Self::Device { node: node.to_owned(), index: index.parse().ok()? })
        };
        match sort {
            TargetSort::Domain(_) => Some(Self::Domain(text.to_owned())),
            TargetSort::Node => Some(Self::Node(text.to_owned())),
            TargetSort::Device => device(),
            TargetSort::NodeOrDevice => device().or_else(|| Some(Self::Node(text.to_owned()))),
            TargetSort::Link => {
                two('>').map(|(a, b)| Self::Link { from: a.to_owned(), to: b.to_owned() })
            }
            TargetSort::Cut | TargetSort::Pair(_) => {
                two('>').map(|(a, b)| Self::Cut { from: a.to_owned(), to: b.to_owned() })
            }
            TargetSort::Nic => {
                two('/').map(|(node, nic)| Self::Nic { node: node.to_owned(), nic: nic.to_owned() })
            }
            TargetSort::Fleet => (text == "fleet").then_some(Self::Fleet),
        }
    }
}

impl Fault {
    /// Whether the site has what this fault works on.
    ///
    /// # Errors
    /// When it has not, with what it has instead.
    pub fn check(&self, site: &Site) -> Result<(), FaultError> {
        let wrong =
            |what: String, mend: String| FaultError::Site { kind: self.kind.word(), what, mend };
        match &self.target {
            Target::Domain(id) => {
                if !site.members(self.domain_ix(site, id)?).is_empty() {
                    return Ok(());
                }
                let mend = "name one that carries nodes".to_owned();
                Err(wrong(format!("no node hangs on {id}"), mend))
            }
            Target::Node(name) => self.node_ix(site, name).map(|_| ()),
            Target::Device { node, index } => {
                let devices = site.node(self.node_ix(site, node)?).devices;
                if *index < devices {
                    return Ok(());
                }
                let mend = format!("its {devices} devices are {node}/0 to {node}/{}", devices - 1);
                Err(wrong(format!("{node} has no device {index}"), mend))
            }
            Target::Link { from, to } => {
                let ends = |a: &str, b: &str| (a == from && b == to) || (a == to && b == from);
                if site.links().iter().any(|link| ends(&link.a, &link.b)) {
                    return Ok(());
                }
                let example = site.links().first().map_or_else(
                    || "it has no [[link]] at all".to_owned(),
                    |link| format!("one that it has is {}>{}", link.a, link.b),
                );
                Err(wrong(format!("the site has no link {from}>{to}"), example))
            }
            Target::Cut { from, to } => {
                for id in [from, to] {
                    self.any_domain(site, id)?;
                    self.of_pair(site, id)?;
                }
                Ok(())
            }
            Target::Nic { node, nic } => {
                let nics = &site.node(self.node_ix(site, node)?).nics;
                if nics.iter().any(|card| card.name == *nic) {
                    return Ok(());
                }
                let names: Vec<&str> = nics.iter().map(|card| card.name.as_str()).collect();
                let mend = format!("its nics are: {}", names.join(", "));
                Err(wrong(format!("{node} has no nic {nic}"), mend))
            }
            Target::Fleet => Ok(()),
        }
    }

    fn any_domain(&self, site: &Site, id: &str) -> Result<(), FaultError> {
        if site.domain_ix(id).is_some() {
            return Ok(());
        }
        let what = format!("the site has no domain {id}");
        Err(FaultError::Site { kind: self.kind.word(), what, mend: "see `site show`".to_owned() })
    }

    /// Refuses a domain of another kind than the fault's pairs are made of.
    fn of_pair(&self, site: &Site, id: &str) -> Result<(), FaultError> {
        let TargetSort::Pair(kinds) = self.kind.entry().sort else { return Ok(()) };
        let kind = site.domain_ix(id).map(|ix| site.domain(ix).kind);
        if kind.is_some_and(|kind| kinds.contains(&kind)) {
            return Ok(());
        }
        let what = format!("{id} is a {}", kind.map_or("stranger", DomainKind::word));
        let mend = format!("name {}", self.kind.entry().sort.wants());
        Err(FaultError::Site { kind: self.kind.word(), what, mend })
    }

    /// Position of the domain, which must be of a kind that the fault works on.
    pub(crate) fn domain_ix(&self, site: &Site, id: &str) -> Result<DomainIx, FaultError> {
        let TargetSort::Domain(kinds) = self.kind.entry().sort else {
            return Err(self.misfit(&self.target));
        };
        let found = site.domain_ix(id);
        if let Some(ix) = found.filter(|&ix| kinds.contains(&site.domain(ix).kind)) {
            return Ok(ix);
        }
        let what = found.map_or_else(
            || format!("the site has no domain {id}"),
            |ix| format!("{id} is a {}", site.domain(ix).kind.word()),
        );
        let fitting = site.domains().iter().find(|domain| kinds.contains(&domain.kind));
        let mend = fitting.map_or_else(
            || format!("it needs {}, and the site has none", self.kind.entry().sort.wants()),
            |domain| format!("name {}, such as {}", self.kind.entry().sort.wants(), domain.id),
        );
        Err(FaultError::Site { kind: self.kind.word(), what, mend })
    }

    pub(crate) fn node_ix(&self, site: &Site, name: &str) -> Result<NodeIx, FaultError> {
        site.node_ix(name).ok_or_else(|| {
            let first = site.nodes().first().map_or("none", |node| node.name.as_str());
            FaultError::Site {
                kind: self.kind.word(),
                what: format!("the site has no node {name}"),
                mend: format!("its first node is {first}"),
            }
        })
    }

    pub(super) fn misfit(&self, target: &Target) -> FaultError {
        FaultError::Target {
            kind: self.kind.word(),
            wants: self.kind.entry().sort.wants(),
            text: target.to_string(),
        }
    }
}
