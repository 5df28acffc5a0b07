//! Values of devices: what telemetry and work say of each.

use std::collections::BTreeMap;

use model::facts::Source;
use model::finding::Suspect;
use model::plan::PhaseKind;
use model::{DeviceId, Gauge, Kernel, Metric, NodeName, Xid};

use super::{Found, Value};
use crate::case::{Case, device_suspect};
use crate::diagnose::cohort::LEAST_MEMBERS;
use crate::digest::telemetry::{Cell, CellKey, DeviceKey};
use crate::middle::median;
use crate::panel::Signal;
use crate::tables::has_reading;
use crate::throttle::{self, Reason};

/// Rated power is to be held so long, in seconds (proposal).
const RATED_LEAST_S: f64 = 600.0;
/// Full load, in percent of a device.
const FULL_PERCENT: f64 = 99.5;
/// Clocks are compared at equal power: within this share of the likes' middle.
const EQUAL_POWER: f64 = 0.03;

type Cells = BTreeMap<CellKey, Cell>;

fn suspect(key: &DeviceKey) -> Suspect {
    if key.node.is_empty() && !key.uuid.is_empty() {
        return Suspect::new("device", key.uuid.clone());
    }
    let node = if key.node.is_empty() { "unknown" } else { &key.node };
    Suspect::new("device", format!("{node}/{}", key.device))
}

/// One value for each device of the telemetry that has one.
fn each(case: &Case, why: &str, of: impl Fn(&Cells) -> Option<f64>) -> Found {
    let devices = case.seen.telemetry.devices();
    let values: Vec<Value> = devices
        .filter_map(|(key, cells)| of(cells).map(|value| Value::new(suspect(key), value)))
        .collect();
    if values.is_empty() { Err(why.to_owned()) } else { Ok(values) }
}

/// Devices of the site, or of the run, that said nothing at all.
pub(super) fn missing(case: &Case) -> Found {
    if case.facts.source == Source::Tables && case.seen.telemetry.is_empty() {
        return Err("no row of samples was handed in".to_owned());
    }
    let mut reporting: BTreeMap<String, usize> = BTreeMap::new();
    // A row without a value is no device that reports.
    let devices = case.seen.telemetry.devices();
    for (key, _) in devices.filter(|(_, cells)| cells.values().any(has_reading)) {
        *reporting.entry(key.node.clone()).or_default() += 1;
    }
    for (node, evidence) in &case.seen.nodes {
        let here = reporting.entry(node.0.clone()).or_default();
        *here = (*here).max(evidence.devices.len());
    }
    let mut planned: BTreeMap<String, usize> = BTreeMap::new();
    for (node, facts) in &case.facts.nodes {
        planned.insert(node.0.clone(), facts.devices.len());
    }
    if let Some(site) = case.site.filter(|_| planned.is_empty()) {
        planned = site.nodes().iter().map(|n| (n.name.clone(), n.devices as usize)).collect();
    }
    if planned.is_empty() {
        return Err("neither a site nor a run says which devices there should be".to_owned());
    }
    let note = "firmware, driver and power limits are not compared";
    let nodes = planned.into_iter().map(|(node, devices)| {
        let here = reporting.get(&node).copied().unwrap_or(0);
        let missing = devices.saturating_sub(here) as f64;
        Value { note: Some(note.to_owned()), ..Value::new(Suspect::new("node", node), missing) }
    });
    Ok(nodes.collect())
}

/// Uncorrectable errors that came during the run; of one reading alone, all it counts.
pub(super) fn ecc(case: &Case) -> Found {
    each(case, "no counter of uncorrectable errors was recorded", |cells| {
        let ranges: Vec<(u64, u64)> = cells.values().filter_map(Cell::ecc_uncorrected).collect();
        let least = ranges.iter().map(|(least, _)| *least).min()?;
        let most = ranges.iter().map(|(_, most)| *most).max()?;
        let rows: u64 = cells.values().map(Cell::rows).sum();
        Some(if rows > 1 { most - least } else { most } as f64)
    })
}

/// Rows with a fatal Xid. None seen proves nothing, unless an agent says that it watched.
pub(super) fn xids(case: &Case) -> Found {
    let mut values = Vec::new();
    for (key, cells) in case.seen.telemetry.devices() {
        let seen = cells.values().flat_map(Cell::xids);
        let fatal: u64 = seen.filter(|(xid, _)| Xid::of(**xid).fatal).map(|(_, rows)| *rows).sum();
        if fatal > 0 || was_watched(case, key) {
            values.push(Value::new(suspect(key), fatal as f64));
        }
    }
    let why = "no critical Xid was seen, and nothing proves that the log was watched throughout";
    if values.is_empty() { Err(why.to_owned()) } else { Ok(values) }
}

