//! Tables as evidence: what a coordinator would have known, worked out from the rows.
//!
//! Nobody told us a plan: every phase that the rows name becomes one sustained phase.
//! Nobody told us who should report: the site says who is there.

use std::collections::{BTreeMap, BTreeSet};

use model::facts::{NodeFacts, RunEnd, RunFacts, Source};
use model::plan::{Limits, Phase, PhaseKind, PhaseLoad, Plan, Requirement, Selector};
use model::site::Site;
use model::{Kernel, Metric, NodeName};

use crate::digest::Seen;
use crate::digest::telemetry::{Cell, Telemetry};

/// A phase whose middle power is below this share of the hungriest phase's is idle: load
/// on any hardware takes more than twice what waiting takes.
const IDLE_SHARE: f64 = 0.5;
/// Name of the plan that nobody wrote.
pub const IMPLIED_PLAN: &str = "implied";

/// What one phase of a table looked like.
#[derive(Default)]
struct PhaseSeen {
    span_ns: Option<(i64, i64)>,
    powers: Vec<f64>,
}

/// A plan without phases: what a digest of tables begins with.
#[must_use]
pub fn unwritten_plan() -> Plan {
    implied_plan(&Seen::default())
}

/// The plan that rows imply: one phase for each name, held where it drew power, and what
/// they measured as what is required.
#[must_use]
pub fn implied_plan(seen: &Seen) -> Plan {
    let phases = phases(&seen.telemetry);
    let middle = |phase: &PhaseSeen| crate::middle::median(&phase.powers);
    let most = phases.values().filter_map(middle).fold(0.0, f64::max);
    let phase = |(name, phase): (&String, &PhaseSeen)| {
        let idle = name == "idle" || middle(phase).is_some_and(|watts| watts < most * IDLE_SHARE);
        let load = PhaseLoad::of(Kernel::Mix, 100.0);
        Phase {
            name: name.clone(),
            kind: if idle { PhaseKind::Idle } else { PhaseKind::Hold },
            seconds: phase.span_ns.map_or(0.0, |(first, last)| (last - first) as f64 / 1e9),
            on: Selector::All,
            load: (!idle).then_some(load),
            traffic: None,
            act: None,
        }
    };
    Plan {
        name: IMPLIED_PLAN.to_owned(),
        requires: measured_at_all(seen),
        seed: 0,
        limits: Limits::default(),
        least_seconds: 0.0,
        least_rating_percent: None,
        experiments: Vec::new(),
        phases: phases.iter().map(phase).collect(),
    }
}

/// What was handed in is what a verdict can be for.
fn measured_at_all(seen: &Seen) -> BTreeSet<Requirement> {
    let has = |metric| {
        let mut cells = seen.telemetry.devices().flat_map(|(_, cells)| cells.values());
        cells.any(|cell| cell.count(metric) > 0)
    };
    [
        (Requirement::Compute, has(Metric::Perf)),
        (Requirement::DataPlane, !seen.pairs.is_empty()),
        (Requirement::Power, has(Metric::PowerW)),
        (Requirement::Temperature, has(Metric::TempC)),
        (Requirement::Meters, !seen.meters.is_empty()),
    ]
    .into_iter()
    .filter_map(|(requirement, there)| there.then_some(requirement))
    .collect()
}

fn phases(telemetry: &Telemetry) -> BTreeMap<String, PhaseSeen> {
    let mut phases: BTreeMap<String, PhaseSeen> = BTreeMap::new();
    for (_, cells) in telemetry.devices() {
        for (key, cell) in cells {
            let phase = phases.entry(key.phase.clone()).or_default();
            phase.span_ns = wider(phase.span_ns, cell.span_ns());
            phase.powers.extend(cell.median(Metric::PowerW));
        }
    }
    phases
}

