//! What several parts that show the same hang from: their common source is the suspect,
//! not each of them.

use std::collections::{BTreeMap, BTreeSet};

use model::site::{DomainIx, Site};

/// Share of a source's metered parts that must show it.
const COVERAGE: f64 = 0.8;
/// One part alone is its own suspect.
const PARTS_LEAST: usize = 2;

/// Suspects with the parts that show it: sources of several first come together, the rest
/// stand for themselves. `known` are all parts whose meters could have shown it.
pub(super) fn sources(
    site: &Site,
    hits: &BTreeSet<DomainIx>,
    known: &BTreeSet<DomainIx>,
) -> BTreeMap<DomainIx, Vec<DomainIx>> {
    let mut left = hits.clone();
    let mut found: BTreeMap<DomainIx, Vec<DomainIx>> = BTreeMap::new();
    while let Some((source, parts)) = best(site, &left, hits, known) {
        left.retain(|part| !parts.contains(part));
        found.insert(source, parts);
    }
    found.extend(left.into_iter().map(|part| (part, vec![part])));
    found
}

/// The source that explains the most of what is left; of equals the nearest to its parts.
fn best(
    site: &Site,
    left: &BTreeSet<DomainIx>,
    hits: &BTreeSet<DomainIx>,
    known: &BTreeSet<DomainIx>,
) -> Option<(DomainIx, Vec<DomainIx>)> {
    let family = |ix: DomainIx| site.domain(ix).kind.family();
    let candidates: BTreeSet<DomainIx> = left
        .iter()
        .flat_map(|part| site.above(*part).iter().filter(|above| family(**above) == family(*part)))
        .copied()
        .collect();
    let hangs = |part: &DomainIx, source: DomainIx| site.above(*part).contains(&source);
    let explained = candidates.into_iter().filter_map(|source| {
        let all = known.iter().filter(|part| hangs(part, source)).count();
        let hit = hits.iter().filter(|part| hangs(part, source)).count();
        let parts: Vec<DomainIx> = left.iter().copied().filter(|p| hangs(p, source)).collect();
        let enough = parts.len() >= PARTS_LEAST && hit as f64 >= COVERAGE * all as f64;
        enough.then_some((source, parts))
    });
    // Fewest levels above it last: the farthest from the building's entry wins a tie.
    explained.max_by_key(|(source, parts)| {
        (parts.len(), site.above(*source).len(), std::cmp::Reverse(*source))
    })
}
