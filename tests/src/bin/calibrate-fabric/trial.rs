//! One trial: simulate, digest, judge, and hold the report against the truth.

use std::collections::BTreeSet;

use analysis::{Digest, Terms, judge};
use model::RunFacts;
use model::finding::{Finding, Standing};
use model::plan::Plan;
use model::policy::Policy;
use sim::fabric::Run;

use crate::cell::{Cell, Truth};

/// What came of one trial.
pub(crate) struct Outcome {
    first: bool,
    first_of_any: bool,
    in_set: bool,
    set_size: u64,
}

/// Sums over trials.
#[derive(Default)]
pub(crate) struct Score {
    pub(crate) trials: u64,
    /// The first confirmed finding names the fault.
    pub(crate) first: u64,
    /// The first finding, confirmed or watched, names the fault.
    pub(crate) first_of_any: u64,
    /// It names it as suspect or as what it can't exclude.
    pub(crate) in_set: u64,
    pub(crate) set_sizes: u64,
}

impl Score {
    pub(crate) fn add(&mut self, outcome: &Outcome) {
        self.trials += 1;
        self.first += u64::from(outcome.first);
        self.first_of_any += u64::from(outcome.first_of_any);
        self.in_set += u64::from(outcome.in_set);
        self.set_sizes += outcome.set_size;
    }
}

/// Judges a faulty fabric.
pub(crate) fn trial(cell: &Cell, seed: u64) -> Outcome {
    let (run, truth) = cell.run(seed);
    let all = judged(&run);
    if std::env::var_os("CALIBRATE_VERBOSE").is_some() {
        eprintln!("{} seed {seed}: truth {:?} {:?}", cell.name, truth.kind, truth.ids);
        all.iter().for_each(|f| eprintln!("   {f:?}"));
    }
    let is_named =
        |finding: &Finding| truth.ids.contains(&finding.suspect.id) && says(finding, &truth);
    let first_of_any = all.first().is_some_and(is_named);
    let Some(first) = all.iter().find(|f| f.standing == Standing::Confirmed) else {
        return Outcome { first: false, first_of_any, in_set: false, set_size: 0 };
    };
    let excluded = first.cannot_exclude.iter().any(|rival| truth.ids.contains(&rival.id));
    Outcome {
        first: is_named(first),
        first_of_any,
        in_set: is_named(first) || excluded,
        set_size: 1 + first.cannot_exclude.len() as u64,
    }
}

/// Whether a sound fabric was accused.
pub(crate) fn healthy_trial(cell: &Cell, seed: u64) -> bool {
    let mut findings = judged(&cell.healthy(seed));
    findings.retain(|f| f.standing == Standing::Confirmed);
    if std::env::var_os("CALIBRATE_VERBOSE").is_some() {
        findings.iter().for_each(|f| eprintln!("healthy {} seed {seed}: {f:?}", cell.name));
    }
    !findings.is_empty()
}

fn says(finding: &Finding, truth: &Truth) -> bool {
    finding.kind.word() == truth.kind
        && truth.side.is_none_or(|side| finding.evidence.iter().any(|line| line.contains(side)))
}

/// Every finding of the report, the gravest first.
fn judged(run: &Run) -> Vec<Finding> {
    let site = run.shape.site().expect("the calibration's shapes are sound");
    let plan = Plan {
        name: "calibrate-fabric".to_owned(),
        requires: BTreeSet::new(),
        seed: run.seed,
        limits: Default::default(),
        least_seconds: 0.0,
        least_rating_percent: None,
        experiments: Vec::new(),
        phases: Vec::new(),
    };
    let mut digest = Digest::new(&plan);
    digest.add_pairs(&run.rows());
    let terms = Terms { plan: &plan, site: Some(&site), policy: &Policy::default() };
    judge(&terms, &digest.finish(RunFacts::default())).findings
}
