//! Shared limits: what nodes lose together and have alone.
//!
//! Each node's value with all at work is held against its own in company of fewer. The change
//! goes through the same gate as any other attribution (permutation of nodes, one family-wise
//! limit over all groups and signals). A limit of the whole site leaves nobody to compare
//! with: there every node must say the same, each against itself.

use model::finding::{Finding, FindingKind, Members, Severity, Standing};
use model::policy::Floors;
use model::site::{DomainIx, Family, NodeIx, Site};

use super::advice;
use super::company::{Company, company};
use super::study::Study;
use crate::attribute::{self, Class, Group, GroupEffect, blame};
use crate::case::{Case, list, plural};
use crate::diagnose::{building, draft};
use crate::middle::{median, sigma};
use crate::panel::{Panel, Signal, Values};

/// Share of all nodes that must change for the worse when the whole site is accused.
const UNANIMOUS: f64 = 0.9;
/// Robust z beyond which a signal counts for the pattern.
const CLEAR_Z: f64 = 3.0;
/// Fewest nodes of a whole site that may accuse what they all share: by chance alone 2 to the
/// minus 10, one in a thousand, make ten fair coins fall alike.
const WITNESSES_LEAST: usize = 10;

/// Parts whose limit shows only in company, where no other finding names them already.
pub(super) fn testify(case: &Case, known: &[Finding]) -> Vec<Finding> {
    let Some(site) = case.site else { return Vec::new() };
    let mut found: Vec<Finding> = Vec::new();
    for study in case.studies.iter().filter(|study| study.together().is_some()) {
        let floors = &case.policy.floors;
        let panel = changes(site, case.panel, study);
        let told = attribute::attribute(site, &panel, floors, case.plan.seed).groups;
        let told = told.into_iter().chain(of_all(site, &panel, floors));
        for group in told {
            let finding = finding(case, site, study, &panel, group);
            let named = |other: &Finding, one: &Finding| {
                let all = |f: &Finding| {
                    std::iter::once(&f.suspect)
                        .chain(&f.cannot_exclude)
                        .cloned()
                        .collect::<Vec<_>>()
                };
                all(other).iter().any(|suspect| all(one).contains(suspect))
            };
            if let Some(finding) = finding
                && !known.iter().chain(&found).any(|other| named(other, &finding))
            {
                found.push(finding);
            }
        }
    }
    found
}

/// The panel with each node's change for company in place of its residuals.
fn changes(site: &Site, panel: &Panel, study: &Study) -> Panel {
    let mut changed = panel.clone();
    changed.concurrent = true;
    changed.power_spread = None;
    for node in &mut changed.nodes {
        node.residuals = Values::default();
        node.fell_silent = false;
        let Some(ix) = node.site else { continue };
        for signal in Signal::ALL {
            let each = study.parts().filter_map(|step| study.worse_together(signal, ix, step));
            let middle = median(&each.collect::<Vec<_>>());
            // Residuals have the sensor's sign.
            node.residuals[signal.index()] = middle.map(|worse| signal.bad() * worse);
        }
        if site.ancestors(ix).is_empty() || node.residuals.iter().all(Option::is_none) {
            node.devices.clear();
        }
    }
    changed
}

/// What every node says alike, as a group of all of them.
fn of_all(site: &Site, panel: &Panel, floors: &Floors) -> Option<Group> {
    let nodes: Vec<usize> =
        (0..panel.nodes.len()).filter(|at| panel.nodes[*at].reports()).collect();
    if nodes.len() < WITNESSES_LEAST {
        return None;
    }
    let effect = |signal: Signal| {
        let i = signal.index();
        let values: Vec<f64> =
            nodes.iter().filter_map(|at| panel.nodes[*at].residuals[i]).collect();
        let difference = median(&values).filter(|_| 2 * values.len() > nodes.len())?;
        let sigma = sigma(&values, difference)?.max(signal.least_sigma());
        let z = signal.bad() * difference / (sigma * 1.2533 / (values.len() as f64).sqrt());
        let agree = values.iter().filter(|value| signal.bad() * **value > 0.0).count();
        let unanimous = agree as f64 >= UNANIMOUS * values.len() as f64;
        let enough = signal.bad() * difference >= signal.floor(floors) && unanimous;
        Some((GroupEffect { signal, difference, z, sigma, outside: 0.0 }, enough))
    };
    let effects: Vec<(GroupEffect, bool)> = Signal::ALL.into_iter().filter_map(effect).collect();
    let enough = effects.iter().filter(|(_, enough)| *enough).map(|(effect, _)| *effect);
    let lead = enough.max_by(|a, b| a.z.total_cmp(&b.z))?;
    let mut effects: Vec<GroupEffect> = effects.into_iter().map(|(effect, _)| effect).collect();
    effects.retain(|effect| effect.z.abs() >= 3.0 || effect.signal == lead.signal);
    effects.sort_by_key(|effect| (effect.signal != lead.signal, effect.signal));
    let everybody: Vec<NodeIx> = nodes.iter().filter_map(|at| panel.nodes[*at].site).collect();
    let holds_all = |domain: &DomainIx| {
        let family = site.domain(*domain).kind.family();
        let members = site.members(*domain);
        family != Family::Network && everybody.iter().all(|node| members.contains(node))
    };
    let hit = |at: &usize| {
        let value = panel.nodes[*at].residuals[lead.signal.index()];
        value.is_some_and(|value| lead.signal.bad() * value > 0.0)
    };
    let hits: Vec<usize> = nodes.iter().copied().filter(hit).collect();
    // A fair coin for each node.
    let p_value = 0.5f64.powi(i32::try_from(hits.len().min(60)).unwrap_or(60));
    Some(Group {
        class: Class { domains: site.domain_ixs().filter(holds_all).collect(), nodes },
        alternatives: Vec::new(),
        lead: lead.signal,
        effects,
        hits,
        outside_hits: 0,
        outside: 0,
        p_value,
        q_value: p_value,
        contrast: lead.z,
        doubts: Vec::new(),
    })
}

