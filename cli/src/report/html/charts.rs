//! Power and temperature over time, with the steps of the plan.

use std::collections::BTreeMap;

use analysis::Evidence;
use maud::{Markup, html};
use model::Metric;

use super::course::Course;
use super::svg::{LEFT, RIGHT, Scale, WIDTH, below, c, levels, polyline, range};
use crate::report::dossier::Dossier;

/// Height of a drawing, and of its plot.
const HEIGHT: f64 = 260.0;
const PLOT: (f64, f64) = (225.0, 26.0);
/// Nanoseconds of a second.
const NS_PER_S: i64 = 1_000_000_000;

pub(super) fn power_and_temperature(dossier: &Dossier) -> Markup {
    let Some(evidence) = &dossier.evidence else { return absent() };
    let power = Course::of(evidence, Metric::PowerW, |_| true);
    let temperature = Course::of(evidence, Metric::TempC, |_| true);
    let steps = steps(evidence);
    let kw: Vec<_> = power.whole().map(|(at, moment)| (at, moment.sum / 1e3)).collect();
    let hottest: Vec<_> =
        temperature.whole().filter_map(|(at, moment)| Some((at, moment.most?))).collect();
    html! {
        section {
            h2 { "Power and temperature over time" }
            (chart("Power of all devices together, kW", &kw, power.bin_s, &steps))
            (chart("Hottest device, \u{b0}C", &hottest, temperature.bin_s, &steps))
            @if !steps.is_empty() {
                p {
                    "Steps: "
                    @for (index, (_, phase)) in steps.iter().enumerate() { (index + 1) "\u{a0}" (phase) "; " }
                    "along the bottom: minutes since the first sample. Means over bins; instants at which "
                    "less than nine tenths of the devices spoke are left out. By the devices' own sensors, which is "
                    "less than the nodes draw at the wall."
                }
            }
        }
    }
}

fn absent() -> Markup {
    html! {
        section {
            h2 { "Power and temperature over time" }
            p class="open" { "Not drawn: the records are not at hand; print this where the run's folder is." }
        }
    }
}

/// When each phase was first felt, in seconds since the Unix epoch.
fn steps(evidence: &Evidence) -> Vec<(i64, String)> {
    let mut first: BTreeMap<&str, i64> = BTreeMap::new();
    for (_, cells) in evidence.seen.telemetry.devices() {
        for (key, cell) in cells {
            if let Some((from_ns, _)) = cell.span_ns().filter(|_| !key.phase.is_empty()) {
                let from = from_ns.div_euclid(NS_PER_S);
                let kept = first.entry(&key.phase).or_insert(from);
                *kept = from.min(*kept);
            }
        }
    }
    let mut steps: Vec<_> = first.into_iter().map(|(phase, at)| (at, phase.to_owned())).collect();
    steps.sort();
    steps
}

fn chart(title: &str, points: &[(i64, f64)], bin_s: i64, steps: &[(i64, String)]) -> Markup {
    let times = points.iter().map(|(at, _)| *at as f64);
    let (Some(span), Some((_, most))) = (range(times), range(points.iter().map(|(_, v)| *v)))
    else {
        return html! { p class="open" { (title) ": not measured." } };
    };
    let x = Scale::new(span, (LEFT, WIDTH - RIGHT));
    let y = Scale::new((0.0, most.max(1e-3) * 1.05), PLOT);
    let line: Vec<_> = points.iter().map(|(at, value)| (x.at(*at as f64), y.at(*value))).collect();
    let minutes = |at: f64| format!("{:.0} min", (at - span.0) / 60.0);
    html! {
        figure style="margin:0" {
            figcaption { strong { (title) } " (a point is a mean over " (bin_s) " s)" }
            svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label=(title) {
                (levels(&y))
                @for (index, (at, _)) in steps.iter().enumerate() {
                    @let place = x.at((*at as f64).clamp(span.0, span.1));
                    line class="step" x1=(c(place)) x2=(c(place)) y1=(c(PLOT.0)) y2=(c(PLOT.1 - 8.0)) {}
                    text x=(c(place + 3.0)) y=(c(PLOT.1 - 10.0)) { (index + 1) }
                }
                (polyline(&line))
                (below(&x, PLOT.0 + 22.0, minutes))
            }
        }
    }
}
