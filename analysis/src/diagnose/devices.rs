//! Devices that stand out by their sensors, and nodes most of whose devices do.

use std::collections::BTreeMap;

use model::finding::{Blame, Effect, Finding, FindingKind, Members, Severity, Standing, Suspect};

use crate::case::{Case, list};
use crate::panel::{PanelDevice, Signal};

use super::pattern::{Pattern, Signs};
use super::{draft, load_spread};

/// One device's pattern.
struct Accused<'a> {
    device: &'a PanelDevice,
    signs: Signs<'a>,
    pattern: Pattern,
    sure: bool,
}

pub(super) fn testify(case: &Case) -> Vec<Finding> {
    let mut nodes: BTreeMap<&str, Vec<Accused>> = BTreeMap::new();
    let mut findings = Vec::new();
    for device in &case.panel.devices {
        let signs = Signs::new(case, device);
        let Some((pattern, sure)) = signs.pattern(case) else { continue };
        if load_spread::explains_device(case, &signs, pattern) {
            continue;
        }
        let accused = Accused { device, signs, pattern, sure };
        if device.node.is_some() {
            nodes.entry(&device.node_name).or_default().push(accused);
        } else {
            findings.push(of_device(&accused));
        }
    }
    for (node, accused) in nodes {
        findings.extend(of_node(case, node, accused));
    }
    findings
}

/// A node's devices, together where most of them show one pattern.
fn of_node(case: &Case, node: &str, mut accused: Vec<Accused>) -> Vec<Finding> {
    let held_back = accused.iter().any(|a| a.pattern == Pattern::Throttled);
    if held_back {
        // A job waits for its slowest device: the others of the node are not slow by themselves.
        accused
            .retain(|a| !matches!(a.pattern, Pattern::Waiting | Pattern::Slow | Pattern::Silicon));
    }
    let total = case.panel.devices.iter().filter(|device| device.node_name == node).count();
    let mut by_pattern: BTreeMap<Pattern, Vec<Accused>> = BTreeMap::new();
    for one in accused {
        // Waiting and slow at the usual clock are one story, told by power or not.
        let story = if one.pattern == Pattern::Slow { Pattern::Waiting } else { one.pattern };
        by_pattern.entry(story).or_default().push(one);
    }
    let mut findings = Vec::new();
    for (pattern, together) in by_pattern {
        if together.len() >= 2 && 2 * together.len() >= total {
            findings.push(of_many(node, pattern, &together, total));
        } else {
            // Waiting is the host's doing: a single device that waits is slow for itself.
            findings.extend(together.iter().map(of_device));
        }
    }
    findings
}

fn of_device(accused: &Accused) -> Finding {
    let mut finding = blank(accused.pattern, accused.sure, accused.device.suspect.clone(), 1);
    finding.effect = effect(accused);
    finding.evidence = accused.signs.lines();
    finding.members = Some(Members { hit: 1, reporting: 1, total: 1 });
    finding
}

fn of_many(node: &str, pattern: Pattern, together: &[Accused], total: usize) -> Finding {
    let sure = together.iter().any(|accused| accused.sure);
    let mut finding = blank(pattern, sure, Suspect::new("node", node), together.len());
    let names = together.iter().map(|accused| accused.device.suspect.id.as_str());
    finding.evidence.push(format!("devices: {}", list(names)));
    for accused in together {
        let id = &accused.device.suspect.id;
        finding
            .evidence
            .extend(accused.signs.lines().into_iter().map(|line| format!("{id}: {line}")));
    }
    finding.effect = together.iter().find_map(effect);
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    finding.members =
        Some(Members { hit: count(together.len()), reporting: count(total), total: count(total) });
    finding
}

fn effect(accused: &Accused) -> Option<Effect> {
    let signal = match accused.pattern {
        Pattern::Throttled | Pattern::Warm => Signal::Temp,
        Pattern::BadContact => Signal::RTh,
        Pattern::Short => Signal::Power,
        Pattern::Waiting | Pattern::Slow | Pattern::Silicon => Signal::Perf,
    };
    let residual = accused.signs.residual(signal)?;
    let value = accused.device.values[signal.index()]?;
    let (relative, absolute) = if signal.is_relative() {
        // A value of nothing says nothing about the middle that it was compared with.
        let middle = Some(value / (1.0 + residual)).filter(|middle| middle.is_finite());
        (Some(residual), middle.map(|middle| value - middle))
    } else {
        (None, Some(residual))
    };
    let (metric, unit) = (signal.metric().to_owned(), signal.unit().to_owned());
    Some(Effect { metric, relative, absolute, unit })
}

fn blank(pattern: Pattern, sure: bool, suspect: Suspect, devices: usize) -> Finding {
    let (kind, blame, severity) = match pattern {
        Pattern::Throttled | Pattern::BadContact => {
            (FindingKind::DeviceHot, Blame::Device, Severity::Major)
        }
        Pattern::Warm => (FindingKind::DeviceHot, Blame::Device, Severity::Minor),
        Pattern::Short => (FindingKind::PowerShort, Blame::Device, Severity::Major),
        // A whole node slow at its usual clock is its host's doing.
        Pattern::Waiting | Pattern::Slow if devices > 1 => {
            (FindingKind::HostIo, Blame::Host, Severity::Major)
        }
        Pattern::Waiting | Pattern::Slow => {
            (FindingKind::DeviceSlow, Blame::Device, Severity::Major)
        }
        Pattern::Silicon => (FindingKind::DeviceSlow, Blame::Device, Severity::Minor),
    };
    let standing = if sure { Standing::Confirmed } else { Standing::Watch };
    let what = format!("{} {}", suspect.kind, suspect.id);
    let mut finding = draft(kind, blame, (standing, severity), suspect);
    finding.action = action(pattern, &what);
    finding.next_experiment = Some(experiment(pattern, &what));
    finding
}

fn action(pattern: Pattern, what: &str) -> String {
    match pattern {
        Pattern::Throttled | Pattern::BadContact => {
            format!("reseat or repaste the cooler of {what}, look for dust or a blocked plate")
        }
        Pattern::Warm => format!("watch {what}: it is warm and not held back yet"),
        Pattern::Short => format!("check the power supplies, cords and power limit of {what}"),
        Pattern::Waiting => format!("look at storage, data path and processors of {what}"),
        Pattern::Slow => format!("look at memory, links and error counters of {what}"),
        Pattern::Silicon => {
            format!("{what} is slow as its clock is, at its power limit: the spread of silicon")
        }
    }
}

fn experiment(pattern: Pattern, what: &str) -> String {
    match pattern {
        Pattern::Throttled | Pattern::BadContact | Pattern::Warm => {
            format!("load {what} alone: what stays is its own cooler, what goes came with the air")
        }
        Pattern::Short => format!("load {what} alone, then move its cord to another supply"),
        Pattern::Waiting => format!("run a load without data on {what}: a sound host is fast then"),
        Pattern::Slow | Pattern::Silicon => format!("run {what} alone with the same kernel, twice"),
    }
}
