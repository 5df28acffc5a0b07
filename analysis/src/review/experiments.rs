//! What the experiments of a plan are, and what they can separate that it can't without them.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use model::experiment::{Experiment, Role};
use model::plan::{Phase, Plan};
use model::site::{DomainKind, Family, NodeIx, Site};

use super::count;
use super::groups::{self, Alias, Member, Signal};
use crate::experiments::LITTLE;

/// One experiment, expanded.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExperimentReview {
    pub name: String,
    /// The word of its kind.
    pub kind: String,
    /// Kind and groups, such as `halves by pdu and loop`.
    pub words: String,
    /// Phases under load, and phases of cooling between them.
    pub steps: u32,
    pub rests: u32,
    /// Of all of them.
    pub seconds: f64,
    /// Of which kinds a limit can be told: those loaded in part while their nodes work.
    pub limits: Vec<LimitReview>,
    /// Sets of domains that the plan without this experiment can't tell apart.
    pub separates: Vec<Vec<Member>>,
}

/// How many domains of a kind are loaded in part by some step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LimitReview {
    pub kind: String,
    pub domains: u32,
    /// Domains whose nodes work in some step while few of its others do.
    pub varied: u32,
}

pub(super) fn reviews(
    plan: &Plan,
    site: &Site,
    selections: &[(&Phase, Vec<NodeIx>)],
    aliases: &[Alias],
) -> Vec<ExperimentReview> {
    plan.experiments.iter().map(|one| review(one, site, selections, aliases)).collect()
}

fn review(
    experiment: &Experiment,
    site: &Site,
    selections: &[(&Phase, Vec<NodeIx>)],
    aliases: &[Alias],
) -> ExperimentReview {
    let own = selections.iter().filter(|(phase, _)| experiment.has_phase(&phase.name));
    let seconds = own.map(|(phase, _)| phase.seconds).sum();
    let rests = experiment.steps.iter().filter(|step| step.role == Role::Rest).count();
    ExperimentReview {
        name: experiment.name.clone(),
        kind: experiment.kind.word().to_owned(),
        words: experiment.words(),
        steps: count(experiment.steps.len() - rests),
        rests: count(rests),
        seconds,
        limits: limits(experiment, site),
        separates: separates(experiment, site, selections, aliases),
    }
}

fn limits(experiment: &Experiment, site: &Site) -> Vec<LimitReview> {
    let steps: Vec<BTreeSet<NodeIx>> = experiment
        .steps
        .iter()
        .filter(|step| step.role == Role::Some)
        .map(|step| step.nodes.iter().filter_map(|name| site.node_ix(name)).collect())
        .collect();
    let mut kinds: BTreeMap<DomainKind, (u32, u32)> = BTreeMap::new();
    for domain in site.domain_ixs() {
        let (kind, members) = (site.domain(domain).kind, site.members(domain));
        if kind.family() == Family::Network || members.is_empty() {
            continue;
        }
        let in_part = |loaded: &BTreeSet<NodeIx>| {
            let working = members.iter().filter(|node| loaded.contains(node)).count();
            working > 0 && working as f64 <= LITTLE * members.len() as f64
        };
        let entry = kinds.entry(kind).or_default();
        entry.0 += 1;
        entry.1 += u32::from(steps.iter().any(in_part));
    }
    let review = |(kind, (domains, varied)): (DomainKind, (u32, u32))| LimitReview {
        kind: kind.word().to_owned(),
        domains,
        varied,
    };
    kinds.into_iter().map(review).collect()
}

/// Sets that are one without the experiment's own steps, and more with them.
fn separates(
    experiment: &Experiment,
    site: &Site,
    selections: &[(&Phase, Vec<NodeIx>)],
    aliases: &[Alias],
) -> Vec<Vec<Member>> {
    let heats = |phase: &Phase| super::heats(phase);
    let partial =
        |phase: &Phase| experiment.step(&phase.name).is_some_and(|step| step.role == Role::Some);
    let rest: Vec<&[NodeIx]> = selections
        .iter()
        .filter(|(phase, _)| heats(phase) && !partial(phase))
        .map(|(_, nodes)| nodes.as_slice())
        .collect();
    let still = |alias: &Alias| aliases.iter().any(|known| known.domains == alias.domains);
    let without = groups::aliases(site, &rest, Signal::Heat);
    without.into_iter().filter(|alias| !still(alias)).map(|alias| alias.domains).collect()
}
