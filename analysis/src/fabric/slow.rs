//! Findings of lasting limits: a card, an uplink, a whole leaf or spine.

use std::collections::{BTreeMap, BTreeSet};

use model::finding::{Blame, Effect, Finding, FindingKind, Severity, Standing, Suspect};
use model::policy::Floors;
use model::site::{DomainIx, NodeIx};

use super::ambiguity::rivals;
use super::experiment;
use super::map::Element;
use super::name::{direction, nic, suspect};
use super::study::{Part, Study};
use crate::diagnose::draft;

/// Largest chance that any sound part of the whole fabric looks so (number of parts times
/// the chance of one): calibrated, docs/calibration.md.
const CHANCE_MOST: f64 = 1e-3;
/// A chance up to here is worth a look.
const CHANCE_WATCHED: f64 = 1e-2;
/// The fit must book at least this excess on a part, else the two opinions disagree and
/// nothing is decided.
const EXCESS_LEAST: f64 = 0.02;
/// This share of a switch's cables one way, and at least two, is the switch.
const WHOLE_SHARE: f64 = 0.6;
/// A leaf whose paths are unknown is slow as a whole when it carries no more than this
/// share of what leaves do: less is lost when one of a few uplinks is bad.
const LEAF_SHARE_MOST: f64 = 0.75;
/// Rivals named beside a suspect.
const RIVALS_NAMED: usize = 12;

/// A part below its like, and how sure that is.
#[derive(Clone, Copy)]
pub(super) struct Limited {
    pub(super) at: usize,
    standing: Standing,
    /// No chance explains it, whatever the fit books on it.
    sure: bool,
}

/// Cards and links that lasted below their like.
pub(super) fn findings(study: &Study, limited: &[Limited]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut told: BTreeSet<usize> = BTreeSet::new();
    for (switch, kind, parts) in whole_switches(study, limited) {
        told.extend(parts.iter().map(|part| part.at));
        findings.push(switch_finding(study, switch, kind, &parts));
    }
    let mut hosts: BTreeMap<(NodeIx, Option<u16>), Vec<Limited>> = BTreeMap::new();
    // What the fit books nothing on shares its flows with a part that it does book.
    let ats: Vec<usize> = limited.iter().map(|part| part.at).collect();
    let linked = sides_of_links(study, &ats);
    let own = |part: &Limited| {
        let said = told.contains(&part.at) || linked.contains(&part.at);
        !said && study.parts[part.at].excess > 0.0
    };
    for part in limited.iter().copied().filter(own) {
        match study.parts[part.at].element {
            Element::HostUp(node, card) | Element::HostDown(node, card) => {
                hosts.entry((node, card)).or_default().push(part);
            }
            Element::Link(..) => findings.push(link_finding(study, part)),
            Element::LeafUp(_) | Element::LeafDown(_) => findings.push(link_finding(study, part)),
        }
    }
    findings.extend(hosts.into_iter().map(|(host, parts)| host_finding(study, host, &parts)));
    findings
}

/// Parts below their like, in the order of the parts.
pub(super) fn limited(study: &Study, floors: &Floors) -> Vec<Limited> {
    let share_most = 1.0 - floors.bandwidth_percent / 100.0;
    let family = study.parts.len() as f64;
    let below = study.parts.iter().enumerate().filter(|(_, part)| {
        // One of a leaf's uplinks has a test of its own; here the leaf as a whole is asked.
        let most = match part.element {
            Element::LeafUp(_) | Element::LeafDown(_) => share_most.min(LEAF_SHARE_MOST),
            _ => share_most,
        };
        part.share() <= most
    });
    let graded = below.filter_map(|(at, part)| {
        let chance = part.ln_chance.exp() * family;
        let sure = chance <= CHANCE_MOST;
        let standing = if sure && part.excess >= EXCESS_LEAST {
            Standing::Confirmed
        } else if chance <= CHANCE_WATCHED && (sure || part.excess > 0.0) {
            Standing::Watch
        } else {
            return None;
        };
        Some(Limited { at, standing, sure })
    });
    graded.collect()
}

