//! The floor: racks by row as the site file has them, nodes marked by what was found.

use std::collections::{BTreeMap, BTreeSet};

use maud::{Markup, html};
use model::finding::{Finding, Standing};
use model::site::{DomainKind, NodeIx};
use model::{NodeName, Site};

use crate::report::dossier::Dossier;

/// What the map says of a node.
struct Mark {
    class: &'static str,
    words: String,
}

pub(super) fn map(dossier: &Dossier) -> Markup {
    let Some(site) = &dossier.site else {
        return html! { section { h2 { "Floor" } p class="open" { "Not drawn: no site file is part of this record." } } };
    };
    let marks = marks(dossier, site);
    html! {
        section {
            h2 { "Floor" }
            p {
                "Each node stands in its rack. \u{201c}ok\u{201d}: nothing was found at it; a finding's number with ! is confirmed, "
                "with ? is on watch; \u{201c}silent\u{201d}: it did not report."
            }
            @for (row, racks) in rows(site) {
                h3 { (row) }
                div class="racks" {
                    @for (rack, nodes) in racks {
                        div class="rack" {
                            h4 { (rack) }
                            @for node in nodes {
                                div class=(format!("node {}", marks[&node].class)) {
                                    span { (site.node(node).name) }
                                    span { (marks[&node].words) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

type Racks = BTreeMap<String, Vec<NodeIx>>;

/// Rows with their racks with their nodes, by name.
fn rows(site: &Site) -> BTreeMap<String, Racks> {
    let place = |node: NodeIx, kind: DomainKind, none: &str| {
        let found = site.ancestors_of_kind(node, kind).next();
        found.map_or(none.to_owned(), |domain| site.domain(domain).id.clone())
    };
    let mut rows: BTreeMap<String, Racks> = BTreeMap::new();
    for node in site.node_ixs() {
        let row = place(node, DomainKind::Row, "in no row");
        let rack = place(node, DomainKind::Rack, "in no rack");
        rows.entry(row).or_default().entry(rack).or_default().push(node);
    }
    for nodes in rows.values_mut().flat_map(BTreeMap::values_mut) {
        nodes.sort_by_key(|node| &site.node(*node).name);
    }
    rows
}

fn marks(dossier: &Dossier, site: &Site) -> BTreeMap<NodeIx, Mark> {
    let mut found: BTreeMap<NodeIx, Vec<&Finding>> = BTreeMap::new();
    for finding in &dossier.report.findings {
        for node in blamed(site, finding) {
            found.entry(node).or_default().push(finding);
        }
    }
    let reporting = reporting(dossier);
    let mark = |node: NodeIx| {
        let findings = found.get(&node).map(Vec::as_slice).unwrap_or_default();
        let sign = |f: &Finding| if f.standing == Standing::Confirmed { "!" } else { "?" };
        let words: Vec<String> = findings.iter().map(|f| format!("{}{}", f.id, sign(f))).collect();
        let is_silent =
            reporting.as_ref().is_some_and(|names| !names.contains(site.node(node).name.as_str()));
        let confirmed = findings.iter().any(|f| f.standing == Standing::Confirmed);
        match (confirmed, findings.is_empty(), is_silent) {
            (true, ..) => Mark { class: "bad", words: words.join(" ") },
            (false, false, _) => Mark { class: "watch", words: words.join(" ") },
            (false, true, true) => Mark { class: "silent", words: "silent".to_owned() },
            (false, true, false) => Mark { class: "fine", words: "ok".to_owned() },
        }
    };
    site.node_ixs().map(|node| (node, mark(node))).collect()
}

/// Nodes of which anything was recorded; `None` when the records are not at hand.
fn reporting(dossier: &Dossier) -> Option<BTreeSet<String>> {
    let evidence = dossier.evidence.as_ref()?;
    let mut names: BTreeSet<String> =
        evidence.seen.nodes.keys().map(|NodeName(name)| name.clone()).collect();
    names.extend(evidence.seen.telemetry.devices().map(|(key, _)| key.node.clone()));
    Some(names)
}

/// Nodes behind the suspect. Links and cuts are between switches: they mark no node.
fn blamed(site: &Site, finding: &Finding) -> Vec<NodeIx> {
    let id = finding.suspect.id.as_str();
    match finding.suspect.kind.as_str() {
        "link" | "cut" | "fleet" => Vec::new(),
        "node" => site.node_ix(id).into_iter().collect(),
        "device" | "nic" => {
            let node = id.split_once('/').map_or(id, |(node, _)| node);
            site.node_ix(node).into_iter().collect()
        }
        _ => site.domain_ix(id).map(|domain| site.members(domain).to_vec()).unwrap_or_default(),
    }
}
