//! The parts of a site as somebody wrote them down, and what may be wrong with them.

use std::fmt;

use super::kind::DomainKind;

/// Everything that a site file says, unchecked. [`super::Site::new`] checks it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SiteDraft {
    pub name: String,
    pub domains: Vec<Domain>,
    pub links: Vec<Link>,
    pub nodes: Vec<Node>,
}

/// Something that several nodes share.
#[derive(Debug, Clone, PartialEq)]
pub struct Domain {
    pub kind: DomainKind,
    /// Unique among all domains of the site, whatever their kind.
    pub id: String,
    /// Ids of the domains that this one hangs from.
    pub within: Vec<String>,
    /// `A` or `B` where power comes twice.
    pub side: Option<String>,
    /// What it is built for, in kW.
    pub rating_kw: Option<f64>,
    /// Share of the rating allowed for hours, over 0 up to 1; `None` takes the kind's.
    pub continuous: Option<f64>,
    /// What this load may use, in kW; `None` takes rating times continuous.
    pub budget_kw: Option<f64>,
    /// Fastest change of load allowed in either direction, in kW a second.
    pub ramp_kw_per_s: Option<f64>,
    /// Nominal voltage, in volts.
    pub volts: Option<f64>,
    /// Rated current of one phase, in amperes.
    pub amps: Option<f64>,
    /// Number of phases, 1 to 3.
    pub phases: Option<u32>,
    /// IP addresses from which a switch answers: paths are learned from them.
    pub addresses: Vec<String>,
}

impl Domain {
    /// A domain about which only its place in the graph is known.
    #[must_use]
    pub fn new(kind: DomainKind, id: impl Into<String>) -> Self {
        Self {
            kind,
            id: id.into(),
            within: Vec::new(),
            side: None,
            rating_kw: None,
            continuous: None,
            budget_kw: None,
            ramp_kw_per_s: None,
            volts: None,
            amps: None,
            phases: None,
            addresses: Vec::new(),
        }
    }

    /// Share of the rating allowed for hours.
    #[must_use]
    pub fn continuous(&self) -> f64 {
        self.continuous.unwrap_or_else(|| self.kind.default_continuous())
    }

    /// What this load may use, in kW; `None` when neither budget nor rating is known:
    /// such a power or cooling domain is refused heat.
    #[must_use]
    pub fn budget_kw(&self) -> Option<f64> {
        self.budget_kw.or_else(|| self.rating_kw.map(|rating| rating * self.continuous()))
    }
}

/// Parallel cables between two switches.
#[derive(Debug, Clone, PartialEq)]
pub struct Link {
    pub a: String,
    pub b: String,
    /// Speed of one cable, in Gbit/s.
    pub gbps: f64,
    /// Number of parallel cables.
    pub count: u32,
}

/// One machine.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    pub name: String,
    /// Ids of the domains that it hangs on directly, as the site file lists them.
    pub domains: Vec<String>,
    /// Number of devices (GPUs; on a machine without, the processor counts as one).
    pub devices: u32,
    /// Devices are compared within one model.
    pub device_model: Option<String>,
    /// The whole node at the wall, in kW.
    pub max_kw: Option<f64>,
    pub nics: Vec<Nic>,
}

impl Node {
    /// A node with one device that hangs on these domains.
    #[must_use]
    pub fn new(name: impl Into<String>, domains: &[&str]) -> Self {
        Self {
            name: name.into(),
            domains: domains.iter().map(|&id| id.to_owned()).collect(),
            devices: 1,
            device_model: None,
            max_kw: None,
            nics: Vec::new(),
        }
    }
}

/// One network card of a node.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Nic {
    pub name: String,
    /// The leaf that it is plugged into; the node is a member of that leaf.
    pub leaf: Option<String>,
    /// The rail that it belongs to; the node is a member of that rail.
    pub rail: Option<String>,
    /// Speed in Gbit/s.
    pub gbps: Option<f64>,
}

/// The part of a site that a problem is about, by its position in the draft.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SitePart {
    Whole,
    Domain(usize),
    Link(usize),
    Node(usize),
}

/// One thing that is wrong with a draft.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct SiteProblem {
    pub part: SitePart,
    /// What the operator called that part.
    pub name: String,
    /// The key of the part that is wrong, where it is one key.
    pub key: Option<&'static str>,
    /// What is wrong; says nothing about which part.
    pub what: String,
    /// What to do about it.
    pub mend: String,
}

impl fmt::Display for SiteProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.part {
            SitePart::Whole => write!(f, "site")?,
            SitePart::Domain(_) => write!(f, "domain \"{}\"", self.name)?,
            SitePart::Link(_) => write!(f, "link \"{}\"", self.name)?,
            SitePart::Node(_) => write!(f, "node \"{}\"", self.name)?,
        }
        write!(f, ": {}; {}", self.what, self.mend)
    }
}
