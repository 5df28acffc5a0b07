//! Review: what a plan can show on a site, before anything gets warm.
//!
//! Which domains it can tell apart, which always move together, how large a weakness must
//! be to be seen, and how many kilowatts each domain would carry beside what it may.
//! Pure: the same plan, site and policy give the same review.

mod effect;
mod experiment;
mod experiments;
mod groups;
mod load;

use serde::Serialize;

use model::course::courses;
use model::experiment::Role;
use model::plan::{Phase, PhaseKind, Plan, Traffic};
use model::policy::Policy;
use model::site::{DomainKind, Family, NodeIx, SelectError, Site};

pub use effect::{Detectable, SIGMAS, Sigmas};
pub use experiments::{ExperimentReview, LimitReview};
use groups::Signal;
pub use groups::{Alias, KindReview, Member, Nesting};
pub use load::{FullKw, LoadReview, domain_loads};

/// The schema word of the JSON form.
pub const SCHEMA: &str = "loadbank.review/1";

/// What a plan can show on a site.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Review {
    pub schema: String,
    pub plan: String,
    pub site: String,
    pub nodes: u32,
    pub devices: u64,
    /// Budgets that the plan would exceed: it is refused before it starts. One line each.
    pub over_budget: Vec<String>,
    /// Ratings that the site does not say: heat is refused unless the operator insists.
    pub unrated: Vec<String>,
    /// What is not known and should be.
    pub warnings: Vec<String>,
    /// Per-node standard deviations that the smallest effects are worked out from.
    pub sigmas: Sigmas,
    pub phases: Vec<PhaseReview>,
    /// What the plan's experiments are and what they can separate.
    pub experiments: Vec<ExperimentReview>,
    /// Domains that no phase of the plan can tell from each other.
    pub aliases: Vec<Alias>,
    /// Kinds of which every domain lies within one of another kind.
    pub nested: Vec<Nesting>,
    /// The heaviest load of each power and cooling domain over all phases.
    pub load: Vec<LoadReview>,
}

/// What one phase can show.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PhaseReview {
    pub name: String,
    /// The word of the phase's kind.
    pub kind: String,
    pub seconds: f64,
    /// Nodes that take part.
    pub nodes: u32,
    /// Commanded level at its highest, in percent; null without heat.
    pub percent: Option<f64>,
    /// Kinds of domains that it exercises.
    pub kinds: Vec<KindReview>,
}

/// Reviews a plan on a site.
///
/// # Errors
/// When a phase selects nodes or domains that the site does not have, or has groups that do
/// not fit into it.
pub fn review(plan: &Plan, site: &Site, policy: &Policy) -> Result<Review, SelectError> {
    let mut phases = Vec::new();
    let mut selections = Vec::new();
    for phase in &plan.phases {
        let nodes = site.selected(&phase.on)?;
        let names: Vec<String> = nodes.iter().map(|&n| site.node(n).name.clone()).collect();
        courses(phase, Some(site), &names).map_err(SelectError::Groups)?;
        let beside_idle = plan.experiment_of(&phase.name).is_some_and(|experiment| {
            experiment.step(&phase.name).is_some_and(|step| step.role == Role::Some)
        });
        phases.push(phase_review(phase, site, policy, (&nodes, beside_idle)));
        selections.push((phase, nodes));
    }
    let full_kw = |phase: usize, node: NodeIx| {
        let asked = load::asked_kw(site, &selections, phase, node);
        asked.or(site.node(node).max_kw)
    };
    let load = domain_loads(site, &selections, &full_kw);
    let in_phases = |with: fn(&Phase) -> bool| -> Vec<&[NodeIx]> {
        let phases = selections.iter().filter(|(phase, _)| with(phase));
        phases.map(|(_, nodes)| nodes.as_slice()).collect()
    };
    let mut aliases = groups::aliases(site, &in_phases(heats), Signal::Heat);
    aliases.extend(groups::aliases(site, &in_phases(has_pairs), Signal::Traffic));
    Ok(Review {
        schema: SCHEMA.to_owned(),
        plan: plan.name.clone(),
        site: site.name().to_owned(),
        nodes: count(site.nodes().len()),
        devices: site.devices(),
        over_budget: load.iter().filter_map(LoadReview::refusal).collect(),
        unrated: load::unrated(&load),
        warnings: warnings(plan, site, policy, &phases),
        sigmas: SIGMAS,
        experiments: experiments::reviews(plan, site, &selections, &aliases),
        phases,
        aliases,
        nested: groups::nested(site),
        load,
    })
}

/// `beside_idle`: some nodes are loaded and others not, so that they can't be compared.
fn phase_review(
    phase: &Phase,
    site: &Site,
    policy: &Policy,
    (nodes, beside_idle): (&[NodeIx], bool),
) -> PhaseReview {
    let exercised = |kind: &DomainKind| match kind.family() {
        _ if beside_idle => false,
        Family::Network => has_pairs(phase),
        Family::Power | Family::Cooling | Family::Place => heats(phase),
    };
    let kinds: Vec<DomainKind> = DomainKind::ALL.into_iter().filter(exercised).collect();
    PhaseReview {
        name: phase.name.clone(),
        kind: phase.kind.word().to_owned(),
        seconds: phase.seconds,
        nodes: count(nodes.len()),
        percent: load::peak_percent(phase),
        kinds: groups::kinds(site, policy, nodes, &kinds),
    }
}

fn heats(phase: &Phase) -> bool {
    load::peak_percent(phase).is_some_and(|percent| percent > 0.0)
}

fn has_pairs(phase: &Phase) -> bool {
    phase.kind == PhaseKind::Pairs || matches!(phase.traffic, Some(Traffic::Pairs { .. }))
}

fn warnings(plan: &Plan, site: &Site, policy: &Policy, phases: &[PhaseReview]) -> Vec<String> {
    let mut lines = Vec::new();
    if plan.heating_seconds() <= 0.0 {
        lines.push("no phase heats: power and cooling stay unseen".to_owned());
    }
    if !plan.phases.iter().any(has_pairs) {
        lines.push("no phase meets nodes in pairs: leaves and uplinks stay unseen".to_owned());
    }
    if !plan.phases.iter().any(|phase| phase.kind == PhaseKind::Idle) {
        lines.push("no idle phase: thermal resistance needs a supply temperature then".to_owned());
    }
    let homeless = site.node_ixs().filter(|node| site.ancestors(*node).is_empty()).count();
    if homeless > 0 {
        lines.push(format!("{homeless} nodes hang on no domain: they are judged by themselves"));
    }
    let unmodelled = site.nodes().iter().filter(|node| node.device_model.is_none()).count();
    if unmodelled > 0 && unmodelled < site.nodes().len() {
        lines.push(format!(
            "{unmodelled} nodes have no device_model: they are one model of their own"
        ));
    }
    let least = policy.floors.group_nodes_least;
    let testable = phases.iter().flat_map(|phase| &phase.kinds).any(|kind| kind.testable > 0);
    if !testable && !phases.is_empty() {
        lines.push(format!(
            "no domain can be tested: each needs {least} nodes inside and {least} outside"
        ));
    }
    lines
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
