//! Coupling: what one group's load does to nodes that are idle meanwhile.
//!
//! Each entry is the change of the idle ones against the cooling just before, for each
//! kilowatt that the loaded ones draw more. A building couples a little everywhere; what
//! counts is an entry far above its peers.

use std::collections::BTreeMap;

use model::experiment::ExperimentKind;
use model::finding::{Blame, Effect, Finding, FindingKind, Members, Severity, Standing, Suspect};
use model::report::Measured;
use model::site::{DomainKind, Family, NodeIx, Site};

use super::study::{StepSeen, Study};
use crate::case::{Case, plural};
use crate::diagnose::draft;
use crate::measured::line;
use crate::middle::{median, sigma};
use crate::panel::Signal;

/// What of idle nodes is looked at: what reaches them, and what they make of it.
const SIGNALS: [Signal; 2] = [Signal::Supply, Signal::Temp];
/// An entry this many robust standard deviations above the middle of all is no chance: among
/// a thousand entries of a Gaussian the largest lies at 3.2; sensors that step have wider tails.
const BEYOND: f64 = 6.0;
/// Share of the floor of temperature from which on an idle neighbour's rise matters: an idle
/// node is half as sensitive as one under load, whose own heat comes on top.
const IDLE_FLOOR: f64 = 0.5;
/// Fewest entries that make a middle of their own.
const ENTRIES_LEAST: usize = 6;

/// One group's load, and one other group.
struct Entry<'a> {
    step: &'a StepSeen,
    victim: &'a StepSeen,
    signal: Signal,
    /// Kelvin, and kilowatts more in the loaded group.
    rise_k: f64,
    kw: f64,
    nodes: usize,
    /// Of these, how many rose by half of it at least.
    hit: usize,
}

pub(super) fn measured(case: &Case) -> Vec<Measured> {
    let Some(site) = case.site else { return Vec::new() };
    let mut lines = Vec::new();
    for study in couplings(case) {
        for entry in entries(site, study).into_iter().filter(|entry| entry.kw > 0.0) {
            let what = match entry.signal {
                Signal::Supply => "coupling_supply_k_per_kw",
                _ => "coupling_temp_k_per_kw",
            };
            let at = pair(&entry);
            lines.push(line(what, &at, Some(&entry.step.phase), entry.rise_k / entry.kw, "K/kW"));
        }
    }
    lines
}

/// Couplings that stand out and that the site does not explain.
pub(super) fn testify(case: &Case) -> Vec<Finding> {
    let Some(site) = case.site else { return Vec::new() };
    let mut found: BTreeMap<Suspect, Finding> = BTreeMap::new();
    for study in couplings(case) {
        let entries = entries(site, study);
        for signal in SIGNALS {
            let of: Vec<&Entry> = entries.iter().filter(|entry| entry.signal == signal).collect();
            let rises: Vec<f64> = of.iter().map(|entry| entry.rise_k).collect();
            let Some(usual) = median(&rises).filter(|_| rises.len() >= ENTRIES_LEAST) else {
                continue;
            };
            let spread = sigma(&rises, usual).unwrap_or(0.0).max(signal.least_sigma());
            let floor = IDLE_FLOOR * case.policy.floors.temp_k;
            for entry in of {
                let (by, z) = (entry.rise_k - usual, (entry.rise_k - usual) / spread);
                if by >= floor && z >= BEYOND {
                    let suspect = pair(entry);
                    found
                        .entry(suspect)
                        .or_insert_with(|| finding(case, site, (study, entry), (usual, z)));
                }
            }
        }
    }
    found.into_values().collect()
}

fn couplings<'a>(case: &'a Case) -> impl Iterator<Item = &'a Study> {
    case.studies.iter().filter(|study| study.experiment.kind == ExperimentKind::Coupling)
}

/// Every group's load beside every other group.
fn entries<'a>(site: &Site, study: &'a Study) -> Vec<Entry<'a>> {
    let mut entries = Vec::new();
    for (at, step) in study.steps.iter().enumerate().filter(|(_, step)| !step.loaded.is_empty()) {
        let Some(before) = at.checked_sub(1).and_then(|at| study.steps.get(at)) else { continue };
        if !before.loaded.is_empty() {
            continue;
        }
        let kw = kilowatts(site, step, before);
        for victim in study.parts() {
            let idle: Vec<NodeIx> =
                victim.loaded.iter().copied().filter(|node| !step.loaded.contains(node)).collect();
            // Groups that overlap are not one group and its neighbour.
            if idle.len() < victim.loaded.len() {
                continue;
            }
            entries.extend(SIGNALS.into_iter().filter_map(|signal| {
                let rise = |node: &NodeIx| {
                    let of = |seen: &StepSeen| seen.values.get(node)?[signal.index()];
                    Some(of(step)? - of(before)?)
                };
                let rises: Vec<f64> = idle.iter().filter_map(rise).collect();
                let rise_k = median(&rises)?;
                let hit = rises.iter().filter(|rise| **rise > 0.5 * rise_k).count();
                Some(Entry { step, victim, signal, rise_k, kw, nodes: rises.len(), hit })
            }));
        }
    }
    entries
}

