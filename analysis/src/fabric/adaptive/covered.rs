//! What a leaf's flows have touched of its uplinks, and what they can't have.

use std::collections::{BTreeMap, BTreeSet};

use model::coverage::{all_used, flows_to_use_all, share_used};
use model::site::{DomainIx, Site};

use super::super::map::{Element, Map};
use crate::digest::pairs::Pairs;

/// Probability that a plan should touch all uplinks with.
const WANTED: f64 = 0.99;

/// One direction of one leaf.
#[derive(Debug, Clone, PartialEq)]
pub struct Covered {
    /// Id of the leaf.
    pub leaf: String,
    /// Whether bytes leave the leaf; else they come to it.
    pub out: bool,
    /// Switches that the site cables it to.
    pub uplinks: u32,
    /// Uplinks that a row says were crossed; `None` where some row does not say.
    pub touched: Option<Vec<String>>,
    /// Different five-tuples that crossed from or to another leaf.
    pub tuples: u32,
    /// Probability that all uplinks were touched, tuples being hashed evenly; exactly 0 or 1
    /// where paths are known.
    pub all_touched: f64,
    /// Share of the uplinks that were touched, or should be in the mean.
    pub share: f64,
    /// Tuples that would touch all with a probability of 0.99; `None` for a leaf without
    /// uplinks.
    pub wanted: Option<u32>,
}

/// Every direction of every leaf that the site has uplinks of, leaves in the site's order:
/// also those that nothing crossed.
#[must_use]
pub fn covered(site: &Site, pairs: &Pairs) -> Vec<Covered> {
    let map = Map::new(site);
    let mut seen: BTreeMap<(DomainIx, bool), Seen> = BTreeMap::new();
    for flow in pairs.flows() {
        let Some(route) = map.route(flow) else { continue };
        for element in route.elements {
            let (leaf, out, via) = match element {
                Element::LeafUp(leaf) => (leaf, true, None),
                Element::LeafDown(leaf) => (leaf, false, None),
                Element::Link(a, b) if map.is_leaf(a) => (a, true, Some(b)),
                Element::Link(a, b) if map.is_leaf(b) => (b, false, Some(a)),
                _ => continue,
            };
            let seen = seen.entry((leaf, out)).or_default();
            seen.tuples.insert((&flow.src, &flow.dst, flow.sport));
            seen.unknown |= via.is_none();
            seen.via.extend(via);
        }
    }
    let leaves =
        site.domain_ixs().filter(|leaf| map.is_leaf(*leaf) && !map.uplinks(*leaf).is_empty());
    let sides = leaves.flat_map(|leaf| [(leaf, true), (leaf, false)]);
    let none = Seen::default();
    sides.map(|side| written(&map, side, seen.get(&side).unwrap_or(&none))).collect()
}

#[derive(Default)]
struct Seen<'a> {
    tuples: BTreeSet<(&'a str, &'a str, Option<u32>)>,
    via: BTreeSet<DomainIx>,
    unknown: bool,
}

fn written(map: &Map, (leaf, out): (DomainIx, bool), seen: &Seen) -> Covered {
    let uplinks = map.uplinks(leaf).len() as u32;
    let tuples = seen.tuples.len() as u32;
    let known = map.uplinks(leaf).iter().filter(|(up, _)| seen.via.contains(up)).count() as u32;
    let name = |up: &DomainIx| map.site.domain(*up).id.clone();
    let (all_touched, share) = if seen.unknown {
        (all_used(uplinks, tuples), share_used(uplinks, tuples))
    } else {
        (f64::from(u8::from(known == uplinks)), f64::from(known) / f64::from(uplinks.max(1)))
    };
    Covered {
        leaf: map.site.domain(leaf).id.clone(),
        out,
        uplinks,
        touched: (!seen.unknown).then(|| seen.via.iter().map(name).collect()),
        tuples,
        all_touched,
        share,
        wanted: flows_to_use_all(uplinks, WANTED),
    }
}
