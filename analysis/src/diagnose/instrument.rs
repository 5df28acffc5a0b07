//! Our own failures: batches that never came, sensors that broke, clocks that can't be
//! trusted. Never booked on hardware, always minor: what they cost is a gap, and gaps that
//! matter make the verdict INCONCLUSIVE elsewhere.

use model::finding::{Blame, Finding, FindingKind, Severity, Standing};
use model::record::EventKind;
use model::{Absence, NodeName};

use super::{draft, phase_name};
use crate::case::{Case, list, node_suspect, plural};
use crate::digest::NodeEvidence;

/// Start instants are promised to the millisecond; a clock known less well can't show it.
const CLOCK_ERROR_LIMIT_NS: u64 = 1_000_000;

pub(super) fn testify(case: &Case) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (node, seen) in &case.seen.nodes {
        findings.extend(batches(case, node, seen));
        findings.extend(refused(node, seen));
        findings.extend(sensors(node, seen));
        findings.extend(clock(case, node, seen));
    }
    findings.extend(events(case));
    findings
}

fn minor(node: &NodeName, evidence: Vec<String>, action: &str) -> Option<Finding> {
    if evidence.is_empty() {
        return None;
    }
    let graded = (Standing::Confirmed, Severity::Minor);
    let mut finding = draft(FindingKind::Instrument, Blame::Instrument, graded, node_suspect(node));
    finding.evidence = evidence;
    finding.action = action.to_owned();
    Some(finding)
}

fn batches(case: &Case, node: &NodeName, seen: &NodeEvidence) -> Option<Finding> {
    let mut lines = Vec::new();
    let facts = case.facts.nodes.get(node);
    for (instance, stream) in &seen.streams {
        let made = facts.and_then(|facts| facts.batches_made.get(instance).copied());
        let missing = stream.missing(made);
        if !missing.is_empty() {
            let (count, which) = (missing.len(), missing.words());
            lines.push(format!(
                "unexplained gap of {count} in the batches of agent instance {instance}: {which}"
            ));
        }
        if stream.records_given_up > 0 || !stream.given_up.is_empty() {
            lines.push(format!(
                "the agent gave up {} (batches {}): {}",
                plural(stream.records_given_up, "record"),
                stream.given_up.words(),
                list(&stream.reasons)
            ));
        }
    }
    minor(
        node,
        lines,
        "give the agent's spool more room, or the network to the coordinator more time",
    )
}

fn refused(node: &NodeName, seen: &NodeEvidence) -> Option<Finding> {
    let mut windows: u64 = 0;
    let mut values: u64 = 0;
    for phase in seen.devices.values().flat_map(|phases| phases.values()) {
        windows += phase.work.values().map(|work| work.refused).sum::<u64>();
        let s = &phase.sensors;
        let series = [&s.power_w, &s.temp_c, &s.clock_mhz, &s.busy];
        values += series.iter().map(|series| series.values.refused()).sum::<u64>();
    }
    let mut lines = Vec::new();
    if windows > 0 {
        lines.push(format!(
            "{} without duration or number, not counted",
            plural(windows, "work window")
        ));
    }
    if values > 0 {
        lines.push(format!("{} that are no numbers, not counted", plural(values, "sensor value")));
    }
    minor(node, lines, "report this: an agent should not say such things")
}

/// Sensors that exist and failed. One that never existed is a gap, not a failure.
fn sensors(node: &NodeName, seen: &NodeEvidence) -> Option<Finding> {
    let mut lines = Vec::new();
    for (device, phases) in &seen.devices {
        for (phase, seen) in phases {
            let s = &seen.sensors;
            let all = [
                ("power", &s.power_w),
                ("temperature", &s.temp_c),
                ("clock", &s.clock_mhz),
                ("busy share", &s.busy),
            ];
            for (name, series) in all {
                for why in [Absence::Failed, Absence::TimedOut] {
                    if let Some(count) = series.absences.get(&why) {
                        lines.push(format!(
                            "{name} of {node}/{device}, {}: {count} times {}",
                            phase_name(phase),
                            why.words()
                        ));
                    }
                }
            }
        }
    }
    minor(node, lines, "check the sensor's driver on this node")
}

fn clock(case: &Case, node: &NodeName, seen: &NodeEvidence) -> Option<Finding> {
    let phases = seen.devices.values().flat_map(|phases| phases.values());
    let told = phases.flat_map(|phase| &phase.starts).map(|start| start.claimed_error_ns);
    let facts = case.facts.starts.iter().filter(|start| start.node == *node);
    let worst = told.chain(facts.map(|start| start.claimed_error_ns)).max()?;
    if worst <= CLOCK_ERROR_LIMIT_NS {
        return None;
    }
    let line = format!(
        "the clock of {node} is known to {:.2} ms at best, more than {:.0} ms",
        worst as f64 / 1e6,
        CLOCK_ERROR_LIMIT_NS as f64 / 1e6
    );
    minor(node, vec![line], "name no straggler and no order of events on this node from this run")
}

fn events(case: &Case) -> Vec<Finding> {
    const TOLD: [(EventKind, &str, &str); 4] = [
        (EventKind::SensorLost, "a sensor fell silent", "check the sensor's driver on this node"),
        (
            EventKind::DataPlaneRefused,
            "a stranger knocked at the data port and was refused",
            "find out who scans this port; the measurement went on",
        ),
        (
            EventKind::LeaseLost,
            "a lease ran out and the load was ramped down",
            "look at the path between this node and the coordinator",
        ),
        (
            EventKind::Busy,
            "somebody else used the device",
            "repeat while the node is idle: rates of this run are lower bounds",
        ),
    ];
    let mut findings = Vec::new();
    for (kind, headline, action) in TOLD {
        for (node, evidence) in &case.seen.nodes {
            let told_elsewhere = kind == EventKind::LeaseLost && case.lost_nodes().contains(node);
            let groups = evidence.events.iter().filter(|(key, _)| key.kind == kind);
            let mut lines: Vec<String> = groups
                .map(|(key, group)| {
                    let texts = group.texts();
                    let times = plural(group.count, "time");
                    format!("{headline}, {}, {times}: {texts}", phase_name(&key.phase))
                })
                .collect();
            if kind == EventKind::Busy {
                let facts = case.facts.nodes.get(node);
                lines.extend(facts.into_iter().flat_map(|f| f.busy.iter().cloned()));
            }
            if !told_elsewhere {
                findings.extend(minor(node, lines, action));
            }
        }
    }
    findings
}
