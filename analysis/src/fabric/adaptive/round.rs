//! The next round: flows through the sides of leaves where suspicion lies, each through one
//! only, so that every outcome separates; elsewhere fresh tuples over what was not seen.

use std::collections::{BTreeMap, BTreeSet};

use model::lot::Lot;
use model::site::{DomainIx, DomainKind, NodeIx};

use super::super::map::{Element, Hop, Map};
use super::belief::Book;
use super::{Sending, Terms};
use crate::digest::pairs::{Flow, Pairs};

/// Source ports begin where the kernel's ephemeral range does (IANA, RFC 6335).
const SPORT_FIRST: u16 = 49_152;
/// Ports of the ephemeral range.
const SPORTS: usize = 16_384;
/// Flows out of and into each leaf while nothing is suspected and paths are unknown: more
/// would collide so often that chance explains everything (docs/fabric-planning.md).
const SCREEN_UNKNOWN: usize = 2;
/// A side of a leaf with less probability than this is not asked.
const ASKED_LEAST: f64 = 0.02;
/// The same while nothing failed that a collision does not explain.
const ASKED_UNFAILED: f64 = 0.15;

/// Share of all doubt that tuples of known paths must reach to make a round of their own.
const PACKED_LEAST: f64 = 0.5;

/// One direction of a leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Side {
    leaf: DomainIx,
    out: bool,
}

/// A leaf and those of its nodes that take part.
struct Leaf {
    ix: DomainIx,
    nodes: Vec<NodeIx>,
}

/// A round that is being filled: every card sends once and receives once at most.
struct Draft<'a> {
    map: &'a Map<'a>,
    lot: Lot,
    used: BTreeSet<(String, String, u16)>,
    sends: BTreeSet<NodeIx>,
    hears: BTreeSet<NodeIx>,
    /// Flows out of and into each leaf.
    out: BTreeMap<DomainIx, usize>,
    into: BTreeMap<DomainIx, usize>,
    sendings: Vec<Sending>,
}

/// The round that follows `asked` others; empty where no two leaves of a pod have nodes.
pub(super) fn next(
    map: &Map,
    terms: &Terms,
    book: &Book,
    pairs: &Pairs,
    asked: u32,
) -> Vec<Sending> {
    let used = pairs.flows().filter_map(|flow| {
        let sport = u16::try_from(flow.sport?).ok()?;
        Some((flow.src.to_string(), flow.dst.to_string(), sport))
    });
    let mut draft = Draft {
        map,
        lot: Lot::new(terms.seed, u64::from(asked)),
        used: used.collect(),
        sends: BTreeSet::new(),
        hears: BTreeSet::new(),
        out: BTreeMap::new(),
        into: BTreeMap::new(),
        sendings: Vec::new(),
    };
    for leaves in pods(map, terms) {
        let failed = book.unexplained() > 0;
        let least = if failed { ASKED_LEAST } else { ASKED_UNFAILED };
        let sides = sides(map, book, &leaves, least);
        if sides.is_empty() {
            if !draft.pack(book, pairs, &leaves) {
                draft.screen(book, &leaves, terms);
            }
        } else {
            draft.repeat(book, pairs, &sides);
            sides.iter().for_each(|side| draft.ask(&leaves, *side, &sides));
            draft.fill(&leaves, &sides);
        }
    }
    draft.sendings
}

/// Leaves with nodes, pod by pod: a flow between pods would measure their cut as well.
fn pods(map: &Map, terms: &Terms) -> Vec<Vec<Leaf>> {
    let mut nodes: BTreeMap<DomainIx, Vec<NodeIx>> = BTreeMap::new();
    for node in map.site.node_ixs() {
        if let Some(leaf) = map.leaf(node, map.card(node, terms.rail.as_deref())) {
            nodes.entry(leaf).or_default().push(node);
        }
    }
    let pod = |leaf: DomainIx| {
        let mut above = map.site.above(leaf).iter().copied();
        above.find(|above| map.site.domain(*above).kind == DomainKind::Pod)
    };
    let mut pods: BTreeMap<Option<DomainIx>, Vec<Leaf>> = BTreeMap::new();
    for (ix, nodes) in nodes {
        pods.entry(pod(ix)).or_default().push(Leaf { ix, nodes });
    }
    pods.into_values().filter(|leaves| leaves.len() > 1).collect()
}