/// Leaves' sides that hold a slow link: what flows of unknown path got there is that link's
/// doing, and no second finding.
pub(super) fn sides_of_links(study: &Study, ats: &[usize]) -> Vec<usize> {
    let sides = ats.iter().flat_map(|at| match study.parts[*at].element {
        Element::Link(from, to) => vec![Element::LeafUp(from), Element::LeafDown(to)],
        _ => Vec::new(),
    });
    sides.filter_map(|side| study.table.elements.binary_search(&side).ok()).collect()
}

/// One side of a switch: transmit or receive, by its cables to switches or by its hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Side {
    switch: DomainIx,
    out: bool,
    hosts: bool,
}

fn sides(study: &Study, element: Element) -> Vec<Side> {
    let host = |node, card, out| {
        let leaf = study.map.leaf(node, card);
        leaf.map(|switch| Side { switch, out, hosts: true }).into_iter().collect()
    };
    match element {
        Element::HostUp(node, card) => host(node, card, true),
        Element::HostDown(node, card) => host(node, card, false),
        Element::Link(a, b) => vec![
            Side { switch: a, out: true, hosts: false },
            Side { switch: b, out: false, hosts: false },
        ],
        Element::LeafUp(_) | Element::LeafDown(_) => Vec::new(),
    }
}

/// Switches of which most cables one way are slow, or all hosts: a slow leaf slows both,
/// and the fit, which can't tell the sum of its hosts from the sum of its cables, books it
/// on either. What the hosts carry inside their leaf clears them.
fn whole_switches(
    study: &Study,
    limited: &[Limited],
) -> Vec<(DomainIx, &'static str, Vec<Limited>)> {
    let mut crossed: BTreeMap<Side, usize> = BTreeMap::new();
    for side in study.parts.iter().flat_map(|part| sides(study, part.element)) {
        *crossed.entry(side).or_default() += 1;
    }
    let mut hit: BTreeMap<Side, Vec<Limited>> = BTreeMap::new();
    for part in limited.iter().filter(|part| part.sure) {
        for side in sides(study, study.parts[part.at].element) {
            hit.entry(side).or_default().push(*part);
        }
    }
    let whole = |side: &Side| {
        let least = if side.hosts { 1.0 } else { WHOLE_SHARE } * crossed[side] as f64;
        hit.get(side).is_some_and(|parts| parts.len() >= 2 && parts.len() as f64 >= least)
    };
    // A cable has two ends: it is booked on the switch with the most.
    let mut switches: Vec<Side> = hit.keys().filter(|side| whole(side)).copied().collect();
    switches.sort_by_key(|side| (std::cmp::Reverse(hit[side].len()), *side));
    let mut taken: BTreeSet<usize> = BTreeSet::new();
    let mut found = Vec::new();
    for side in switches {
        if hit[&side].iter().any(|part| taken.contains(&part.at)) {
            continue;
        }
        let both = [Side { hosts: false, ..side }, Side { hosts: true, ..side }];
        let parts: Vec<Limited> =
            both.iter().filter_map(|side| hit.get(side)).flatten().copied().collect();
        taken.extend(parts.iter().map(|part| part.at));
        found.push((side.switch, if side.out { "transmit" } else { "receive" }, parts));
    }
    found
}

fn switch_finding(
    study: &Study,
    switch: DomainIx,
    side: &'static str,
    parts: &[Limited],
) -> Finding {
    let site = study.map.site;
    let domain = site.domain(switch);
    let name = Suspect::new(domain.kind.word(), domain.id.clone());
    let mut finding = draft(
        FindingKind::SlowUplink,
        Blame::Facility,
        (Standing::Confirmed, Severity::Major),
        name,
    );
    finding.evidence.push(format!(
        "{} of its cables and hosts are slow on its {side} side: the switch rather than each of them",
        parts.len()
    ));
    let worst = parts.iter().map(|part| &study.parts[part.at]);
    if let Some(worst) = worst.min_by(|a, b| a.share().total_cmp(&b.share())) {
        measure(&mut finding, study, worst);
    }
    finding.cannot_exclude =
        parts.iter().take(RIVALS_NAMED).map(|p| suspect(site, study.parts[p.at].element)).collect();
    finding.action = format!("read the port speeds and error counters of {}", domain.id);
    finding.next_experiment = Some(format!(
        "restart or bypass {} and repeat the same rounds: slow again means its cables",
        domain.id
    ));
    finding
}

