//! Phases that asked for watts: how well each device held them, and why not.
//!
//! Seen in the course of power by means of one second (of wider bins in long phases): settled
//! is from the first of them on from which nearly all are near the target; held is their mean.

use std::collections::{BTreeMap, BTreeSet};

use model::DeviceId;
use model::Metric;
use model::NodeName;
use model::finding::Suspect;
use model::plan::{Phase, PhaseKind, Requirement, Selector};
use model::report::Measured;

use super::line;
use crate::case::{Case, device_suspect, list};
use crate::diagnose::not_measured::{Concern, Gap};
use crate::digest::telemetry::{Cell, CellKey, Curve};
use crate::panel::located;
use crate::throttle::{self, Reason};

/// A mean of a second within this share of the target is near it: an agent's loop aims at 2 %
/// and noise of sensors is a percent.
const NEAR: f64 = 0.03;
/// Share of the means after the first that must be near: one wild reading does not show.
const STAYS: f64 = 0.9;
/// Least seconds after settling that tell whether it holds.
const SECONDS_LEAST: i64 = 3;
/// Seconds of throttle that count as a reason.
const THROTTLE_LEAST_S: f64 = 1.0;
/// A commanded level so high leaves nothing to add.
const FULL_LEVEL: f64 = 0.9;

/// One device in one phase with a target.
#[derive(Debug, Clone, PartialEq)]
struct Held {
    target_w: f64,
    /// After settling; over the whole phase where it never settled. `None`: not measured.
    mean_w: Option<f64>,
    /// Standard deviation of the means of a bin, after settling.
    ripple_w: Option<f64>,
    settled_s: Option<f64>,
    why_not: Option<String>,
}

/// A phase's devices.
struct Asked<'a> {
    phase: &'a Phase,
    devices: BTreeMap<DeviceId, Held>,
}

pub(super) fn measured(case: &Case) -> Vec<Measured> {
    let mut lines = Vec::new();
    for asked in phases(case) {
        let phase = Some(asked.phase.name.as_str());
        for (device, held) in &asked.devices {
            let at = device_suspect(device);
            let mut tell = |what: &str, value: Option<f64>, unit: &str| {
                lines.extend(value.map(|value| line(what, &at, phase, value, unit)));
            };
            tell("power_target_w", Some(held.target_w), "W");
            tell("power_held_w", held.mean_w, "W");
            tell("power_ripple_w", held.ripple_w, "W");
            tell("power_settling_s", held.settled_s, "s");
        }
        lines.extend(together(&asked));
    }
    lines
}

/// Tensor work of `mix` that drew most, and what it drew; the model is in `where`.
pub(super) fn mixes(case: &Case) -> Vec<Measured> {
    let lines = case.facts.mixes.iter().flat_map(|mix| {
        let at = Suspect::new(&super::fleet().kind, mix.model.clone());
        let share = line("mix_tensor_percent", &at, None, f64::from(mix.per_mille) / 10.0, "%");
        let drew = mix.tried_w.iter().find(|(share, _)| *share == mix.per_mille);
        let drew = drew.map(|(_, w)| line("mix_power_w", &at, None, f64::from(*w), "W"));
        [Some(share), drew]
    });
    lines.flatten().collect()
}

/// All devices of a phase, at the domain that was selected or the fleet.
fn together(asked: &Asked) -> Vec<Measured> {
    let at = match &asked.phase.on {
        Selector::Domain(kind, id) => Suspect::new(kind, id.clone()),
        _ => super::fleet(),
    };
    let phase = Some(asked.phase.name.as_str());
    let target: f64 = asked.devices.values().map(|held| held.target_w).sum();
    let mut lines = vec![line("power_target_w", &at, phase, target, "W")];
    let means: Option<f64> = asked.devices.values().map(|held| held.mean_w).sum();
    lines.extend(means.map(|mean| line("power_held_w", &at, phase, mean, "W")));
    lines
}

/// A line for each phase with a target that holds one level: how well it was held.
pub(crate) fn words(case: &Case) -> Vec<String> {
    phases(case).iter().filter(|asked| asked.phase.kind == PhaseKind::Hold).map(told).collect()
}

fn told(asked: &Asked) -> String {
    let (phase, all) = (&asked.phase.name, asked.devices.len());
    let target = asked.devices.values().next().map_or(0.0, |held| held.target_w);
    let held: Vec<&Held> = asked.devices.values().filter(|held| held.settled_s.is_some()).collect();
    let off = |held: &&Held| held.mean_w.map(|mean| (mean / held.target_w - 1.0).abs());
    let within = held.iter().filter_map(off).fold(0.0, f64::max) * 100.0;
    let settled = held.iter().filter_map(|held| held.settled_s).fold(0.0, f64::max);
    let mut text = match held.len() {
        0 => format!("phase {phase}: {target:.0} W was held on none of {all} devices"),
        some => format!(
            "phase {phase}: held {target:.0} W within {within:.1} % on {some} of {all} devices, \
             settled in {settled:.0} s"
        ),
    };
    if let Some(worst) = worst(asked) {
        text += &format!("; {worst}");
    }
    text
}

