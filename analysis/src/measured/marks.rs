//! What changed at the instants that a person marked: a feed that was pulled, a pump that was
//! switched over.

use model::facts::MarkFact;
use model::finding::Suspect;
use model::report::Measured;

use super::line;
use crate::case::Case;
use crate::digest::meters::{Line, Quantity};

const SECOND_NS: i64 = 1_000_000_000;
/// Means of this long before a mark and after it are held against each other.
const SIDE_NS: i64 = 30 * SECOND_NS;
/// Meters of buildings refresh within this: what lies nearer to the mark is of neither side.
const SETTLED_NS: i64 = 10 * SECOND_NS;
/// Nodes that are lost so long after it are counted: a lease, and a boot that failed.
const LOSSES_NS: i64 = 60 * SECOND_NS;
/// A meter that changed by less than this share, or by less than a degree, is not told.
const CHANGE_LEAST: f64 = 0.05;
const CHANGE_LEAST_K: f64 = 1.0;

pub(crate) fn measured(case: &Case) -> Vec<Measured> {
    let marks = case.facts.marks.iter().enumerate();
    marks.flat_map(|(index, mark)| of_mark(case, index + 1, mark)).collect()
}

fn of_mark(case: &Case, number: usize, mark: &MarkFact) -> Vec<Measured> {
    let named = Suspect::new("mark", format!("M{number} {}", mark.text));
    let after = mark.at_unix_ns..=mark.at_unix_ns.saturating_add(LOSSES_NS);
    let lost = case.facts.nodes.values().filter_map(|node| node.lost.as_ref());
    let lost = lost.filter(|lost| after.contains(&lost.at_unix_ns)).count();
    let mut lines = vec![line("mark_nodes_lost", &named, None, lost as f64, "nodes")];
    let Some(site) = case.site else { return lines };
    for (id, points) in case.seen.meters.domains() {
        let Some(ix) = site.domain_ix(id) else { continue };
        let at = Suspect::new(site.domain(ix).kind.word(), id);
        for (point, trace) in points {
            let (Quantity::PowerKw | Quantity::SupplyC, Line::Whole) = (point.quantity, point.line)
            else {
                continue;
            };
            let from = mark.at_unix_ns;
            // Whole bins of the trace, which are wide in a long run.
            let side_ns = SIDE_NS.max((trace.width_s() * 2e9) as i64);
            let before = trace.mean_between(from.saturating_sub(side_ns), from);
            let settled = from.saturating_add(SETTLED_NS);
            let after = trace.mean_between(settled, settled.saturating_add(side_ns));
            let (Some(before), Some(after)) = (before, after) else { continue };
            if !changed(point.quantity, before, after) {
                continue;
            }
            let (word, unit) = match point.quantity {
                Quantity::PowerKw => ("power_kw", "kW"),
                _ => ("supply_c", "C"),
            };
            let told = |side: &str, value| {
                line(&format!("mark_{number}_{word}_{side}"), &at, None, value, unit)
            };
            lines.extend([told("before", before), told("after", after)]);
        }
    }
    lines
}

fn changed(quantity: Quantity, before: f64, after: f64) -> bool {
    let change = (after - before).abs();
    match quantity {
        Quantity::PowerKw => change > CHANGE_LEAST * before.abs().max(after.abs()),
        _ => change > CHANGE_LEAST_K,
    }
}
