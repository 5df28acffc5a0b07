//! site.toml: the site graph as an operator writes it.

use std::net::IpAddr;
use std::path::Path;

use model::Site;
use model::site::{
    Domain, DomainKind, Link, NODES_MAX, Nic, Node, SiteDraft, SitePart, SiteProblem,
};

use crate::document::{Document, Table, text_of};
use crate::document_error::DocumentErrors;
use crate::hostlist;
use crate::nearest::nearest;

/// Reads a site file.
///
/// # Errors
/// Every problem of the document, with file, line and mend.
pub fn read(path: &Path) -> Result<Site, DocumentErrors> {
    let (file, text) = text_of(path)?;
    parse(&file, &text)
}

/// Reads a site from its text; `file` is what messages call it.
///
/// # Errors
/// Every problem of the document, with file, line and mend.
pub fn parse(file: &str, text: &str) -> Result<Site, DocumentErrors> {
    let document = Document::new(file, text);
    let tree = document.tree()?;
    let root = Table::root(&document, &tree);
    root.only(&["schema", "name", "domain", "link", "nodes"]);
    root.schema();
    root.need("name", "name = \"hall-b\"");
    let domains = root.tables("domain", "[[domain]]").unwrap_or_default();
    let links = root.tables("link", "[[link]]").unwrap_or_default();
    let nodes = root.tables("nodes", "[[nodes]]").unwrap_or_default();
    let mut draft = SiteDraft {
        name: root.text("name").unwrap_or_default(),
        domains: domains.iter().filter_map(domain).collect(),
        links: links.iter().filter_map(link).collect(),
        nodes: Vec::new(),
    };
    // Of each node, the table that it came from.
    let mut origins = Vec::new();
    for (position, table) in nodes.iter().enumerate() {
        // One over the limit is enough for the graph to refuse the whole.
        if draft.nodes.len() > NODES_MAX {
            break;
        }
        draft.nodes.extend(nodes_of(table).unwrap_or_default());
        origins.resize(draft.nodes.len(), position);
    }
    // A part that could not be read would only be missed by the rest.
    document.finish(Some(()))?;
    match Site::new(draft) {
        Ok(site) => Ok(site),
        Err(problems) => {
            let ids = ids_of(&domains);
            for problem in problems {
                if document.is_full() {
                    break;
                }
                let table = match problem.part {
                    SitePart::Whole => None,
                    SitePart::Domain(position) => domains.get(position),
                    SitePart::Link(position) => links.get(position),
                    SitePart::Node(position) => origins.get(position).and_then(|&at| nodes.get(at)),
                };
                report(table.unwrap_or(&root), &problem, &ids);
            }
            Err(document.errors())
        }
    }
}

/// Reports a problem of the graph at the line that caused it.
fn report(table: &Table<'_, '_>, problem: &SiteProblem, ids: &[String]) {
    let mut mend = problem.mend.clone();
    if let Some(unknown) = problem.what.strip_prefix("unknown domain \"") {
        let known: Vec<&str> = ids.iter().map(String::as_str).collect();
        if let Some(near) = nearest(unknown.trim_end_matches('"'), &known) {
            mend = format!("did you mean \"{near}\"?");
        }
    }
    table.wrong(problem.key.unwrap_or_default(), problem.what.clone(), mend);
}

fn ids_of(domains: &[Table<'_, '_>]) -> Vec<String> {
    domains.iter().filter_map(|domain| domain.text("id")).collect()
}

const DOMAIN_KEYS: [&str; 12] = [
    "kind",
    "id",
    "within",
    "side",
    "rating_kw",
    "continuous",
    "budget_kw",
    "ramp_kw_per_s",
    "volts",
    "amps",
    "phases",
    "addresses",
];

