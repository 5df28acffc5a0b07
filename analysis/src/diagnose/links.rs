//! A GPU's own links: PCIe lanes, generation and replays, NVLinks.
//!
//! A link that rests is narrower and slower than its card and slot allow, to save power: only
//! phases in which the device worked are held against the maximum, and of those the best
//! reading. Counters count since the driver's start: only their growth in the run counts.

use std::collections::BTreeMap;

use model::finding::{Blame, Finding, FindingKind, Severity, Standing};
use model::{DeviceId, Gauge, Kernel};

use super::draft;
use crate::case::{Case, device_suspect, node_suspect};
use crate::digest::device::DevicePhase;

/// More replays than this in a run are no chance (DCGM 4.6: `pcie_max_replays` of its
/// diagnostics is 80).
const REPLAYS_MOST: f64 = 80.0;
/// More CRC errors and replays of NVLinks than this (DCGM 4.6: 100 CRC errors).
const NVLINK_ERRORS_MOST: f64 = 100.0;

pub(super) fn testify(case: &Case) -> Vec<Finding> {
    let least_down = least_down(case);
    let devices = case.devices();
    devices.into_iter().flat_map(|device| of_device(case, &device, &least_down)).collect()
}

fn of_device(case: &Case, device: &DeviceId, least_down: &LeastDown) -> Vec<Finding> {
    let pcie: Vec<Line> = [width(case, device), generation(case, device), replays(case, device)]
        .into_iter()
        .flatten()
        .collect();
    let nvlink: Vec<Line> =
        [down(case, device, least_down), errors(case, device)].into_iter().flatten().collect();
    let mut findings = Vec::new();
    findings.extend(finding(FindingKind::HostIo, device, pcie));
    findings.extend(finding(FindingKind::DeviceError, device, nvlink));
    findings
}

/// What is wrong, and whether it is beyond doubt.
type Line = (Standing, String);

fn finding(kind: FindingKind, device: &DeviceId, lines: Vec<Line>) -> Option<Finding> {
    let standing = lines.iter().map(|(standing, _)| *standing).min()?;
    let confirmed = standing == Standing::Confirmed;
    let severity = if confirmed { Severity::Major } else { Severity::Minor };
    let host = kind == FindingKind::HostIo;
    let blame = if host { Blame::Host } else { Blame::Device };
    let mut finding = draft(kind, blame, (standing, severity), device_suspect(device));
    finding.evidence = lines.into_iter().map(|(_, line)| line).collect();
    // Card, riser and board share each link.
    finding.cannot_exclude.push(node_suspect(&device.node));
    finding.action = if host {
        format!("reseat {device} and its riser or cable, read the link's errors on its node")
    } else {
        format!("read the NVLink state of {device} and of its neighbours, reseat the module")
    };
    finding.next_experiment = Some(if host {
        format!("copy between host and {device} alone (kernel copy), before and after")
    } else {
        format!("run a collective inside the node of {device}, then without it")
    });
    Some(finding)
}

fn phases<'a>(
    case: &'a Case,
    device: &DeviceId,
) -> impl Iterator<Item = (&'a String, &'a DevicePhase)> {
    case.device(device).into_iter().flatten()
}

/// The best reading of a gauge in phases in which the device worked, with whether it copied.
fn best(case: &Case, device: &DeviceId, gauge: Gauge) -> Option<(f64, bool)> {
    let worked = phases(case, device).filter(|(_, seen)| !seen.work.is_empty());
    let values = worked.filter_map(|(_, seen)| {
        let (_, most) = seen.gauges.get(&gauge)?;
        Some((*most, seen.work.contains_key(&Kernel::Copy)))
    });
    values.reduce(|(a, copied), (b, copies)| (a.max(b), copied || copies))
}

fn most(case: &Case, device: &DeviceId, gauge: Gauge) -> Option<f64> {
    let values = phases(case, device).filter_map(|(_, seen)| seen.gauges.get(&gauge));
    values.map(|(_, most)| *most).reduce(f64::max)
}

fn growth(case: &Case, device: &DeviceId, gauge: Gauge) -> Option<f64> {
    let ranges = phases(case, device).filter_map(|(_, seen)| seen.gauges.get(&gauge).copied());
    let (least, most) = ranges.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))?;
    Some(most - least)
}

fn width(case: &Case, device: &DeviceId) -> Option<Line> {
    let (best, _) = best(case, device, Gauge::PcieWidth)?;
    let could = most(case, device, Gauge::PcieWidthMax)?;
    (best > 0.0 && best < could).then(|| {
        let text = format!("its PCIe link had {best:.0} of {could:.0} lanes while it worked");
        (Standing::Confirmed, text)
    })
}

/// Only copies prove that the link was awake: other work may leave it resting.
fn generation(case: &Case, device: &DeviceId) -> Option<Line> {
    let (best, copied) = best(case, device, Gauge::PcieGeneration)?;
    let could = most(case, device, Gauge::PcieGenerationMax)?;
    (best > 0.0 && best < could).then(|| {
        let standing = if copied { Standing::Confirmed } else { Standing::Watch };
        let doubt = if copied { "" } else { "; it may have rested" };
        let text = format!(
            "its PCIe link ran at generation {best:.0} of {could:.0} while it worked{doubt}"
        );
        (standing, text)
    })
}

fn replays(case: &Case, device: &DeviceId) -> Option<Line> {
    let came = growth(case, device, Gauge::PcieReplays)?;
    (came > REPLAYS_MOST).then(|| {
        (Standing::Confirmed, format!("{came:.0} replays came on its PCIe link during the run"))
    })
}

/// Links that are down on every card of a model are not wired at all.
type LeastDown = BTreeMap<String, (f64, u32)>;

fn least_down(case: &Case) -> LeastDown {
    let mut least = LeastDown::new();
    for device in case.devices() {
        let Some(down) = most(case, &device, Gauge::NvlinkInactive) else { continue };
        let known = least.entry(case.model(&device)).or_insert((down, 0));
        *known = (known.0.min(down), known.1 + 1);
    }
    least
}

fn down(case: &Case, device: &DeviceId, least_down: &LeastDown) -> Option<Line> {
    let fell = growth(case, device, Gauge::NvlinkInactive)?;
    if fell > 0.0 {
        let text = format!("{fell:.0} of its NVLinks went down during the run");
        return Some((Standing::Confirmed, text));
    }
    let down = most(case, device, Gauge::NvlinkInactive)?;
    let (least, likes) = least_down.get(&case.model(device))?;
    (*likes > 1 && down > *least).then(|| {
        let text =
            format!("{down:.0} of its NVLinks are down, on another card of its model {least:.0}");
        (Standing::Watch, text)
    })
}

fn errors(case: &Case, device: &DeviceId) -> Option<Line> {
    let came = growth(case, device, Gauge::NvlinkErrors);
    let recovered = growth(case, device, Gauge::NvlinkRecoveries);
    let many = came.is_some_and(|came| came > NVLINK_ERRORS_MOST);
    (many || recovered.is_some_and(|recovered| recovered > 0.0)).then(|| {
        let counted = [
            came.map(|came| format!("{came:.0} CRC errors and replays")),
            recovered.map(|recovered| format!("{recovered:.0} recoveries")),
        ];
        let counted: Vec<String> = counted.into_iter().flatten().collect();
        let text = format!("its NVLinks counted {} during the run", counted.join(" and "));
        (Standing::Watch, text)
    })
}
