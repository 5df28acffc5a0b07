//! Fabric attribution: which card, uplink, leaf or cut is slow, from rates between pairs.
//!
//! Two opinions on every directed part. The fit books each flow's excess time on what it
//! crossed, never below zero. The record of what a part carried clears it: what once carried
//! so much can carry so much. A lasting fault is confirmed where both agree.
//! Refuses to judge parts that no flow crossed, and flows that nothing compares with.

pub mod adaptive;
mod ambiguity;
mod carried;
mod experiment;
mod flaky;
mod island;
mod lasting;
mod leaf;
mod map;
mod name;
mod nnls;
mod slow;
mod study;
mod table;
mod untested;

use std::collections::BTreeSet;

use model::NodeName;
use model::finding::Finding;
use model::site::{DomainKind, Site};

use crate::case::Case;
use crate::digest::fabric::Pair;
use study::Study;
pub(crate) use untested::untested;

/// Whether the site says what both nodes of a pair are plugged into.
pub(crate) fn places(site: &Site, pair: &Pair) -> bool {
    let placed = |node: &NodeName| {
        let node = site.node_ix(&node.0);
        node.is_some_and(|node| site.ancestors_of_kind(node, DomainKind::Leaf).next().is_some())
    };
    placed(&pair.from) && placed(&pair.to)
}

/// What the pairs say about the fabric. Silent without pairs or without a site.
pub(crate) fn testify(case: &Case) -> Vec<Finding> {
    let Some(site) = case.site else { return Vec::new() };
    if case.seen.pairs.is_empty() {
        return Vec::new();
    }
    let study = Study::new(site, &case.seen.pairs);
    let limited = slow::limited(&study, &case.policy.floors);
    let mut lasting: BTreeSet<usize> = limited.iter().map(|part| part.at).collect();
    let ats: Vec<usize> = lasting.iter().copied().collect();
    lasting.extend(slow::sides_of_links(&study, &ats));
    let mut findings = slow::findings(&study, &limited);
    let leaf = leaf::finding(&study, &lasting);
    lasting.extend(leaf.as_ref().map(|(at, _)| *at));
    let flaky = flaky::findings(&study, &lasting);
    // A link that comes and goes is enough to make its leaf look slow where paths are unknown.
    let ats: Vec<usize> = flaky.iter().map(|(at, _)| *at).collect();
    let sides = slow::sides_of_links(&study, &ats);
    findings.extend(leaf.filter(|(at, _)| !sides.contains(at)).map(|(_, finding)| finding));
    findings.extend(flaky.into_iter().map(|(_, finding)| finding));
    findings.extend(island::findings(&study.map, &study.table));
    findings
}
