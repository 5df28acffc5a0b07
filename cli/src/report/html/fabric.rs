//! The network: round trips from leaf to leaf, and how they spread under load.

use std::collections::BTreeMap;

use analysis::Evidence;
use analysis::digest::fabric::LatencyKey;
use maud::{Markup, html};
use model::site::DomainKind;
use model::{LatencyHistogram, Site};

use super::svg::{LEFT, RIGHT, Scale, WIDTH, c};
use crate::report::dossier::Dossier;
use crate::report::text::line::number;

/// Most places of a matrix that fits a page.
const PLACES_MAX: usize = 16;
/// Values of the first bar end here, in ns; each next bar is half as wide again.
const FIRST_NS: u64 = 1_000;
const GROWTH: f64 = 1.5;
const HEIGHT: f64 = 150.0;

/// Round trips between two places, idle and loaded.
#[derive(Default)]
struct Between {
    idle: LatencyHistogram,
    loaded: LatencyHistogram,
}

pub(super) fn matrix(dossier: &Dossier) -> Markup {
    let site = dossier.site.as_ref();
    let between = dossier.evidence.as_ref().map(|seen| between(seen, site)).unwrap_or_default();
    let mut places: Vec<&String> = between.keys().flat_map(|(from, to)| [from, to]).collect();
    places.sort();
    places.dedup();
    html! {
        section {
            h2 { "Round trips, place by place" }
            @if between.is_empty() {
                p class="open" { "Not measured: no round trip is in the record." }
            } @else if places.len() > PLACES_MAX {
                p class="open" { "Not drawn: " (places.len()) " places; the CSV and hlog forms hold every pair." }
            } @else {
                table {
                    caption { "Median / 99th percentile in \u{b5}s; above idle, below under load; \u{2013} is not measured" }
                    thead { tr { th scope="col" { "from \\ to" } @for to in &places { th scope="col" { (to) } } } }
                    tbody {
                        @for from in &places {
                            tr {
                                th scope="row" { (from) }
                                @for to in &places { (cell(between.get(&((*from).clone(), (*to).clone())))) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn cell(between: Option<&Between>) -> Markup {
    let said = |histogram: &LatencyHistogram| {
        let us = |share| histogram.quantile_ns(share).map(|ns| number(ns as f64 / 1e3));
        match (us(0.5), us(0.99)) {
            (Some(middle), Some(high)) => format!("{middle} / {high}"),
            _ => "\u{2013}".to_owned(),
        }
    };
    match between {
        None => html! { td { "\u{2013}" } },
        Some(b) => html! { td { div { (said(&b.idle)) } div { (said(&b.loaded)) } } },
    }
}

/// By leaf where the site has them, else by node.
fn between(evidence: &Evidence, site: Option<&Site>) -> BTreeMap<(String, String), Between> {
    let place = |node: &str| {
        let leaf = site.and_then(|site| {
            let leaf = site.ancestors_of_kind(site.node_ix(node)?, DomainKind::Leaf).next()?;
            Some(site.domain(leaf).id.clone())
        });
        leaf.unwrap_or_else(|| node.to_owned())
    };
    let mut all: BTreeMap<(String, String), Between> = BTreeMap::new();
    for (key, seen) in &evidence.seen.latencies {
        if let LatencyKey::Pair { pair, loaded } = key {
            let both = all.entry((place(&pair.from.0), place(&pair.to.0))).or_default();
            let histogram = if *loaded { &mut both.loaded } else { &mut both.idle };
            histogram.merge(&seen.histogram);
        }
    }
    all
}

pub(super) fn latencies(dossier: &Dossier) -> Markup {
    let mut states = [LatencyHistogram::default(), LatencyHistogram::default()];
    let evidence = dossier.evidence.as_ref();
    for (key, seen) in evidence.into_iter().flat_map(|evidence| &evidence.seen.latencies) {
        if let LatencyKey::Phase { loaded, .. } = key {
            states[usize::from(*loaded)].merge(&seen.histogram);
        }
    }
    html! {
        section {
            h2 { "Round trips of the fleet" }
            @for (title, histogram) in ["idle", "under load"].iter().zip(&states) {
                (bars(title, histogram))
            }
        }
    }
}

fn bars(title: &str, histogram: &LatencyHistogram) -> Markup {
    let all = histogram.count();
    if all == 0 {
        return html! { p class="open" { "Round trips " (title) ": not measured." } };
    }
    let steps = histogram.counts().iter_log(FIRST_NS, GROWTH);
    let bins: Vec<(u64, u64)> = steps
        .map(|step| (step.value_iterated_to(), step.count_since_last_iteration()))
        .skip_while(|(_, count)| *count == 0)
        .collect();
    let most = bins.iter().map(|(_, count)| *count).max().unwrap_or(1);
    let x = Scale::new((0.0, bins.len() as f64), (LEFT, WIDTH - RIGHT));
    // Tails are what is looked for: a bar grows with the logarithm of its count.
    let height = |count: u64| 90.0 * ((count + 1) as f64).ln() / ((most + 1) as f64).ln();
    let every = bins.len().div_ceil(10);
    let title = format!("Round trips {title}: {all} probes");
    html! {
        figure style="margin:0" {
            figcaption { strong { (title) } " (height: logarithm of the count; below: upper edge in \u{b5}s)" }
            svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label=(title) {
                @for (index, (edge, count)) in bins.iter().enumerate() {
                    @let left = x.at(index as f64);
                    @let wide = (x.at(index as f64 + 1.0) - left - 2.0).max(1.0);
                    rect class="bar" x=(c(left)) width=(c(wide)) y=(c(115.0 - height(*count))) height=(c(height(*count))) {
                        title { (count) " up to " (number(*edge as f64 / 1e3)) " \u{b5}s" }
                    }
                    @if index % every == 0 {
                        text x=(c(left + wide / 2.0)) y="134" text-anchor="middle" { (number(*edge as f64 / 1e3)) }
                    }
                }
            }
        }
    }
}
