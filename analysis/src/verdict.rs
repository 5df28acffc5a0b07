//! The verdict: one rule, read from top to bottom, the first that fits decides.
//!
//! READY is always READY for what the plan requires, and only when all of that was measured.

use model::Verdict;
use model::facts::RunEnd;
use model::finding::Finding;

use crate::case::Case;
use crate::diagnose::not_measured::Gap;

/// The verdict and why, one line each.
pub(crate) fn decide(case: &Case, findings: &[Finding], gaps: &[Gap]) -> (Verdict, Vec<String>) {
    match &case.facts.end {
        RunEnd::Aborted { why } => {
            let mut reasons = vec![format!("a safety limit ended the run: {why}")];
            reasons.extend(condemnations(findings));
            return (Verdict::Aborted, reasons);
        }
        RunEnd::Stopped { now } => {
            let how = if *now { "dropped" } else { "ramped down" };
            let mut reasons = vec![format!("a person ended the run; the load was {how}")];
            reasons.extend(condemnations(findings));
            return (Verdict::Interrupted, reasons);
        }
        RunEnd::Running | RunEnd::Finished | RunEnd::Suspended | RunEnd::Failed { .. } => {}
    }
    let condemned = condemnations(findings);
    if !condemned.is_empty() {
        return (Verdict::NotReady, condemned);
    }
    let open = doubts(case, gaps);
    if !open.is_empty() {
        return (Verdict::Inconclusive, open);
    }
    let requires: Vec<&str> = case.plan.requires.iter().map(|r| r.word()).collect();
    let what =
        if requires.is_empty() { "nothing in particular".to_owned() } else { requires.join(", ") };
    (Verdict::Ready, vec![format!("everything that the plan requires was measured: {what}")])
}

fn condemnations(findings: &[Finding]) -> Vec<String> {
    let condemning = findings.iter().filter(|finding| finding.condemns());
    condemning
        .map(|finding| {
            let injected = if finding.injected { ", injected" } else { "" };
            let core = finding.suspect.core.map_or(String::new(), |core| format!(" core {core}"));
            let suspect = &finding.suspect;
            let kind = finding.kind.word();
            format!("{} {kind}: {} {}{core}{injected}", finding.id, suspect.kind, suspect.id)
        })
        .collect()
}

fn doubts(case: &Case, gaps: &[Gap]) -> Vec<String> {
    let mut reasons = match &case.facts.end {
        RunEnd::Running => vec!["the run has not ended".to_owned()],
        RunEnd::Suspended => vec!["the run is suspended: nobody has resumed it".to_owned()],
        RunEnd::Failed { why } => vec![format!("the infrastructure failed: {why}")],
        RunEnd::Finished | RunEnd::Stopped { .. } | RunEnd::Aborted { .. } => Vec::new(),
    };
    if let Some(percent) = case.facts.unreleased_percent {
        reasons.push(format!("{percent} % of the load was never released"));
    }
    let open = gaps.iter().filter(|gap| gap.matters(case));
    reasons.extend(open.map(|gap| format!("not measured: {}: {}", gap.line.what, gap.line.why)));
    reasons
}
