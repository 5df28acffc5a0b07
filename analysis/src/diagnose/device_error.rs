//! A device that stopped: its worker died, or the guard dropped it.

use std::collections::BTreeMap;

use model::DeviceId;
use model::finding::{Blame, Finding, FindingKind, Severity, Standing};
use model::record::EventKind;

use super::{draft, phase_name};
use crate::case::{Case, device_suspect, list, node_suspect, plural};
use crate::digest::events::{EventGroup, EventKey};

type Groups<'a> = Vec<(&'a EventKey, &'a EventGroup)>;

pub(super) fn testify(case: &Case) -> Vec<Finding> {
    [EventKind::WorkerDied, EventKind::GuardTrip]
        .into_iter()
        .flat_map(|kind| {
            let mut devices: BTreeMap<DeviceId, Groups> = BTreeMap::new();
            for (node, key, group) in case.events(kind) {
                let device = DeviceId { node: node.clone(), index: key.device.unwrap_or(0) };
                devices.entry(device).or_default().push((key, group));
            }
            devices.into_iter().map(move |(device, groups)| found(kind, &device, &groups))
        })
        .collect()
}

fn found(kind: EventKind, device: &DeviceId, groups: &Groups) -> Finding {
    let standing = (Standing::Confirmed, Severity::Major);
    let mut finding =
        draft(FindingKind::DeviceError, Blame::Device, standing, device_suspect(device));
    finding.injected = groups.iter().all(|(key, _)| key.injected);
    let noun = if kind == EventKind::GuardTrip { "guard trip" } else { "dead worker" };
    finding.evidence = groups
        .iter()
        .map(|(key, group)| {
            let texts = list(group.examples.iter().map(|(_, text)| text));
            format!("{}: {}: {texts}", phase_name(&key.phase), plural(group.count, noun))
        })
        .collect();
    let (action, experiment) = if kind == EventKind::GuardTrip {
        (
            format!("find out why {device} passed its limit before it is loaded again"),
            format!("load {device} alone in small steps and watch the sensor that tripped"),
        )
    } else {
        // A worker also dies of what is around it: out of memory, a driver, a person.
        finding.cannot_exclude = vec![node_suspect(&device.node)];
        (
            format!("read the kernel log of {} around this time", device.node),
            format!("run {device} alone: a worker that dies again accuses the device"),
        )
    };
    finding.action = action;
    finding.next_experiment = Some(experiment);
    finding
}
