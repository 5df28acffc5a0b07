//! The judge, from records to report.

mod gpus;
mod invariants;
mod pairs;
mod ports;
mod scenario;
mod supplies;
mod vote;
mod witnesses;

use analysis::Digest;
use model::Report;
use scenario::Scenario;

fn judge(scenario: &Scenario) -> Report {
    let mut digest = Digest::new(&scenario.plan);
    scenario.batches.iter().for_each(|batch| digest.add(batch));
    analysis::judge(&scenario.terms(), &digest.finish(scenario.facts.clone()))
}
