//! Words that every form of a report shares: names, effects, who acts.

use model::finding::{Finding, FindingKind, Suspect};
use model::plan::Requirement;
use model::report::{GateOutcome, GateResult, Report};
use model::{Blame, Source};

use super::text::line::number;

/// Smaller values are told as an upper bound.
const LEAST_P_SHOWN: f64 = 0.0001;

/// Who acts on which blame, in the order in which they are called.
pub(super) const HANDS: [(&str, &[Blame]); 4] = [
    ("for the facility", &[Blame::Facility]),
    ("for the nodes' keepers", &[Blame::Device, Blame::Host]),
    ("for nobody yet", &[Blame::None]),
    ("about this measurement (no hardware is blamed)", &[Blame::Instrument]),
];

/// Findings of each group of hands that has any.
pub(super) fn by_hands(report: &Report) -> Vec<(&'static str, Vec<&Finding>)> {
    let theirs = |blames: &[Blame]| -> Vec<&Finding> {
        report.findings.iter().filter(|finding| blames.contains(&finding.blame)).collect()
    };
    let groups = HANDS.iter().map(|(hands, blames)| (*hands, theirs(blames)));
    groups.filter(|(_, findings)| !findings.is_empty()).collect()
}

/// `kind id`, and the core where it is known.
pub(super) fn name(suspect: &Suspect) -> String {
    let core = suspect.core.map_or(String::new(), |core| format!(" core {core}"));
    match suspect.kind.as_str() {
        "fleet" => "the whole fleet".to_owned(),
        kind => format!("{kind} {}{core}", suspect.id),
    }
}

/// Finding, kind and suspect in one line.
pub(super) fn title(finding: &Finding) -> String {
    format!("{} {}: {}", finding.id, finding.kind.word(), name(&finding.suspect))
}

/// Severity, standing, and whether it was provoked.
pub(super) fn grade(finding: &Finding) -> String {
    let injected = if finding.injected { ", INJECTED" } else { "" };
    format!("{}, {}{injected}", finding.severity.word(), finding.standing.word())
}

/// Whose work a finding is.
pub(super) fn hands(finding: &Finding) -> &'static str {
    match (finding.kind, finding.blame) {
        (FindingKind::WeakPower, _) => "electrical",
        (FindingKind::WeakCooling, _) => "mechanical (cooling)",
        (FindingKind::SlowUplink | FindingKind::NetworkIsland | FindingKind::FlakyLink, _) => {
            "network"
        }
        (FindingKind::FleetShift, _) => "whoever changed software, firmware or supply for all",
        (_, Blame::Facility) => "facility",
        (_, Blame::Device | Blame::Host) => "the nodes' keepers",
        (_, Blame::Instrument) => "whoever runs loadbank: no hardware is blamed",
        (_, Blame::None) => "nobody yet",
    }
}

/// How large, and against what.
pub(super) fn effect(finding: &Finding) -> Option<String> {
    let effect = finding.effect.as_ref()?;
    let decimals = if effect.relative.is_some_and(|share| share.abs() < 0.001) { 4 } else { 1 };
    let mut words = vec![effect.metric.clone()];
    words.extend(effect.absolute.map(|by| format!("{} {}", number(by), effect.unit)));
    words.extend(effect.relative.map(|share| format!("({:+.decimals$} %)", share * 100.0)));
    let against = match finding.kind {
        FindingKind::FleetShift => "against the baseline",
        FindingKind::SlowUplink | FindingKind::FlakyLink | FindingKind::NetworkIsland => {
            "against its siblings"
        }
        FindingKind::WeakPower | FindingKind::WeakCooling => "against like nodes elsewhere",
        _ => return Some(words.join(" ")),
    };
    words.push(against.to_owned());
    Some(words.join(" "))
}

/// How many show it, of how many that report and are there.
pub(super) fn members(finding: &Finding) -> Option<String> {
    let m = finding.members?;
    let silent = m.total.saturating_sub(m.reporting);
    let silent =
        if silent > 0 { format!("; {silent} of {} say nothing", m.total) } else { String::new() };
    Some(format!("{} of {} reporting{silent}", m.hit, m.reporting))
}

/// Everything that is not told apart from the suspect.
pub(super) fn rivals(finding: &Finding) -> Option<String> {
    let names: Vec<String> = finding.cannot_exclude.iter().map(name).collect();
    (!names.is_empty()).then(|| names.join(", "))
}

