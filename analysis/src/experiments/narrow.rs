//! Narrowing: suspects of a finding that the steps of an experiment exclude.
//!
//! A part is suspected of one of two things. A *limit* is felt by its nodes only while most
//! of them work: it is excluded by an effect that stays with little company, or goes in full
//! company. A *property* (a blocked branch, a warm place, a cap that was set) is felt by each
//! of its nodes whenever it works: it is excluded by an effect that goes in any step.

use model::finding::{Finding, FindingKind, Suspect};
use model::site::{DomainIx, DomainKind, Family, NodeIx, Site};

use super::advice;
use super::company::{Company, Remains, company, remains};
use super::study::{StepSeen, Study};
use crate::case::{Case, list, plural};
use crate::panel::Signal;

/// Takes excluded suspects from every finding about a part of the building.
pub(super) fn narrow(case: &Case, findings: &mut [Finding]) {
    let Some(site) = case.site else { return };
    for finding in findings.iter_mut() {
        for study in case.studies.iter().filter(|study| study.together().is_some()) {
            narrow_one(site, study, finding);
        }
    }
}

/// What a suspect may be accused of, by what kind of part it is.
fn accusations(kind: FindingKind, family: Family) -> (bool, bool) {
    // (a limit, a property)
    match (kind, family) {
        // A supply warms nothing; what it lacks is power.
        (FindingKind::WeakCooling, Family::Power) => (true, false),
        // A place carries no current of its own.
        (FindingKind::WeakPower, Family::Place | Family::Cooling) => (false, true),
        _ => (true, true),
    }
}

fn narrow_one(site: &Site, study: &Study, finding: &mut Finding) {
    let Some((signal, effect)) = strength(finding) else { return };
    let Some(nodes) = members(site, &finding.suspect) else { return };
    let everybody: Vec<Suspect> =
        std::iter::once(&finding.suspect).chain(&finding.cannot_exclude).cloned().collect();
    if everybody.len() < 2 {
        return;
    }
    let told = |suspect: &Suspect| {
        let domain = site.domain_ix(&suspect.id)?;
        Some((suspect.clone(), why_not(site, study, finding, (signal, effect), (&nodes, domain))?))
    };
    let excluded: Vec<(Suspect, String)> = everybody.iter().filter_map(told).collect();
    // All of them excluded: it is none of these alone, and nobody is acquitted.
    if excluded.is_empty() || excluded.len() == everybody.len() {
        return;
    }
    let left: Vec<Suspect> = everybody
        .into_iter()
        .filter(|suspect| !excluded.iter().any(|(gone, _)| gone == suspect))
        .collect();
    let mut reasons: Vec<(String, Vec<String>)> = Vec::new();
    for (suspect, why) in excluded {
        let name = format!("{} {}", suspect.kind, suspect.id);
        match reasons.iter_mut().find(|(known, _)| *known == why) {
            Some((_, names)) => names.push(name),
            None => reasons.push((why, vec![name])),
        }
    }
    for (why, names) in reasons {
        let names = list(&names);
        let line = format!("experiment {} excludes {names}: {why}", study.experiment.name);
        finding.evidence.insert(0, line);
    }
    finding.suspect = left[0].clone();
    finding.cannot_exclude = left[1..].to_vec();
    finding.action = crate::diagnose::building::action(finding.kind, &finding.suspect);
    finding.next_experiment = Some(next(site, finding));
}

/// The signal of a finding and how strong it is, in its bad direction.
fn strength(finding: &Finding) -> Option<(Signal, f64)> {
    let effect = finding.effect.as_ref()?;
    let signal = Signal::ALL.into_iter().find(|signal| signal.metric() == effect.metric)?;
    let size = if signal.is_relative() { effect.relative } else { effect.absolute }?;
    Some((signal, signal.bad() * size)).filter(|(_, size)| *size > 0.0)
}

fn members(site: &Site, suspect: &Suspect) -> Option<Vec<NodeIx>> {
    DomainKind::from_word(&suspect.kind)?;
    Some(site.members(site.domain_ix(&suspect.id)?).to_vec())
}

/// Why a part can't be it, if a step says so.
fn why_not(
    site: &Site,
    study: &Study,
    finding: &Finding,
    (signal, effect): (Signal, f64),
    (nodes, domain): (&[NodeIx], DomainIx),
) -> Option<String> {
    let in_company = |wanted: Company| -> Vec<&StepSeen> {
        study.parts().filter(|step| company(site, domain, step) == wanted).collect()
    };
    let left = |steps: &[&StepSeen]| remains(study, signal, effect, nodes, steps);
    let (little, full) = (left(&in_company(Company::Little)), left(&in_company(Company::Full)));
    let (limit, property) = accusations(finding.kind, site.domain(domain).kind.family());
    let stays = little.filter(Remains::is_there);
    let goes_in_full = full.filter(Remains::is_gone);
    let goes = little.filter(Remains::is_gone).or(goes_in_full);
    // A limit is disproved by either; a property by an effect that goes.
    let no_limit = !limit || stays.is_some() || goes_in_full.is_some();
    let no_property = !property || goes.is_some();
    if !(no_limit && no_property) {
        return None;
    }
    let metric = signal.metric();
    let words = |remains: Remains, how: &str| {
        let percent = 100.0 * remains.share.clamp(0.0, 1.0);
        let (nodes, steps) =
            (plural(remains.nodes as u64, "node"), plural(remains.steps as u64, "step"));
        format!("{how} {percent:.0} % of the effect on {metric} stays ({nodes}, {steps})")
    };
    match (stays, goes_in_full, goes) {
        (Some(stays), _, _) if limit => Some(words(stays, "with little of it at work")),
        (_, Some(full), _) => Some(words(full, "with all of it at work, and others idle,")),
        (_, _, Some(goes)) => {
            Some(words(goes, "with few of its nodes at work, each as hard as ever,"))
        }
        _ => None,
    }
}

/// What would separate those that are left.
fn next(site: &Site, finding: &Finding) -> String {
    let suspect = &finding.suspect;
    let Some(rival) = finding.cannot_exclude.first() else {
        return format!("mend {} {}, then repeat this plan", suspect.kind, suspect.id);
    };
    let side = |suspect: &Suspect| {
        site.domain_ix(&suspect.id).and_then(|domain| site.domain(domain).side.clone())
    };
    let pair = format!("{} {} from {} {}", suspect.kind, suspect.id, rival.kind, rival.id);
    match (side(suspect), side(rival)) {
        (Some(a), Some(b)) if a != b => format!("to tell {pair}: {}", advice::FEEDS),
        _ => format!("to tell {pair}: {}", advice::meters(&suspect.kind)),
    }
}
