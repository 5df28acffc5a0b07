//! Diagnosis: one witness per file, each shown the whole case, none aware of another.
//!
//! A witness says what is wrong and whom it suspects. It never decides the verdict, and it
//! never makes a finding of what is missing: gaps have their own list (`not_measured`).

pub(crate) mod building;
pub(crate) mod cohort;
mod data_plane;
mod device_error;
mod device_slow;
mod devices;
mod fleet_shift;
mod host_io;
mod instrument;
mod links;
mod load_spread;
mod node_lost;
pub(crate) mod not_measured;
mod own_words;
mod pattern;
mod ports;
mod sdc;
mod silent;
mod vote;

use model::finding::{Blame, Finding, FindingKind, Severity, Standing, Suspect};

use crate::case::Case;

/// Every witness, in no order that matters: findings are sorted afterwards.
const WITNESSES: [fn(&Case) -> Vec<Finding>; 18] = [
    building::testify,
    devices::testify,
    fleet_shift::testify,
    host_io::testify,
    links::testify,
    ports::testify,
    sdc::testify,
    vote::testify,
    silent::testify,
    device_slow::testify,
    device_error::testify,
    node_lost::testify,
    data_plane::testify,
    instrument::testify,
    crate::meters::testify,
    crate::gates::testify,
    crate::fabric::testify,
    crate::drift::testify,
];

/// All findings, the worst first, numbered.
pub(crate) fn diagnose(case: &Case) -> Vec<Finding> {
    let mut findings: Vec<Finding> = WITNESSES.iter().flat_map(|testify| testify(case)).collect();
    crate::experiments::testify(case, &mut findings);
    doubt_idle_supplies(case, &mut findings);
    own_words::join(case, &mut findings);
    findings.sort_by_cached_key(|f| {
        (f.standing, f.severity, f.kind, f.suspect.clone(), f.injected, f.evidence.clone())
    });
    for (position, finding) in findings.iter_mut().enumerate() {
        finding.id = format!("F{}", position + 1);
    }
    findings
}

/// A supply whose nodes are gone carries no load: what its meters show then is no second
/// fault, and stays told as a doubt.
fn doubt_idle_supplies(case: &Case, findings: &mut [Finding]) {
    let Some(site) = case.site else { return };
    let members = |suspect: &Suspect| site.domain_ix(&suspect.id).map(|ix| site.members(ix));
    let lost: Vec<_> = findings
        .iter()
        .filter(|f| f.kind == FindingKind::NodeLost && f.standing == Standing::Confirmed)
        .filter_map(|f| members(&f.suspect))
        .flatten()
        .copied()
        .collect();
    for finding in findings.iter_mut().filter(|f| f.kind == FindingKind::WeakPower) {
        let nodes = members(&finding.suspect).unwrap_or_default();
        if !nodes.is_empty() && nodes.iter().all(|node| lost.contains(node)) {
            finding.standing = Standing::Watch;
            let why = "not confirmed: its nodes were lost, and a supply without load says little";
            finding.evidence.push(why.to_owned());
        }
    }
}

/// A finding with everything that has no value yet left empty.
pub(crate) fn draft(
    kind: FindingKind,
    blame: Blame,
    (standing, severity): (Standing, Severity),
    suspect: Suspect,
) -> Finding {
    Finding {
        id: String::new(),
        kind,
        blame,
        standing,
        severity,
        suspect,
        cannot_exclude: Vec::new(),
        confidence: None,
        p_value: None,
        q_value: None,
        effect: None,
        members: None,
        injected: false,
        evidence: Vec::new(),
        action: String::new(),
        next_experiment: None,
    }
}

/// A nic of a node whose name we don't know.
fn some_nic(node: &model::NodeName) -> Suspect {
    Suspect::new("nic", format!("{node}/unknown"))
}

/// One word for an empty phase name.
fn phase_name(phase: &str) -> String {
    if phase.is_empty() { "outside of phases".to_owned() } else { format!("phase {phase}") }
}
