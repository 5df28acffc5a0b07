//! A step of the whole fleet in the middle of a steady phase: software, weather, supply or a
//! cap for everybody. No group is blamed for it; absolute gates still judge the level.

use std::collections::BTreeMap;

use model::Metric;
use model::finding::{Blame, Effect, Finding, FindingKind, Members, Severity, Standing, Suspect};

use crate::case::Case;
use crate::digest::telemetry::{Cell, CellKey};
use crate::middle::median;
use crate::panel::Signal;

use super::draft;

/// Points on each side of a step: fewer show no level.
const POINTS_LEAST: usize = 4;
/// Share of devices that must step together, each by at least half of the fleet's step.
const TOGETHER: f64 = 0.8;
/// Share of the whole change that happens within one point of the step: settling and drift
/// are slower.
const SUDDEN: f64 = 0.6;
/// Fewer devices are no fleet.
const DEVICES_LEAST: usize = 8;

/// A step of the fleet's middle.
struct Step {
    /// In seconds since the Unix epoch.
    at_s: i64,
    /// In the signal's residual unit.
    size: f64,
    together: usize,
    devices: usize,
}

pub(super) fn testify(case: &Case) -> Vec<Finding> {
    let mut phases: BTreeMap<(&str, &str), Vec<&Cell>> = BTreeMap::new();
    for (_, cells) in case.seen.telemetry.devices() {
        for (CellKey { phase, block }, cell) in cells {
            phases.entry((phase, block)).or_default().push(cell);
        }
    }
    let mut findings = Vec::new();
    for ((phase, _), cells) in phases {
        if !case.panel.loaded.contains(phase) {
            continue;
        }
        for (metric, signal) in [(Metric::PowerW, Signal::Power), (Metric::TempC, Signal::Temp)] {
            let step = step(&cells, metric, signal);
            let floor = signal.floor(&case.policy.floors);
            findings.extend(
                step.filter(|step| step.size.abs() >= floor)
                    .map(|step| finding(case, phase, signal, &step)),
            );
        }
    }
    findings
}

/// The largest step that most devices make together.
fn step(cells: &[&Cell], metric: Metric, signal: Signal) -> Option<Step> {
    let curves: Vec<BTreeMap<i64, f64>> =
        cells.iter().filter_map(|cell| curve(cell, metric, signal)).collect();
    if curves.len() < DEVICES_LEAST {
        return None;
    }
    let mut times: BTreeMap<i64, Vec<f64>> = BTreeMap::new();
    for (time, value) in curves.iter().flatten() {
        times.entry(*time).or_default().push(*value);
    }
    times.retain(|_, values| 2 * values.len() >= curves.len());
    let fleet: Vec<(i64, f64)> =
        times.iter().filter_map(|(time, values)| Some((*time, median(values)?))).collect();
    let sides = |at: usize| {
        let of =
            |points: &[(i64, f64)]| median(&points.iter().map(|(_, v)| *v).collect::<Vec<_>>());
        Some(of(&fleet[at..])? - of(&fleet[..at])?)
    };
    let last = fleet.len().checked_sub(POINTS_LEAST)?;
    // The split that explains most of the variance; middles stay alike over many splits.
    let explained = |at: &usize| {
        let mean = |points: &[(i64, f64)]| {
            points.iter().map(|(_, v)| v).sum::<f64>() / points.len() as f64
        };
        let (before, after) = fleet.split_at(*at);
        (mean(after) - mean(before)).powi(2) * (before.len() * after.len()) as f64
    };
    let at = (POINTS_LEAST..=last).max_by(|a, b| explained(a).total_cmp(&explained(b)))?;
    let size = sides(at)?;
    // The step itself, between the points on both sides of it.
    let sudden = fleet[(at + 1).min(fleet.len() - 1)].1 - fleet[at - 1].1;
    if size == 0.0 || sudden / size < SUDDEN {
        return None;
    }
    let at_s = fleet[at].0;
    let moves = |curve: &&BTreeMap<i64, f64>| {
        let side = |points: Vec<f64>| median(&points);
        let before = side(curve.range(..at_s).map(|(_, v)| *v).collect());
        let after = side(curve.range(at_s..).map(|(_, v)| *v).collect());
        before.zip(after).is_some_and(|(before, after)| (after - before) / size >= 0.5)
    };
    let together = curves.iter().filter(moves).count();
    let enough = together as f64 >= TOGETHER * curves.len() as f64;
    enough.then_some(Step { at_s, size, together, devices: curves.len() })
}

/// A device's course around its own middle: as a share of it, or in the signal's unit.
fn curve(cell: &Cell, metric: Metric, signal: Signal) -> Option<BTreeMap<i64, f64>> {
    let middle = cell.median(metric)?;
    let points = cell.whole(metric)?.points;
    let relative = |value: f64| {
        if signal.is_relative() { value / middle - 1.0 } else { value - middle }
    };
    let usable = !signal.is_relative() || middle > 0.0;
    usable.then(|| points.iter().map(|point| (point.start_s, relative(point.mean))).collect())
}

fn finding(case: &Case, phase: &str, signal: Signal, step: &Step) -> Finding {
    let site = case.site.map_or("fleet", |site| site.name());
    let watch = (Standing::Watch, Severity::Minor);
    let mut finding =
        draft(FindingKind::FleetShift, Blame::None, watch, Suspect::new("fleet", site));
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    finding.members = Some(Members {
        hit: count(step.together),
        reporting: count(step.devices),
        total: count(step.devices),
    });
    let relative = signal.is_relative().then_some(step.size);
    let absolute = (!signal.is_relative()).then_some(step.size);
    let (metric, unit) = (signal.metric().to_owned(), signal.unit().to_owned());
    let much = match relative {
        Some(share) => format!("{:+.1} %", 100.0 * share),
        None => format!("{:+.1} K", step.size),
    };
    finding.effect = Some(Effect { metric, relative, absolute, unit });
    let when = crate::case::utc(step.at_s.saturating_mul(1_000_000_000)).unwrap_or_default();
    finding.evidence.push(format!(
        "{} steps by {much} at {when} in {}: {} of {} devices together",
        signal.metric(),
        super::phase_name(phase),
        step.together,
        step.devices
    ));
    finding.evidence.push("no part of the building moved apart from the others".to_owned());
    finding.action =
        format!("ask what changed for everybody at {when}: software, a cap, supply, weather");
    finding.next_experiment = Some("repeat the phase: a step that stays is a new level".to_owned());
    finding
}
