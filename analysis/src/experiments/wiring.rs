//! Wiring: whose load a meter follows, held against the site file.
//!
//! Each group is pulsed by its own code. A meter's means, step by step, multiplied with a code
//! and summed up, give the kilowatts of that group in it, because codes are orthogonal and
//! without mean. Twice as many codes exist as there are groups: what the unused ones give is
//! the meter's noise.

use std::collections::BTreeSet;

use model::experiment::{Codes, ExperimentKind};
use model::finding::{Blame, Finding, FindingKind, Severity, Standing, Suspect};
use model::plan::Requirement;
use model::report::Measured;
use model::site::{DomainIx, Family, NodeIx, Site};

use super::study::{StepSeen, Study};
use crate::case::{Case, list};
use crate::diagnose::draft;
use crate::diagnose::not_measured::{Concern, Gap};
use crate::digest::meters::{Line, Quantity};
use crate::measured::line;

/// Begin of each step that is left out, as a share of it: ramps, and meters that lag.
const SETTLING: f64 = 0.3;
/// A group whose code gives less than this share of the strongest one's kilowatts is not in
/// the meter.
const IN_IT: f64 = 0.3;
/// And less than this many standard deviations of the unused codes' is chance: one code in
/// ten thousand of a Gaussian's lies beyond 4.
const BEYOND: f64 = 5.0;
/// Without as many unused codes a meter's noise is not known.
const UNUSED_LEAST: usize = 2;

/// What one meter follows.
struct Meter {
    domain: DomainIx,
    /// Kilowatts that each group's load moves it by.
    kw: Vec<f64>,
    noise_kw: f64,
    /// Groups that it follows, and those that the site hangs on it.
    follows: BTreeSet<usize>,
    drawn: BTreeSet<usize>,
}

/// Which group follows which code: that of its place.
struct Coded<'a> {
    groups: &'a [(Vec<String>, BTreeSet<NodeIx>)],
    codes: Codes,
}

pub(super) fn measured(case: &Case) -> Vec<Measured> {
    let Some(site) = case.site else { return Vec::new() };
    let lines = meters(case, site).into_iter().flat_map(|(study, meters)| {
        meters.into_iter().filter_map(|meter| {
            let at = suspect(site, meter.domain);
            let own: f64 = meter.drawn.iter().map(|group| meter.kw[*group]).sum();
            let phase = Some(study.experiment.name.as_str());
            (!meter.drawn.is_empty()).then(|| line("wiring_kw", &at, phase, own, "kW"))
        })
    });
    lines.collect()
}

/// Meters that follow other groups than the site file says: a wrong record, no hardware.
pub(super) fn testify(case: &Case) -> Vec<Finding> {
    let Some(site) = case.site else { return Vec::new() };
    let mut found = Vec::new();
    for (study, meters) in meters(case, site) {
        let wrong: Vec<&Meter> =
            meters.iter().filter(|meter| meter.follows != meter.drawn).collect();
        let mut told = BTreeSet::new();
        for meter in &wrong {
            if !told.insert(meter.domain) {
                continue;
            }
            let twin = wrong.iter().find(|other| {
                other.domain != meter.domain
                    && other.follows == meter.drawn
                    && meter.follows == other.drawn
                    && !told.contains(&other.domain)
            });
            told.extend(twin.map(|twin| twin.domain));
            found.push(finding(site, study, meter, twin.copied()));
        }
    }
    found
}

/// What no meter said, and records that can't be believed.
pub(crate) fn gaps(case: &Case) -> Vec<Gap> {
    let Some(site) = case.site else { return Vec::new() };
    let mut gaps = Vec::new();
    for study in wirings(case) {
        let name = format!("wiring ({})", study.experiment.name);
        let read = read(case, site, study);
        if read.is_empty() {
            let why = "no meter of a power domain was read in enough of its steps";
            gaps.push(Gap::new(&name, why, Concern::Requiring(Requirement::Meters)));
        }
        let wrong = read.iter().filter(|meter| meter.follows != meter.drawn);
        let names: Vec<&str> = wrong.map(|meter| site.domain(meter.domain).id.as_str()).collect();
        if !names.is_empty() {
            let why = format!("recorded under another's name, or not at all: {}", list(&names));
            gaps.push(Gap::new("meters", why, Concern::Requiring(Requirement::Meters)));
        }
    }
    gaps
}

fn wirings<'a>(case: &'a Case) -> impl Iterator<Item = &'a Study> {
    case.studies.iter().filter(|study| study.experiment.kind == ExperimentKind::Wiring)
}

fn meters<'a>(case: &'a Case, site: &Site) -> Vec<(&'a Study, Vec<Meter>)> {
    wirings(case).map(|study| (study, read(case, site, study))).collect()
}

