//! Tables: gates, what held or released the load, how far domains were loaded, meters.

use std::collections::BTreeSet;

use analysis::digest::meters::{BINS_MAX, Line, Quantity};
use maud::{Markup, PreEscaped, html};
use model::report::{GateOutcome, Report};
use model::site::{DomainIx, Family, NodeIx};
use model::{Metric, Site};

use super::course::Course;
use crate::report::dossier::Dossier;
use crate::report::text::line::number;
use crate::report::words;

/// A domain counts as held where it has at least this share of the most that it reached.
const HELD: f64 = 0.9;
/// Narrowest bin of a meter, in seconds, a power of two: no peak of a second counts as a load.
const BIN_S: u64 = 64;

pub(super) fn gates(report: &Report) -> Markup {
    html! {
        section {
            h2 { "Gates" }
            @if report.gates.is_empty() { p class="open" { "The policy has none." } }
            @else {
                table {
                    caption { "Every limit of the policy against the worst value; what was not evaluated is no pass" }
                    thead { tr {
                        th scope="col" { "Check" } th scope="col" { "Gate" } th scope="col" { "Outcome" }
                        th scope="col" class="n" { "Worst" } th scope="col" class="n" { "Limit" }
                        th scope="col" { "Where, or why not" } th scope="col" { "Source of the limit" }
                    } }
                    tbody {
                        @for gate in &report.gates {
                            @let [check, name, outcome, worst, limit, at] = words::gate_cells(gate);
                            @let class = match gate.outcome {
                                GateOutcome::Pass => "pass",
                                GateOutcome::Fail => "fail",
                                GateOutcome::NotEvaluated => "open",
                            };
                            tr {
                                td { (check) }
                                td class="name" { @for part in name.split_inclusive('_') { (part) (PreEscaped("<wbr/>")) } }
                                td class=(class) { (outcome) }
                                td class="q" { (worst) } td class="q" { (limit) } td { (at) }
                                td { (gate.source.as_deref().unwrap_or("not given")) }
                            }
                        }
                    }
                }
            }
        }
    }
}

pub(super) fn releases(dossier: &Dossier) -> Markup {
    let facts = dossier.evidence.as_ref().map(|evidence| &evidence.facts);
    html! {
        section {
            h2 { "Permit and release" }
            @match facts {
                None => p class="open" { "Not known: the records are not at hand." },
                Some(facts) if facts.restraints.is_empty() => {
                    p class="open" { "The record has no permit, no staged release and nothing that held the load below the plan." }
                },
                Some(facts) => ul { @for line in &facts.restraints { li { (line) } } },
            }
            @if let Some(percent) = facts.and_then(|facts| facts.unreleased_percent) {
                p class="fail" { (percent) " % of the load was never released." }
            }
        }
    }
}

/// What one domain carried.
struct Carried {
    name: String,
    rating_kw: f64,
    by: &'static str,
    /// The most of any bin of time, in kW, and the seconds near that.
    load: Option<(f64, u64)>,
}

