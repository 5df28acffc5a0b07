//! Repetitions in which a whole node waited: every device of it slow at once, clocks at
//! their usual value, power and temperature down. Storage, data path or processors; never
//! power or cooling.

use std::collections::BTreeMap;

use model::finding::{Blame, Effect, Finding, FindingKind, Members, Severity, Standing, Suspect};

use crate::case::{Case, list};
use crate::middle::{median, sigma};
use crate::panel::{CellResidual, Signal};

use super::{cohort, draft};

/// A repetition that loses less than this share of its speed is judged with the rest of its
/// node, not by itself.
const SLOW_SHARE: f64 = 0.2;
/// One that loses more than this is beyond doubt; jobs' times differ by a quarter for many
/// a reason.
const SURE_SHARE: f64 = 0.3;
/// Share of a node's devices that must be slow at once.
const DEVICES_SHARE: f64 = 0.75;

/// Nodes with their slow repetitions, by block.
type Slow<'a> = BTreeMap<&'a str, Vec<(&'a str, &'a Repetition<'a>)>>;

/// Devices of one node in one repetition.
#[derive(Default)]
struct Repetition<'a> {
    cells: Vec<&'a CellResidual>,
}

pub(super) fn testify(case: &Case) -> Vec<Finding> {
    let mut repetitions: BTreeMap<(&str, &str, &str), Repetition> = BTreeMap::new();
    for device in case.panel.devices.iter().filter(|device| device.node.is_some()) {
        for cell in device.cells.iter().filter(|cell| !cell.block.is_empty()) {
            let key = (device.node_name.as_str(), cell.phase.as_str(), cell.block.as_str());
            repetitions.entry(key).or_default().cells.push(cell);
        }
    }
    let all: Vec<f64> = repetitions.values().filter_map(|r| r.residual(Signal::Perf)).collect();
    if all.len() < cohort::LEAST_MEMBERS {
        return Vec::new();
    }
    let spread = sigma(&all, 0.0).unwrap_or(0.0).max(Signal::Perf.least_sigma());
    let (_, believed) = cohort::limits(all.len());
    let mut nodes: Slow = BTreeMap::new();
    let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
    for ((node, _, block), repetition) in &repetitions {
        *counts.entry(node).or_default() += 1;
        let lost = repetition.residual(Signal::Perf).map_or(0.0, |residual| -residual);
        if lost >= SLOW_SHARE && lost / spread >= believed && repetition.waits(case) {
            nodes.entry(node).or_default().push((block, repetition));
        }
    }
    nodes.iter().map(|(node, slow)| finding(case, node, slow, (counts[node], &nodes))).collect()
}

impl Repetition<'_> {
    fn residual(&self, signal: Signal) -> Option<f64> {
        let of = |cell: &&CellResidual| cell.residuals[signal.index()];
        median(&self.cells.iter().filter_map(of).collect::<Vec<_>>())
    }

    /// Slow together, at the usual clock, with less power and no heat.
    fn waits(&self, case: &Case) -> bool {
        let floors = &case.policy.floors;
        let slow = |cell: &&&CellResidual| {
            cell.residuals[Signal::Perf.index()].is_some_and(|residual| residual <= -SLOW_SHARE)
        };
        let together = self.cells.iter().filter(slow).count() as f64;
        let at_least = |signal, least: f64| self.residual(signal).is_none_or(|r| r >= least);
        let at_most = |signal, most: f64| self.residual(signal).is_none_or(|r| r <= most);
        together >= DEVICES_SHARE * self.cells.len() as f64
            && at_least(Signal::Clock, -floors.clock_percent / 100.0)
            && at_most(Signal::Temp, floors.temp_k)
            && at_most(Signal::Power, -floors.power_percent / 100.0)
    }
}

fn finding(
    case: &Case,
    node: &str,
    slow: &[(&str, &Repetition)],
    (repetitions, all): (u32, &Slow),
) -> Finding {
    let suspect = Suspect::new("node", node);
    let losses = slow.iter().filter_map(|(_, repetition)| repetition.residual(Signal::Perf));
    let worst = losses.reduce(f64::min);
    let sure = worst.is_some_and(|residual| residual <= -SURE_SHARE);
    let standing = if sure { Standing::Confirmed } else { Standing::Watch };
    let mut finding = draft(FindingKind::HostIo, Blame::Host, (standing, Severity::Major), suspect);
    let hit = u32::try_from(slow.len()).unwrap_or(u32::MAX);
    finding.members = Some(Members { hit, reporting: repetitions, total: repetitions });
    finding.evidence.push(format!("{hit} of its {repetitions} repetitions were slow"));
    for (block, repetition) in slow {
        finding.evidence.push(line(block, repetition));
    }
    finding.effect = worst.map(|relative| Effect {
        metric: Signal::Perf.metric().to_owned(),
        relative: Some(relative),
        absolute: None,
        unit: Signal::Perf.unit().to_owned(),
    });
    let others: Vec<&str> = all.keys().copied().filter(|other| *other != node).collect();
    if !others.is_empty() {
        finding.evidence.push(format!(
            "seen on {} as well: a cause that they share need not be the building's, storage for example",
            list(others)
        ));
    }
    if case.site.is_some() {
        finding.evidence.push(
            "not power and not cooling: clocks at their usual value, power and temperature down"
                .to_owned(),
        );
    }
    finding.action = format!("look at storage, data path and processors of node {node}");
    finding.next_experiment =
        Some(format!("run a load without data on {node}: a sound host is fast then"));
    finding
}

fn line(block: &str, repetition: &Repetition) -> String {
    let share = |signal| repetition.residual(signal).unwrap_or(f64::NAN);
    let times = 1.0 / (1.0 + share(Signal::Perf));
    format!(
        "block {block}: {times:.2} times the usual time, power {:+.0} %, clock {:+.1} %, temperature {:+.1} K",
        100.0 * share(Signal::Power),
        100.0 * share(Signal::Clock),
        share(Signal::Temp)
    )
}
