//! Findings, by who must act.

use model::Blame;
use model::finding::{Finding, Suspect};

use super::line::{Page, number};
use super::part;

/// Evidence lines of one finding on the first screen.
const EVIDENCE_SHOWN: usize = 6;

/// Who acts on which blame, in the order in which they are called.
const HANDS: [(&str, &[Blame]); 4] = [
    ("for the facility", &[Blame::Facility]),
    ("for the nodes' keepers", &[Blame::Device, Blame::Host]),
    ("for nobody yet", &[Blame::None]),
    ("about this measurement (no hardware is blamed)", &[Blame::Instrument]),
];

pub(super) fn write(page: &mut Page, findings: &[Finding]) {
    page.blank();
    if findings.is_empty() {
        page.item("FINDINGS  ", "none");
        return;
    }
    page.line("FINDINGS");
    for (hands, blames) in HANDS {
        let mut theirs = findings.iter().filter(|f| blames.contains(&f.blame)).peekable();
        if theirs.peek().is_some() {
            page.line(&format!("  {hands}"));
        }
        for finding in theirs {
            write_one(page, finding);
        }
    }
}

fn write_one(page: &mut Page, finding: &Finding) {
    let injected = if finding.injected { ", INJECTED" } else { "" };
    let grade = format!("{}, {}{injected}", finding.severity.word(), finding.standing.word());
    let label = format!("  {:<4}", finding.id);
    page.item(&label, &format!("{}  {}  ({grade})", finding.kind.word(), name(&finding.suspect)));
    let shared = part::is_shared(finding);
    if shared {
        part::write(page, finding);
    } else if let Some(effect) = effect(finding) {
        told(page, "effect", &effect);
    }
    for line in finding.evidence.iter().take(EVIDENCE_SHOWN) {
        told(page, "evidence", line);
    }
    if finding.evidence.len() > EVIDENCE_SHOWN {
        let more = finding.evidence.len() - EVIDENCE_SHOWN;
        told(page, "evidence", &format!("and {more} lines more"));
    }
    let rivals: Vec<String> = finding.cannot_exclude.iter().map(name).collect();
    if !rivals.is_empty() {
        told(page, "cannot exclude", &rivals.join(", "));
    }
    if shared {
        told(page, "who acts", part::hands(finding.kind));
    }
    if !finding.action.is_empty() {
        told(page, "action", &finding.action);
    }
    if let Some(experiment) = &finding.next_experiment {
        told(page, "next experiment", experiment);
    }
}

pub(super) fn told(page: &mut Page, label: &str, text: &str) {
    page.item(&format!("      {label:<16}"), text);
}

pub(super) fn name(suspect: &Suspect) -> String {
    let core = suspect.core.map_or(String::new(), |core| format!(" core {core}"));
    format!("{} {}{core}", suspect.kind, suspect.id)
}

fn effect(finding: &Finding) -> Option<String> {
    let effect = finding.effect.as_ref()?;
    let mut words = vec![effect.metric.clone()];
    let counted = effect.absolute.filter(|by| by.fract() == 0.0).map(|by| format!("{by:.0}"));
    let amount = counted.or_else(|| effect.absolute.map(number));
    words.extend(amount.map(|by| format!("{by} {}", effect.unit)));
    // A share of wrong blocks is a few in a million; a deficit is some percent.
    let decimals = if effect.relative.is_some_and(|share| share.abs() < 0.001) { 4 } else { 1 };
    words.extend(effect.relative.map(|share| format!("({:+.decimals$} %)", share * 100.0)));
    words.extend(finding.members.map(|m| format!("in {} of {} reporting", m.hit, m.reporting)));
    Some(words.join(" "))
}
