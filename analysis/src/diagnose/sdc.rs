//! Silent data corruption: a block of arithmetic whose result had other bits than it must.
//!
//! One wrong block is enough: the right answer is known to the last bit, so there is no
//! spread that could explain it, and no statistics here. One finding per device and core.

use std::collections::BTreeMap;

use model::DeviceId;
use model::finding::{Blame, Effect, Finding, FindingKind, Severity, Standing};
use model::record::EventKind;

use super::{draft, phase_name};
use crate::case::{Case, device_suspect, list, plural};
use crate::digest::events::{EventGroup, EventKey};

type Groups<'a> = Vec<(&'a EventKey, &'a EventGroup)>;

pub(super) fn testify(case: &Case) -> Vec<Finding> {
    let mut cores: BTreeMap<(DeviceId, Option<u32>), Groups> = BTreeMap::new();
    for (node, key, group) in case.events(EventKind::Sdc) {
        let device = DeviceId { node: node.clone(), index: key.device.unwrap_or(0) };
        cores.entry((device, key.core)).or_default().push((key, group));
    }
    for device in counted_without_event(case, &cores) {
        cores.insert((device, None), Vec::new());
    }
    cores.iter().map(|((device, core), groups)| found(case, device, *core, groups)).collect()
}

/// Devices whose counters saw a mismatch while no event arrived: the event may be lost, the
/// count is enough.
fn counted_without_event(
    case: &Case,
    cores: &BTreeMap<(DeviceId, Option<u32>), Groups>,
) -> Vec<DeviceId> {
    let mut devices = Vec::new();
    for (node, evidence) in &case.seen.nodes {
        for index in evidence.devices.keys() {
            let device = DeviceId { node: node.clone(), index: *index };
            let told = cores.keys().any(|(known, _)| *known == device);
            if !told && totals(case, &device).1 > 0 {
                devices.push(device);
            }
        }
    }
    devices
}

/// Blocks compared and blocks that differed, of one device.
fn totals(case: &Case, device: &DeviceId) -> (u64, u64) {
    let work = case.device(device).into_iter().flat_map(|phases| phases.values());
    work.flat_map(|phase| phase.work.values()).fold((0, 0), |(verified, wrong): (u64, u64), w| {
        (verified.saturating_add(w.verified), wrong.saturating_add(w.mismatches))
    })
}

fn found(case: &Case, device: &DeviceId, core: Option<u32>, groups: &Groups) -> Finding {
    let mut suspect = device_suspect(device);
    suspect.core = core;
    let standing = (Standing::Confirmed, Severity::Critical);
    let mut finding = draft(FindingKind::Sdc, Blame::Device, standing, suspect);
    let (verified, wrong) = totals(case, device);
    finding.injected = !groups.is_empty() && groups.iter().all(|(key, _)| key.injected);
    finding.evidence = evidence(case, device, groups);
    finding.effect = Some(Effect {
        metric: "wrong_blocks".to_owned(),
        relative: (verified > 0).then(|| wrong as f64 / verified as f64),
        absolute: Some(wrong.max(groups.iter().map(|(_, group)| group.count).sum()) as f64),
        unit: "blocks".to_owned(),
    });
    let place = core.map_or(String::new(), |core| format!(" core {core}"));
    if finding.injected {
        finding.action = "none: this was injected to prove the check; run again without".to_owned();
    } else {
        finding.action = format!("take {device}{place} out of service and have it replaced");
        finding.next_experiment = Some(format!(
            "run the same kernels on {device} alone, cold and hot; a fault that moves with the part is the part's"
        ));
    }
    finding
}

fn evidence(case: &Case, device: &DeviceId, groups: &Groups) -> Vec<String> {
    let mut lines = Vec::new();
    for (key, group) in groups {
        let injected = if key.injected { " (injected)" } else { "" };
        let texts = list(group.examples.iter().map(|(_, text)| text));
        let count = plural(group.count, "wrong result");
        lines.push(format!("{}: {count}{injected}: {texts}", phase_name(&key.phase)));
    }
    for (phase, seen) in case.device(device).into_iter().flatten() {
        for (kernel, work) in seen.work.iter().filter(|(_, work)| work.mismatches > 0) {
            lines.push(format!(
                "{}, kernel {}: {} of {} differ on {device}",
                phase_name(phase),
                kernel.word(),
                work.mismatches,
                plural(work.verified, "compared block"),
            ));
        }
    }
    lines
}
