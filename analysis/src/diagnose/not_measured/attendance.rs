//! Who came, which phases ran, and how much of what was said arrived.

use super::{Concern, Gap};
use crate::case::{Case, list};

/// Medians of a run that lost more than this share of its records are not believed: the
/// lost ones may be the slow ones.
const LOST_SHARE_LIMIT: f64 = 0.01;

pub(super) fn attendance(case: &Case) -> Vec<Gap> {
    let mut gaps = Vec::new();
    if case.facts.nodes.is_empty() {
        gaps.push(Gap::new("nodes", "no node was planned", Concern::Everybody));
    }
    let absent: Vec<_> =
        case.facts.nodes.iter().filter(|(_, f)| !f.joined).map(|(n, _)| n).collect();
    if !absent.is_empty() {
        let why = format!("never joined the run: {}", list(absent));
        gaps.push(Gap::new("nodes", why, Concern::Everybody));
    }
    let done = &case.facts.phases_completed;
    let open = case.plan.phases.iter().filter(|phase| !done.contains(&phase.name));
    let open: Vec<&str> = open.map(|phase| phase.name.as_str()).collect();
    if !open.is_empty() {
        let why = format!("did not run to their end: {}", list(open));
        gaps.push(Gap::new("phases", why, Concern::Everybody));
    }
    gaps
}

/// Samples without a place on the common time axis.
pub(super) fn clocks(case: &Case) -> Option<Gap> {
    let unplaced = case.facts.nodes.iter().filter(|(node, facts)| {
        facts.clock_unknown
            && case.seen.nodes.get(*node).is_some_and(|seen| !seen.devices.is_empty())
    });
    let unplaced: Vec<_> = unplaced.map(|(node, _)| node).collect();
    (!unplaced.is_empty()).then(|| {
        let why = format!(
            "the clock was never compared with the coordinator's, and samples.parquet has no \
             rows of {}",
            list(unplaced)
        );
        Gap::new("sample_times", why, Concern::Nobody)
    })
}

pub(super) fn lost_records(case: &Case) -> Option<Gap> {
    let (mut here, mut gone) = (0.0, 0.0);
    for (node, seen) in &case.seen.nodes {
        let facts = case.facts.nodes.get(node);
        for (instance, stream) in &seen.streams {
            let made = facts.and_then(|facts| facts.batches_made.get(instance).copied());
            let each = stream.records as f64 / (stream.seen.len().max(1)) as f64;
            here += stream.records as f64;
            // Nobody knows what was in a missing batch: as much as in the usual one.
            gone += stream.records_given_up as f64 + each * stream.missing(made).len() as f64;
        }
    }
    let share = if gone > 0.0 { gone / (here + gone) } else { 0.0 };
    (share > LOST_SHARE_LIMIT).then(|| {
        let why = format!(
            "{:.1} % of them were lost; results are believed up to {:.0} %",
            share * 100.0,
            LOST_SHARE_LIMIT * 100.0
        );
        Gap::new("records", why, Concern::Everybody)
    })
}
