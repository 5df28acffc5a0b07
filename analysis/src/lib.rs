//! The judge: records are digested into evidence, evidence is diagnosed into findings, and
//! a rule turns findings and gaps into a verdict.
//!
//! Pure: no I/O, no clock, no entropy, no hash order. The same evidence gives the same
//! bytes. Missing is neither zero nor pass; it is listed with its reason, and where the
//! plan requires it the verdict is INCONCLUSIVE.

mod attribute;
mod case;
pub mod compare;
mod coverage;
pub mod cusum;
mod diagnose;
pub mod digest;
mod drift;
mod experiments;
mod fabric;
mod gates;
mod measured;
mod meters;
mod middle;
pub mod panel;
pub mod review;
pub mod step;
pub mod tables;
mod throttle;
mod verdict;

pub use digest::{Digest, Evidence, Overlap};
pub use fabric::adaptive;

use model::plan::Plan;
use model::policy::Policy;
use model::report::{Report, RunHeader, SCHEMA};
use model::site::Site;

use case::{Case, Workings, utc};

/// By which a run is judged.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    pub plan: &'a Plan,
    /// Without a site nothing that nodes share can be blamed.
    pub site: Option<&'a Site>,
    pub policy: &'a Policy,
}

/// Judges a run: what was found, what was measured, what was not, and the verdict.
///
/// # Example
/// ```
/// use std::collections::BTreeSet;
/// use model::{Plan, Policy, RunFacts, Verdict};
///
/// let plan = Plan {
///     name: "soak".to_owned(), requires: BTreeSet::new(), seed: 1,
///     limits: Default::default(), least_seconds: 0.0, least_rating_percent: None,
///     phases: Vec::new(), experiments: Vec::new(),
/// };
/// let evidence = analysis::Digest::new(&plan).finish(RunFacts::default());
/// let terms = analysis::Terms { plan: &plan, site: None, policy: &Policy::default() };
/// assert_eq!(analysis::judge(&terms, &evidence).verdict, Verdict::Inconclusive);
/// ```
#[must_use]
pub fn judge(terms: &Terms, evidence: &Evidence) -> Report {
    let workings = Workings::new(terms, evidence);
    let case = Case::new(terms, evidence, &workings);
    let plan = terms.plan;
    let findings = diagnose::diagnose(&case);
    let gaps = diagnose::not_measured::gaps(&case);
    let (verdict, mut reasons) = verdict::decide(&case, &findings, &gaps);
    reasons.extend(measured::power::words(&case));
    reasons.extend(evidence.facts.marks.iter().enumerate().map(|(index, mark)| {
        let at = utc(mark.at_unix_ns).unwrap_or_default();
        let cut = if mark.cut { " (its phase was cut and began anew)" } else { "" };
        format!("M{} {at} {}: {}{cut}", index + 1, mark.who, mark.text)
    }));
    reasons.extend(evidence.facts.restraints.iter().cloned());
    Report {
        schema: SCHEMA.to_owned(),
        verdict,
        exit_code: verdict.exit_code(),
        reasons,
        requires: plan.requires.iter().copied().collect(),
        run: header(&case),
        findings,
        measured: drift::measured(&case),
        coverage: coverage::coverage(&case),
        not_measured: gaps.into_iter().map(|gap| gap.told_of(&case)).collect(),
        gates: gates::gates(&case),
    }
}

fn header(case: &Case) -> RunHeader {
    let facts = case.facts;
    let nanoseconds = facts.ended_unix_ns.map(|end| end.saturating_sub(facts.started_unix_ns));
    RunHeader {
        id: facts.run.0.clone(),
        plan: case.plan.name.clone(),
        site: facts.site.clone(),
        source: facts.source.word().to_owned(),
        simulated: facts.simulated,
        injected: case.injected(),
        started: (facts.started_unix_ns > 0).then(|| utc(facts.started_unix_ns)).flatten(),
        seconds: nanoseconds.and_then(|ns| u64::try_from(ns / 1_000_000_000).ok()),
        state: facts.end.word().to_owned(),
        folder: facts.folder.clone(),
    }
}
