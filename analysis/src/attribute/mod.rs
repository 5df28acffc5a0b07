//! Attribution: which shared part of the building explains what its nodes show.
//!
//! Round by round the class of domains that explains most is tested against chance,
//! explained away, and the rest is looked at again, so that two faults at once are both
//! found. One gate against multiplicity (`permute`), practical floors beside it; what can't
//! be told apart stays together.

pub(crate) mod blame;
mod class;
mod effect;
mod group;
mod permute;
mod scores;
mod shuffle;

use model::policy::Floors;
use model::site::{DomainIx, Site};

use crate::panel::{Panel, Signal, Values};

pub(crate) use class::Class;
pub(crate) use effect::GroupEffect;
pub(crate) use group::{Doubt, Group};

use scores::Scores;

/// Most groups named in one run; more shared faults than this are a building site.
const GROUPS_MAX: usize = 12;
/// Log-likelihood within which an alternative is not excluded: its odds against the best
/// are then better than 1 to 20.
const UNDECIDED: f64 = 3.0;
/// Adjusted p that each of two faults must pass with the other explained away, where neither
/// passes the gate alone: each widens the shuffles that the other is held against. Stricter
/// than the gate, because the pair was chosen from many.
const PAIR_P: f64 = 0.01;
/// Contrasts below this never pass the gate (the 95 % point of the largest of four
/// independent ones is 2.2): the shuffles are spared.
const HOPELESS: f64 = 2.2;

/// What was asked of the building's groups and what they answered.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Attribution {
    pub(crate) groups: Vec<Group>,
    /// Classes that were tested.
    pub(crate) tested: usize,
    /// Domains with reporting nodes, too few of them (or too few others) to be tested.
    pub(crate) too_few: Vec<DomainIx>,
    /// Of each node on the panel, how much of each residual its groups explain.
    pub(crate) explained: Vec<[f64; Signal::COUNT]>,
}

/// A class that passed the gate, before it is weighed.
struct Suspicion {
    class: Class,
    alternatives: Vec<Class>,
    lead: Signal,
    chance: permute::Chance,
    contrast: f64,
}

/// Attributes what the nodes show to what they share.
pub(crate) fn attribute(site: &Site, panel: &Panel, floors: &Floors, seed: u64) -> Attribution {
    let least = floors.group_nodes_least.max(1) as usize;
    let classes = class::classes(site, panel, least);
    let mut attribution = Attribution {
        tested: classes.len(),
        too_few: too_few(site, panel, &classes),
        ..Attribution::default()
    };
    let rows = Rows::new(panel);
    let classes = rows.seated(classes);
    let mut residuals: Vec<Values> = rows.residuals(panel);
    let mut suspicions: Vec<Suspicion> = Vec::new();
    let search = Search { classes: &classes, rows: &rows, seed };
    while suspicions.len() < GROUPS_MAX {
        let found = search.next(&residuals, floors.q_value_most);
        let known = |one: &Suspicion| suspicions.iter().any(|other| other.class == one.class);
        if found.is_empty() || found.iter().any(known) {
            break;
        }
        for suspicion in found {
            effect::explain_away(&mut residuals, &suspicion.class);
            suspicions.push(suspicion);
        }
    }
    attribution.groups = group::weigh(panel, floors, &rows, suspicions);
    attribution.explained = explained(panel, &attribution.groups);
    attribution
}

fn explained(panel: &Panel, groups: &[Group]) -> Vec<[f64; Signal::COUNT]> {
    let mut explained = vec![[0.0; Signal::COUNT]; panel.nodes.len()];
    for group in groups {
        for effect in &group.effects {
            for node in &group.class.nodes {
                explained[*node][effect.signal.index()] += effect.difference;
            }
        }
    }
    explained
}

/// Reporting nodes, packed.
pub(crate) struct Rows {
    /// Position on the panel of each row.
    nodes: Vec<usize>,
    /// Rows of each model: seats are changed within.
    strata: Vec<Vec<usize>>,
}

impl Rows {
    fn new(panel: &Panel) -> Self {
        let reporting = panel.nodes.iter().enumerate().filter(|(_, node)| node.reports());
        let nodes: Vec<usize> = reporting.map(|(at, _)| at).collect();
        let mut strata = std::collections::BTreeMap::<&str, Vec<usize>>::new();
        for (row, at) in nodes.iter().enumerate() {
            strata.entry(&panel.nodes[*at].model).or_default().push(row);
        }
        Self { strata: strata.into_values().collect(), nodes }
    }

