//! A case: the plan and the evidence, with the questions that several witnesses ask.

use std::collections::BTreeSet;

use model::facts::{NodeFacts, Source};
use model::finding::Suspect;
use model::plan::{Plan, Requirement};
use model::policy::Policy;
use model::record::EventKind;
use model::site::Site;
use model::{DeviceId, NodeName, RunFacts};

use crate::Terms;
use crate::attribute::{self, Attribution};
use crate::digest::device::DeviceEvidence;
use crate::digest::events::{EventGroup, EventKey};
use crate::digest::fabric::{LatencyEvidence, LatencyKey, Pair};
use crate::digest::{Evidence, Seen};
use crate::experiments::{self, Study};
use crate::meters::Building;
use crate::panel::Panel;

/// What a witness is shown.
#[derive(Clone, Copy)]
pub(crate) struct Case<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) site: Option<&'a Site>,
    pub(crate) policy: &'a Policy,
    pub(crate) facts: &'a RunFacts,
    pub(crate) seen: &'a Seen,
    /// Devices and nodes beside their likes.
    pub(crate) panel: &'a Panel,
    /// `None` without a site.
    pub(crate) attribution: Option<&'a Attribution>,
    /// `None` without a site or without a meter.
    pub(crate) building: Option<&'a Building>,
    /// What the plan's experiments showed, in the plan's order; none without a site.
    pub(crate) studies: &'a [Study],
}

/// What is worked out once and shown to every witness.
pub(crate) struct Workings {
    panel: Panel,
    attribution: Option<Attribution>,
    building: Option<Building>,
    studies: Vec<Study>,
}

impl Workings {
    pub(crate) fn new(terms: &Terms, evidence: &Evidence) -> Self {
        let panel = Panel::new(terms.plan, terms.site, &evidence.seen.telemetry);
        let attribution = terms
            .site
            .map(|site| attribute::attribute(site, &panel, &terms.policy.floors, terms.plan.seed));
        let building =
            terms.site.and_then(|site| Building::of(site, &evidence.seen, &evidence.facts));
        let studies = match terms.site {
            Some(site) => experiments::studies(terms.plan, site, &panel, &evidence.seen),
            None => Vec::new(),
        };
        Self { panel, attribution, building, studies }
    }
}

impl<'a> Case<'a> {
    pub(crate) fn new(terms: &Terms<'a>, evidence: &'a Evidence, workings: &'a Workings) -> Self {
        let Terms { plan, site, policy } = *terms;
        let (panel, attribution) = (&workings.panel, workings.attribution.as_ref());
        let (facts, seen) = (&evidence.facts, &evidence.seen);
        let building = workings.building.as_ref();
        let studies = workings.studies.as_slice();
        Self { plan, site, policy, facts, seen, panel, attribution, building, studies }
    }

    /// Whether somebody vouches that devices were asked for the same load: our own agents
    /// (or a rehearsal of them), or the policy.
    pub(crate) fn load_was_commanded(&self) -> bool {
        // A node "joined" where a table names it, so that attendance says nothing of this.
        self.policy.load_was_commanded || self.facts.source != Source::Tables
    }

    /// Whether other people's jobs explain how like devices differ: those that draw unlike
    /// power are warm, cool, slow and frugal without any fault.
    pub(crate) fn load_explains_spread(&self) -> bool {
        !self.load_was_commanded() && !self.panel.is_load_equal()
    }

    pub(crate) fn requires(&self, requirement: Requirement) -> bool {
        self.plan.requires.contains(&requirement)
    }

    /// Planned devices of nodes that joined; of those that never did, a gap speaks.
    pub(crate) fn devices(&self) -> Vec<DeviceId> {
        let of = |(node, facts): (&NodeName, &NodeFacts)| -> Vec<DeviceId> {
            facts.devices.keys().map(|i| DeviceId { node: node.clone(), index: *i }).collect()
        };
        self.joined().flat_map(of).collect()
    }