/// The device furthest from its target among those that did not hold it, with the reason.
fn worst(asked: &Asked) -> Option<String> {
    let missed = asked.devices.iter().filter(|(_, held)| held.settled_s.is_none());
    let off = |held: &Held| held.mean_w.map_or(f64::INFINITY, |w| (w - held.target_w).abs());
    let (device, held) = missed.max_by(|a, b| off(a.1).total_cmp(&off(b.1)))?;
    let drew = held.mean_w.map_or("nothing that was measured".to_owned(), |w| format!("{w:.0} W"));
    let why = held.why_not.as_deref().unwrap_or("no reason is known");
    Some(format!("{device} drew {drew}: {why}"))
}

/// Phases of one level whose target was not held: no READY for power.
pub(crate) fn not_held(case: &Case) -> Vec<Gap> {
    let concerns = Concern::Requiring(Requirement::Power);
    let gap = |asked: &Asked| {
        let missed = asked.devices.iter().filter(|(_, held)| held.settled_s.is_none());
        let names: Vec<&DeviceId> = missed.map(|(device, _)| device).collect();
        let why = match names.is_empty() {
            false => format!("{} not held by {}", told(asked), list(names)),
            true => told(asked),
        };
        Gap::new("power_target", why, concerns)
    };
    let phases = phases(case);
    let missed = phases.iter().filter(|asked| {
        asked.phase.kind == PhaseKind::Hold
            && (asked.devices.is_empty() || asked.devices.values().any(|h| h.settled_s.is_none()))
    });
    missed.map(gap).collect()
}

fn phases<'a>(case: &Case<'a>) -> Vec<Asked<'a>> {
    let telemetry = located(&case.seen.telemetry);
    let phases = case.plan.phases.iter();
    let of = |phase: &'a Phase| {
        let target = phase.load?.target?;
        let ids = devices(case, &phase.on);
        let target_w = target.device_watts(ids.len())?;
        let cell = |id: &DeviceId| {
            let (_, cells) = telemetry
                .iter()
                .find(|(key, _)| key.node == id.node.0 && key.device == id.index)?;
            let cell = |(key, _): &(&CellKey, &Cell)| key.phase == phase.name;
            cells.iter().find(cell).map(|(_, cell)| cell)
        };
        let held = |id: DeviceId| {
            let held = held(case, &id, phase, target_w, cell(&id));
            (id, held)
        };
        Some(Asked { phase, devices: ids.into_iter().map(held).collect() })
    };
    phases.filter_map(of).collect()
}

/// The devices that a selector picks among nodes that joined, as the coordinator counts them.
fn devices(case: &Case, on: &Selector) -> Vec<DeviceId> {
    let joined: Vec<&NodeName> = case.joined().map(|(node, _)| node).collect();
    let picked = picked(case, joined, on);
    case.devices().into_iter().filter(|device| picked.contains(&device.node)).collect()
}

/// The nodes that a selector picks among some in name order.
fn picked<'a>(case: &Case, nodes: Vec<&'a NodeName>, on: &Selector) -> BTreeSet<&'a NodeName> {
    match on {
        Selector::All => nodes.into_iter().collect(),
        Selector::Nodes(names) => nodes.into_iter().filter(|n| names.contains(&n.0)).collect(),
        Selector::Percent(percent) => {
            let count = (nodes.len() * usize::from(*percent)).div_ceil(100);
            nodes.into_iter().take(count).collect()
        }
        Selector::Domain(..) => {
            let site = case.site;
            let selected = site.and_then(|site| site.selected(on).ok()).unwrap_or_default();
            let inside = |node: &&NodeName| {
                let ix = site.and_then(|site| site.node_ix(&node.0));
                ix.is_some_and(|ix| selected.contains(&ix))
            };
            nodes.into_iter().filter(inside).collect()
        }
        Selector::Any(parts) => {
            parts.iter().flat_map(|part| picked(case, nodes.clone(), part)).collect()
        }
        Selector::Share(percent, of) => {
            let within = picked(case, nodes, of).into_iter().collect();
            picked(case, within, &Selector::Percent(*percent))
        }
    }
}

fn held(case: &Case, id: &DeviceId, phase: &Phase, target_w: f64, cell: Option<&Cell>) -> Held {
    let mut held = Held {
        target_w,
        mean_w: None,
        ripple_w: None,
        settled_s: None,
        why_not: Some("its power was not measured".to_owned()),
    };
    let Some(cell) = cell else { return held };
    if phase.kind != PhaseKind::Hold {
        // The watts are those of the high level: what it drew a twentieth of the time at least.
        held.mean_w = cell.quantile(Metric::PowerW, 0.95);
        return held;
    }
    let Some(curve) = course(cell) else { return held };
    let start_s = cell.span_ns().map_or(0, |(first, _)| first.div_euclid(1_000_000_000));
    if let Some(after) = settled(&curve, target_w) {
        let bins: Vec<f64> = curve.points[after..].iter().map(|point| point.mean).collect();
        let (mean, deviation) = mean_and_deviation(&bins);
        held.mean_w = Some(mean);
        held.ripple_w = Some(deviation);
        held.settled_s = Some((curve.points[after].start_s - start_s).max(0) as f64);
        held.why_not = None;
        return held;
    }
    held.mean_w = cell.median(Metric::PowerW);
    held.why_not = Some(why_not(case, id, phase, held.mean_w, target_w, cell));
    held
}