fn link_finding(study: &Study, limited: Limited) -> Finding {
    let part = &study.parts[limited.at];
    let name = suspect(study.map.site, part.element);
    let action = format!("read speed, lanes and error counters of both ends of {}", name.id);
    let graded = (limited.standing, Severity::Major);
    let mut finding = draft(FindingKind::SlowUplink, Blame::Facility, graded, name);
    measure(&mut finding, study, part);
    doubt(&mut finding, study, limited.at, &[]);
    finding.action = action;
    finding
}

fn host_finding(study: &Study, host: (NodeIx, Option<u16>), parts: &[Limited]) -> Finding {
    let name = nic(study.map.site, host.0, host.1);
    let standing = parts.iter().map(|part| part.standing).min().unwrap_or(Standing::Watch);
    let suspect = Suspect::new("nic", name.clone());
    let mut finding =
        draft(FindingKind::SlowNic, Blame::Host, (standing, Severity::Major), suspect);
    let ats: Vec<usize> = parts.iter().map(|part| part.at).collect();
    for at in &ats {
        let part = &study.parts[*at];
        if finding.effect.is_none() {
            measure(&mut finding, study, part);
        } else {
            finding.evidence.push(line(study, part));
        }
    }
    if parts.len() > 1 {
        let node = study.map.site.node(host.0).name.clone();
        finding.evidence.push("slow both ways: card, cable or the node behind them".to_owned());
        finding.cannot_exclude.push(Suspect::new("node", node));
    }
    if let Some(first) = ats.first() {
        doubt(&mut finding, study, *first, &ats);
    }
    finding.action = format!("read link speed, width and error counters of {name}");
    finding
}

/// Effect, chance and the line that says so.
fn measure(finding: &mut Finding, study: &Study, part: &Part) {
    let chance = part.ln_chance.exp();
    finding.p_value = Some(chance);
    finding.q_value = Some((chance * study.parts.len() as f64).min(1.0));
    finding.effect = Some(Effect {
        metric: "gbps".to_owned(),
        relative: Some(part.share() - 1.0),
        absolute: Some(part.most - part.usual_most),
        unit: "Gbit/s".to_owned(),
    });
    finding.evidence.push(line(study, part));
}

fn line(study: &Study, part: &Part) -> String {
    let at = study.table.elements.binary_search(&part.element).unwrap_or_default();
    format!(
        "{} {}: in {} it never carried more than {} Gbit/s, where its like reach {}; excess time {:.2} of a byte's usual time",
        suspect(study.map.site, part.element).id,
        direction(part.element),
        crate::case::plural(study.visits[at].len() as u64, "round"),
        gbps(part.most),
        gbps(part.usual_most),
        part.excess
    )
}

/// A rate in Gbit/s with the places that say something: slow fabrics have such links too.
pub(super) fn gbps(rate: f64) -> String {
    if rate < 1.0 { format!("{rate:.3}") } else { format!("{rate:.1}") }
}

/// Rivals that nothing cleared, and the experiment that would.
fn doubt(finding: &mut Finding, study: &Study, at: usize, told: &[usize]) {
    let own = study.parts[at].share();
    let mut open: Vec<usize> = rivals(&study.table, &study.fit, at);
    // What carried clearly more than the suspect's limit is cleared of such a limit.
    let cleared = |part: &Part| part.share() > (1.0 + own) / 2.0;
    open.retain(|rival| !told.contains(rival) && !cleared(&study.parts[*rival]));
    open.sort_by(|a, b| {
        let (a, b) = (&study.parts[*a], &study.parts[*b]);
        a.ln_chance.total_cmp(&b.ln_chance).then(a.element.cmp(&b.element))
    });
    let elements: Vec<Element> = open.iter().map(|rival| study.parts[*rival].element).collect();
    for element in elements.iter().take(RIVALS_NAMED) {
        let rival = suspect(study.map.site, *element);
        if !finding.cannot_exclude.contains(&rival) {
            finding.cannot_exclude.push(rival);
        }
    }
    finding.next_experiment =
        Some(experiment::next(&study.map, study.parts[at].element, &elements));
}