/// NVLinks that are there and down, of devices that have any that is up: without one the card
/// has no bridge, and nothing to fail.
pub(super) fn nvlinks_down(case: &Case) -> Found {
    let mut values = Vec::new();
    for device in case.devices() {
        let phases = case.device(&device).into_iter().flat_map(|phases| phases.values());
        let most = |gauge: Gauge| {
            let ranges = phases.clone().filter_map(move |seen| seen.gauges.get(&gauge));
            ranges.map(|(_, most)| *most).reduce(f64::max)
        };
        let up = most(Gauge::NvlinkActive).is_some_and(|up| up > 0.0);
        let down = most(Gauge::NvlinkInactive).filter(|_| up);
        values.extend(down.map(|down| Value::new(device_suspect(&device), down)));
    }
    let why = "no device told of an NVLink that is up";
    if values.is_empty() { Err(why.to_owned()) } else { Ok(values) }
}

/// Whether Xids of a device were waited for whenever its agent said anything of its health.
fn was_watched(case: &Case, key: &DeviceKey) -> bool {
    let node = case.seen.nodes.get(&NodeName(key.node.clone()));
    let phases = node.and_then(|node| node.devices.get(&key.device)).into_iter().flatten();
    let watched = phases.filter_map(|(_, seen)| seen.gauges.get(&Gauge::XidWatched));
    watched.map(|(least, _)| *least).reduce(f64::min).is_some_and(|least| least >= 1.0)
}

/// Blocks that differ from the expected result, where any were compared.
pub(super) fn wrong_blocks(case: &Case) -> Found {
    let mut values = Vec::new();
    for (node, evidence) in &case.seen.nodes {
        for (index, phases) in &evidence.devices {
            let work = || phases.values().flat_map(|phase| phase.work.values());
            let verified: u64 = work().map(|w| w.verified).fold(0, u64::saturating_add);
            let wrong: u64 = work().map(|w| w.mismatches).fold(0, u64::saturating_add);
            if verified > 0 {
                let at = device_suspect(&DeviceId { node: node.clone(), index: *index });
                values.push(Value::new(at, wrong as f64));
            }
        }
    }
    if values.is_empty() { Err("no result was compared".to_owned()) } else { Ok(values) }
}

/// Rates over the middle of like devices in the same phase: the worst of each device.
fn work_ratios(case: &Case, which: impl Fn(Kernel) -> bool) -> Vec<Value> {
    let mut cohorts: BTreeMap<(String, String, Kernel), Vec<(DeviceId, f64)>> = BTreeMap::new();
    for (node, evidence) in &case.seen.nodes {
        for (index, phases) in &evidence.devices {
            let device = DeviceId { node: node.clone(), index: *index };
            for (phase, seen) in phases {
                for (kernel, work) in seen.work.iter().filter(|(kernel, _)| which(**kernel)) {
                    let rate =
                        if kernel.moves_bytes() { &work.gb_per_s } else { &work.gflops }.median();
                    let key = (case.model(&device), phase.clone(), *kernel);
                    let cohort = cohorts.entry(key).or_default();
                    cohort.extend(rate.map(|rate| (device.clone(), rate)));
                }
            }
        }
    }
    let mut worst: BTreeMap<DeviceId, f64> = BTreeMap::new();
    for members in cohorts.into_values().filter(|members| members.len() >= LEAST_MEMBERS) {
        let rates: Vec<f64> = members.iter().map(|(_, rate)| *rate).collect();
        let Some(middle) = median(&rates).filter(|middle| *middle > 0.0) else { continue };
        for (device, rate) in members {
            let ratio = worst.entry(device).or_insert(f64::INFINITY);
            *ratio = ratio.min(rate / middle);
        }
    }
    worst.into_iter().map(|(device, ratio)| Value::new(device_suspect(&device), ratio)).collect()
}

const FEW: &str = "fewer than four like devices reported";

pub(super) fn memory_ratio(case: &Case) -> Found {
    let memory = |kernel: Kernel| kernel.moves_bytes() && kernel != Kernel::Copy;
    let values = work_ratios(case, memory);
    if values.is_empty() {
        return Err(format!("no memory bandwidth was measured, or {FEW}"));
    }
    Ok(values)
}

pub(super) fn perf_ratio(case: &Case) -> Found {
    let mut values = work_ratios(case, |kernel| !kernel.moves_bytes());
    values.extend(residuals(case, Signal::Perf).map(|(at, share)| Value::new(at, 1.0 + share)));
    if values.is_empty() {
        Err(format!("no rate of work was measured, or {FEW}"))
    } else {
        Ok(values)
    }
}