/// The verdict's word, with what keeps it from being one about hardware.
pub(super) fn verdict(report: &Report) -> String {
    let would_be = if report.run.simulated { "WOULD BE " } else { "" };
    format!("{would_be}{}", report.verdict.word())
}

/// What the verdict is for.
pub(super) fn purpose(report: &Report) -> String {
    let requires: Vec<&str> = report.requires.iter().copied().map(Requirement::word).collect();
    if requires.is_empty() { "nothing".to_owned() } else { requires.join(", ") }
}

/// What nobody may overlook: a rehearsal, a provoked fault.
pub(super) fn warnings(report: &Report) -> Vec<&'static str> {
    let mut words = Vec::new();
    if report.run.simulated {
        words.push("SIMULATED: accepts no hardware");
    }
    if report.run.injected {
        words.push("INJECTED faults: proves the checks, not the hardware");
    }
    words
}

/// How often chance does as much: false discovery rate where there is one, else p.
pub(super) fn chance(finding: &Finding) -> Option<String> {
    let rate = |name: &str, value: f64| match value {
        v if v < LEAST_P_SHOWN => format!("{name} below {LEAST_P_SHOWN}"),
        v => format!("{name} {v:.4}"),
    };
    let mut words: Vec<String> = Vec::new();
    words.extend(finding.p_value.map(|p| rate("p", p)));
    words.extend(finding.q_value.map(|q| rate("q (false discovery rate)", q)));
    words.extend(finding.confidence.map(|share| {
        format!("{:.0} % of findings like this were true in calibration", share * 100.0)
    }));
    (!words.is_empty()).then(|| words.join(", "))
}

/// Gates that failed at the suspect itself, with limit and value.
pub(super) fn limits(report: &Report, finding: &Finding) -> Option<String> {
    let failed = report.gates.iter().filter(|gate| {
        gate.outcome == GateOutcome::Fail && gate.at.as_ref() == Some(&finding.suspect)
    });
    let words: Vec<String> = failed
        .map(|gate| {
            let [_, name, _, worst, limit, _] = gate_cells(gate);
            format!("{name}: {worst}, limit {limit}")
        })
        .collect();
    (!words.is_empty()).then(|| words.join("; "))
}

/// A gate in cells: check, gate, outcome, worst, limit, where. None is blank.
pub(super) fn gate_cells(gate: &GateResult) -> [String; 6] {
    let unit = gate.unit.as_deref().unwrap_or_default();
    let said = |value: Option<f64>, none: &str| match value {
        Some(value) => format!("{} {unit}", number(value)).trim_end().to_owned(),
        None => none.to_owned(),
    };
    let outcome = match gate.outcome {
        GateOutcome::Pass => "pass",
        GateOutcome::Fail => "FAIL",
        GateOutcome::NotEvaluated => "not evaluated",
    };
    let at = match (&gate.at, &gate.why) {
        (Some(at), _) => name(at),
        (None, Some(why)) => why.clone(),
        (None, None) => "everywhere".to_owned(),
    };
    [
        gate.check.map_or("own".to_owned(), |check| check.to_string()),
        gate.gate.clone(),
        outcome.to_owned(),
        said(gate.measured, "not measured"),
        said(gate.limit, "the policy has none"),
        at,
    ]
}

/// What took part, a line each.
pub(super) fn coverage(report: &Report) -> Vec<String> {
    let c = &report.coverage;
    let mut lines = vec![
        format!("nodes {}/{}", c.nodes_reporting, c.nodes_planned),
        format!("devices {}/{}", c.devices_reporting, c.devices_planned),
        format!("pairs {}/{}", c.pairs_measured, c.pairs_planned),
        format!("phases {}/{}", c.phases_completed, c.phases_planned),
    ];
    if report.run.source == Source::Agents.word() {
        let (stored, missing, lost) = (c.batches_stored, c.batches_missing, c.records_lost);
        lines.push(format!("batches {stored} stored, {missing} missing; records given up {lost}"));
    } else {
        lines.push(format!("{} rows of samples", c.rows));
    }
    if let (Some(least), Some(most)) = (c.load_seconds_least, c.load_seconds_most) {
        lines.push(format!("load {} s to {} s a device", number(least), number(most)));
    }
    let kinds = c.domains.iter().map(|(kind, d)| format!("{kind} {}/{}", d.loaded, d.total));
    let kinds: Vec<String> = kinds.collect();
    if !kinds.is_empty() {
        lines.push(format!("domains with a node that reported: {}", kinds.join(", ")));
    }
    lines
}
