//! One hall judged, and many tallied.

use std::collections::BTreeMap;

use analysis::{Digest, Terms};
use model::facts::{NodeFacts, RunEnd, RunFacts};
use model::finding::{Finding, Standing, Suspect};
use model::policy::Policy;
use model::site::{DomainKind, Site};
use model::{NodeName, RunId};
use sim::fault::Truth;
use sim::physics::Physics;
use sim::world::{Sampling, World};

use crate::draw::Case;

/// Rows of each phase: medians over more of them are steadier, halls cost more.
const ROWS: u32 = 12;

/// What was true and what was said.
pub(crate) struct Outcome {
    pub(crate) shape: String,
    pub(crate) faults: Vec<String>,
    pub(crate) truths: Vec<Truth>,
    /// Findings about parts that several nodes share.
    pub(crate) groups: Vec<Finding>,
    /// Confirmed findings about single nodes and devices.
    pub(crate) singles: Vec<Finding>,
}

pub(crate) fn judge(case: &Case) -> Result<Outcome, String> {
    let mut physics = Physics::default();
    // A twentieth of all parts from a three times wider distribution, as in real fleets.
    physics.tails.share = 0.05;
    let world = World::new(&case.site, &case.plan, &case.faults, case.seed, physics);
    let world = world.map_err(|error| error.to_string())?;
    let mut digest = Digest::new(&case.plan);
    for columns in world.samples(Sampling::per_phase(ROWS)) {
        digest.add_samples(&columns);
    }
    let policy = Policy::default();
    let terms = Terms { plan: &case.plan, site: Some(&case.site), policy: &policy };
    let report = analysis::judge(&terms, &digest.finish(facts(&case.site)));
    let is_group = |finding: &Finding| DomainKind::from_word(&finding.suspect.kind).is_some();
    let (groups, others): (Vec<_>, Vec<_>) = report.findings.into_iter().partition(is_group);
    let singles = others.into_iter().filter(|f| f.standing == Standing::Confirmed).collect();
    Ok(Outcome {
        shape: case.shape.clone(),
        faults: case.faults.iter().map(ToString::to_string).collect(),
        truths: world.truth().to_vec(),
        groups,
        singles,
    })
}

fn facts(site: &Site) -> RunFacts {
    let node = |node: &model::site::Node| {
        let devices = (0..node.devices).map(|index| (index, node.device_model.clone())).collect();
        (NodeName(node.name.clone()), NodeFacts { devices, joined: true, ..NodeFacts::default() })
    };
    RunFacts {
        run: RunId("calibration".to_owned()),
        simulated: true,
        end: RunEnd::Finished,
        nodes: site.nodes().iter().map(node).collect(),
        ..RunFacts::default()
    }
}

/// Counts over many halls.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) sites: usize,
    /// Sites with a confirmed, and with any, finding about a group.
    pub(crate) accused: usize,
    pub(crate) watched: usize,
    /// Sites with a confirmed finding about a single node or device.
    pub(crate) singled: usize,
    pub(crate) truths: usize,
    pub(crate) found: usize,
    pub(crate) confirmed: usize,
    pub(crate) right_place: usize,
    pub(crate) right_kind: usize,
    pub(crate) inside: usize,
    pub(crate) set_size: usize,
    /// Truths and those found, by kind of fault; sites and those accused, by shape.
    pub(crate) kinds: BTreeMap<String, (usize, usize)>,
    pub(crate) shapes: BTreeMap<String, (usize, usize)>,
    /// Group findings and those at the place of a fault, by how they stand.
    pub(crate) scores: BTreeMap<&'static str, (usize, usize)>,
}

impl Tally {
    pub(crate) fn add(&mut self, outcome: &Outcome) {
        let confirmed: Vec<&Finding> =
            outcome.groups.iter().filter(|f| f.standing == Standing::Confirmed).collect();
        self.sites += 1;
        self.accused += usize::from(!confirmed.is_empty());
        self.watched += usize::from(!outcome.groups.is_empty());
        self.singled += usize::from(!outcome.singles.is_empty());
        let shape = self.shapes.entry(outcome.shape.clone()).or_default();
        shape.0 += 1;
        shape.1 += usize::from(!confirmed.is_empty());
        for finding in &outcome.groups {
            let score = self.scores.entry(score_of(finding)).or_default();
            score.0 += 1;
            score.1 += usize::from(outcome.truths.iter().any(|t| is_at(t, &finding.suspect)));
        }
        for finding in &confirmed {
            self.confirmed += 1;
            self.set_size += 1 + finding.cannot_exclude.len();
            let places = |truth: &&Truth| is_at(truth, &finding.suspect);
            if let Some(truth) = outcome.truths.iter().find(places) {
                self.right_place += 1;
                self.right_kind += usize::from(truth.kind == finding.kind);
            }
            let all = || [&finding.suspect].into_iter().chain(&finding.cannot_exclude);
            self.inside += usize::from(outcome.truths.iter().any(|t| all().any(|s| is_at(t, s))));
        }
        for (truth, text) in outcome.truths.iter().zip(&outcome.faults) {
            let found = confirmed.iter().any(|finding| is_at(truth, &finding.suspect));
            self.truths += 1;
            self.found += usize::from(found);
            let word = text.split(':').next().unwrap_or_default();
            let kind = self.kinds.entry(word.to_owned()).or_default();
            kind.0 += 1;
            kind.1 += usize::from(found);
        }
    }
}

/// How a finding stands: what a report's `confidence` is looked up by.
fn score_of(finding: &Finding) -> &'static str {
    match (finding.standing, finding.cannot_exclude.is_empty()) {
        (Standing::Confirmed, true) => "confirmed, one suspect",
        (Standing::Confirmed, false) => "confirmed, several suspects",
        (Standing::Watch, _) => "watch",
    }
}

/// Whether a suspect is where the fault is, or holds exactly the same nodes.
fn is_at(truth: &Truth, suspect: &Suspect) -> bool {
    truth.suspect == *suspect || truth.aliases.contains(suspect)
}
