//! What a part carried in each round, all its flows together.
//!
//! An element that once carried so much can carry so much: that clears it of a lasting
//! limit, and of nothing else.

use std::collections::BTreeMap;

use super::map::{Element, Map};
use super::table::{Row, Table, quantile};

/// One round of one part.
#[derive(Debug, Clone, Copy)]
pub(super) struct Visit {
    pub(super) round: u32,
    /// Gbit/s of all flows through the part.
    pub(super) total: f64,
    /// Flows through the part.
    pub(super) flows: u32,
    /// Mixed from the five-tuples through the part, in any order: visits by the same
    /// tuples take the same paths and collide the same way, so they are one proof.
    pub(super) tuples: u64,
}

/// Visits of every part, in the order of the table's elements; each by round.
pub(super) fn visits(table: &Table) -> Vec<Vec<Visit>> {
    let mut all: Vec<Vec<Visit>> = vec![Vec::new(); table.elements.len()];
    for row in &table.rows {
        let (gbps, tuple) = (row.untapered, signature(row));
        for &element in &row.path {
            let visits = &mut all[element as usize];
            if visits.last().is_none_or(|last| last.round != row.flow.round) {
                visits.push(Visit { round: row.flow.round, total: 0.0, flows: 0, tuples: 0 });
            }
            if let Some(visit) = visits.last_mut() {
                visit.total += gbps;
                visit.flows += row.flow.streams;
                visit.tuples = visit.tuples.wrapping_add(tuple);
            }
        }
    }
    all
}

/// A number for a five-tuple (FNV-1a: Fowler, Noll and Vo, RFC 9923).
fn signature(row: &Row) -> u64 {
    let port = row.flow.sport.map_or([0; 5], |port| {
        let [a, b, c, d] = port.to_le_bytes();
        [1, a, b, c, d]
    });
    let ends = row.flow.src.bytes().chain([0]).chain(row.flow.dst.bytes());
    ends.chain(port).fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Parts alike are compared with each other: the same sort at the same declared speed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Sort {
    HostUp,
    HostDown,
    LeafUp,
    LeafDown,
    LinkUp,
    LinkDown,
    Beyond,
}

fn sort(map: &Map, element: Element) -> Sort {
    match element {
        Element::HostUp(..) => Sort::HostUp,
        Element::HostDown(..) => Sort::HostDown,
        Element::LeafUp(_) => Sort::LeafUp,
        Element::LeafDown(_) => Sort::LeafDown,
        Element::Link(a, b) => match (map.is_leaf(a), map.is_leaf(b)) {
            (true, _) => Sort::LinkUp,
            (_, true) => Sort::LinkDown,
            _ => Sort::Beyond,
        },
    }
}

/// The most that each part carried in a round, and what its like usually carry at most.
pub(super) struct Carried {
    pub(super) most: Vec<f64>,
    pub(super) usual_most: Vec<f64>,
    pub(super) sorts: Vec<Sort>,
}

pub(super) fn carried(map: &Map, table: &Table, visits: &[Vec<Visit>]) -> Carried {
    let most: Vec<f64> = visits
        .iter()
        .map(|visits| visits.iter().map(|visit| visit.total).fold(0.0, f64::max))
        .collect();
    let kind = |element: Element| {
        // Whole kbit/s, so that equal speeds are equal.
        let speed = map.declared_gbps(element).map(|gbps| (gbps * 1e6) as u64);
        (sort(map, element), speed)
    };
    let kinds: Vec<_> = table.elements.iter().map(|element| kind(*element)).collect();
    let mut groups: BTreeMap<_, Vec<f64>> = BTreeMap::new();
    for ((kind, most), visits) in kinds.iter().zip(&most).zip(visits) {
        if !visits.is_empty() {
            groups.entry(*kind).or_default().push(*most);
        }
    }
    let middles: BTreeMap<_, f64> = groups
        .into_iter()
        .filter_map(|(kind, mut values)| Some((kind, quantile(&mut values, 0.5)?)))
        .collect();
    let usual_most = kinds.iter().map(|kind| middles.get(kind).copied().unwrap_or(0.0)).collect();
    let sorts = kinds.iter().map(|(sort, _)| *sort).collect();
    Carried { most, usual_most, sorts }
}