fn domain(table: &Table<'_, '_>) -> Option<Domain> {
    table.only(&DOMAIN_KEYS);
    table.need("kind", "kind = \"pdu\"");
    table.need("id", "id = \"pdu-a1\"");
    let within = table.texts("within").unwrap_or_default();
    let kind = domain_kind(table)?;
    Some(Domain {
        kind,
        id: table.text("id")?,
        within: within.into_iter().map(|at| at.value).collect(),
        side: table.text("side"),
        rating_kw: table.real("rating_kw"),
        continuous: table.real("continuous"),
        budget_kw: table.real("budget_kw"),
        ramp_kw_per_s: table.real("ramp_kw_per_s"),
        volts: table.real("volts"),
        amps: table.real("amps"),
        phases: table.whole("phases", 1..=3).and_then(|phases| u32::try_from(phases).ok()),
        addresses: addresses(table),
    })
}

/// Addresses as they are written by whoever answers from them.
fn addresses(table: &Table<'_, '_>) -> Vec<String> {
    let written = table.texts("addresses").unwrap_or_default();
    let read = written.into_iter().filter_map(|at| {
        let address = at.value.parse::<IpAddr>();
        if address.is_err() {
            let what = format!("\"{}\" is no IP address", at.value.escape_debug());
            table.document.add(&at.span, what, "write it as 10.0.0.1 or as fe80::1");
        }
        address.ok().map(|address| address.to_string())
    });
    read.collect()
}

fn domain_kind(table: &Table<'_, '_>) -> Option<DomainKind> {
    let at = table.text_at("kind")?;
    let kind = DomainKind::from_word(&at.value);
    if kind.is_none() {
        let words = DomainKind::ALL.map(DomainKind::word);
        let mend = match nearest(&at.value, &words) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => format!("use one of {}", words.join(", ")),
        };
        let what = format!("unknown domain kind \"{}\"", at.value.escape_debug());
        table.document.add(&at.span, what, mend);
    }
    kind
}

fn link(table: &Table<'_, '_>) -> Option<Link> {
    table.only(&["a", "b", "gbps", "count"]);
    table.need("a", "a = \"leaf-1\"");
    table.need("b", "b = \"spine-1\"");
    table.need("gbps", "gbps = 400");
    let count = table.whole("count", 1..=u64::from(u32::MAX)).unwrap_or(1);
    let gbps = table.real("gbps");
    Some(Link {
        a: table.text("a")?,
        b: table.text("b")?,
        gbps: gbps?,
        count: u32::try_from(count).unwrap_or(1),
    })
}

fn nodes_of(table: &Table<'_, '_>) -> Option<Vec<Node>> {
    table.only(&["names", "domains", "devices", "device_model", "max_kw", "nics"]);
    table.need("names", "names = \"gpu[001-008]\"");
    let domains = table.texts("domains").unwrap_or_default();
    let devices = table.whole("devices", 0..=u64::from(u32::MAX)).unwrap_or(1);
    let pattern = Node {
        name: String::new(),
        domains: domains.into_iter().map(|at| at.value).collect(),
        devices: u32::try_from(devices).unwrap_or(u32::MAX),
        device_model: table.text("device_model"),
        max_kw: table.real("max_kw"),
        nics: table.tables("nics", "nics").unwrap_or_default().iter().filter_map(nic).collect(),
    };
    let names = table.text_at("names")?;
    match hostlist::expand(&names.value) {
        Ok(names) => Some(names.into_iter().map(|name| Node { name, ..pattern.clone() }).collect()),
        Err(why) => {
            let what = format!("\"{}\" is no hostlist: {why}", names.value.escape_debug());
            table.document.add(&names.span, what, "write names such as gpu[001-008]");
            None
        }
    }
}

fn nic(table: &Table<'_, '_>) -> Option<Nic> {
    table.only(&["name", "leaf", "rail", "gbps"]);
    table.need("name", "name = \"mlx5_0\"");
    Some(Nic {
        leaf: table.text("leaf"),
        rail: table.text("rail"),
        gbps: table.real("gbps"),
        name: table.text("name")?,
    })
}

#[cfg(test)]
mod tests;
