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
    in_set: bool,
    set_size: u64,
}

/// Sums over trials.
#[derive(Default)]
pub(crate) struct Score {
    pub(crate) trials: u64,
    /// The first confirmed finding names the fault.
    pub(crate) first: u64,
    /// It names it as suspect or as what it can't exclude.
    pub(crate) in_set: u64,
    pub(crate) set_sizes: u64,
}

impl Score {
    pub(crate) fn add(&mut self, outcome: &Outcome) {
        self.trials += 1;
        self.first += u64::from(outcome.first);
        self.in_set += u64::from(outcome.in_set);
        self.set_sizes += outcome.set_size;
    }
}

/// Judges a faulty fabric.
pub(crate) fn trial(cell: &Cell, seed: u64) -> Outcome {
    let (run, truth) = cell.run(seed);
    let findings = confirmed(&run);
    if std::env::var_os("CALIBRATE_VERBOSE").is_some() {
        eprintln!("{} seed {seed}: truth {:?} {:?}", cell.name, truth.kind, truth.ids);
        findings.iter().for_each(|f| eprintln!("   {f:?}"));
    }
    let Some(first) = findings.first() else {
        return Outcome { first: false, in_set: false, set_size: 0 };
    };
    let named = truth.ids.contains(&first.suspect.id);
    let excluded = first.cannot_exclude.iter().any(|rival| truth.ids.contains(&rival.id));
    Outcome {
        first: named && says(first, &truth),
        in_set: named && says(first, &truth) || excluded,
        set_size: 1 + first.cannot_exclude.len() as u64,
    }
}

/// Whether a sound fabric was accused.
pub(crate) fn healthy_trial(cell: &Cell, seed: u64) -> bool {
    let findings = confirmed(&cell.healthy(seed));
    if std::env::var_os("CALIBRATE_VERBOSE").is_some() {
        findings.iter().for_each(|f| eprintln!("healthy {} seed {seed}: {f:?}", cell.name));
    }
    !findings.is_empty()
}

fn says(finding: &Finding, truth: &Truth) -> bool {
    finding.kind.word() == truth.kind
        && truth.side.is_none_or(|side| finding.evidence.iter().any(|line| line.contains(side)))
}

fn confirmed(run: &Run) -> Vec<Finding> {
    let site = run.shape.site().expect("the calibration's shapes are sound");
    let plan = Plan {
        name: "calibrate-fabric".to_owned(),
        requires: BTreeSet::new(),
        seed: run.seed,
        limits: Default::default(),
        least_seconds: 0.0,
        least_rating_percent: None,
        phases: Vec::new(),
    };
    let mut digest = Digest::new(&plan);
    digest.add_pairs(&run.rows());
    let terms = Terms { plan: &plan, site: Some(&site), policy: &Policy::default() };
    let report = judge(&terms, &digest.finish(RunFacts::default()));
    report.findings.into_iter().filter(|f| f.standing == Standing::Confirmed).collect()
}
