//! How like devices differ: power and thermal resistance, domain by domain.

use std::collections::BTreeMap;

use maud::{Markup, html};
use model::site::{DomainKind, Family};
use model::{Metric, Site};

use super::svg::{RIGHT, Scale, WIDTH, below, c, range};
use crate::report::dossier::Dossier;
use crate::report::text::line::number;

/// Domains of one drawing: what a page holds.
const SHOWN: usize = 40;
/// Height of one domain's line, and room for its name.
const LINE: f64 = 22.0;
const NAMES: f64 = 170.0;
/// Room for how many devices there are, behind the widest box.
const COUNTS: f64 = 70.0;

/// Values by node.
type Values = Vec<(String, f64)>;

pub(super) fn distributions(dossier: &Dossier) -> Markup {
    html! {
        section {
            h2 { "How like devices differ, by domain" }
            p { "Box: the middle half; thick line: the median; thin line: least to most." }
            (of("Power under the heaviest phase, W a device", &power(dossier), dossier, Family::Power))
            (of("Thermal resistance, K/W a device", &resistance(dossier), dossier, Family::Cooling))
        }
    }
}

/// Each device's highest median of any phase.
fn power(dossier: &Dossier) -> Values {
    let Some(evidence) = &dossier.evidence else { return Vec::new() };
    let devices = evidence.seen.telemetry.devices();
    devices
        .filter_map(|(key, cells)| {
            let medians = cells.values().filter_map(|cell| cell.median(Metric::PowerW));
            Some((key.node.clone(), medians.reduce(f64::max)?))
        })
        .collect()
}

fn resistance(dossier: &Dossier) -> Values {
    let lines = dossier.report.measured.iter();
    lines
        .filter(|line| line.what == "r_th_k_per_w" && line.at.kind == "device")
        .map(|line| {
            let id = line.at.id.as_str();
            let node = id.rsplit_once('/').map_or(id, |(node, _)| node);
            (node.to_owned(), line.value)
        })
        .collect()
}

fn of(title: &str, values: &[(String, f64)], dossier: &Dossier, family: Family) -> Markup {
    let Some(span) = range(values.iter().map(|(_, value)| *value)) else {
        return html! { p class="open" { (title) ": not measured." } };
    };
    let groups = grouped(values, dossier.site.as_ref(), family);
    let shown = groups.len().min(SHOWN);
    let height = LINE * shown as f64 + 40.0;
    let x = Scale::new(span, (NAMES, WIDTH - RIGHT - COUNTS));
    html! {
        figure style="margin:0" {
            figcaption {
                strong { (title) }
                @if groups.len() > shown { " (the first " (shown) " of " (groups.len()) " domains)" }
            }
            svg viewBox=(format!("0 0 {WIDTH} {height}")) role="img" aria-label=(title) {
                @for (index, (name, values)) in groups.iter().take(shown).enumerate() {
                    (strip(name, values, &x, LINE * (index as f64 + 0.5) + 6.0))
                }
                (below(&x, height - 12.0, number))
            }
        }
    }
}

/// By the innermost kind of the family that the site has; else all together.
fn grouped(
    values: &[(String, f64)],
    site: Option<&Site>,
    family: Family,
) -> Vec<(String, Vec<f64>)> {
    let mut groups: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for (node, value) in values {
        for name in domains(site, node, family) {
            groups.entry(name).or_default().push(*value);
        }
    }
    for values in groups.values_mut() {
        values.sort_by(f64::total_cmp);
    }
    groups.into_iter().collect()
}

fn domains(site: Option<&Site>, node: &str, family: Family) -> Vec<String> {
    let kinds = match family {
        Family::Power => [DomainKind::Pdu, DomainKind::PowerShelf, DomainKind::Rack],
        _ => [DomainKind::Loop, DomainKind::AirZone, DomainKind::Rack],
    };
    let placed = site.and_then(|site| Some((site, site.node_ix(node)?)));
    let Some((site, node)) = placed else { return vec!["all devices".to_owned()] };
    for kind in kinds {
        let found: Vec<String> = site
            .ancestors_of_kind(node, kind)
            .map(|domain| format!("{} {}", kind.word(), site.domain(domain).id))
            .collect();
        if !found.is_empty() {
            return found;
        }
    }
    vec!["in no such domain".to_owned()]
}

fn strip(name: &str, sorted: &[f64], x: &Scale, y: f64) -> Markup {
    let at = |share: f64| {
        let index = (share * (sorted.len() - 1) as f64).round() as usize;
        x.at(sorted[index])
    };
    let [least, low, middle, high, most] = [0.0, 0.25, 0.5, 0.75, 1.0].map(at);
    html! {
        text x=(c(NAMES - 10.0)) y=(c(y + 4.0)) text-anchor="end" { (name) }
        line class="axis" x1=(c(least)) x2=(c(most)) y1=(c(y)) y2=(c(y)) {}
        rect class="box" x=(c(low)) y=(c(y - 6.0)) width=(c((high - low).max(1.0))) height="12" {}
        line class="line" x1=(c(middle)) x2=(c(middle)) y1=(c(y - 7.0)) y2=(c(y + 7.0)) {}
        text x=(c(WIDTH - RIGHT)) y=(c(y + 4.0)) text-anchor="end" { "n=" (sorted.len()) }
    }
}
