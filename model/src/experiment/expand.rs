//! From an experiment to its phases.

use std::collections::{BTreeMap, BTreeSet};

use super::{Experiment, ExperimentKind, Group, Role, STEPS_MAX, Step};
use crate::plan::{By, Phase, PhaseKind, Selector};
use crate::site::{DomainIx, NodeIx, Site};

/// Nodes that are loaded together.
struct Set {
    /// Domains that hold just these nodes, the first of the site file first; or the node.
    ids: Vec<String>,
    kind: &'static str,
    nodes: Vec<NodeIx>,
}

/// Who is loaded in one step.
struct Loaded {
    /// What the phase's name says after the experiment's.
    label: String,
    role: Role,
    groups: Vec<String>,
    nodes: Vec<NodeIx>,
}

pub(super) fn expand(experiment: &mut Experiment, site: &Site) -> Result<Vec<Phase>, String> {
    let name = experiment.name.clone();
    let wrong = |why: String| format!("phase {name}: {why}");
    let all = site.selected(&experiment.on).map_err(|error| wrong(error.to_string()))?;
    let each = (0..experiment.by.len()).map(|at| groups(experiment, at, site, &all));
    let kinds: Vec<Vec<Set>> = each.collect::<Result<_, _>>().map_err(&wrong)?;
    let names = |nodes: &[NodeIx]| -> Vec<String> {
        nodes.iter().map(|node| site.node(*node).name.clone()).collect()
    };
    if experiment.kind == ExperimentKind::FeedCheck {
        feeds(experiment, site, first_of(&kinds), &all).map_err(&wrong)?;
    }
    let group = |set: &Set| Group { ids: set.ids.clone(), nodes: names(&set.nodes) };
    experiment.groups = kinds.iter().flatten().map(group).collect();
    let first = first_of(&kinds);
    let loaded = match experiment.kind {
        ExperimentKind::Isolated => {
            let mut steps = one_by_one(first);
            steps.push(together(first, &all));
            steps
        }
        ExperimentKind::Coupling => one_by_one(first),
        ExperimentKind::Wiring | ExperimentKind::Halves => coded(experiment, &kinds, &all),
        ExperimentKind::FeedCheck => vec![together(first, &all)],
    };
    let phases = phases(experiment, loaded, &names);
    if phases.len() > STEPS_MAX {
        let (count, words) = (phases.len(), experiment.words());
        return Err(wrong(format!(
            "{words} takes {count} steps with the cooling between them: use at most {STEPS_MAX}, \
             by a kind with fewer domains, or on fewer nodes"
        )));
    }
    Ok(phases)
}

fn first_of(kinds: &[Vec<Set>]) -> &[Set] {
    kinds.first().map(Vec::as_slice).unwrap_or_default()
}

/// Whether each feed may carry alone what both carry now: only then may one be pulled.
fn feeds(
    experiment: &Experiment,
    site: &Site,
    feeds: &[Set],
    all: &[NodeIx],
) -> Result<(), String> {
    let ids = feeds.iter().flat_map(|set| set.ids.iter().map(move |id| (id, &set.nodes)));
    let ids: Vec<(&String, &Vec<NodeIx>)> = ids.collect();
    let single = |node: &&NodeIx| ids.iter().filter(|(_, nodes)| nodes.contains(node)).count() < 2;
    if let Some(node) = all.iter().find(single) {
        let node = &site.node(*node).name;
        return Err(format!("node {node} has one feed: it would be lost; leave it out with on ="));
    }
    // With watts of each device the level is not known before: all of it then.
    let share = experiment.load.target.map_or(experiment.load.percent / 100.0, |_| 1.0);
    for (id, nodes) in ids {
        let limit = site.domain_ix(id).and_then(|ix| site.domain(ix).budget_kw());
        let Some(limit) = limit else {
            return Err(format!(
                "feed {id} has no rating_kw and no budget_kw: say what it may give"
            ));
        };
        let mut full = 0.0;
        for node in nodes {
            let node = site.node(*node);
            let Some(kw) = node.max_kw else {
                return Err(format!("node {} has no max_kw: say what it draws", node.name));
            };
            full += kw;
        }
        if full * share > limit {
            let (asked, most) = (full * share, (100.0 * limit / full).floor());
            return Err(format!(
                "feed {id} may give {limit:.1} kW and would carry {asked:.1} kW alone: use \
                 load = {{ percent = {most:.0} }} or less"
            ));
        }
    }
    Ok(())
}

/// The groups of one kind over the nodes that take part. Domains with the same nodes are one
/// group: no load can tell them apart.
fn groups(
    experiment: &Experiment,
    at: usize,
    site: &Site,
    all: &[NodeIx],
) -> Result<Vec<Set>, String> {
    let by = experiment.by.get(at).copied().unwrap_or(By::Node);
    let By::Domain(kind) = by else {
        let one = |node: &NodeIx| {
            let ids = vec![site.node(*node).name.clone()];
            Set { ids, kind: "node", nodes: vec![*node] }
        };
        return least_two(all.iter().map(one).collect(), by);
    };
    let mut classes: BTreeMap<Vec<NodeIx>, Vec<DomainIx>> = BTreeMap::new();
    for domain in site.of_kind(kind) {
        let members = site.members(domain).iter().copied();
        let nodes: Vec<NodeIx> = members.filter(|node| all.binary_search(node).is_ok()).collect();
        if !nodes.is_empty() {
            classes.entry(nodes).or_default().push(domain);
        }
    }
    let mut groups: Vec<(DomainIx, Set)> = classes
        .into_iter()
        .map(|(nodes, domains)| {
            let ids = domains.iter().map(|domain| site.domain(*domain).id.clone()).collect();
            (domains[0], Set { ids, kind: kind.word(), nodes })
        })
        .collect();
    groups.sort_by_key(|(first, _)| *first);
    let placed: BTreeSet<NodeIx> =
        groups.iter().flat_map(|(_, group)| group.nodes.iter().copied()).collect();
    if let Some(node) = all.iter().find(|node| !placed.contains(node)) {
        let (node, word) = (&site.node(*node).name, kind.word());
        return Err(format!("by {word}, and node {node} hangs on no {word}"));
    }
    let groups: Vec<Set> = groups.into_iter().map(|(_, group)| group).collect();
    if experiment.kind == ExperimentKind::FeedCheck { Ok(groups) } else { least_two(groups, by) }
}

