//! Round trips from leaf to leaf: what a table of a thousand pairs hides.

use std::collections::BTreeMap;

use model::NodeName;
use model::finding::Suspect;
use model::report::Measured;
use model::site::{DomainKind, Site};

use super::fabric::state;
use crate::case::Case;
use crate::digest::fabric::LatencyEvidence;

/// Percentiles of every ordered pair of leaves, idle and loaded apart; silent where the site
/// doesn't say which leaf a node hangs on, and where there is but one.
pub(super) fn measured(case: &Case) -> Vec<Measured> {
    let Some(site) = case.site else { return Vec::new() };
    if site.of_kind(DomainKind::Leaf).count() < 2 {
        return Vec::new();
    }
    let mut leaves: BTreeMap<(String, bool), LatencyEvidence> = BTreeMap::new();
    for (pair, loaded, seen) in case.round_trips() {
        let ends = leaf(site, &pair.from).zip(leaf(site, &pair.to));
        let Some((from, to)) = ends else { continue };
        let sum = leaves.entry((format!("{from}>{to}"), loaded)).or_default();
        sum.histogram.merge(&seen.histogram);
        sum.lost = sum.lost.saturating_add(seen.lost);
    }
    let lines = leaves.iter().flat_map(|((id, loaded), seen)| {
        state(*loaded, &Suspect::new("leaf_pair", id.clone()), None, seen)
    });
    lines.collect()
}

/// The one leaf that a node hangs on.
fn leaf<'a>(site: &'a Site, node: &NodeName) -> Option<&'a str> {
    let mut leaves = site.ancestors_of_kind(site.node_ix(&node.0)?, DomainKind::Leaf);
    let first = leaves.next()?;
    leaves.next().is_none().then(|| site.domain(first).id.as_str())
}
