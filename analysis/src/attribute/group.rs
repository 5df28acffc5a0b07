//! A group: a class that passed the gate, weighed on its own with the other groups
//! explained away.

use std::collections::BTreeSet;

use model::policy::Floors;

use crate::panel::{Panel, Physics, Signal, Values};

use super::class::Class;
use super::effect::{self, GroupEffect};
use super::{Rows, Suspicion};

/// Below this share of its floor an effect is no news, however significant: gradients along
/// rows and manifolds are everywhere.
const WORTH_WATCHING: f64 = 0.5;
/// Robust z beyond which a signal beside the leading one is said to have moved.
const MOVED_Z: f64 = 3.0;

/// Why a significant group is not confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Doubt {
    BelowFloor,
    /// Too few of its nodes show it: a few bad nodes, not a group.
    Coverage,
    /// Too many nodes elsewhere show it too.
    Outside,
    /// It was measured at another time than those it is compared with.
    Time,
    /// Like devices did not draw like power.
    UnequalLoad,
    /// One physics alone, in telemetry whose load nobody commanded.
    OnePhysics,
}

/// A shared part under suspicion. Nodes are positions on the panel.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Group {
    pub(crate) class: Class,
    /// Classes that explain almost as much.
    pub(crate) alternatives: Vec<Class>,
    pub(crate) lead: Signal,
    /// Every signal that moved in either direction, the leading one first.
    pub(crate) effects: Vec<GroupEffect>,
    pub(crate) hits: Vec<usize>,
    pub(crate) outside_hits: usize,
    pub(crate) outside: usize,
    pub(crate) p_value: f64,
    pub(crate) q_value: f64,
    pub(crate) contrast: f64,
    pub(crate) doubts: Vec<Doubt>,
}

impl Group {
    /// The effect in a signal, if it moved.
    pub(crate) fn moved(&self, signal: Signal) -> Option<&GroupEffect> {
        self.effects.iter().find(|effect| effect.signal == signal)
    }

    /// How many kinds of physics show it in their bad direction.
    pub(crate) fn physics(&self) -> usize {
        let bad = self.effects.iter().filter(|effect| effect.z >= MOVED_Z);
        bad.map(|effect| effect.signal.physics()).collect::<BTreeSet<Physics>>().len()
    }
}

/// Weighs every suspicion with the others explained away; drops what is no news.
pub(super) fn weigh(
    panel: &Panel,
    floors: &Floors,
    rows: &Rows,
    suspicions: Vec<Suspicion>,
) -> Vec<Group> {
    let mut groups = Vec::new();
    for at in 0..suspicions.len() {
        let mut residuals = rows.residuals(panel);
        let mut left_out = BTreeSet::new();
        for (other, suspicion) in suspicions.iter().enumerate() {
            let nested = overlaps(&suspicion.class, &suspicions[at].class);
            if other != at && nested {
                effect::explain_away(&mut residuals, &suspicion.class);
            } else if other != at {
                left_out.extend(&suspicion.class.nodes);
            }
        }
        groups.extend(weigh_one(panel, floors, rows, &suspicions[at], (&residuals, &left_out)));
    }
    groups
}

fn overlaps(a: &Class, b: &Class) -> bool {
    a.nodes.iter().any(|node| b.nodes.contains(node))
}

