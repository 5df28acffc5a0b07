//! Which slow flows of a round collisions explain, when nobody knows the paths.
//!
//! Flows that fill a sound cable together come in sets: all on one side of one leaf, together
//! at the cable's speed. Every side picks the sets that it can, so that the most flows are
//! explained over the whole round; what is left over in every best choice was slowed by
//! something else, what is left over in some was perhaps.

use std::collections::{BTreeMap, BTreeSet};

/// Flows of one side that are taken apart into sets: with more there are too many sets.
const SIDE_MOST: usize = 4;
/// Choices that are tried for sides that hang together; with more nothing is claimed.
const CHOICES_MOST: usize = 4096;

/// Flows that share a leaf's side.
#[derive(Debug, Clone)]
pub(super) struct SideFlows<T> {
    pub(super) side: T,
    /// Slow flows through it, by position.
    pub(super) slow: Vec<usize>,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Shared<T> {
    /// Share of the best choices in which a slow flow is left over; flows in none are absent.
    pub(super) left: BTreeMap<usize, f64>,
    /// Sides on which a set surely filled a cable: nothing else explains its flows.
    pub(super) filled: Vec<T>,
}

/// A set on a side, and those of it that it explains.
type Set = Vec<usize>;

/// Explains what can be explained. `fills` says which of these flows a sound cable that they
/// fill together would slow, and nothing for flows that don't fill one.
pub(super) fn explain<T: Copy>(
    sides: &[SideFlows<T>],
    fills: impl Fn(&[usize]) -> Option<Set>,
) -> Shared<T> {
    let mut excused: BTreeSet<usize> = BTreeSet::new();
    let mut options: Vec<(usize, Vec<Set>)> = Vec::new();
    for (at, side) in sides.iter().enumerate() {
        if side.slow.len() > SIDE_MOST {
            excused.extend(&side.slow);
            continue;
        }
        let subset = |bits: u32| -> Vec<usize> {
            let of = side.slow.iter().enumerate().filter(|(bit, _)| bits >> bit & 1 == 1);
            of.map(|(_, flow)| *flow).collect()
        };
        let all = 1_u32 << side.slow.len();
        let sets: Vec<Set> = (1..all)
            .filter(|bits| bits.count_ones() > 1)
            .filter_map(|bits| fills(&subset(bits)))
            .collect();
        if !sets.is_empty() {
            options.push((at, sets));
        }
    }
    let mut left: BTreeMap<usize, f64> = BTreeMap::new();
    for group in connected(&options) {
        best_choices(&options, &group, &mut left);
    }
    let explained: BTreeSet<usize> =
        options.iter().flat_map(|(_, sets)| sets.iter().flatten().copied()).collect();
    let slow: BTreeSet<usize> = sides.iter().flat_map(|side| side.slow.iter().copied()).collect();
    left.extend(slow.difference(&explained).map(|flow| (*flow, 1.0)));
    left.retain(|flow, share| *share > 0.0 && !excused.contains(flow));
    let times = |flow: &usize| {
        options.iter().filter(|(_, sets)| sets.iter().any(|set| set.contains(flow))).count()
    };
    let filled = options
        .iter()
        .filter(|(_, sets)| sets.len() == 1 && sets[0].iter().all(|flow| times(flow) == 1))
        .map(|(at, _)| sides[*at].side)
        .collect();
    Shared { left, filled }
}

/// Positions of options that hang together by flows that several may explain.
fn connected(options: &[(usize, Vec<Set>)]) -> Vec<Vec<usize>> {
    let mut groups: Vec<(BTreeSet<usize>, Vec<usize>)> = Vec::new();
    for (at, (_, sets)) in options.iter().enumerate() {
        let mut flows: BTreeSet<usize> = sets.iter().flatten().copied().collect();
        let mut members = vec![at];
        groups.retain(|(others, theirs)| {
            let apart = others.is_disjoint(&flows);
            if !apart {
                flows.extend(others);
                members.extend(theirs);
            }
            apart
        });
        groups.push((flows, members));
    }
    groups.into_iter().map(|(_, members)| members).collect()
}

/// Tries every choice of one set a side and counts, over those that explain the most, how
/// often each flow is left over.
fn best_choices(options: &[(usize, Vec<Set>)], group: &[usize], left: &mut BTreeMap<usize, f64>) {
    let choices: usize = group.iter().fold(1, |all, at| all.saturating_mul(options[*at].1.len()));
    if choices > CHOICES_MOST {
        return;
    }
    let flows: BTreeSet<usize> =
        group.iter().flat_map(|at| options[*at].1.iter().flatten().copied()).collect();
    let mut most = 0;
    let mut best: Vec<BTreeSet<usize>> = Vec::new();
    for mut choice in 0..choices {
        let mut explained: BTreeSet<usize> = BTreeSet::new();
        for at in group {
            let sets = &options[*at].1;
            explained.extend(&sets[choice % sets.len()]);
            choice /= sets.len();
        }
        if explained.len() > most {
            most = explained.len();
            best.clear();
        }
        if explained.len() == most {
            best.push(explained);
        }
    }
    for flow in flows {
        let out = best.iter().filter(|explained| !explained.contains(&flow)).count();
        left.insert(flow, out as f64 / best.len().max(1) as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sets of flows at these rates fill a cable when their sum is one.
    fn of(rates: &[f64], sides: &[&[usize]]) -> (Vec<(usize, f64)>, Vec<usize>) {
        let sides: Vec<_> = sides
            .iter()
            .enumerate()
            .map(|(side, slow)| SideFlows { side, slow: slow.to_vec() })
            .collect();
        let fills = |set: &[usize]| {
            let sum: f64 = set.iter().map(|flow| rates[*flow]).sum();
            ((sum - 1.0).abs() < 0.1).then(|| set.to_vec())
        };
        let shared = explain(&sides, fills);
        (shared.left.into_iter().collect(), shared.filled)
    }

    #[test]
    fn two_halves_of_one_side_collided() {
        assert_eq!(of(&[0.5, 0.5], &[&[0, 1]]), (vec![], vec![0]));
    }

    #[test]
    fn a_half_alone_did_not() {
        assert_eq!(of(&[0.5], &[&[0], &[0]]), (vec![(0, 1.0)], vec![]));
    }

    #[test]
    fn a_partner_that_has_another_partner_is_no_excuse() {
        // 0 and 1 leave one leaf, 1 and 2 come to one: either pair collided, not both by one
        // cable; but both pairs may have, so nothing is left over.
        assert_eq!(of(&[0.5; 3], &[&[0, 1], &[1, 2]]).0, vec![]);
        // Three halves of one leaf: one of them is left over, nobody knows which.
        let (left, _) = of(&[0.5; 3], &[&[0, 1, 2]]);
        assert_eq!(left.len(), 3);
        assert!(left.iter().all(|(_, share)| (share - 1.0 / 3.0).abs() < 1e-9));
    }

    #[test]
    fn too_many_to_take_apart_claim_nothing() {
        let (left, filled) = of(&[0.3; 5], &[&[0, 1, 2, 3, 4]]);
        assert_eq!((left, filled), (vec![], vec![]));
    }
}
