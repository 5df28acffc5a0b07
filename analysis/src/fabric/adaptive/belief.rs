//! What the tests say of every part: odds that are multiplied, and failures that stay.

use std::collections::{BTreeMap, BTreeSet};

use super::super::map::{Element, Map};
use super::Terms;
use super::proof::{Outcome, Proof};

/// Probability, before any test, that some part is bad; spread evenly.
const PRIOR: f64 = 0.5;
/// Probability that a flow is slow with no part bad: a stalled sender, noise.
const FALSE_SLOW: f64 = 1e-4;
/// Probability that a bad part lets a test pass that crossed it: it flakes.
const MISSED: f64 = 0.05;
/// Collisions are held for no rarer than this: a few of them prove nothing.
const EXCUSED_LEAST: f64 = 0.2;
/// Posterior from which on a part that failed with different partners is named.
const NAMED: f64 = 0.999;
/// Failures, and different partners in them, that a part is confirmed by.
const PARTNERS_LEAST: usize = 2;
/// Parts named at most: with more the fabric, not a part, is the matter.
const ACCUSED_MOST: usize = 16;

/// A part that was named.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Named {
    pub(super) element: Element,
    pub(super) round: u32,
    pub(super) failures: u32,
    pub(super) passes: u32,
}

/// Everything learned, round by round.
pub(super) struct Book {
    /// Every part that may be bad.
    parts: BTreeSet<Element>,
    proofs: Vec<Proof>,
    named: Vec<Named>,
    /// Probability that a part is bad beside those named; of the last round.
    posterior: BTreeMap<Element, f64>,
    sound: f64,
    /// Leaf of each node, by position.
    leaves: Vec<Option<usize>>,
    /// How many cables a leaf's side stands for.
    uplinks: BTreeMap<Element, f64>,
}

impl Book {
    pub(super) fn new(map: &Map, terms: &Terms) -> Self {
        let mut parts = BTreeSet::new();
        let mut leaves = Vec::new();
        let mut uplinks = BTreeMap::new();
        for node in map.site.node_ixs() {
            let card = map.card(node, terms.rail.as_deref());
            let leaf = map.leaf(node, card);
            leaves.push(leaf.map(|leaf| leaf.index()));
            parts.extend([Element::HostUp(node, card), Element::HostDown(node, card)]);
            let Some(leaf) = leaf else { continue };
            if terms.paths_known {
                let cables = map.uplinks(leaf).iter();
                parts.extend(
                    cables.flat_map(|(up, _)| [Element::Link(leaf, *up), Element::Link(*up, leaf)]),
                );
            } else {
                let cables = map.uplinks(leaf).len().max(1) as f64;
                for side in [Element::LeafUp(leaf), Element::LeafDown(leaf)] {
                    parts.insert(side);
                    uplinks.insert(side, cables);
                }
            }
        }
        Self {
            parts,
            proofs: Vec::new(),
            named: Vec::new(),
            posterior: BTreeMap::new(),
            sound: 1.0 - PRIOR,
            leaves,
            uplinks,
        }
    }

