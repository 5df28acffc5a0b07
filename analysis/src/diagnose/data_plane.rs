//! The data plane: what failed, what came back wrong, what was slow.

use std::collections::BTreeMap;

use model::NodeName;
use model::finding::{Blame, Effect, Finding, FindingKind, Members, Severity, Standing, Suspect};
use model::record::EventKind;

use super::{cohort, draft, phase_name, some_nic};
use crate::case::{Case, list, node_suspect, plural};
use crate::digest::events::{EventGroup, EventKey};
use crate::digest::fabric::{CollectiveKey, Pair, Ranks};

/// A pair below this share of the middle pair is watched. Half is what one of two cables or
/// a wrong speed gives; less is noise of a shared machine.
const SLOW_PAIR_SHARE: f64 = 0.5;
/// Fewer pairs have no usual speed.
const LEAST_PAIRS: usize = 4;
/// Lost probes worth a look: a share above what a short burst of other traffic costs, and
/// more than a start or a stop may swallow.
const LOST_PROBE_SHARE: f64 = 0.01;
const LEAST_LOST_PROBES: u64 = 10;
/// Suspects named beside a wrong collective; beyond, the fleet stands for them.
const RIVALS_NAMED: usize = 8;

pub(super) fn testify(case: &Case) -> Vec<Finding> {
    let mut findings = failed(case);
    findings.extend(wrong(case));
    findings.extend(slow_pairs(case));
    findings.extend(lost_probes(case));
    findings
}

fn failed(case: &Case) -> Vec<Finding> {
    let mut nodes: BTreeMap<&NodeName, Vec<(&EventKey, &EventGroup)>> = BTreeMap::new();
    for (node, key, group) in case.events(EventKind::DataPlaneFailed) {
        nodes.entry(node).or_default().push((key, group));
    }
    nodes.iter().map(|(node, groups)| failed_on(case, node, groups)).collect()
}

fn failed_on(case: &Case, node: &NodeName, groups: &[(&EventKey, &EventGroup)]) -> Finding {
    let mut lost = case.lost_nodes();
    lost.remove(node);
    // A lost node breaks its peers' transfers: that is its finding, not theirs.
    let standing = if lost.is_empty() { Standing::Confirmed } else { Standing::Watch };
    let graded = (standing, Severity::Major);
    let mut finding = draft(FindingKind::HostIo, Blame::Host, graded, node_suspect(node));
    finding.injected = groups.iter().all(|(key, _)| key.injected);
    for (key, group) in groups {
        let texts = group.texts();
        let count = plural(group.count, "failure");
        finding.evidence.push(format!("{}: {count}: {texts}", phase_name(&key.phase)));
    }
    finding.cannot_exclude = vec![some_nic(node)];
    finding.cannot_exclude.extend(lost.iter().map(node_suspect));
    if !lost.is_empty() {
        finding
            .evidence
            .push(format!("lost in the same run, which may explain it: {}", list(&lost)));
    }
    finding.action = format!("read the network counters and the kernel log of {node}");
    finding.next_experiment =
        Some(format!("repeat with {node} against a partner that had no failure"));
    finding
}

/// One finding per node that saw a wrong result; one for the fleet when most ranks did,
/// because a wrong summand reaches everybody and accuses nobody.
fn wrong(case: &Case) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (key, ranks) in &case.seen.collectives {
        let hit: Vec<&NodeName> =
            ranks.iter().filter(|(_, rank)| rank.wrong > 0).map(|((_, node), _)| node).collect();
        if hit.is_empty() {
            continue;
        }
        if hit.len() * 2 > ranks.len() {
            findings.push(wrong_at(case, key, ranks, Suspect::new("fleet", "all"), &hit));
        } else {
            let each = hit.iter().map(|n| wrong_at(case, key, ranks, node_suspect(n), &[*n]));
            findings.extend(each);
        }
    }
    let told: Vec<&NodeName> = case
        .seen
        .collectives
        .values()
        .flat_map(|ranks| ranks.iter().filter(|(_, r)| r.wrong > 0).map(|((_, node), _)| node))
        .collect();
    for (node, key, group) in case.events(EventKind::CollectiveWrong) {
        if !told.contains(&node) {
            findings.push(wrong_event(node, key, group));
        }
    }
    findings
}

fn wrong_at(
    case: &Case,
    key: &CollectiveKey,
    ranks: &Ranks,
    suspect: Suspect,
    hit: &[&NodeName],
) -> Finding {
    let mut finding = draft_wrong(suspect);
    let events = case.events(EventKind::CollectiveWrong);
    let mut injected =
        events.filter(|(n, e, _)| hit.contains(n) && e.phase == key.phase).peekable();
    finding.injected = injected.peek().is_some() && injected.all(|(_, event, _)| event.injected);
    for ((rank, node), seen) in ranks.iter().filter(|(_, seen)| seen.wrong > 0) {
        if hit.contains(&node) {
            finding.evidence.push(format!(
                "{}, {} of {} bytes: {} of {} wrong on rank {rank} ({node})",
                phase_name(&key.phase),
                key.op.word(),
                key.bytes,
                seen.wrong,
                plural(seen.operations, "operation"),
            ));
        }
    }
    let others = ranks.keys().map(|(_, node)| node_suspect(node));
    finding.cannot_exclude = others.filter(|other| *other != finding.suspect).collect();
    if finding.cannot_exclude.len() > RIVALS_NAMED {
        finding.cannot_exclude = vec![Suspect::new("fleet", "all")];
        finding.cannot_exclude.retain(|rival| *rival != finding.suspect);
    }
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    finding.members = Some(Members {
        hit: count(hit.len()),
        reporting: count(ranks.len()),
        total: key.world_size.max(count(ranks.len())),
    });
    finding
}

