//! What the pairs could not say: never crossed is not tested, and not tested is not good.

use crate::case::{Case, list, plural};

use super::map::{Element, Map};
use super::table::Table;

/// Each thing that was not looked at, with the reason. Empty without pairs.
pub(crate) fn untested(case: &Case) -> Vec<(&'static str, String)> {
    let pairs = &case.seen.pairs;
    let mut lines = Vec::new();
    if pairs.refused() > 0 {
        let count = plural(pairs.refused(), "row");
        let why = format!("{count} without a rate, or without two different nodes");
        lines.push(("pairs", why));
    }
    if pairs.share_kept() < 1.0 {
        let percent = pairs.share_kept() * 100.0;
        lines.push(("pairs", format!("memory's bound: about {percent:.3} % of rounds were kept")));
    }
    if pairs.is_empty() {
        return lines;
    }
    let Some(site) = case.site else {
        lines.push(("fabric", "no site says what the pairs' nodes are plugged into".to_owned()));
        return lines;
    };
    let map = Map::new(site);
    let table = Table::new(&map, pairs);
    if !table.strangers.is_empty() {
        let why = format!("the site has no node {}", list(&table.strangers));
        lines.push(("fabric", why));
    }
    if table.alone > 0 {
        let count = plural(table.alone as u64, "transfer");
        lines.push(("fabric", format!("{count} without enough others to be compared with")));
    }
    lines.extend(links(&map, &table));
    lines
}

/// Links that no compared flow is known to have crossed.
fn links(map: &Map, table: &Table) -> Option<(&'static str, String)> {
    let crossed = |element: &Element| {
        let found = table.elements.binary_search(element);
        found.is_ok_and(|at| !table.columns.rows(at).is_empty())
    };
    let untouched: Vec<Element> =
        map.declared().into_iter().filter(|element| !crossed(element)).collect();
    if untouched.is_empty() {
        return None;
    }
    let unknown = table.elements.iter().any(|e| matches!(e, Element::LeafUp(_)));
    let names = list(untouched.iter().map(|e| super::name::suspect(map.site, *e).id));
    let why = if unknown {
        format!(
            "paths are not in the table, so {} were tested at most as one of their switch: {names}",
            plural(untouched.len() as u64, "directed link")
        )
    } else {
        format!("no transfer crossed {}: {names}", plural(untouched.len() as u64, "directed link"))
    };
    Some(("fabric_links", why))
}
