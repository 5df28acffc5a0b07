//! Nodes that fall silent one by one in telemetry that no coordinator of ours led: a table
//! or a rehearsal knows no lease, only the last row.

use std::collections::BTreeSet;

use model::facts::Source;
use model::finding::{Blame, Finding, FindingKind, Members, Severity, Standing};

use crate::case::{Case, node_suspect, utc};
use crate::panel::Signal;

use super::draft;

pub(super) fn testify(case: &Case) -> Vec<Finding> {
    if case.facts.source == Source::Agents {
        // The coordinator saw it, and `node_lost` tells.
        return Vec::new();
    }
    // Nodes that were lost together are their supply's matter.
    let groups = case.attribution.map_or(&[][..], |attribution| &attribution.groups);
    let together: BTreeSet<usize> = groups
        .iter()
        .filter(|group| group.moved(Signal::Silent).is_some())
        .flat_map(|group| group.class.nodes.iter().copied())
        .collect();
    // Gone before the first load: it said something, and nothing while others were loaded.
    let said: BTreeSet<&str> =
        case.seen.telemetry.devices().map(|(device, _)| device.node.as_str()).collect();
    let loaded = case.load_was_commanded() && case.panel.nodes.iter().any(|n| n.reports());
    let silent = case.panel.nodes.iter().enumerate();
    silent
        .filter(|(at, node)| {
            let before = loaded && !node.reports() && said.contains(node.name.as_str());
            (node.fell_silent && !together.contains(at)) || before
        })
        .map(|(_, node)| finding(case, &node.name, node.span_ns))
        .collect()
}

fn finding(case: &Case, name: &str, span_ns: Option<(i64, i64)>) -> Finding {
    let node = model::NodeName(name.to_owned());
    // Where nobody led the load, somebody may just have stopped recording.
    let standing = if case.load_was_commanded() { Standing::Confirmed } else { Standing::Watch };
    let grave = (standing, Severity::Critical);
    let mut finding = draft(FindingKind::NodeLost, Blame::Host, grave, node_suspect(&node));
    finding.evidence.push(match span_ns.and_then(|(_, last)| utc(last)) {
        Some(last) => format!("its last row under load is of {last}; the others went on"),
        None => "it has rows, and none under load; the others went on".to_owned(),
    });
    finding.members = Some(Members { hit: 1, reporting: 1, total: 1 });
    finding.action = format!("look at {name}: is it powered, does it answer?");
    finding.next_experiment =
        Some(format!("when {name} is back, compare its boot id, then load it alone"));
    finding
}