fn wrong_event(node: &NodeName, key: &EventKey, group: &EventGroup) -> Finding {
    let mut finding = draft_wrong(node_suspect(node));
    finding.injected = key.injected;
    finding.cannot_exclude = vec![Suspect::new("fleet", "all")];
    let texts = group.texts();
    let count = plural(group.count, "wrong result");
    finding.evidence.push(format!("{}: {count}: {texts}", phase_name(&key.phase)));
    finding
}

fn draft_wrong(suspect: Suspect) -> Finding {
    let graded = (Standing::Confirmed, Severity::Critical);
    let mut finding = draft(FindingKind::Sdc, Blame::Device, graded, suspect);
    finding.action = "keep these nodes from work whose results matter".to_owned();
    finding.next_experiment = Some(
        "repeat the collective in halves, then in pairs: the part is in every half that fails"
            .to_owned(),
    );
    finding
}

fn slow_pairs(case: &Case) -> Vec<Finding> {
    let mut phases: BTreeMap<&str, Vec<(&Pair, f64)>> = BTreeMap::new();
    // Where the site says what the nodes are plugged into the fit knows better: on shared
    // uplinks sound pairs are slow too, whenever hashes collide.
    let fitted = |pair: &Pair| case.site.is_some_and(|site| crate::fabric::places(site, pair));
    for ((pair, phase), seen) in case.seen.transfers.iter().filter(|((pair, _), _)| !fitted(pair)) {
        if let Some(rate) = seen.gb_per_s.median() {
            phases.entry(phase).or_default().push((pair, rate));
        }
    }
    let mut findings = Vec::new();
    for (phase, pairs) in phases.into_iter().filter(|(_, pairs)| pairs.len() >= LEAST_PAIRS) {
        let rates: Vec<f64> = pairs.iter().map(|(_, rate)| *rate).collect();
        let Some(usual) = cohort::median(&rates).filter(|usual| *usual > 0.0) else { continue };
        for (pair, rate) in pairs.iter().filter(|(_, rate)| *rate < usual * SLOW_PAIR_SHARE) {
            findings.push(slow_pair(phase, pair, *rate, usual, pairs.len()));
        }
    }
    findings
}

fn slow_pair(phase: &str, pair: &Pair, rate: f64, usual: f64, pairs: usize) -> Finding {
    let suspect = Suspect::new("link", pair.to_string());
    let graded = (Standing::Watch, Severity::Major);
    let mut finding = draft(FindingKind::SlowNic, Blame::Host, graded, suspect);
    finding.cannot_exclude = vec![node_suspect(&pair.from), node_suspect(&pair.to)];
    finding.effect = Some(Effect {
        metric: "bandwidth_pair".to_owned(),
        relative: Some(rate / usual - 1.0),
        absolute: Some(rate - usual),
        unit: "GB/s".to_owned(),
    });
    finding.evidence = vec![format!(
        "{}: {rate:.3} GB/s where the middle of {pairs} pairs is {usual:.3} GB/s",
        phase_name(phase)
    )];
    finding.action = format!("compare link speed and counters of both ends of {pair}");
    finding.next_experiment = Some(format!(
        "pair {} and {} with other partners: the slow end stays slow",
        pair.from, pair.to
    ));
    finding
}

/// Probes without an answer, idle or loaded. Only watched: a probe also gets lost when the
/// host that answers has no time.
fn lost_probes(case: &Case) -> Vec<Finding> {
    let mut pairs: BTreeMap<&Pair, (u64, u64)> = BTreeMap::new();
    for (pair, _, seen) in case.round_trips() {
        let sums = pairs.entry(pair).or_default();
        sums.0 = sums.0.saturating_add(seen.lost);
        sums.1 = sums.1.saturating_add(seen.histogram.count());
    }
    let share = |lost: u64, answered: u64| lost as f64 / (lost as f64 + answered as f64);
    let worth = |(lost, answered): (u64, u64)| {
        lost >= LEAST_LOST_PROBES && share(lost, answered) > LOST_PROBE_SHARE
    };
    let found = |(pair, (lost, answered)): (&Pair, (u64, u64))| {
        let graded = (Standing::Watch, Severity::Major);
        let suspect = Suspect::new("link", pair.to_string());
        let mut finding = draft(FindingKind::HostIo, Blame::Host, graded, suspect);
        finding.cannot_exclude = vec![node_suspect(&pair.from), node_suspect(&pair.to)];
        finding.effect = Some(Effect {
            metric: "rtt_lost".to_owned(),
            relative: Some(share(lost, answered)),
            absolute: Some(lost as f64),
            unit: "probes".to_owned(),
        });
        finding.evidence = vec![format!("{lost} probes lost beside {answered} answered")];
        finding.action = format!("compare drops and counters of both ends of {pair}");
        finding.next_experiment =
            Some(format!("probe {} and {} from a third node, idle and loaded", pair.from, pair.to));
        finding
    };
    pairs.into_iter().filter(|(_, sums)| worth(*sums)).map(found).collect()
}