/// What the loaded nodes' devices draw more than before, by their own sensors.
fn kilowatts(site: &Site, step: &StepSeen, before: &StepSeen) -> f64 {
    let more = |node: &NodeIx| {
        let of = |seen: &StepSeen| seen.values.get(node)?[Signal::Power.index()];
        Some((of(step)? - of(before)?) * f64::from(site.node(*node).devices))
    };
    step.loaded.iter().filter_map(more).sum::<f64>() / 1e3
}

fn name(step: &StepSeen) -> &str {
    step.groups.first().map_or("", String::as_str)
}

fn pair(entry: &Entry) -> Suspect {
    Suspect::new("cut", format!("{}>{}", name(entry.step), name(entry.victim)))
}

/// What both groups hang on without all others doing so: a coupling that is drawn.
fn drawn(site: &Site, study: &Study, entry: &Entry) -> Vec<String> {
    let shares = |node: &NodeIx| site.ancestors(*node).iter().copied();
    let of_source: std::collections::BTreeSet<_> =
        entry.step.loaded.iter().flat_map(shares).collect();
    let of_victim: std::collections::BTreeSet<_> =
        entry.victim.loaded.iter().flat_map(shares).collect();
    let carries = |ix: &&_| {
        let domain = site.domain(**ix);
        let heat = matches!(domain.kind.family(), Family::Cooling | Family::Place);
        let holds = |(_, nodes): &(_, std::collections::BTreeSet<NodeIx>)| {
            site.members(**ix).iter().any(|node| nodes.contains(node))
        };
        heat && domain.kind != DomainKind::Row && !study.groups.iter().all(holds)
    };
    let both = of_source.intersection(&of_victim).filter(carries);
    both.map(|ix| format!("{} {}", site.domain(*ix).kind.word(), site.domain(*ix).id)).collect()
}

fn finding(
    case: &Case,
    site: &Site,
    (study, entry): (&Study, &Entry),
    (usual, z): (f64, f64),
) -> Finding {
    let drawn = drawn(site, study, entry);
    let (from, to) = (name(entry.step), name(entry.victim));
    let warm = entry.rise_k - usual >= case.policy.floors.temp_k;
    let severity = if drawn.is_empty() && warm { Severity::Major } else { Severity::Minor };
    let kind = FindingKind::WeakCooling;
    let mut finding = draft(kind, Blame::Facility, (Standing::Confirmed, severity), pair(entry));
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    finding.members = Some(Members {
        hit: count(entry.hit),
        reporting: count(entry.nodes),
        total: count(entry.victim.loaded.len()),
    });
    finding.effect = Some(Effect {
        metric: entry.signal.metric().to_owned(),
        relative: None,
        absolute: Some(entry.rise_k),
        unit: entry.signal.unit().to_owned(),
    });
    finding.evidence = vec![
        format!(
            "{} of {to} rose by {:.1} K while {from} alone drew {:.0} kW more (step {})",
            plural(entry.nodes as u64, "idle node"),
            entry.rise_k,
            entry.kw,
            entry.step.phase,
        ),
        format!(
            "other groups rose by {usual:.1} K for a neighbour's load (robust z {z:.1}, limit \
             {BEYOND:.1}, floor {:.1} K)",
            IDLE_FLOOR * case.policy.floors.temp_k
        ),
    ];
    finding.evidence.push(match drawn.as_slice() {
        [] => format!("the site file draws nothing that {from} and {to} share beyond all others"),
        shared => format!("the site file says that they share {}", shared.join(", ")),
    });
    finding.action = format!(
        "mechanical: find what carries heat of {from} to {to}: a header, a valve, a missing \
         panel; then draw it in the site file"
    );
    finding.next_experiment = Some(format!(
        "the same coupling phase by a smaller kind, on = the nodes of {from} and {to}"
    ));
    finding
}