pub(super) fn design_load(dossier: &Dossier) -> Markup {
    let carried = dossier.site.as_ref().map(|site| carried(dossier, site)).unwrap_or_default();
    html! {
        section {
            h2 { "Share of the design load" }
            @if carried.is_empty() {
                p class="open" { "Not judged: no power or cooling domain with a rating is known." }
            } @else {
                table {
                    caption {
                        "By the domain's own meter where it was read; else the power of all devices below it by their "
                        "own sensors, however air and liquid shared its heat. Means over at least " (BIN_S) " s"
                    }
                    thead { tr {
                        th scope="col" { "Domain" } th scope="col" class="n" { "Rating, kW" }
                        th scope="col" class="n" { "Most, kW" } th scope="col" class="n" { "Share" }
                        th scope="col" class="n" { "Within 90 % of that, s" } th scope="col" { "By" }
                    } }
                    tbody {
                        @for row in &carried {
                            tr {
                                th scope="row" { (row.name) } td class="n" { (number(row.rating_kw)) }
                                @match row.load {
                                    Some((most, held)) => {
                                        td class="n" { (number(most)) }
                                        td class="n" { (format!("{:.0} %", most / row.rating_kw * 100.0)) }
                                        td class="n" { (held) }
                                    },
                                    None => td colspan="3" class="open" { "not measured" },
                                }
                                td { (row.by) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn carried(dossier: &Dossier, site: &Site) -> Vec<Carried> {
    let rated = site.domain_ixs().filter_map(|ix| {
        let domain = site.domain(ix);
        let carries = matches!(domain.kind.family(), Family::Power | Family::Cooling);
        Some((ix, domain, domain.rating_kw.filter(|kw| carries && *kw > 0.0)?))
    });
    rated
        .map(|(ix, domain, rating_kw)| {
            let (by, load) = load(dossier, site, ix);
            Carried { name: format!("{} {}", domain.kind.word(), domain.id), rating_kw, by, load }
        })
        .collect()
}

/// By what a domain's load is known, and the load.
fn load(dossier: &Dossier, site: &Site, ix: DomainIx) -> (&'static str, Option<(f64, u64)>) {
    let Some(evidence) = &dossier.evidence else { return ("the records are not at hand", None) };
    let domain = site.domain(ix);
    let meters = &evidence.seen.meters;
    if let Some(trace) = meters.trace(&domain.id, Quantity::PowerKw, Line::Whole) {
        // Never wider than the bins are: a trace has at most so many of them.
        let least_s = (trace.seconds() / BINS_MAX as f64).ceil() as u64;
        let bin_s = least_s.next_power_of_two().max(BIN_S);
        return ("its meter", held(&trace.means(BIN_S), bin_s));
    }
    // Nobody but a meter knows how two supplies of one node share its load.
    let shares = |node: &NodeIx| site.ancestors_of_kind(*node, domain.kind).count() > 1;
    if site.members(ix).iter().any(shares) {
        return ("no meter, and its nodes have other supplies of the kind", None);
    }
    let names: BTreeSet<&str> =
        site.members(ix).iter().map(|node| site.node(*node).name.as_str()).collect();
    let course = Course::of(evidence, Metric::PowerW, |node| names.contains(node));
    let kw: Vec<f64> = course.whole().map(|(_, moment)| moment.sum / 1e3).collect();
    ("its devices' sensors", held(&kw, course.bin_s.unsigned_abs()))
}

/// The most, in kW, and the seconds near it.
fn held(means: &[f64], bin_s: u64) -> Option<(f64, u64)> {
    let most = means.iter().copied().reduce(f64::max)?;
    let bins = means.iter().filter(|kw| **kw >= most * HELD).count() as u64;
    Some((most, bins * bin_s))
}

/// A meter's clock minus ours, as the load tells it.
fn clock(report: &Report, domain: &str) -> Markup {
    let told = |what: &str| {
        let mut lines = report.measured.iter();
        lines.find(|line| line.what == what && line.at.id == domain).map(|line| line.value)
    };
    html! {
        @match (told("meter_offset_s"), told("meter_offset_error_s")) {
            (Some(offset), Some(error)) => td { (format!("{offset:+.1} s \u{b1} {error:.1} s")) },
            _ => td class="open" { "not measured" },
        }
    }
}

pub(super) fn meters(dossier: &Dossier) -> Markup {
    let meters = dossier.evidence.as_ref().map(|evidence| &evidence.seen.meters);
    html! {
        section {
            h2 { "Meters" }
            @match meters.filter(|meters| !meters.is_empty()) {
                None => p class="open" { "Not measured: no meter of the building was read." },
                Some(meters) => {
                    table {
                        caption { "Calibration is not part of the record: fill in by hand. A power meter's clock is held against the load's own steps" }
                        thead { tr {
                            th scope="col" { "Domain" } th scope="col" { "Point" } th scope="col" class="n" { "Readings" }
                            th scope="col" class="n" { "Seconds" } th scope="col" class="n" { "Mean" }
                            th scope="col" { "Calibrated" } th scope="col" { "Clock offset" }
                        } }
                        tbody {
                            @for (domain, points) in meters.domains() {
                                @for (point, trace) in points {
                                    tr {
                                        th scope="row" { (domain) } td { (point.word()) } td class="n" { (trace.count()) }
                                        td class="n" { (number(trace.seconds())) }
                                        td class="n" { (trace.mean().map_or("not measured".to_owned(), number)) }
                                        td class="open" { "not known" } (clock(&dossier.report, domain))
                                    }
                                }
                            }
                        }
                    }
                    @for (why, count) in meters.refused() {
                        p class="open" { (count) " readings were not used: " (why.words()) "." }
                    }
                },
            }
        }
    }
}
