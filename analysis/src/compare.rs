//! Two runs held against each other: what drifted, which findings are new, which are gone.
//!
//! Every figure that both measured at the same place in the same phase has a drift. The
//! fleet's is the middle of its devices'; a device or domain is told by how far it drifted
//! from that, so that a warmer day is not everybody's fault.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use model::Site;
use model::finding::{Finding, Suspect, Verdict};
use model::report::{Measured, Report, RunHeader};

use crate::middle::median;

/// The schema word of the JSON form.
pub const SCHEMA: &str = "loadbank.compare/1";

/// What is different between two runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    pub schema: String,
    pub older: Side,
    pub newer: Side,
    /// The newer run's.
    pub exit_code: u8,
    /// Why the two are not quite alike, one line each.
    pub cautions: Vec<String>,
    pub new_findings: Vec<Finding>,
    pub gone_findings: Vec<Finding>,
    /// Findings of both, as the newer run tells them.
    pub lasting_findings: Vec<Finding>,
    /// Of the whole fleet, by figure and phase.
    pub fleet: Vec<Drift>,
    /// Of each domain, the furthest from the fleet first; empty without a site.
    pub domains: Vec<Drift>,
    /// Of each device and every other place, the furthest from the fleet first.
    pub places: Vec<Drift>,
    /// Figures that only one of the two measured.
    pub only_older: u32,
    pub only_newer: u32,
}

/// One of the two runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Side {
    pub run: RunHeader,
    pub verdict: Verdict,
}

/// How one figure moved at one place.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Drift {
    pub what: String,
    #[serde(rename = "where")]
    pub at: Suspect,
    pub phase: Option<String>,
    pub unit: String,
    pub older: f64,
    pub newer: f64,
    /// Newer minus older.
    pub absolute: f64,
    /// As a share of the older value; null where that is 0.
    pub relative: Option<f64>,
    /// How far the relative drift lies from the fleet's; null where either has none.
    pub beside_fleet: Option<f64>,
}

/// Compares two runs; `site` says which nodes share what.
#[must_use]
pub fn compare(older: &Report, newer: &Report, site: Option<&Site>) -> Comparison {
    let (before, after) = (figures(older), figures(newer));
    let mut places: Vec<Drift> =
        before.iter().filter_map(|(key, old)| Some(drift(old, after.get(key)?))).collect();
    let fleet = fleet(&places);
    beside(&mut places, &fleet);
    let mut domains = site.map(|site| domains(site, &places)).unwrap_or_default();
    beside(&mut domains, &fleet);
    let both = before.keys().filter(|key| after.contains_key(*key)).count();
    let lasts =
        |finding: &&Finding, other: &Report| other.findings.iter().any(|f| same(f, finding));
    let of = |report: &Report, other: &Report, lasting: bool| -> Vec<Finding> {
        let findings = report.findings.iter().filter(|f| lasts(f, other) == lasting);
        findings.cloned().collect()
    };
    Comparison {
        schema: SCHEMA.to_owned(),
        older: Side { run: older.run.clone(), verdict: older.verdict },
        newer: Side { run: newer.run.clone(), verdict: newer.verdict },
        exit_code: newer.exit_code,
        cautions: cautions(older, newer),
        new_findings: of(newer, older, false),
        gone_findings: of(older, newer, false),
        lasting_findings: of(newer, older, true),
        fleet,
        domains,
        places,
        only_older: u32::try_from(before.len() - both).unwrap_or(u32::MAX),
        only_newer: u32::try_from(after.len() - both).unwrap_or(u32::MAX),
    }
}

type Key<'a> = (&'a str, &'a Suspect, Option<&'a str>);

/// Every figure by name, place and phase; a figure that is there twice counts once.
fn figures(report: &Report) -> BTreeMap<Key<'_>, &Measured> {
    let key = |line| -> Key { key_of(line) };
    report.measured.iter().map(|line| (key(line), line)).collect()
}

fn key_of(line: &Measured) -> Key<'_> {
    (&line.what, &line.at, line.phase.as_deref())
}

