//! Silent data corruption: a block of arithmetic whose result had other bits than it must.
//!
//! One wrong block is enough: the right answer is known to the last bit, so there is no
//! spread that could explain it, and no statistics here. One finding per device and core.

use std::collections::{BTreeMap, BTreeSet};

use model::finding::{Blame, Effect, Finding, FindingKind, Severity, Standing};
use model::record::EventKind;
use model::{DeviceId, NodeName};

use super::{draft, phase_name};
use crate::case::{Case, place_suspect, plural};
use crate::digest::events::{EventGroup, EventKey};

type Groups<'a> = Vec<(&'a EventKey, &'a EventGroup)>;

/// Node, device, core: the last two where the event names them.
type Place = (NodeName, Option<u32>, Option<u32>);

pub(super) fn testify(case: &Case) -> Vec<Finding> {
    let mut places: BTreeMap<Place, Groups> = BTreeMap::new();
    for (node, key, group) in case.events(EventKind::Sdc) {
        let place = (node.clone(), key.device, key.core);
        places.entry(place).or_default().push((key, group));
    }
    for place in counted_without_event(case, &places) {
        places.insert(place, Vec::new());
    }
    places.iter().map(|(place, groups)| found(case, place, groups)).collect()
}

/// Devices whose counters saw a mismatch while no event arrived: the event may be lost, the
/// count is enough.
fn counted_without_event(case: &Case, places: &BTreeMap<Place, Groups>) -> Vec<Place> {
    let told: BTreeSet<(&NodeName, Option<u32>)> =
        places.keys().map(|(node, device, _)| (node, *device)).collect();
    let mut silent = Vec::new();
    for (node, evidence) in &case.seen.nodes {
        for index in evidence.devices.keys() {
            let known = told.contains(&(node, Some(*index))) || told.contains(&(node, None));
            if !known && totals(case, node, *index).1 > 0 {
                silent.push((node.clone(), Some(*index), None));
            }
        }
    }
    silent
}

/// Blocks compared and blocks that differed, of one device.
fn totals(case: &Case, node: &NodeName, index: u32) -> (u64, u64) {
    let device = DeviceId { node: node.clone(), index };
    let work = case.device(&device).into_iter().flat_map(|phases| phases.values());
    work.flat_map(|phase| phase.work.values()).fold((0, 0), |(verified, wrong): (u64, u64), w| {
        (verified.saturating_add(w.verified), wrong.saturating_add(w.mismatches))
    })
}

fn found(case: &Case, (node, device, core): &Place, groups: &Groups) -> Finding {
    let mut suspect = place_suspect(node, *device);
    suspect.core = *core;
    let name = suspect.id.clone();
    let standing = (Standing::Confirmed, Severity::Critical);
    let mut finding = draft(FindingKind::Sdc, Blame::Device, standing, suspect);
    finding.injected = !groups.is_empty() && groups.iter().all(|(key, _)| key.injected);
    finding.evidence = evidence(case, node, *device, groups);
    let (verified, counted) = device.map_or((0, 0), |index| totals(case, node, index));
    let told: u64 = groups.iter().map(|(_, group)| group.count).sum();
    // Events name the core, counters the whole device: the core's own number comes first.
    let wrong = if groups.is_empty() { counted } else { told };
    finding.effect = Some(Effect {
        metric: "wrong_blocks".to_owned(),
        relative: (verified > 0).then(|| wrong as f64 / verified as f64),
        absolute: Some(wrong as f64),
        unit: "blocks".to_owned(),
    });
    let place = core.map_or(String::new(), |core| format!(" core {core}"));
    if finding.injected {
        finding.action = "none: this was injected to prove the check; run again without".to_owned();
    } else {
        finding.action = format!("take {name}{place} out of service and have it replaced");
        finding.next_experiment = Some(format!(
            "run the same kernels on {name} alone, cold and hot; a fault that moves with the part is the part's"
        ));
    }
    finding
}

fn evidence(case: &Case, node: &NodeName, device: Option<u32>, groups: &Groups) -> Vec<String> {
    let mut lines = Vec::new();
    for (key, group) in groups {
        let injected = if key.injected { " (injected)" } else { "" };
        let texts = group.texts();
        let count = plural(group.count, "wrong result");
        lines.push(format!("{}: {count}{injected}: {texts}", phase_name(&key.phase)));
    }
    let Some(index) = device else { return lines };
    let device = DeviceId { node: node.clone(), index };
    for (phase, seen) in case.device(&device).into_iter().flatten() {
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