/// Second by second where that covers the phase, else in wider bins.
fn course(cell: &Cell) -> Option<Curve> {
    let (head, whole) = (cell.head(Metric::PowerW)?, cell.whole(Metric::PowerW)?);
    let end = |curve: &Curve| curve.points.last().map(|point| point.start_s + curve.bin_s);
    if end(&head) >= end(&whole) {
        return Some(head);
    }
    // The beginning by seconds, what comes behind it by wider bins.
    let behind = end(&head)?;
    let mut points = head.points;
    points.extend(whole.points.into_iter().filter(|point| point.start_s >= behind));
    Some(Curve { bin_s: head.bin_s, points })
}

/// The first point from which on nearly all are near the target.
fn settled(curve: &Curve, target_w: f64) -> Option<usize> {
    let near: Vec<bool> =
        curve.points.iter().map(|point| (point.mean / target_w - 1.0).abs() <= NEAR).collect();
    let last = curve.points.last()?.start_s;
    (0..near.len()).find(|at| {
        let rest = &near[*at..];
        let share = rest.iter().filter(|near| **near).count() as f64 / rest.len() as f64;
        near[*at] && share >= STAYS && last - curve.points[*at].start_s >= SECONDS_LEAST
    })
}

fn mean_and_deviation(bins: &[f64]) -> (f64, f64) {
    let n = bins.len().max(1) as f64;
    let mean = bins.iter().sum::<f64>() / n;
    let squares: f64 = bins.iter().map(|bin| (bin - mean).powi(2)).sum();
    (mean, (squares / (n - 1.0).max(1.0)).sqrt())
}

/// What kept a device from its target, as far as it is known.
fn why_not(
    case: &Case,
    id: &DeviceId,
    phase: &Phase,
    drew_w: Option<f64>,
    target_w: f64,
    cell: &Cell,
) -> String {
    let below = drew_w.is_some_and(|watts| watts < target_w);
    let slowed = |reason| throttle::seconds_of(cell, reason).filter(|s| *s >= THROTTLE_LEAST_S);
    let reasons = [
        (Reason::PowerBrake, "the power brake held it"),
        (Reason::HwThermal, "hardware thermal slowdown held it"),
        (Reason::SwThermal, "it was too warm"),
        (Reason::SwPowerCap, "it was at its own power limit"),
    ];
    for (reason, words) in reasons {
        if let Some(seconds) = slowed(reason).filter(|_| below) {
            return format!("{words} for {seconds:.0} s");
        }
    }
    if !below {
        return "its power did not come to rest near the target".to_owned();
    }
    let work = case.device(id).and_then(|phases| phases.get(&phase.name));
    let duty = work.into_iter().flat_map(|seen| seen.work.values()).filter_map(|work| work.duty());
    let commanded = duty.map(|(_, commanded)| commanded).fold(0.0, f64::max);
    if commanded >= FULL_LEVEL {
        "it draws no more at full level: the kernel is too light".to_owned()
    } else {
        format!("its level was held at {:.0} %", commanded * 100.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::telemetry::Point;

    fn curve(means: &[f64]) -> Curve {
        let point = |(at, mean): (i64, &f64)| Point { start_s: 100 + at, mean: *mean, count: 5 };
        Curve { bin_s: 1, points: (0..).zip(means).map(point).collect() }
    }

    #[test]
    fn it_settles_where_it_begins_to_stay_near() {
        let rise = [100.0, 300.0, 460.0, 490.0, 498.0, 501.0, 499.0, 500.0, 502.0];
        assert_eq!(settled(&curve(&rise), 500.0), Some(3));
        let passing = [100.0, 500.0, 700.0, 720.0, 700.0, 710.0];
        assert_eq!(settled(&curve(&passing), 500.0), None, "it only passed by");
        assert_eq!(settled(&curve(&[500.0, 500.0]), 500.0), None, "too short to tell");
    }

    #[test]
    fn one_wild_second_does_not_unsettle() {
        let mut long = vec![500.0; 30];
        long[17] = 300.0;
        assert_eq!(settled(&curve(&long), 500.0), Some(0));
    }

    #[test]
    fn mean_and_deviation_of_what_is_level_are_itself_and_nothing() {
        assert_eq!(mean_and_deviation(&[5.0, 5.0, 5.0]), (5.0, 0.0));
        assert_eq!(mean_and_deviation(&[4.0, 6.0]), (5.0, 2.0_f64.sqrt()));
    }
}