fn weigh_one(
    panel: &Panel,
    floors: &Floors,
    rows: &Rows,
    suspicion: &Suspicion,
    (residuals, left_out): (&[Values], &BTreeSet<usize>),
) -> Option<Group> {
    let class = &suspicion.class;
    let of = |signal| effect::effect(signal, residuals, class, left_out);
    let (lead, lead_effect) = leading(suspicion, floors, of)?;
    let share_of_floor = lead.bad() * lead_effect.difference / lead.floor(floors);
    if share_of_floor < WORTH_WATCHING {
        return None;
    }
    let mut effects: Vec<GroupEffect> = Signal::ALL.into_iter().filter_map(of).collect();
    effects.retain(|effect| effect.signal == lead || effect.z.abs() >= MOVED_Z);
    effects.sort_by_key(|effect| (effect.signal != lead, effect.signal));
    // Nearer to the group's level than to the others', and clear of the others' spread.
    let threshold = lead_effect.outside * lead.bad()
        + (lead.bad() * lead_effect.difference / 2.0).max(lead_effect.sigma);
    let hit = |row: &usize| {
        residuals[*row][lead.index()].is_some_and(|value| lead.bad() * value > threshold)
    };
    let hits: Vec<usize> = class.nodes.iter().copied().filter(|row| hit(row)).collect();
    let members: BTreeSet<usize> = class.nodes.iter().copied().collect();
    let others: Vec<usize> = (0..residuals.len())
        .filter(|row| !members.contains(row) && !left_out.contains(row))
        .collect();
    let outside_hits = others.iter().filter(|row| hit(row)).count();
    let mut doubts = Vec::new();
    let mut doubt = |applies: bool, what: Doubt| {
        if applies {
            doubts.push(what);
        }
    };
    let coverage = hits.len() as f64 / class.nodes.len().max(1) as f64;
    doubt(share_of_floor < 1.0, Doubt::BelowFloor);
    doubt(coverage < floors.coverage_least, Doubt::Coverage);
    let outside_share = outside_hits as f64 / others.len().max(1) as f64;
    doubt(outside_share > floors.outside_hits_most, Doubt::Outside);
    doubt(!panel.is_load_equal(), Doubt::UnequalLoad);
    doubt(!panel.concurrent && !holds_among_contemporaries(panel, rows, class, lead), Doubt::Time);
    Some(Group {
        class: on_panel(rows, class),
        alternatives: suspicion.alternatives.iter().map(|class| on_panel(rows, class)).collect(),
        lead,
        effects,
        hits: hits.iter().map(|row| rows.nodes[*row]).collect(),
        outside_hits,
        outside: others.len(),
        p_value: suspicion.chance.raw,
        q_value: suspicion.chance.adjusted,
        contrast: suspicion.contrast,
        doubts,
    })
}

/// The signal that speaks for the group: the strongest in standard errors among those
/// beyond their floor, else the one that raised the suspicion.
fn leading(
    suspicion: &Suspicion,
    floors: &Floors,
    of: impl Fn(Signal) -> Option<GroupEffect>,
) -> Option<(Signal, GroupEffect)> {
    let beyond = Signal::ALL.into_iter().filter_map(|signal| Some((signal, of(signal)?)));
    let beyond = beyond.filter(|(signal, effect)| {
        signal.bad() * effect.difference >= signal.floor(floors) && effect.z >= MOVED_Z
    });
    let strongest = beyond.max_by(|a, b| a.1.z.total_cmp(&b.1.z));
    strongest.or_else(|| Some((suspicion.lead, of(suspicion.lead)?)))
}

fn on_panel(rows: &Rows, class: &Class) -> Class {
    let nodes = class.nodes.iter().map(|row| rows.nodes[*row]).collect();
    Class { domains: class.domains.clone(), nodes }
}

/// Whether the effect is still there beside nodes that were measured in the same window:
/// a rack that was measured on another day may have met other weather.
fn holds_among_contemporaries(panel: &Panel, rows: &Rows, class: &Class, lead: Signal) -> bool {
    let mid = |row: &usize| {
        let span = panel.nodes[rows.nodes[*row]].span_ns?;
        Some(span.0 / 2 + span.1 / 2)
    };
    let mut times: Vec<i64> = class.nodes.iter().filter_map(mid).collect();
    times.sort_unstable();
    let (Some(first), Some(last)) =
        (times.get(times.len() / 10), times.get(times.len() - 1 - times.len() / 10))
    else {
        return false;
    };
    let in_window = |row: &usize| mid(row).is_some_and(|time| (*first..=*last).contains(&time));
    let members: BTreeSet<usize> = class.nodes.iter().copied().collect();
    let elsewhen = (0..rows.nodes.len()).filter(|row| !members.contains(row) && !in_window(row));
    let left_out: BTreeSet<usize> = elsewhen.collect();
    let outside = rows.nodes.len() - members.len() - left_out.len();
    let effect = effect::effect(lead, &rows.residuals(panel), class, &left_out);
    outside >= CONTEMPORARIES_LEAST && effect.is_some_and(|effect| effect.z >= CONTEMPORARY_Z)
}

/// Nodes of the same window that a group must be comparable with.
const CONTEMPORARIES_LEAST: usize = 3;
/// Robust z that a group must keep beside its contemporaries: the 99 % point of the largest
/// of some thirty groups.
const CONTEMPORARY_Z: f64 = 3.3;