/// Sides of these leaves by how much suspicion lies on them and their cards, the most first.
fn sides(map: &Map, book: &Book, leaves: &[Leaf], least: f64) -> Vec<Side> {
    let own: BTreeSet<DomainIx> = leaves.iter().map(|leaf| leaf.ix).collect();
    let mut weights: BTreeMap<Side, f64> = BTreeMap::new();
    for (part, share) in book.shares() {
        let side = match part {
            Element::HostUp(node, card) => map.leaf(node, card).map(|leaf| (leaf, true)),
            Element::HostDown(node, card) => map.leaf(node, card).map(|leaf| (leaf, false)),
            Element::LeafUp(leaf) => Some((leaf, true)),
            Element::LeafDown(leaf) => Some((leaf, false)),
            Element::Link(a, _) if map.is_leaf(a) => Some((a, true)),
            Element::Link(_, b) => Some((b, false)),
        };
        if let Some((leaf, out)) = side.filter(|(leaf, _)| own.contains(leaf)) {
            *weights.entry(Side { leaf, out }).or_default() += share;
        }
    }
    let mut sides: Vec<(Side, f64)> =
        weights.into_iter().filter(|(_, weight)| *weight >= least).collect();
    sides.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    sides.into_iter().map(|(side, _)| side).collect()
}