    /// The classes with rows instead of positions on the panel.
    fn seated(&self, classes: Vec<Class>) -> Vec<Class> {
        let row = |at: &usize| self.nodes.binary_search(at).ok();
        classes
            .into_iter()
            .map(|class| Class { nodes: class.nodes.iter().filter_map(row).collect(), ..class })
            .collect()
    }

    fn residuals(&self, panel: &Panel) -> Vec<Values> {
        self.nodes.iter().map(|at| panel.nodes[*at].residuals).collect()
    }
}

fn too_few(site: &Site, panel: &Panel, classes: &[Class]) -> Vec<DomainIx> {
    let tested: std::collections::BTreeSet<DomainIx> =
        classes.iter().flat_map(|class| class.domains.iter().copied()).collect();
    let reports = |domain: &DomainIx| {
        let mut nodes = panel.nodes.iter().filter(|node| node.reports());
        nodes.any(|n| n.site.is_some_and(|ix| site.ancestors(ix).contains(domain)))
    };
    let family = |domain: &DomainIx| site.domain(*domain).kind.family();
    site.domain_ixs()
        .filter(|domain| family(domain) != model::site::Family::Network)
        .filter(|domain| !tested.contains(domain))
        .filter(reports)
        .collect()
}

/// One look at the residuals for whatever explains most.
struct Search<'a> {
    classes: &'a [Class],
    rows: &'a Rows,
    seed: u64,
}

impl Search<'_> {
    /// The class that explains most, if chance does not; else two that each pass with the
    /// other explained away.
    fn next(&self, residuals: &[Values], q_value_most: f64) -> Vec<Suspicion> {
        let Some(first) = self.best(residuals) else { return Vec::new() };
        if first.chance.adjusted <= q_value_most {
            return vec![first];
        }
        let without = |class: &Class| {
            let mut residuals = residuals.to_vec();
            effect::explain_away(&mut residuals, class);
            self.best(&residuals).filter(|other| other.chance.adjusted <= PAIR_P)
        };
        let Some(second) = without(&first.class) else { return Vec::new() };
        match without(&second.class) {
            Some(again) if again.class == first.class => vec![again, second],
            _ => Vec::new(),
        }
    }

    /// The class that explains most, and what chance says to that.
    fn best(&self, residuals: &[Values]) -> Option<Suspicion> {
        let (classes, scores) = (self.classes, Scores::new(residuals));
        let own: Vec<usize> = (0..scores.len()).collect();
        let contrasts: Vec<[f64; Signal::COUNT]> =
            classes.iter().map(|class| scores.contrast(class, &own)).collect();
        let (at, lead, observed) = largest(&contrasts)?;
        if observed < HOPELESS {
            return None;
        }
        let strata = &self.rows.strata;
        let chance = permute::chance(&scores, classes, strata, (at, lead, observed), self.seed);
        let limit = chance.limit.min(observed);
        let gains: Vec<f64> =
            contrasts.iter().map(|contrast| gain(&scores, contrast, limit)).collect();
        let best = (0..classes.len()).max_by(|a, b| gains[*a].total_cmp(&gains[*b]))?;
        let alternatives = (0..classes.len())
            .filter(|other| *other != best && gains[*other] >= gains[best] - UNDECIDED)
            .map(|other| classes[other].clone())
            .collect();
        let lead = strongest(&contrasts[best]);
        let contrast = contrasts[best][lead.index()];
        Some(Suspicion { class: classes[best].clone(), alternatives, lead, chance, contrast })
    }
}

fn largest(contrasts: &[[f64; Signal::COUNT]]) -> Option<(usize, Signal, f64)> {
    let each = contrasts.iter().enumerate().map(|(at, contrast)| {
        let signal = strongest(contrast);
        (at, signal, contrast[signal.index()])
    });
    each.max_by(|a, b| a.2.total_cmp(&b.2))
}

fn strongest(contrast: &[f64; Signal::COUNT]) -> Signal {
    let by = |a: &Signal, b: &Signal| contrast[a.index()].total_cmp(&contrast[b.index()]);
    Signal::ALL.into_iter().max_by(by).unwrap_or(Signal::Temp)
}

/// Log-likelihood over all signals that pass the limit, one witness a physics.
fn gain(scores: &Scores, contrast: &[f64; Signal::COUNT], limit: f64) -> f64 {
    let mut best = std::collections::BTreeMap::new();
    for signal in Signal::ALL {
        let value = contrast[signal.index()];
        if value >= limit {
            let known: &mut f64 = best.entry(signal.physics()).or_default();
            *known = known.max(scores.gain(signal, value));
        }
    }
    best.values().sum()
}