/// Residuals of devices that have enough likes, as shares of the likes' middle.
fn residuals(case: &Case, signal: Signal) -> impl Iterator<Item = (Suspect, f64)> {
    let known = case.panel.devices.iter().filter(|device| device.cohort >= LEAST_MEMBERS);
    known
        .filter_map(move |device| Some((device.suspect.clone(), device.residuals[signal.index()]?)))
}

pub(super) fn clock_ratio(case: &Case) -> Found {
    let alike = |device: &&crate::panel::PanelDevice| {
        let power = device.residuals[Signal::Power.index()];
        device.cohort >= LEAST_MEMBERS && power.is_some_and(|share| share.abs() <= EQUAL_POWER)
    };
    let devices = case.panel.devices.iter().filter(alike);
    let values: Vec<Value> = devices
        .filter_map(|device| {
            let share = device.residuals[Signal::Clock.index()]?;
            Some(Value::new(device.suspect.clone(), 1.0 + share))
        })
        .collect();
    let why = "no clock was measured at equal power of at least four like devices";
    if values.is_empty() { Err(why.to_owned()) } else { Ok(values) }
}

pub(super) fn r_th_ratio(case: &Case) -> Found {
    let values: Vec<Value> =
        residuals(case, Signal::RTh).map(|(at, share)| Value::new(at, 1.0 + share)).collect();
    if values.is_empty() {
        return Err(format!("no thermal resistance could be taken, or {FEW}"));
    }
    Ok(values)
}

/// The longest of these reasons: bits that come together are one time, told twice.
fn reason_seconds(case: &Case, reasons: &[Reason]) -> Found {
    each(case, "no clock-event reasons were recorded", |cells| {
        let each = reasons.iter().filter_map(|reason| throttle::seconds(cells, *reason));
        each.reduce(f64::max)
    })
}

pub(super) fn thermal_seconds(case: &Case) -> Found {
    reason_seconds(case, &[Reason::SwThermal, Reason::HwThermal])
}

pub(super) fn slowdown_seconds(case: &Case) -> Found {
    reason_seconds(case, &[Reason::HwSlowdown])
}

pub(super) fn brake_seconds(case: &Case) -> Found {
    reason_seconds(case, &[Reason::PowerBrake])
}

/// Whether full load was asked for in a phase, so that the limit should be reached.
fn at_full_load(case: &Case, phase: &str) -> bool {
    if case.plan.phases.is_empty() {
        return case.policy.load_was_commanded;
    }
    let full = |phase: &model::Phase| {
        phase.kind == PhaseKind::Hold
            && phase.load.is_some_and(|l| {
                l.percent >= FULL_PERCENT && l.target.is_none() && !l.kernel.moves_bytes()
            })
    };
    case.plan.phases.iter().any(|known| known.name == phase && full(known))
}

/// Middle power over the enforced limit, in phases of full load that last long enough: the
/// best phase of each device.
pub(super) fn power_ratio(case: &Case) -> Found {
    let why = "no phase of full load, ten minutes long, with power and power limit was recorded";
    let devices = case.seen.telemetry.devices();
    let values: Vec<Value> = devices
        .filter_map(|(key, cells)| {
            let ratios = cells.iter().filter_map(|(cell_key, cell)| {
                let (first, last) = cell.span_ns()?;
                let seconds = (i128::from(last) - i128::from(first)) as f64 / 1e9;
                let long = seconds >= RATED_LEAST_S && at_full_load(case, &cell_key.phase);
                let limit = cell.median(Metric::PowerLimitW).filter(|limit| *limit > 0.0)?;
                cell.median(Metric::PowerW).filter(|_| long).map(|power| power / limit)
            });
            Some(Value::new(suspect(key), ratios.reduce(f64::max)?))
        })
        .collect();
    if values.is_empty() { Err(why.to_owned()) } else { Ok(values) }
}

/// The plan's own limit less the hottest steady temperature, in kelvin.
pub(super) fn temp_margin(case: &Case) -> Found {
    /// Share of the time below which a device stays: one wild reading is no temperature.
    const STEADY: f64 = 0.95;
    let Some(limit) = case.plan.limits.device_temp_c else {
        return Err("nothing says at which temperature these devices slow down".to_owned());
    };
    let mut values = each(case, "no temperature was recorded", |cells| {
        let hot = cells.values().filter_map(|cell| {
            let most = cell.quantile(Metric::TempMaxC, STEADY);
            most.or_else(|| cell.quantile(Metric::TempC, STEADY))
        });
        Some(limit - hot.reduce(f64::max)?)
    })?;
    for value in &mut values {
        value.note = Some(format!("against the plan's own limit of {limit} C"));
    }
    Ok(values)
}