    /// Planned nodes that joined.
    pub(crate) fn joined(&self) -> impl Iterator<Item = (&'a NodeName, &'a NodeFacts)> + use<'a> {
        self.facts.nodes.iter().filter(|(_, facts)| facts.joined)
    }

    pub(crate) fn device(&self, device: &DeviceId) -> Option<&'a DeviceEvidence> {
        self.seen.nodes.get(&device.node)?.devices.get(&device.index)
    }

    /// The model of a device, empty where nobody said.
    pub(crate) fn model(&self, device: &DeviceId) -> String {
        let node = self.facts.nodes.get(&device.node);
        node.and_then(|n| n.devices.get(&device.index).cloned().flatten()).unwrap_or_default()
    }

    /// Whether a phase of the plan commands heat.
    pub(crate) fn heats(&self, phase: &str) -> bool {
        self.plan.phases.iter().any(|p| p.name == phase && p.load.is_some())
    }

    /// Every group of events of a kind, node by node.
    pub(crate) fn events(
        &self,
        kind: EventKind,
    ) -> impl Iterator<Item = (&'a NodeName, &'a EventKey, &'a EventGroup)> + use<'a> {
        self.seen.nodes.iter().flat_map(move |(node, evidence)| {
            evidence
                .events
                .iter()
                .filter(move |(key, _)| key.kind == kind)
                .map(move |(key, group)| (node, key, group))
        })
    }

    /// Round trips of each pair in each state.
    pub(crate) fn round_trips(
        &self,
    ) -> impl Iterator<Item = (&'a Pair, bool, &'a LatencyEvidence)> + use<'a> {
        self.seen.latencies.iter().filter_map(|(key, seen)| match key {
            LatencyKey::Pair { pair, loaded } => Some((pair, *loaded, seen)),
            LatencyKey::Phase { .. } => None,
        })
    }

    /// Nodes that fell silent during the run.
    pub(crate) fn lost_nodes(&self) -> BTreeSet<NodeName> {
        let lost = self.facts.nodes.iter().filter(|(_, facts)| facts.lost.is_some());
        lost.map(|(node, _)| node.clone()).collect()
    }

    /// Seconds under load of a device, over all phases.
    pub(crate) fn loaded_seconds(&self, device: &DeviceId) -> f64 {
        let Some(phases) = self.device(device) else { return 0.0 };
        let ns: u128 = phases.values().flat_map(|p| p.work.values()).map(|w| w.loaded_ns).sum();
        ns as f64 / 1e9
    }

    /// Whether anything was provoked to prove a check.
    pub(crate) fn injected(&self) -> bool {
        self.facts.injected
            || self.events(EventKind::Injection).next().is_some()
            || self.seen.nodes.values().any(|node| node.events.keys().any(|key| key.injected))
    }
}

/// The suspect that is a node.
pub(crate) fn node_suspect(node: &NodeName) -> Suspect {
    Suspect::new("node", node.0.clone())
}

/// The suspect that is a device.
pub(crate) fn device_suspect(device: &DeviceId) -> Suspect {
    Suspect::new("device", device.to_string())
}

/// The device that an event names, or its node where it names none.
pub(crate) fn place_suspect(node: &NodeName, device: Option<u32>) -> Suspect {
    device.map_or_else(
        || node_suspect(node),
        |index| device_suspect(&DeviceId { node: node.clone(), index }),
    )
}

/// Names in one line: the first few, then how many more.
pub(crate) fn list<T: std::fmt::Display>(names: impl IntoIterator<Item = T>) -> String {
    /// More names than a person reads in a sentence.
    const SHOWN: usize = 4;
    let names: Vec<String> = names.into_iter().map(|name| name.to_string()).collect();
    if names.len() <= SHOWN + 1 {
        return names.join(", ");
    }
    format!("{} and {} more", names[..SHOWN].join(", "), names.len() - SHOWN)
}

/// An instant for people: RFC 3339, UTC, to the millisecond.
pub(crate) fn utc(unix_ns: i64) -> Option<String> {
    let instant = jiff::Timestamp::from_nanosecond(i128::from(unix_ns)).ok()?;
    Some(format!("{instant:.3}"))
}

/// `1 block`, `2 blocks`.
pub(crate) fn plural(count: u64, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}