fn drift(older: &Measured, newer: &Measured) -> Drift {
    let absolute = newer.value - older.value;
    Drift {
        what: newer.what.clone(),
        at: newer.at.clone(),
        phase: newer.phase.clone(),
        unit: newer.unit.clone(),
        older: older.value,
        newer: newer.value,
        absolute,
        relative: share(absolute, older.value),
        beside_fleet: None,
    }
}

fn share(absolute: f64, of: f64) -> Option<f64> {
    (of != 0.0).then(|| absolute / of.abs()).filter(|share| share.is_finite())
}

/// The same kind of thing at the same place.
fn same(a: &Finding, b: &Finding) -> bool {
    a.kind == b.kind && a.suspect == b.suspect
}

/// The middle of the devices' drifts, by figure and phase.
fn fleet(places: &[Drift]) -> Vec<Drift> {
    let mut figures: BTreeMap<(&str, Option<&str>), Vec<&Drift>> = BTreeMap::new();
    for drift in places.iter().filter(|drift| drift.at.kind == "device") {
        figures.entry((&drift.what, drift.phase.as_deref())).or_default().push(drift);
    }
    let all = Suspect::new("fleet", "all");
    figures.into_values().filter_map(|drifts| middle(&all, &drifts)).collect()
}

/// One drift that stands for several of one figure.
fn middle(at: &Suspect, drifts: &[&Drift]) -> Option<Drift> {
    let of = |pick: fn(&Drift) -> f64| median(&drifts.iter().map(|d| pick(d)).collect::<Vec<_>>());
    let first = drifts.first()?;
    let relatives: Vec<f64> = drifts.iter().filter_map(|drift| drift.relative).collect();
    Some(Drift {
        what: first.what.clone(),
        at: at.clone(),
        phase: first.phase.clone(),
        unit: first.unit.clone(),
        older: of(|drift| drift.older)?,
        newer: of(|drift| drift.newer)?,
        absolute: of(|drift| drift.absolute)?,
        relative: median(&relatives),
        beside_fleet: None,
    })
}

/// Drifts of domains: the middle of their nodes', each the middle of its devices'.
fn domains(site: &Site, places: &[Drift]) -> Vec<Drift> {
    type Figure<'a> = (&'a str, Option<&'a str>);
    let mut nodes: BTreeMap<Figure, BTreeMap<&str, Vec<&Drift>>> = BTreeMap::new();
    for drift in places.iter().filter(|drift| drift.at.kind == "device") {
        if let Some((node, _)) = drift.at.id.rsplit_once('/') {
            let figure = nodes.entry((&drift.what, drift.phase.as_deref())).or_default();
            figure.entry(node).or_default().push(drift);
        }
    }
    let mut drifts = Vec::new();
    for by_node in nodes.into_values() {
        let one = |(node, drifts): (&str, Vec<&Drift>)| {
            Some((site.node_ix(node)?, middle(&Suspect::new("node", node), &drifts)?))
        };
        let by_node: BTreeMap<_, _> = by_node.into_iter().filter_map(one).collect();
        for domain in site.domain_ixs() {
            let members: Vec<&Drift> =
                site.members(domain).iter().filter_map(|node| by_node.get(node)).collect();
            let at = site.domain(domain);
            drifts.extend(middle(&Suspect::new(at.kind.word(), at.id.clone()), &members));
        }
    }
    drifts
}

/// Fills in the distance from the fleet, the furthest first; what has none comes last.
fn beside(drifts: &mut [Drift], fleet: &[Drift]) {
    let fleet: BTreeMap<(&str, Option<&str>), Option<f64>> =
        fleet.iter().map(|d| ((d.what.as_str(), d.phase.as_deref()), d.relative)).collect();
    for drift in drifts.iter_mut() {
        let all = fleet.get(&(drift.what.as_str(), drift.phase.as_deref())).copied().flatten();
        drift.beside_fleet = drift.relative.zip(all).map(|(own, all)| own - all);
    }
    let distance = |drift: &Drift| drift.beside_fleet.map_or(-1.0, f64::abs);
    drifts.sort_by(|a, b| {
        let names = (&a.what, &a.at, &a.phase).cmp(&(&b.what, &b.at, &b.phase));
        distance(b).total_cmp(&distance(a)).then(names)
    });
}