/// Every metered power domain that was read in all steps.
fn read(case: &Case, site: &Site, study: &Study) -> Vec<Meter> {
    let Some(coded) = coded(study) else { return Vec::new() };
    let spans: Option<Vec<(i64, i64)>> =
        study.steps.iter().map(|step| span(case, site, step)).collect();
    let Some(spans) = spans else { return Vec::new() };
    let of = |domain: DomainIx| {
        let id = &site.domain(domain).id;
        let trace = case.seen.meters.trace(id, Quantity::PowerKw, Line::Whole)?;
        let means: Option<Vec<f64>> =
            spans.iter().map(|(from, to)| trace.mean_between(*from, *to)).collect();
        meter(site, domain, &coded, &means?)
    };
    // The meter of a cooling unit is of its own pumps.
    let electric = |domain: &DomainIx| site.domain(*domain).kind.family() == Family::Power;
    site.domain_ixs().filter(electric).filter_map(of).collect()
}

/// The codes of an experiment whose steps are all there.
fn coded(study: &Study) -> Option<Coded<'_>> {
    let groups = study.groups.as_slice();
    let codes = study.experiment.codes(groups.len());
    (codes.steps() == study.steps.len()).then_some(Coded { groups, codes })
}

fn meter(site: &Site, domain: DomainIx, coded: &Coded, means: &[f64]) -> Option<Meter> {
    let steps = coded.codes.steps();
    let kw_of = |code: usize| {
        let each = means.iter().enumerate().map(|(at, kw)| coded.codes.sign(code, at) * kw);
        2.0 * each.sum::<f64>() / steps as f64
    };
    let kw: Vec<f64> = (0..coded.groups.len()).map(kw_of).collect();
    let unused: Vec<f64> = (coded.groups.len()..steps - 1).map(kw_of).collect();
    if unused.len() < UNUSED_LEAST {
        return None;
    }
    let square: f64 = unused.iter().map(|kw| kw * kw).sum();
    let noise_kw = (square / unused.len() as f64).sqrt();
    let most = kw.iter().copied().fold(0.0, f64::max);
    let follows = |group: &usize| kw[*group] >= IN_IT * most && kw[*group] > BEYOND * noise_kw;
    let members = site.members(domain);
    let drawn = |group: &usize| coded.groups[*group].1.iter().any(|node| members.contains(node));
    let all = 0..coded.groups.len();
    Some(Meter {
        domain,
        noise_kw,
        follows: all.clone().filter(follows).collect(),
        drawn: all.filter(drawn).collect(),
        kw,
    })
}

/// When a step ran, by the samples that were taken in it, without its beginning.
fn span(case: &Case, site: &Site, step: &StepSeen) -> Option<(i64, i64)> {
    let known = |node: &str| site.node_ix(node).is_some();
    let devices = case.seen.telemetry.devices().filter(|(key, _)| known(&key.node));
    let cells = devices.flat_map(|(_, cells)| cells);
    let spans = cells.filter(|(key, _)| key.phase == step.phase).filter_map(|(_, c)| c.span_ns());
    let (from, to) = spans.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))?;
    let settling = (to.saturating_sub(from) as f64 * SETTLING) as i64;
    Some((from + settling, to))
}

fn suspect(site: &Site, domain: DomainIx) -> Suspect {
    Suspect::new(site.domain(domain).kind.word(), site.domain(domain).id.clone())
}

fn finding(site: &Site, study: &Study, meter: &Meter, twin: Option<&Meter>) -> Finding {
    let graded = (Standing::Confirmed, Severity::Minor);
    let own = suspect(site, meter.domain);
    let mut finding = draft(FindingKind::Instrument, Blame::Instrument, graded, own.clone());
    let group = |at: &usize| study.groups[*at].0.join(" and ");
    let names = |these: &BTreeSet<usize>| match these.is_empty() {
        true => "nobody".to_owned(),
        false => list(these.iter().map(group)),
    };
    let told = |meter: &Meter| {
        let kw: f64 = meter.follows.iter().map(|group| meter.kw[*group]).sum();
        format!(
            "experiment {}: the meter of {} follows the load of {} by {kw:.1} kW (noise {:.2} \
             kW); the site hangs {} on it",
            study.experiment.name,
            site.domain(meter.domain).id,
            names(&meter.follows),
            meter.noise_kw,
            names(&meter.drawn),
        )
    };
    finding.evidence = vec![told(meter)];
    match twin {
        Some(twin) => {
            let other = suspect(site, twin.domain);
            finding
                .evidence
                .insert(0, format!("the records of {} and {} are swapped", own.id, other.id));
            finding.evidence.push(told(twin));
            finding.cannot_exclude = vec![other];
            finding.action =
                "exchange the two in the meters' list, or the cords; no hardware is blamed".into();
        }
        None => {
            finding.action = format!(
                "find out what the meter recorded as {} measures, or where its nodes' cords go",
                own.id
            );
        }
    }
    finding.next_experiment = Some("the same wiring phase, after the record is mended".to_owned());
    finding
}
