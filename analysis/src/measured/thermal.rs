//! Thermal resistance, throttling, and how cooling loops answer a step of power.

use std::collections::{BTreeMap, BTreeSet};

use model::Metric;
use model::finding::Suspect;
use model::report::Measured;
use model::site::{DomainIx, Family};

use super::{fleet, line};
use crate::case::Case;
use crate::digest::telemetry::{Cell, CellKey, Curve, HEAD_BINS, Point};
use crate::middle::median;
use crate::panel::{Signal, located};
use crate::step::{self, Slow};

/// Longest pause, in nanoseconds, between two phases that make one step of power: sensors
/// once a minute are as slow as ours get.
const PAUSE_MAX_NS: i64 = 60_000_000_000;

/// Share of the first seconds that must have a sample: a time constant of seconds can't be
/// read from a row now and then.
const HEAD_FILLED: f64 = 0.75;

/// One device's cells.
type Cells<'a> = BTreeMap<CellKey, Cell>;

pub(super) fn measured(case: &Case) -> Vec<Measured> {
    let mut lines = devices(case);
    let telemetry = located(&case.seen.telemetry);
    let cells: BTreeMap<&str, Vec<&Cells>> =
        telemetry.iter().fold(BTreeMap::new(), |mut nodes, (key, cells)| {
            nodes.entry(key.node.as_str()).or_default().push(cells.as_ref());
            nodes
        });
    let all: Vec<&Cells> = cells.values().flatten().copied().collect();
    lines.extend(steps(&fleet(), &all));
    let Some(site) = case.site else { return lines };
    for domain in site.domain_ixs() {
        let kind = site.domain(domain).kind;
        if kind.family() != Family::Cooling {
            continue;
        }
        let at = Suspect::new(kind.word(), site.domain(domain).id.clone());
        lines.extend(resistance(case, domain, &at));
        let names = site.members(domain).iter().map(|node| site.node(*node).name.as_str());
        let members: Vec<&Cells> =
            names.filter_map(|name| cells.get(name)).flatten().copied().collect();
        lines.extend(steps(&at, &members));
    }
    lines
}

/// Each device under load, over all of its steady phases.
fn devices(case: &Case) -> Vec<Measured> {
    let mut lines = Vec::new();
    for device in &case.panel.devices {
        for (signal, unit) in
            [(Signal::RTh, "K/W"), (Signal::ThermalThrottle, "ratio"), (Signal::Brake, "ratio")]
        {
            let value = device.values[signal.index()];
            lines.extend(
                value.map(|value| line(signal.metric(), &device.suspect, None, value, unit)),
            );
        }
    }
    lines
}

/// The middle node of a cooling domain.
fn resistance(case: &Case, domain: DomainIx, at: &Suspect) -> Option<Measured> {
    let site = case.site?;
    let members: BTreeSet<_> = site.members(domain).iter().copied().collect();
    let inside = case.panel.nodes.iter().filter(|n| n.site.is_some_and(|ix| members.contains(&ix)));
    let values: Vec<f64> = inside.filter_map(|node| node.values[Signal::RTh.index()]).collect();
    Some(line("r_th_k_per_w_p50", at, None, median(&values)?, "K/W"))
}

/// The fitted parts of every step between two phases that follow each other.
fn steps(at: &Suspect, devices: &[&Cells]) -> Vec<Measured> {
    let mut phases: BTreeMap<&str, Vec<&Cell>> = BTreeMap::new();
    for (key, cell) in devices.iter().flat_map(|cells| cells.iter()) {
        if key.block.is_empty() {
            phases.entry(&key.phase).or_default().push(cell);
        }
    }
    let mut ordered: Vec<(i64, i64, f64, &str)> = Vec::new();
    for (phase, cells) in &phases {
        let spans = cells.iter().filter_map(|cell| cell.span_ns());
        let span = spans.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
        let powers: Vec<f64> = cells.iter().filter_map(|c| c.median(Metric::PowerW)).collect();
        if let (Some((from, to)), Some(power)) = (span, median(&powers)) {
            ordered.push((from, to, power, phase));
        }
    }
    ordered.sort_by(|a, b| (a.0, a.3).cmp(&(b.0, b.3)));
    let mut lines = Vec::new();
    for pair in ordered.windows(2) {
        let ((_, end, before, _), (start, _, after, phase)) = (pair[0], pair[1]);
        if start.saturating_sub(end) > PAUSE_MAX_NS {
            continue;
        }
        let cells = &phases[phase];
        let head = middle_curve(cells.iter().filter_map(|cell| cell.head(Metric::TempC)));
        let whole = middle_curve(cells.iter().filter_map(|cell| cell.whole(Metric::TempC)));
        let (Some(head), Some(whole)) = (head, whole) else { continue };
        if (head.points.len() as f64) < HEAD_FILLED * HEAD_BINS as f64 {
            continue;
        }
        let points = step::points(&head, &whole, start.div_euclid(1_000_000_000));
        let Ok(fit) = step::fit(&points, after - before) else { continue };
        let mut tell =
            |what: &str, value, unit| lines.push(line(what, at, Some(phase), value, unit));
        tell("r_th_step_fast_k_per_w", fit.fast.k_per_w, "K/W");
        tell("tau_step_fast_s", fit.fast.tau_s, "s");
        if let Slow::Identified(slow) = fit.slow {
            tell("r_th_step_slow_k_per_w", slow.k_per_w, "K/W");
            tell("tau_step_slow_s", slow.tau_s, "s");
        }
    }
    lines
}

/// The middle of many courses, bin by bin. Courses of other widths than the first are left
/// out: bins of one phase are alike but for devices that came late.
fn middle_curve(curves: impl Iterator<Item = Curve>) -> Option<Curve> {
    let mut bin_s = None;
    let mut bins: BTreeMap<i64, Vec<f64>> = BTreeMap::new();
    for curve in curves {
        if *bin_s.get_or_insert(curve.bin_s) == curve.bin_s {
            for point in curve.points {
                bins.entry(point.start_s).or_default().push(point.mean);
            }
        }
    }
    let point = |(start_s, means): (i64, Vec<f64>)| {
        let count = u32::try_from(means.len()).unwrap_or(u32::MAX);
        Some(Point { start_s, mean: median(&means)?, count })
    };
    let points: Vec<Point> = bins.into_iter().filter_map(point).collect();
    Some(Curve { bin_s: bin_s?, points })
}
