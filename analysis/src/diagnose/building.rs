//! Parts of the building that several nodes share: what attribution found, as findings.

use model::finding::{Effect, Finding, FindingKind, Members, Severity, Standing, Suspect};
use model::site::{DomainKind, Family, Site};

use crate::attribute::{Doubt, Group, GroupEffect, blame};
use crate::case::{Case, list};
use crate::diagnose::{draft, load_spread};
use crate::experiments::advice;
use crate::panel::Signal;

/// A loss of work or power beyond this share is critical: the hall can't do its job.
const CRITICAL_SHARE: f64 = 0.10;
/// Least kinds of physics that must agree where nobody commanded the load.
const PHYSICS_LEAST: usize = 2;

/// Share of group findings that were true in the calibration, halls with and without faults
/// together (`docs/calibration.md`, "Confidence"): confirmed with one suspect, confirmed with
/// several, watched.
const CONFIDENCE: [f64; 3] = [0.978, 0.976, 0.179];

/// One finding for each shared part under suspicion.
pub(super) fn testify(case: &Case) -> Vec<Finding> {
    let Some((site, attribution)) = case.site.zip(case.attribution) else { return Vec::new() };
    let told = attribution.groups.iter().filter(|group| !load_spread::explains_group(case, group));
    told.map(|group| finding(case, site, group)).collect()
}

fn finding(case: &Case, site: &Site, group: &Group) -> Finding {
    let (kind, blame) = blame::kind(group);
    let (suspect, rivals) = blame::suspects(site, group, kind);
    let mut doubts = group.doubts.clone();
    if !case.load_was_commanded() && group.physics() < PHYSICS_LEAST {
        doubts.push(Doubt::OnePhysics);
    }
    let standing = if doubts.is_empty() { Standing::Confirmed } else { Standing::Watch };
    let total = site
        .domain_ix(&suspect.id)
        .map_or(group.class.nodes.len(), |domain| site.members(domain).len());
    let mut finding = draft(kind, blame, (standing, severity(group, kind)), suspect);
    finding.members = Some(Members {
        hit: count(group.hits.len()),
        reporting: count(group.class.nodes.len()),
        total: count(total),
    });
    finding.p_value = Some(group.p_value);
    finding.q_value = Some(group.q_value);
    finding.effect = group.moved(group.lead).map(|effect| effect_of(case, effect));
    finding.evidence = evidence(case, group, &doubts);
    finding.action = action(kind, &finding.suspect);
    finding.next_experiment = Some(experiment(site, &finding.suspect, &rivals, &doubts));
    finding.confidence = Some(match (standing, rivals.is_empty()) {
        (Standing::Confirmed, true) => CONFIDENCE[0],
        (Standing::Confirmed, false) => CONFIDENCE[1],
        (Standing::Watch, _) => CONFIDENCE[2],
    });
    finding.cannot_exclude = rivals;
    finding
}

pub(crate) fn severity(group: &Group, kind: FindingKind) -> Severity {
    let lost = [Signal::Power, Signal::Clock, Signal::Perf].into_iter().any(|signal| {
        group.moved(signal).is_some_and(|effect| effect.difference <= -CRITICAL_SHARE)
    });
    let heat = [Signal::ThermalThrottle, Signal::Brake].into_iter().any(|signal| {
        group.moved(signal).is_some_and(|effect| effect.difference >= CRITICAL_SHARE)
    });
    if lost || heat || kind == FindingKind::NodeLost { Severity::Critical } else { Severity::Major }
}

pub(crate) fn effect_of(case: &Case, effect: &GroupEffect) -> Effect {
    let signal = effect.signal;
    let (relative, absolute) = if signal.is_relative() {
        let middle = fleet_middle(case, signal);
        (Some(effect.difference), middle.map(|middle| middle * effect.difference))
    } else {
        (None, Some(effect.difference))
    };
    Effect {
        metric: signal.metric().to_owned(),
        relative,
        absolute,
        unit: signal.unit().to_owned(),
    }
}

fn fleet_middle(case: &Case, signal: Signal) -> Option<f64> {
    let values: Vec<f64> =
        case.panel.nodes.iter().filter_map(|node| node.values[signal.index()]).collect();
    crate::middle::median(&values)
}