fn finding(
    case: &Case,
    site: &Site,
    study: &Study,
    panel: &Panel,
    mut group: Group,
) -> Option<Finding> {
    // A part whose nodes were never fewer at work says nothing of its limit.
    let varied = |domain: &DomainIx| {
        study.parts().any(|step| company(site, *domain, step) == Company::Little)
    };
    group.class.domains.retain(varied);
    for class in &mut group.alternatives {
        class.domains.retain(varied);
    }
    let (kind, blame) = blame::kind(&group);
    // A limit is one of what is carried: no current by coolant, and no heat by a supply, where
    // it is the coolant or air itself that comes warmer.
    let warm = group.moved(Signal::Supply).is_some_and(|effect| effect.z >= CLEAR_Z);
    let carries = |domain: &DomainIx| match site.domain(*domain).kind.family() {
        Family::Power => kind != FindingKind::WeakCooling || !warm,
        Family::Cooling => kind != FindingKind::WeakPower,
        Family::Place | Family::Network => true,
    };
    if group.class.domains.iter().any(carries) {
        group.class.domains.retain(carries);
    }
    if group.class.domains.is_empty() && group.outside > 0 {
        return None;
    }
    let (suspect, rivals) = blame::suspects(site, &group, kind);
    let standing = if group.doubts.is_empty() { Standing::Confirmed } else { Standing::Watch };
    let severity = match building::severity(&group, kind) {
        Severity::Minor => Severity::Major,
        severity => severity,
    };
    let mut finding = draft(kind, blame, (standing, severity), suspect);
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let total = site.domain_ix(&finding.suspect.id).map(|domain| site.members(domain).len());
    finding.members = Some(Members {
        hit: count(group.hits.len()),
        reporting: count(group.class.nodes.len()),
        total: count(total.unwrap_or(group.class.nodes.len())),
    });
    finding.p_value = Some(group.p_value);
    finding.q_value = Some(group.q_value);
    finding.effect = group.moved(group.lead).map(|effect| building::effect_of(case, effect));
    finding.evidence = evidence(study, panel, &group);
    finding.action = building::action(kind, &finding.suspect);
    finding.cannot_exclude = rivals;
    finding.next_experiment = Some(match finding.cannot_exclude.is_empty() {
        true => {
            format!("mend {} {}, then repeat this plan", finding.suspect.kind, finding.suspect.id)
        }
        false => advice::in_part(site, &finding.suspect)
            .unwrap_or_else(|| advice::meters(&finding.suspect.kind)),
    });
    Some(finding)
}

fn evidence(study: &Study, panel: &Panel, group: &Group) -> Vec<String> {
    let name = &study.experiment.name;
    let mut lines = vec![format!(
        "experiment {name}: {} of {} are worse with all at work than in company of fewer",
        group.hits.len(),
        plural(group.class.nodes.len() as u64, "node"),
    )];
    lines.extend(group.effects.iter().map(|effect| {
        let line = building::line(effect);
        line.replace("against like nodes elsewhere", "for the company")
    }));
    let names = group.hits.iter().map(|at| panel.nodes[*at].name.as_str());
    lines.push(format!("nodes: {}", list(names.collect::<Vec<_>>())));
    lines.push(match group.outside {
        0 => format!(
            "every node says the same of itself: by chance alone once in {:.0e} runs",
            1.0 / group.p_value
        ),
        _ => format!(
            "chance gives so much to some group in {:.2} % of shuffles",
            100.0 * group.q_value
        ),
    });
    lines.extend(
        group.doubts.iter().map(|doubt| format!("not confirmed: {}", building::words(*doubt))),
    );
    lines
}
