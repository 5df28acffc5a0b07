//! From a reading to the last worker idle: how fast the fleet answers.
//!
//! Idle is what each agent recorded when its last worker had said so, put on the coordinator's
//! clock. The error of that clock is far below what is measured here, and stands with the
//! starts.

use model::NodeName;
use model::facts::StopFact;
use model::finding::Suspect;
use model::record::EventKind;
use model::report::Measured;

use super::line;
use crate::case::Case;

/// An idle may lie this much before the reading by two clocks that are not quite one.
const CLOCK_SLACK_NS: i64 = 10_000_000;

pub(crate) fn measured(case: &Case) -> Vec<Measured> {
    case.facts.stops.iter().flat_map(|stop| of_stop(case, stop)).collect()
}

fn of_stop(case: &Case, stop: &StopFact) -> Vec<Measured> {
    let mut idle: Vec<i64> =
        stop.nodes.iter().filter_map(|node| idle_ns(case, node, stop)).collect();
    idle.sort_unstable();
    let at = Suspect::new(&stop.kind, stop.by.clone());
    let rank = |share: f64| ((share * idle.len() as f64).ceil() as usize).max(1) - 1;
    let after = |from_ns: i64, share: f64| {
        idle.get(rank(share)).map(|idle_ns| (idle_ns - from_ns) as f64 / 1e6)
    };
    let values = [
        ("stop_reading_to_idle_ms_p50", after(stop.read_unix_ns, 0.5)),
        ("stop_reading_to_idle_ms_p99", after(stop.read_unix_ns, 0.99)),
        ("stop_reading_to_idle_ms_max", after(stop.read_unix_ns, 1.0)),
        ("stop_heard_to_idle_ms_max", after(stop.heard_unix_ns, 1.0)),
    ];
    let known = values.into_iter().filter_map(|(what, ms)| Some((what, ms?)));
    let mut lines: Vec<Measured> =
        known.map(|(what, ms)| line(what, &at, None, ms, "ms")).collect();
    lines.push(line("stop_nodes_idle", &at, None, idle.len() as f64, "nodes"));
    lines
}

/// When a node was idle after a stop, on the coordinator's clock; `None` where nobody knows.
pub(crate) fn idle_ns(case: &Case, node: &NodeName, stop: &StopFact) -> Option<i64> {
    let clocks = case.facts.clocks.get(node)?;
    let events = case.events(EventKind::Idle).filter(|(of, ..)| *of == node);
    let instants = events.flat_map(|(_, _, group)| {
        group.examples.iter().map(|(at_ns, _)| *at_ns).chain([group.last_ns])
    });
    let told = instants.filter_map(|agent_ns| {
        let nearest = clocks.iter().min_by_key(|(at, offset)| (at - offset - agent_ns).abs());
        nearest.map(|(_, offset)| agent_ns + offset)
    });
    told.filter(|at_ns| *at_ns >= stop.heard_unix_ns - CLOCK_SLACK_NS).min()
}