/// One group alone is everything: nothing would be separated.
fn least_two(groups: Vec<Set>, by: By) -> Result<Vec<Set>, String> {
    if groups.len() >= 2 {
        return Ok(groups);
    }
    let word = by.word();
    Err(format!("all of its nodes are on one {word}: take a kind that divides them"))
}

fn one_by_one(groups: &[Set]) -> Vec<Loaded> {
    let one = |group: &Set| Loaded {
        label: format!("{}={}", group.kind, group.ids[0]),
        role: Role::Some,
        groups: group.ids.clone(),
        nodes: group.nodes.clone(),
    };
    groups.iter().map(one).collect()
}

fn together(groups: &[Set], all: &[NodeIx]) -> Loaded {
    Loaded {
        label: "together".to_owned(),
        role: Role::Together,
        groups: groups.iter().flat_map(|group| group.ids.clone()).collect(),
        nodes: all.to_vec(),
    }
}

/// Groups by the codes of their kind; with two kinds a node is loaded where the codes of both
/// its groups agree, so that each domain is loaded by a changing part of its nodes.
fn coded(experiment: &Experiment, kinds: &[Vec<Set>], all: &[NodeIx]) -> Vec<Loaded> {
    let codes = experiment.codes(kinds.iter().map(Vec::len).sum());
    let first: Vec<usize> = kinds
        .iter()
        .scan(0, |next, groups| Some(std::mem::replace(next, *next + groups.len())))
        .collect();
    // Of each kind, the code of each node: that of its first group (feeds A and B: of A).
    let code_of = |(groups, first): (&Vec<Set>, &usize)| -> BTreeMap<NodeIx, usize> {
        let each = groups.iter().enumerate().rev();
        each.flat_map(|(at, group)| group.nodes.iter().map(move |node| (*node, first + at)))
            .collect()
    };
    let code_of: Vec<BTreeMap<NodeIx, usize>> = kinds.iter().zip(&first).map(code_of).collect();
    let plus = |node: &NodeIx, step: usize| {
        let own = code_of.iter().filter_map(|of_kind| of_kind.get(node));
        own.fold(true, |both, code| both == codes.is_plus(*code, step))
    };
    let step = |step: usize| {
        let loaded: Vec<usize> = (0..kinds.iter().map(Vec::len).sum())
            .filter(|group| codes.is_plus(*group, step))
            .collect();
        let groups = kinds.iter().flatten().enumerate();
        // In the first step every code is plus: all are loaded.
        let (label, role) = match step {
            0 => ("together".to_owned(), Role::Together),
            step => (format!("step-{step}"), Role::Some),
        };
        Loaded {
            label,
            role,
            groups: groups
                .filter(|(at, _)| loaded.contains(at))
                .flat_map(|(_, group)| group.ids.clone())
                .collect(),
            nodes: all.iter().copied().filter(|node| plus(node, step)).collect(),
        }
    };
    (0..codes.steps()).map(step).collect()
}

/// Names of nodes.
type Names<'a> = &'a dyn Fn(&[NodeIx]) -> Vec<String>;

fn phases(experiment: &mut Experiment, loaded: Vec<Loaded>, names: Names<'_>) -> Vec<Phase> {
    let mut phases = Vec::new();
    let mut steps = Vec::new();
    for (at, one) in loaded.into_iter().enumerate() {
        if experiment.rest_seconds > 0.0 {
            let phase = format!("{}:rest-{}", experiment.name, at + 1);
            phases.push(phase_of(experiment, &phase, None));
            steps.push(Step { phase, role: Role::Rest, groups: Vec::new(), nodes: Vec::new() });
        }
        let phase = format!("{}:{}", experiment.name, one.label);
        let nodes = names(&one.nodes);
        phases.push(phase_of(experiment, &phase, Some(nodes.clone())));
        steps.push(Step { phase, role: one.role, groups: one.groups, nodes });
    }
    experiment.steps = steps;
    phases
}

/// A hold of some nodes, or an idle phase of all.
fn phase_of(experiment: &Experiment, name: &str, nodes: Option<Vec<String>>) -> Phase {
    let heats = nodes.is_some();
    Phase {
        name: name.to_owned(),
        kind: if heats { PhaseKind::Hold } else { PhaseKind::Idle },
        seconds: if heats { experiment.step_seconds } else { experiment.rest_seconds },
        on: nodes.map_or_else(|| experiment.on.clone(), Selector::Nodes),
        load: heats.then_some(experiment.load),
        traffic: None,
        act: None,
    }
}