/// The span of both. Nobody measured before 1970: such an instant is a missing one.
fn wider(span: Option<(i64, i64)>, other: Option<(i64, i64)>) -> Option<(i64, i64)> {
    let other = other.filter(|(first, _)| *first > 0);
    match (span, other) {
        (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
        (a, b) => a.or(b),
    }
}

/// What a coordinator would have known of these rows. With a site its nodes are those that
/// should report; without one, those that do.
#[must_use]
pub fn facts(seen: &Seen, site: Option<&Site>, plan: &Plan, source: Source) -> RunFacts {
    let spans = phases(&seen.telemetry).into_values().map(|phase| phase.span_ns);
    let transfers = seen.pairs.flows().map(|flow| Some((flow.time_ns, flow.time_ns)));
    let span = spans.chain(transfers).fold(None, wider);
    let mut nodes: BTreeMap<NodeName, NodeFacts> = BTreeMap::new();
    for node in site.map(Site::nodes).unwrap_or_default() {
        let facts = nodes.entry(NodeName(node.name.clone())).or_default();
        facts.devices.extend((0..node.devices).map(|index| (index, node.device_model.clone())));
    }
    for (key, cells) in seen.telemetry.devices().filter(|(key, _)| !key.node.is_empty()) {
        let name = NodeName(key.node.clone());
        if site.is_none() || nodes.contains_key(&name) {
            let facts = nodes.entry(name).or_default();
            facts.devices.entry(key.device).or_default();
            facts.joined |= cells.values().any(has_reading);
        }
    }
    for flow in seen.pairs.flows() {
        for name in [&flow.src, &flow.dst] {
            let name = NodeName(name.as_ref().to_owned());
            if site.is_none() || nodes.contains_key(&name) {
                nodes.entry(name).or_default().joined = true;
            }
        }
    }
    RunFacts {
        site: site.map(|site| site.name().to_owned()),
        source,
        simulated: source == Source::Rehearsal,
        started_unix_ns: span.map_or(0, |span| span.0),
        ended_unix_ns: span.map(|span| span.1),
        end: RunEnd::Finished,
        phases_completed: plan.phases.iter().map(|phase| phase.name.clone()).collect(),
        nodes,
        ..RunFacts::default()
    }
}

/// Whether a device said anything: rows without a single value are silence.
pub(crate) fn has_reading(cell: &Cell) -> bool {
    Metric::ALL.iter().any(|metric| cell.count(*metric) > 0)
        || cell.reasons().rows > 0
        || cell.ecc_uncorrected().is_some()
        || !cell.xids().is_empty()
}

#[cfg(test)]
mod tests {
    use model::{SampleColumns, SampleRow, site::Node, site::SiteDraft};

    use super::*;
    use crate::Digest;

    fn row(node: &str, phase: &str, second: i64, power_w: f64) -> SampleRow {
        SampleRow {
            time_ns: second * 1_000_000_000,
            node: node.to_owned(),
            phase: Some(phase.to_owned()),
            power_w: Some(power_w),
            ..SampleRow::default()
        }
    }

    fn seen(rows: &[SampleRow]) -> Seen {
        let mut digest = Digest::new(&unwritten_plan());
        digest.add_samples(&SampleColumns::from_rows(rows));
        digest.finish(RunFacts::default()).seen
    }

    #[test]
    fn phases_are_those_that_rows_name_and_the_frugal_ones_are_idle() {
        let rows =
            [row("a", "rest", 10, 60.0), row("a", "soak", 20, 300.0), row("b", "soak", 50, 310.0)];
        let plan = implied_plan(&seen(&rows));
        let told: Vec<_> =
            plan.phases.iter().map(|p| (p.name.as_str(), p.kind.word(), p.seconds)).collect();
        assert_eq!(told, [("rest", "idle", 0.0), ("soak", "hold", 30.0)]);
        assert_eq!(plan.requires, BTreeSet::from([Requirement::Power]));
    }

    #[test]
    fn an_instant_before_1970_is_none() {
        let rows = [row("a", "", -1, 1.0), row("b", "", 7, 1.0), row("c", "", 9, 1.0)];
        let seen = seen(&rows);
        let plan = implied_plan(&seen);
        let facts = facts(&seen, None, &plan, Source::Tables);
        assert_eq!(
            (facts.started_unix_ns, facts.ended_unix_ns),
            (7_000_000_000, Some(9_000_000_000))
        );
    }

    #[test]
    fn rows_without_a_value_are_silence() {
        let silent = SampleRow { power_w: None, ..row("a", "", 5, 0.0) };
        let seen = seen(&[silent, row("b", "", 5, 1.0)]);
        let facts = facts(&seen, None, &implied_plan(&seen), Source::Tables);
        let joined: Vec<_> = facts.nodes.values().map(|facts| facts.joined).collect();
        assert_eq!(joined, [false, true]);
    }

    #[test]
    fn a_site_says_who_should_report() {
        let nodes = vec![Node::new("a", &[]), Node::new("b", &[])];
        let draft = SiteDraft { name: "s".to_owned(), nodes, ..SiteDraft::default() };
        let site = Site::new(draft).unwrap();
        let seen = seen(&[row("a", "", 1, 1.0), row("stranger", "", 1, 1.0)]);
        let plan = implied_plan(&seen);
        let with = facts(&seen, Some(&site), &plan, Source::Tables);
        let joined: Vec<_> = with.nodes.iter().map(|(n, f)| (n.0.as_str(), f.joined)).collect();
        assert_eq!(joined, [("a", true), ("b", false)]);
        let without = facts(&seen, None, &plan, Source::Tables);
        let names: Vec<_> = without.nodes.keys().map(|n| n.0.as_str()).collect();
        assert_eq!(names, ["a", "stranger"]);
    }
}