    /// Takes in a round. What was named before stays so, whatever passes now.
    pub(super) fn add<'a>(&mut self, round: u32, proofs: impl Iterator<Item = &'a Proof>) {
        self.proofs.extend(proofs.cloned());
        self.parts.extend(self.proofs.iter().flat_map(|proof| &proof.crossed).map(|part| part.0));
        loop {
            self.weigh();
            let Some(element) = self.convicted() else { break };
            self.named.push(Named { element, round, failures: 0, passes: 0 });
        }
        for at in 0..self.named.len() {
            let element = self.named[at].element;
            let through = |proof: &&Proof| proof.crossed.iter().any(|part| part.0 == element);
            let failures = self
                .proofs
                .iter()
                .filter(|proof| proof.outcome == Outcome::Failed)
                .filter(through)
                .count();
            let passed = self.proofs.iter().filter(|proof| proof.outcome == Outcome::Passed);
            self.named[at].failures = failures as u32;
            self.named[at].passes = passed.filter(through).count() as u32;
        }
    }

    /// Odds of every part against none being bad, each test speaking for itself.
    fn weigh(&mut self) {
        let accused: BTreeSet<Element> = self.named.iter().map(|named| named.element).collect();
        let all: f64 = self.parts.iter().map(|part| self.cables(*part)).sum();
        let prior = |part: Element| PRIOR * self.cables(part) / all.max(1.0) / (1.0 - PRIOR);
        let mut odds: BTreeMap<Element, f64> = self
            .parts
            .iter()
            .filter(|part| !accused.contains(part))
            .map(|part| (*part, prior(*part).ln()))
            .collect();
        for proof in &self.proofs {
            if proof.outcome != Outcome::Passed && is_explained(proof, &accused) {
                continue;
            }
            for (part, chance) in &proof.crossed {
                let shown = chance * (1.0 - MISSED);
                let by = match proof.outcome {
                    Outcome::Failed => (shown.max(FALSE_SLOW) / FALSE_SLOW).ln(),
                    Outcome::Passed => (1.0 - shown).ln(),
                    Outcome::Excused(often) => {
                        let often = often.max(EXCUSED_LEAST);
                        ((shown + (1.0 - shown) * often) / often).ln()
                    }
                };
                odds.entry(*part).and_modify(|odds| *odds += by);
            }
        }
        let most = odds.values().copied().fold(0.0, f64::max);
        let all: f64 = (-most).exp() + odds.values().map(|odds| (odds - most).exp()).sum::<f64>();
        self.sound = (-most).exp() / all;
        let share = |(part, odds): (Element, f64)| (part, (odds - most).exp() / all);
        self.posterior = odds.into_iter().map(share).collect();
    }

    /// Cables that a part stands for: each is as likely to be bad as any other.
    fn cables(&self, part: Element) -> f64 {
        self.uplinks.get(&part).copied().unwrap_or(1.0)
    }

    /// The part that is to be named now: sure, and slow with different partners.
    fn convicted(&self) -> Option<Element> {
        if self.named.len() >= ACCUSED_MOST {
            return None;
        }
        let sure = self.posterior.iter().find(|(_, share)| **share >= NAMED)?;
        self.is_confirmed(*sure.0).then_some(*sure.0)
    }

    /// A card must be slow with nodes of two leaves or of its own; a cable or a leaf for two
    /// of its own nodes and with two other leaves.
    fn is_confirmed(&self, element: Element) -> bool {
        let failed = self.proofs.iter().filter(|proof| proof.outcome == Outcome::Failed);
        let failed = failed.filter(|proof| proof.crossed.iter().any(|part| part.0 == element));
        let ends: Vec<(usize, usize)> =
            failed.clone().flat_map(|proof| proof.ends.clone()).collect();
        let different = |of: &dyn Fn(&(usize, usize)) -> Option<usize>| {
            ends.iter().map(of).collect::<BTreeSet<_>>().len() >= PARTNERS_LEAST
        };
        let leaf = |node: usize| self.leaves.get(node).copied().flatten();
        let partners = match element {
            Element::HostUp(..) => different(&|ends| Some(ends.1)),
            Element::HostDown(..) => different(&|ends| Some(ends.0)),
            Element::LeafUp(own) => {
                let near = |ends: &(usize, usize)| {
                    Some(ends.0).filter(|_| leaf(ends.0) == Some(own.index()))
                };
                different(&near) && different(&|ends| leaf(ends.1))
            }
            Element::LeafDown(_) => {
                different(&|ends| Some(ends.1)) && different(&|ends| leaf(ends.0))
            }
            // Whatever lies on one side of a cable, the other side is its partner.
            Element::Link(..) => different(&|ends| Some(ends.0)) && different(&|ends| Some(ends.1)),
        };
        partners && failed.count() >= PARTNERS_LEAST
    }

    pub(super) fn accused(&self) -> &[Named] {
        &self.named
    }

    /// Slow tests that no named part explains.
    pub(super) fn unexplained(&self) -> u32 {
        let accused: BTreeSet<Element> = self.named.iter().map(|named| named.element).collect();
        let open = self
            .proofs
            .iter()
            .filter(|p| p.outcome == Outcome::Failed && !is_explained(p, &accused));
        open.count() as u32
    }

    /// Probability that nothing is bad beside what was named.
    pub(super) fn sound(&self) -> f64 {
        self.sound
    }

    /// Probability that a part is the one that is bad beside those named.
    pub(super) fn share(&self, part: Element) -> f64 {
        self.posterior.get(&part).copied().unwrap_or(0.0)
    }

    /// Parts with their probabilities, in the order of the parts.
    pub(super) fn shares(&self) -> impl Iterator<Item = (Element, f64)> {
        self.posterior.iter().map(|(part, share)| (*part, *share))
    }
}

fn is_explained(proof: &Proof, accused: &BTreeSet<Element>) -> bool {
    proof.crossed.iter().any(|part| accused.contains(&part.0))
}
