//! A device that stopped: its driver gave it up, its worker died, or the guard dropped it.

use std::collections::BTreeMap;

use model::NodeName;
use model::finding::{Blame, Finding, FindingKind, Severity, Standing};
use model::record::EventKind;

use super::{draft, phase_name};
use crate::case::{Case, node_suspect, place_suspect, plural};
use crate::digest::events::{EventGroup, EventKey};

type Groups<'a> = Vec<(&'a EventKey, &'a EventGroup)>;

pub(super) fn testify(case: &Case) -> Vec<Finding> {
    let accused = super::own_words::accused(case);
    [EventKind::DeviceFailed, EventKind::WorkerDied, EventKind::GuardTrip]
        .into_iter()
        .flat_map(|kind| {
            let mut places: BTreeMap<(&NodeName, Option<u32>), Groups> = BTreeMap::new();
            for (node, key, group) in case.events(kind) {
                // What the driver says of its own hardware tells more than that it was dropped.
                let told = key.device.is_some_and(|at| accused.contains(&(node.clone(), at)));
                if told && kind == EventKind::GuardTrip {
                    continue;
                }
                places.entry((node, key.device)).or_default().push((key, group));
            }
            places
                .into_iter()
                .map(move |((node, device), groups)| found(kind, node, device, &groups))
        })
        .collect()
}

fn found(kind: EventKind, node: &NodeName, device: Option<u32>, groups: &Groups) -> Finding {
    let suspect = place_suspect(node, device);
    let device = suspect.id.clone();
    let standing = (Standing::Confirmed, Severity::Major);
    let mut finding = draft(FindingKind::DeviceError, Blame::Device, standing, suspect);
    finding.injected = groups.iter().all(|(key, _)| key.injected);
    let noun = match kind {
        EventKind::GuardTrip => "guard trip",
        EventKind::DeviceFailed => "error of the driver",
        _ => "dead worker",
    };
    finding.evidence = groups
        .iter()
        .map(|(key, group)| {
            let texts = group.texts();
            format!("{}: {}: {texts}", phase_name(&key.phase), plural(group.count, noun))
        })
        .collect();
    let (action, experiment) = if kind == EventKind::DeviceFailed {
        finding.cannot_exclude = vec![node_suspect(node)];
        (
            format!("look for Xid messages of {device} in the kernel log of {node}"),
            format!("reset {device} and run it alone: an error that comes back accuses it"),
        )
    } else if kind == EventKind::GuardTrip {
        (
            format!("find out why {device} passed its limit before it is loaded again"),
            format!("load {device} alone in small steps and watch the sensor that tripped"),
        )
    } else {
        // A worker also dies of what is around it: out of memory, a driver, a person.
        finding.cannot_exclude = vec![node_suspect(node)];
        finding.cannot_exclude.retain(|rival| *rival != finding.suspect);
        (
            format!("read the kernel log of {node} around this time"),
            format!("run {device} alone: a worker that dies again accuses the device"),
        )
    };
    finding.action = action;
    finding.next_experiment = Some(experiment);
    finding
}
