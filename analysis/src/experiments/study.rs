//! A study: an experiment beside what each node showed in each of its steps.

use std::collections::{BTreeMap, BTreeSet};

use model::experiment::{Experiment, Role};
use model::plan::Plan;
use model::site::{NodeIx, Site};

use crate::digest::Seen;
use crate::panel::{self, Panel, Signal, Values};

/// One experiment and its readings.
#[derive(Debug, Clone)]
pub(crate) struct Study {
    pub(crate) experiment: Experiment,
    /// Names and nodes of each group.
    pub(crate) groups: Vec<(Vec<String>, BTreeSet<NodeIx>)>,
    /// In the order in which they ran.
    pub(crate) steps: Vec<StepSeen>,
}

/// One step as the nodes felt it.
#[derive(Debug, Clone)]
pub(crate) struct StepSeen {
    pub(crate) phase: String,
    pub(crate) role: Role,
    pub(crate) groups: Vec<String>,
    /// Nodes that were told to work, ascending.
    pub(crate) loaded: BTreeSet<NodeIx>,
    /// What each node showed that was sampled in the step.
    pub(crate) values: BTreeMap<NodeIx, Values>,
}

/// Every experiment of the plan, beside its readings.
pub(crate) fn studies(plan: &Plan, site: &Site, panel: &Panel, seen: &Seen) -> Vec<Study> {
    let phases: BTreeSet<&str> = plan
        .experiments
        .iter()
        .flat_map(|experiment| experiment.steps.iter().map(|step| step.phase.as_str()))
        .collect();
    if phases.is_empty() {
        return Vec::new();
    }
    let mut values = panel::in_phases(plan, &seen.telemetry, panel.reference, &phases);
    let study = |experiment: &Experiment| {
        let steps = experiment.steps.iter().map(|step| {
            let readings = values.remove(&step.phase).unwrap_or_default();
            let placed = readings.into_iter();
            StepSeen {
                phase: step.phase.clone(),
                role: step.role,
                groups: step.groups.clone(),
                loaded: step.nodes.iter().filter_map(|name| site.node_ix(name)).collect(),
                values: placed
                    .filter_map(|(name, values)| Some((site.node_ix(&name)?, values)))
                    .collect(),
            }
        });
        let nodes = |names: &[String]| names.iter().filter_map(|name| site.node_ix(name)).collect();
        let groups = experiment.groups.iter();
        Study {
            experiment: experiment.clone(),
            steps: steps.collect(),
            groups: groups.map(|group| (group.ids.clone(), nodes(&group.nodes))).collect(),
        }
    };
    plan.experiments.iter().map(study).collect()
}

impl Study {
    /// The step in which all work, if it was measured.
    pub(crate) fn together(&self) -> Option<&StepSeen> {
        self.steps.iter().find(|step| step.role == Role::Together && !step.values.is_empty())
    }

    /// Steps in which some work.
    pub(crate) fn parts(&self) -> impl Iterator<Item = &StepSeen> {
        self.steps.iter().filter(|step| step.role == Role::Some && !step.values.is_empty())
    }

    /// How much worse a node was together with all than in a step with less company: in the
    /// signal's own unit, or as a share, in its bad direction.
    pub(crate) fn worse_together(
        &self,
        signal: Signal,
        node: NodeIx,
        part: &StepSeen,
    ) -> Option<f64> {
        let value = |step: &StepSeen| {
            step.values.get(&node).filter(|_| step.loaded.contains(&node))?[signal.index()]
        };
        let (together, less) = (value(self.together()?)?, value(part)?);
        if !signal.is_relative() {
            return Some(signal.bad() * (together - less));
        }
        (less > 0.0).then(|| signal.bad() * (together / less - 1.0))
    }
}
