//! A node that fell silent during the run.
//!
//! The kernel's boot id decides between the two great causes: another one afterwards means
//! that the node lost power or was restarted, the same one means that only its agent or its
//! network went away. A node that did not come back says neither.

use model::NodeName;
use model::facts::{LossReason, NodeLoss};
use model::finding::{Blame, Finding, FindingKind, Members, Severity, Standing, Suspect};

use super::{draft, phase_name, some_nic};
use crate::case::{Case, list, node_suspect, utc};

pub(super) fn testify(case: &Case) -> Vec<Finding> {
    let lost = case.facts.nodes.iter();
    lost.filter_map(|(node, facts)| Some(found(case, node, facts.lost.as_ref()?))).collect()
}

/// What the boot ids say.
enum Boot {
    Same,
    Different,
    Unknown,
}

fn boot(case: &Case, node: &NodeName, loss: &NodeLoss) -> Boot {
    if let (Some(before), Some(after)) = (&loss.boot_id_before, &loss.boot_id_after) {
        return if before == after { Boot::Same } else { Boot::Different };
    }
    let streams = case.seen.nodes.get(node).into_iter().flat_map(|node| node.streams.values());
    let ids: std::collections::BTreeSet<_> = streams.flat_map(|s| &s.boot_ids).collect();
    if ids.len() > 1 { Boot::Different } else { Boot::Unknown }
}

fn found(case: &Case, node: &NodeName, loss: &NodeLoss) -> Finding {
    let standing = (Standing::Confirmed, Severity::Critical);
    let mut finding = draft(FindingKind::NodeLost, Blame::Host, standing, node_suspect(node));
    let when = utc(loss.at_unix_ns).unwrap_or_else(|| "an unknown time".to_owned());
    let back = if loss.returned { "it came back" } else { "it did not come back" };
    // Silence has nothing to add to its reason.
    let silent = matches!(loss.reason, LossReason::LeaseExpired | LossReason::SessionLost);
    let said = match loss.why.as_str() {
        why if why.is_empty() || silent => String::new(),
        why => format!(" ({why})"),
    };
    finding.evidence.push(format!(
        "{when}, {}: {}{said}; {back} before the run ended",
        phase_name(&loss.phase),
        loss.reason.words()
    ));
    let (line, rivals, action, experiment) = match loss.reason {
        LossReason::Refused => refusal(node),
        _ => explanation(&boot(case, node, loss), node),
    };
    finding.evidence.push(line.to_owned());
    finding.cannot_exclude = rivals;
    finding.action = action;
    finding.next_experiment = Some(experiment);
    finding.members = Some(Members { hit: 1, reporting: 1, total: 1 });
    let mut others = case.lost_nodes();
    others.remove(node);
    if !others.is_empty() {
        finding.evidence.push(format!(
            "lost in the same run: {}; a part that they share may be the cause",
            list(&others)
        ));
    }
    finding
}

/// It answered: neither power nor network took it away.
fn refusal(node: &NodeName) -> (&'static str, Vec<Suspect>, String, String) {
    (
        "the agent answered, and gave this reason: neither power nor network took the node away",
        Vec::new(),
        format!("mend what {node} gives as its reason, or leave it out of such a phase"),
        format!("run the same phase again with {node} mended"),
    )
}

fn explanation(boot: &Boot, node: &NodeName) -> (&'static str, Vec<Suspect>, String, String) {
    let feed = Suspect::new("feed", format!("{node}/unknown"));
    match boot {
        Boot::Same => (
            "the kernel's boot id is the same as before: the agent's process or the network, not power",
            vec![some_nic(node)],
            format!("read the agent's log on {node} and its network counters"),
            format!("probe {node} from two other nodes for an hour without load, then with"),
        ),
        Boot::Different => (
            "the kernel's boot id changed: the node lost power or was restarted",
            vec![feed],
            format!("read the BMC event log of {node} and check its feeds"),
            format!("load {node} alone, then its neighbours on the same feed without it"),
        ),
        Boot::Unknown => (
            "no boot id after the loss: power, restart, agent and network can't be told apart",
            vec![feed, some_nic(node)],
            format!("look at {node}: is it powered, does it answer?"),
            format!("when {node} is back, compare its boot id, then load it alone"),
        ),
    }
}
