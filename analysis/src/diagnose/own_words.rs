//! What a GPU's driver says of its own hardware: Xids, uncorrectable errors, failed row
//! remaps, seconds of brake and of heat, limits set from outside. No comparison with likes:
//! one card is enough.

use std::collections::{BTreeMap, BTreeSet};

use model::finding::{Blame, Finding, FindingKind, Severity, Standing, Suspect};
use model::record::EventKind;
use model::xid::Accused;
use model::{DeviceId, Gauge, Metric, NodeName, Xid};

use super::draft;
use crate::case::{Case, device_suspect, plural};
use crate::digest::telemetry::{Cell, CellKey};
use crate::throttle::{self, Reason};

/// Less than a tenth of a second is one step of a counter (gpu.md: steps of 100 ms).
const SECONDS_LEAST: f64 = 0.1;
/// Limits are set in watts; a difference below is rounding.
const LIMIT_LEAST_W: f64 = 1.0;

type Cells = BTreeMap<CellKey, Cell>;

/// What one device's driver says is wrong, by kind of finding.
type Lines = BTreeMap<FindingKind, Vec<String>>;

/// Adds what drivers say. A fault of a device that another witness tells already is one
/// finding; and what a device says of its supply's brake belongs to the supply where that is
/// found weak.
pub(super) fn join(case: &Case, findings: &mut Vec<Finding>) {
    for (device, lines) in accusations(case) {
        for (kind, mut lines) in lines {
            lines.extend(trips(case, &device));
            let finding = finding(kind, &device, Standing::Confirmed, lines);
            put(case, findings, finding);
        }
    }
    for device in case.devices() {
        if let Some(line) = capped(case, &device) {
            let finding = finding(FindingKind::PowerShort, &device, Standing::Watch, vec![line]);
            put(case, findings, finding);
        }
    }
}

fn put(case: &Case, findings: &mut Vec<Finding>, finding: Finding) {
    let same = |other: &Finding| other.kind == finding.kind && other.suspect == finding.suspect;
    let supply = |other: &Finding| {
        other.kind == FindingKind::WeakPower
            && finding.kind == FindingKind::PowerShort
            && feeds(case, &other.suspect, &finding.suspect)
    };
    let told = findings.iter().position(same).or_else(|| findings.iter().position(supply));
    let Some(other) = told.map(|at| &mut findings[at]) else {
        findings.push(finding);
        return;
    };
    if other.suspect == finding.suspect {
        other.standing = other.standing.min(finding.standing);
        other.severity = other.severity.min(finding.severity);
        other.evidence.extend(finding.evidence);
    } else {
        let what = &finding.suspect.id;
        other.evidence.extend(finding.evidence.iter().map(|line| format!("{what}: {line}")));
    }
}

/// Whether a domain of the site feeds the node of a device.
fn feeds(case: &Case, domain: &Suspect, device: &Suspect) -> bool {
    let Some(site) = case.site else { return false };
    let node = device.id.rsplit_once('/').and_then(|(node, _)| site.node_ix(node));
    let members = site.domain_ix(&domain.id).map(|ix| site.members(ix));
    node.zip(members).is_some_and(|(node, members)| members.contains(&node))
}

/// Devices whose own driver accuses them: a guard that dropped one tells the same story.
pub(super) fn accused(case: &Case) -> BTreeSet<(NodeName, u32)> {
    accusations(case).into_keys().map(|device| (device.node, device.index)).collect()
}

fn accusations(case: &Case) -> BTreeMap<DeviceId, Lines> {
    let mut all: BTreeMap<DeviceId, Lines> = BTreeMap::new();
    for (key, cells) in case.seen.telemetry.devices() {
        if key.node.is_empty() {
            continue;
        }
        let device = DeviceId { node: NodeName(key.node.clone()), index: key.device };
        let mut lines = Lines::new();
        xids(cells, &mut lines);
        memory(cells, &mut lines);
        throttled(cells, &mut lines);
        if !lines.is_empty() {
            all.entry(device).or_default().extend(lines);
        }
    }
    for device in case.devices() {
        if gauge(case, &device, Gauge::RemapFailed).is_some_and(|(_, most)| most > 0.0) {
            let line = "a row remapping failed: no spare rows are left where it broke".to_owned();
            let lines = all.entry(device).or_default();
            lines.entry(FindingKind::MemoryError).or_default().push(line);
        }
    }
    all
}