fn evidence(case: &Case, group: &Group, doubts: &[Doubt]) -> Vec<String> {
    let mut lines: Vec<String> = group.effects.iter().map(line).collect();
    lines.push(format!(
        "{} of {} reporting nodes show it, {} of {} elsewhere",
        group.hits.len(),
        group.class.nodes.len(),
        group.outside_hits,
        group.outside
    ));
    let hit: Vec<&str> = group.hits.iter().map(|at| case.panel.nodes[*at].name.as_str()).collect();
    lines.push(format!("nodes: {}", list(hit)));
    let tested = case.attribution.map_or(0, |attribution| attribution.tested);
    lines.push(format!(
        "chance gives so much to some group in {:.2} % of shuffles, {tested} groups tested together",
        100.0 * group.q_value
    ));
    if let Some(reference) = case.panel.reference.filter(|_| group.moved(Signal::RTh).is_some()) {
        lines.push(format!("thermal resistance is against {}", reference.words()));
    }
    lines.extend(doubts.iter().map(|doubt| format!("not confirmed: {}", words(*doubt))));
    lines
}

pub(crate) fn line(effect: &GroupEffect) -> String {
    let signal = effect.signal;
    let difference = effect.difference;
    let much = match signal {
        Signal::Temp | Signal::Supply => format!("{difference:+.1} K"),
        _ if signal.is_share() => format!("{:+.1} % of the time", 100.0 * difference),
        _ => format!("{:+.1} %", 100.0 * difference),
    };
    format!("{} {much} against like nodes elsewhere (robust z {:.1})", signal.metric(), effect.z)
}

pub(crate) fn words(doubt: Doubt) -> &'static str {
    match doubt {
        Doubt::BelowFloor => "the effect is below its practical floor",
        Doubt::Coverage => "too few of its nodes show it: perhaps a few bad nodes, not their group",
        Doubt::Outside => "too many nodes elsewhere show it too",
        Doubt::Time => "it was measured at another time than the nodes it is compared with",
        Doubt::UnequalLoad => "like devices did not draw like power",
        Doubt::OnePhysics => "one kind of physics alone, and nobody vouches for the load",
    }
}

pub(crate) fn action(kind: FindingKind, suspect: &Suspect) -> String {
    let what = format!("{} {}", suspect.kind, suspect.id);
    match kind {
        FindingKind::WeakPower => format!(
            "electrical: read breaker, PSU and brake events of {what}, measure its voltage under load"
        ),
        FindingKind::WeakCooling => {
            format!("mechanical: check flow, supply temperature, valves and filters of {what}")
        }
        FindingKind::NodeLost => format!("electrical and network: what tripped in {what}?"),
        FindingKind::HostIo => {
            format!("platform: look at storage, data path and processors of the nodes in {what}")
        }
        _ => {
            format!("platform: compare firmware, driver and clock settings of the nodes in {what}")
        }
    }
}

/// What would decide between the suspects.
fn experiment(site: &Site, suspect: &Suspect, rivals: &[Suspect], doubts: &[Doubt]) -> String {
    if doubts.contains(&Doubt::Time) || doubts.contains(&Doubt::UnequalLoad) {
        return format!(
            "repeat under one commanded load with {} {} and others interleaved in time",
            suspect.kind, suspect.id
        );
    }
    let family = |suspect: &Suspect| DomainKind::from_word(&suspect.kind).map(DomainKind::family);
    let own = family(suspect);
    let rival = rivals.iter().find(|rival| family(rival) != own).or_else(|| rivals.first());
    let Some(rival) = rival else {
        return match advice::in_part(site, suspect) {
            Some(phase) => format!(
                "{phase}: an effect that goes with part of the load is a limit of {} {}, one \
                 that stays is what its nodes have alone",
                suspect.kind, suspect.id
            ),
            None => format!(
                "load {} {} alone, then everything but it: the effect must stay, then go",
                suspect.kind, suspect.id
            ),
        };
    };
    let pair = format!("{} {} from {} {}", suspect.kind, suspect.id, rival.kind, rival.id);
    let members = |suspect: &Suspect| site.domain_ix(&suspect.id).map(|ix| site.members(ix));
    if members(suspect) != members(rival) && suspect.kind != rival.kind {
        let (a, b) = (&suspect.kind, &rival.kind);
        return format!(
            "to tell {pair}: a phase with kind = \"halves\", over = [\"{a}\", \"{b}\"]"
        );
    }
    match (own, family(rival)) {
        (Some(Family::Power), Some(Family::Power)) => format!("to tell {pair}: {}", advice::FEEDS),
        _ => match advice::in_part(site, suspect) {
            Some(phase) => format!("to tell {pair}: {phase}"),
            None => format!("to tell {pair}: load half of its nodes, then the other, then all"),
        },
    }
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