impl Draft<'_> {
    fn add(&mut self, (src, from): (NodeIx, DomainIx), (dst, to): (NodeIx, DomainIx)) {
        let name = |node: NodeIx| self.map.site.node(node).name.clone();
        let mut tuple = (name(src), name(dst), 0);
        loop {
            tuple.2 = SPORT_FIRST + self.lot.below(SPORTS) as u16;
            if self.used.insert(tuple.clone()) {
                break;
            }
        }
        self.book_in((src, from), (dst, to), tuple);
    }

    fn book_in(
        &mut self,
        (src, from): (NodeIx, DomainIx),
        (dst, to): (NodeIx, DomainIx),
        (from_name, to_name, sport): (String, String, u16),
    ) {
        self.sends.insert(src);
        self.hears.insert(dst);
        *self.out.entry(from).or_default() += 1;
        *self.into.entry(to).or_default() += 1;
        self.sendings.push(Sending { src: from_name, dst: to_name, sport });
    }

    /// Nothing is suspected: so many flows out of and into every leaf, in other company each
    /// time, by the nodes that have most doubt left.
    fn screen(&mut self, book: &Book, leaves: &[Leaf], terms: &Terms) {
        let most = leaves.iter().map(|leaf| leaf.nodes.len()).max().unwrap_or(0);
        let flows = if terms.paths_known { most } else { SCREEN_UNKNOWN.min(most) };
        let mut by: Vec<usize> = (1..leaves.len()).collect();
        self.lot.shuffle(&mut by);
        let senders = leaves.iter().map(|leaf| self.doubted(book, leaf, terms, true));
        let senders: Vec<Vec<NodeIx>> = senders.collect();
        let hearers = leaves.iter().map(|leaf| self.doubted(book, leaf, terms, false));
        let hearers: Vec<Vec<NodeIx>> = hearers.collect();
        for flow in 0..flows {
            for (at, from) in leaves.iter().enumerate() {
                let other = (at + by[flow % by.len()]) % leaves.len();
                let (src, dst) = (senders[at].get(flow), hearers[other].get(flow));
                if let (Some(src), Some(dst)) = (src, dst) {
                    self.add((*src, from.ix), (*dst, leaves[other].ix));
                }
            }
        }
    }

    /// The nodes of a leaf, those with the most doubt on their card first; equals by lot.
    fn doubted(&mut self, book: &Book, leaf: &Leaf, terms: &Terms, out: bool) -> Vec<NodeIx> {
        let mut nodes = leaf.nodes.clone();
        self.lot.shuffle(&mut nodes);
        let share = |node: &NodeIx| {
            let card = self.map.card(*node, terms.rail.as_deref());
            book.share(if out {
                Element::HostUp(*node, card)
            } else {
                Element::HostDown(*node, card)
            })
        };
        nodes.sort_by(|a, b| share(b).total_cmp(&share(a)));
        nodes
    }

    /// Tuples whose paths are known, no two over one cable, those with the most doubt first:
    /// each then tests all that it crosses. False, and nothing planned, where paths are unknown
    /// or where most of the doubt lies beyond such tuples: then fresh ones must find paths.
    fn pack(&mut self, book: &Book, pairs: &Pairs, leaves: &[Leaf]) -> bool {
        let own: BTreeSet<NodeIx> = leaves.iter().flat_map(|leaf| leaf.nodes.clone()).collect();
        let mut seen: Vec<(f64, &Flow, Vec<Element>)> = Vec::new();
        for flow in pairs.flows() {
            let Some(route) = self.map.route(flow) else { continue };
            let inner = self.map.site.node_ix(&flow.src).is_some_and(|src| own.contains(&src));
            let links = route.elements.iter().any(|part| matches!(part, Element::Link(..)));
            if inner && links && matches!(route.hop, Hop::Leaves) {
                let doubt = route.elements.iter().map(|part| book.share(*part)).sum();
                seen.push((doubt, flow, route.elements));
            }
        }
        seen.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut taken: BTreeSet<Element> = BTreeSet::new();
        let chosen: Vec<&Flow> = seen
            .iter()
            .filter(|(_, _, path)| {
                let free = path.iter().all(|part| !taken.contains(part));
                if free {
                    taken.extend(path);
                }
                free
            })
            .map(|(_, flow, _)| *flow)
            .collect();
        let doubt: f64 = taken.iter().map(|part| book.share(*part)).sum();
        let packs = doubt >= PACKED_LEAST * (1.0 - book.sound());
        if packs {
            chosen.into_iter().for_each(|flow| self.again(flow));
        }
        packs
    }

    /// Tuples that are known to cross the strongest suspects, towards other partners than in
    /// the same round: what is slow again is no accident.
    fn repeat(&mut self, book: &Book, pairs: &Pairs, sides: &[Side]) {
        let mut suspects: Vec<(Element, f64)> = book
            .shares()
            .filter(|(part, share)| matches!(part, Element::Link(..)) && *share >= ASKED_LEAST)
            .collect();
        suspects.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        for (suspect, _) in suspects.into_iter().take(sides.len()) {
            let mut best: Option<(f64, &Flow)> = None;
            for flow in pairs.flows() {
                let Some(route) = self.map.route(flow).filter(|r| r.elements.contains(&suspect))
                else {
                    continue;
                };
                // The rest of the path should be beyond doubt.
                let doubt: f64 = route.elements.iter().map(|part| book.share(*part)).sum();
                if self.is_free(flow) && best.is_none_or(|(least, _)| doubt < least) {
                    best = Some((doubt, flow));
                }
            }
            if let Some((_, flow)) = best {
                self.again(flow);
            }
        }
    }

    fn is_free(&self, flow: &Flow) -> bool {
        let node = |name: &str| self.map.site.node_ix(name);
        let (src, dst) = (node(&flow.src), node(&flow.dst));
        flow.sport.is_some()
            && src.is_some_and(|src| !self.sends.contains(&src))
            && dst.is_some_and(|dst| !self.hears.contains(&dst))
    }

    fn again(&mut self, flow: &Flow) {
        let node = |name: &str| {
            let node = self.map.site.node_ix(name)?;
            let card = self.map.card(node, flow.nic.as_deref());
            Some((node, self.map.leaf(node, card)?))
        };
        let sport = flow.sport.and_then(|port| u16::try_from(port).ok());
        if let (Some(src), Some(dst), Some(sport)) = (node(&flow.src), node(&flow.dst), sport) {
            self.book_in(src, dst, (flow.src.to_string(), flow.dst.to_string(), sport));
        }
    }

    /// Every node of a suspected side sends (or hears) one fresh tuple, each with a leaf that
    /// has nothing else to do that way: whatever collides then collides on this side.
    fn ask(&mut self, leaves: &[Leaf], side: Side, sides: &[Side]) {
        let Some(own) = leaves.iter().find(|leaf| leaf.ix == side.leaf) else { return };
        let mut others: Vec<&Leaf> = leaves
            .iter()
            .filter(|leaf| leaf.ix != side.leaf)
            .filter(|leaf| !sides.contains(&Side { leaf: leaf.ix, out: !side.out }))
            .collect();
        self.lot.shuffle(&mut others);
        let mut others = others.into_iter();
        for node in &own.nodes {
            if if side.out { self.sends.contains(node) } else { self.hears.contains(node) } {
                continue;
            }
            let Some((other, partner)) = others.find_map(|leaf| {
                let taken = if side.out { &self.into } else { &self.out };
                let busy = if side.out { &self.hears } else { &self.sends };
                if taken.contains_key(&leaf.ix) {
                    return None;
                }
                let free: Vec<NodeIx> =
                    leaf.nodes.iter().copied().filter(|node| !busy.contains(node)).collect();
                let at = self.lot.below(free.len());
                Some((leaf.ix, *free.get(at)?))
            }) else {
                return;
            };
            let (here, there) = ((*node, own.ix), (partner, other));
            if side.out { self.add(here, there) } else { self.add(there, here) }
        }
    }

    /// Leaves that are not asked this round go on being looked over, one flow each way.
    fn fill(&mut self, leaves: &[Leaf], sides: &[Side]) {
        let idle = |used: &BTreeMap<DomainIx, usize>, out: bool| -> Vec<usize> {
            let free = |leaf: &Leaf| {
                !used.contains_key(&leaf.ix) && !sides.contains(&Side { leaf: leaf.ix, out })
            };
            (0..leaves.len()).filter(|at| free(&leaves[*at])).collect()
        };
        let (mut from, mut to) = (idle(&self.out, true), idle(&self.into, false));
        self.lot.shuffle(&mut from);
        self.lot.shuffle(&mut to);
        for source in from {
            let Some(at) = to.iter().position(|target| *target != source) else { return };
            let target = to.swap_remove(at);
            let (source, target) = (&leaves[source], &leaves[target]);
            let src = source.nodes[self.lot.below(source.nodes.len())];
            let dst = target.nodes[self.lot.below(target.nodes.len())];
            if !self.sends.contains(&src) && !self.hears.contains(&dst) {
                self.add((src, source.ix), (dst, target.ix));
            }
        }
    }
}