fn xids(cells: &Cells, lines: &mut Lines) {
    let mut seen: BTreeMap<u64, u64> = BTreeMap::new();
    for (code, rows) in cells.values().flat_map(Cell::xids) {
        *seen.entry(*code).or_default() += rows;
    }
    for (code, rows) in seen {
        let xid = Xid::of(code);
        let kind = match xid.accused {
            Accused::Memory if xid.fatal => FindingKind::MemoryError,
            Accused::Device if xid.fatal => FindingKind::DeviceError,
            _ => continue,
        };
        lines.entry(kind).or_default().push(format!("{xid} ({})", plural(rows, "time")));
    }
}

/// Uncorrectable errors that came while the driver was watched.
fn memory(cells: &Cells, lines: &mut Lines) {
    // Tables of others hold counters from who knows when; a gate judges those.
    if counters_of(cells).next().is_none() {
        return;
    }
    let ranges = cells.values().filter_map(Cell::ecc_uncorrected);
    let Some((least, most)) = ranges.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))) else { return };
    if most > least {
        let came = plural(most - least, "uncorrectable memory error");
        lines.entry(FindingKind::MemoryError).or_default().push(format!("{came} during the run"));
    }
}

/// Seconds by the driver's own counters: bits in rows are compared with likes elsewhere.
fn throttled(cells: &Cells, lines: &mut Lines) {
    for (reason, kind, words) in [
        (Reason::PowerBrake, FindingKind::PowerShort, "an external power brake"),
        (Reason::HwThermal, FindingKind::DeviceHot, "hardware thermal slowdown"),
    ] {
        let seconds = throttle::counted(cells.values(), reason).unwrap_or(0.0);
        if seconds >= SECONDS_LEAST {
            let line = format!("{words} held the clock down for {seconds:.1} s of the run");
            lines.entry(kind).or_default().push(line);
        }
    }
}

fn counters_of(cells: &Cells) -> impl Iterator<Item = Metric> {
    let counters = Metric::ALL.into_iter().filter(|metric| metric.is_counter());
    counters.filter(|metric| cells.values().any(|cell| cell.count(*metric) > 0))
}

/// A limit in force below the one that was asked for here: somebody else set it.
fn capped(case: &Case, device: &DeviceId) -> Option<String> {
    let (_, requested) = gauge(case, device, Gauge::PowerRequestedW)?;
    let telemetry = case.seen.telemetry.devices();
    let (_, cells) = telemetry
        .into_iter()
        .find(|(key, _)| key.node == device.node.0 && key.device == device.index)?;
    let ranges = cells.values().filter_map(|cell| cell.range(Metric::PowerLimitW));
    let in_force = ranges.map(|(least, _)| least).reduce(f64::min)?;
    if requested - in_force < LIMIT_LEAST_W {
        return None;
    }
    Some(format!(
        "its power limit was {in_force:.0} W while {requested:.0} W are asked for on the node: \
         a BMC or rack manager caps it from outside"
    ))
}

fn gauge(case: &Case, device: &DeviceId, gauge: Gauge) -> Option<(f64, f64)> {
    let phases = case.device(device)?.values();
    let ranges = phases.filter_map(|phase| phase.gauges.get(&gauge).copied());
    ranges.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
}

/// What the guard said of the device.
fn trips(case: &Case, device: &DeviceId) -> Vec<String> {
    let trips = case.events(EventKind::GuardTrip);
    let here =
        trips.filter(|(node, key, _)| **node == device.node && key.device == Some(device.index));
    here.map(|(_, _, group)| format!("the guard: {}", group.texts())).collect()
}

fn finding(
    kind: FindingKind,
    device: &DeviceId,
    standing: Standing,
    evidence: Vec<String>,
) -> Finding {
    let severity = if standing == Standing::Watch { Severity::Minor } else { Severity::Major };
    let graded = (standing, severity);
    let mut finding = draft(kind, Blame::Device, graded, device_suspect(device));
    finding.evidence = evidence;
    let (action, experiment) = match kind {
        FindingKind::MemoryError => (
            format!("reset {device}; replace it if errors or failed remaps stay"),
            format!("run memory patterns on {device} alone after a reset"),
        ),
        FindingKind::PowerShort => (
            format!(
                "electrical: read brake and PSU events and power limits of the node of {device}"
            ),
            format!(
                "load {device} alone, then with its neighbours: a brake that comes with them \
                     is the supply's"
            ),
        ),
        FindingKind::DeviceHot => (
            format!("reseat or repaste the cooler of {device}, check flow and fans of its node"),
            format!("load {device} alone: what stays is its own cooler"),
        ),
        _ => (
            format!("drain {device}, read the kernel log of its node, follow the Xid catalogue"),
            format!("load {device} alone after a reset: an error that returns accuses it"),
        ),
    };
    finding.action = action;
    finding.next_experiment = Some(experiment);
    finding
}