fn cautions(older: &Report, newer: &Report) -> Vec<String> {
    let mut lines = Vec::new();
    let (a, b) = (&older.run, &newer.run);
    if a.plan != b.plan {
        lines.push(format!("the plans differ: {} and {}", a.plan, b.plan));
    }
    if a.site != b.site {
        lines.push("the sites differ".to_owned());
    }
    if a.simulated != b.simulated {
        lines.push("one of the two is a rehearsal".to_owned());
    }
    let phases = |report: &Report| -> BTreeSet<String> {
        report.measured.iter().filter_map(|line| line.phase.clone()).collect()
    };
    if a.plan == b.plan && phases(older) != phases(newer) {
        lines.push("one of the two measured phases that the other did not".to_owned());
    }
    lines
}

#[cfg(test)]
mod tests {
    use model::plan::Plan;
    use model::policy::Policy;
    use model::site::{Domain, DomainKind, Node, SiteDraft};
    use model::{SampleColumns, SampleRow, Source};

    use super::*;
    use crate::{Digest, Terms, judge, tables};

    fn site() -> Site {
        let mut draft = SiteDraft { name: "s".to_owned(), ..SiteDraft::default() };
        draft.domains =
            vec![Domain::new(DomainKind::Rack, "r1"), Domain::new(DomainKind::Rack, "r2")];
        draft.nodes = (0..6)
            .map(|at| Node::new(format!("n{at}"), &[if at < 3 { "r1" } else { "r2" }]))
            .collect();
        Site::new(draft).unwrap()
    }

    fn report(temp_c: impl Fn(usize) -> f64) -> Report {
        let row = |node: usize| SampleRow {
            time_ns: 1_000_000_000,
            node: format!("n{node}"),
            temp_c: Some(temp_c(node)),
            ..SampleRow::default()
        };
        let rows: Vec<SampleRow> = (0..6).map(row).collect();
        let mut digest = Digest::new(&tables::unwritten_plan());
        digest.add_samples(&SampleColumns::from_rows(&rows));
        let mut evidence = digest.finish(model::RunFacts::default());
        let plan: Plan = tables::implied_plan(&evidence.seen);
        let site = site();
        evidence.facts = tables::facts(&evidence.seen, Some(&site), &plan, Source::Tables);
        let policy = Policy::default();
        judge(&Terms { plan: &plan, site: Some(&site), policy: &policy }, &evidence)
    }

    #[test]
    fn a_domain_that_drifted_unlike_the_fleet_comes_first() {
        let older = report(|_| 50.0);
        let newer = report(|node| if node < 3 { 60.0 } else { 51.0 });
        let comparison = compare(&older, &newer, Some(&site()));
        let fleet = comparison.fleet.iter().find(|drift| drift.what == "temp_c_p50").unwrap();
        assert!((fleet.absolute - 5.5).abs() < 1e-9, "{fleet:?}");
        let rack = comparison.domains.iter().find(|drift| drift.what == "temp_c_p50").unwrap();
        assert_eq!(rack.absolute, if rack.at.id == "r1" { 10.0 } else { 1.0 });
        assert!((rack.beside_fleet.unwrap().abs() - 0.09).abs() < 1e-9, "{rack:?}");
        assert_eq!((comparison.only_older, comparison.only_newer), (0, 0));
    }

    #[test]
    fn a_run_beside_itself_has_no_drift_and_no_new_finding() {
        let report = report(|node| 50.0 + node as f64);
        let comparison = compare(&report, &report, None);
        assert!(comparison.places.iter().all(|drift| drift.absolute == 0.0));
        assert!(!comparison.places.is_empty() && comparison.domains.is_empty());
        assert_eq!((comparison.new_findings.len(), comparison.gone_findings.len()), (0, 0));
        assert_eq!(comparison.lasting_findings, report.findings);
        assert_eq!(comparison.cautions, Vec::<String>::new());
    }

    #[test]
    fn a_figure_of_zero_has_no_relative_drift() {
        let comparison = compare(&report(|_| 0.0), &report(|_| 2.0), None);
        assert!(comparison.places.iter().all(|drift| drift.relative.is_none()));
    }
}
