//! Who meets whom in which round: schedules as pure functions of positions.
//!
//! A *meeting* is a pair of positions that talk in both directions or in one, as the plan
//! says; a *sending* is directed. In every round here a position meets at most one other, or
//! sends to at most one and hears from at most one: what is slow then is the network, not a
//! card that serves two (incast is a test of its own and none of these).

use crate::lot::Lot;

/// Two positions.
pub type Two = (usize, usize);

/// Rounds in which the circle meets every pair once: one less than the players, an odd
/// number of players being rounded up. None for fewer than two.
#[must_use]
pub fn circle_rounds(count: usize) -> usize {
    if count < 2 { 0 } else { count + count % 2 - 1 }
}

/// One round of the circle method (Kirkman 1847): the last seat stays, the others move on by
/// one a round. Odd counts have a bye. Rounds repeat after [`circle_rounds`].
#[must_use]
pub fn circle(count: usize, round: usize) -> Vec<Two> {
    let wheel = circle_rounds(count);
    if wheel == 0 {
        return Vec::new();
    }
    let turn = round % wheel;
    let mut pairs = vec![(wheel, turn)];
    let around = (1..wheel.div_ceil(2)).map(|d| ((turn + d) % wheel, (turn + wheel - d) % wheel));
    pairs.extend(around);
    pairs.retain(|&(a, b)| a < count && b < count);
    pairs
}

/// Everybody sends to who sits `by` seats on. Nobody sends to itself: nothing when `by` is
/// a multiple of the count.
#[must_use]
pub fn shift(count: usize, by: usize) -> Vec<Two> {
    if count == 0 || by.is_multiple_of(count) {
        return Vec::new();
    }
    (0..count).map(|from| (from, (from + by) % count)).collect()
}

/// Everybody of one group meets somebody of the other; with another `turn` somebody else.
/// Over as many turns as the larger group has members each pair meets once. In a larger
/// group some sit out.
#[must_use]
pub fn across(a: &[usize], b: &[usize], turn: usize) -> Vec<Two> {
    let seats = a.len().max(b.len());
    if seats == 0 {
        return Vec::new();
    }
    let facing = |seat: usize| Some((*a.get(seat)?, *b.get((seat + turn) % seats)?));
    (0..seats).filter_map(facing).collect()
}

/// Rounds of the [`leaf_tournament`].
#[must_use]
pub fn leaf_tournament_rounds(leaves: &[Vec<usize>]) -> usize {
    circle_rounds(leaves.len()) * leaves.iter().map(Vec::len).max().unwrap_or(0)
}

/// Every member of a leaf meets every member of every other leaf once: a circle over the
/// leaves, and in each round of it the two leaves' members in all turns.
#[must_use]
pub fn leaf_tournament(leaves: &[Vec<usize>], round: usize) -> Vec<Two> {
    let turns = leaves.iter().map(Vec::len).max().unwrap_or(0);
    if turns == 0 {
        return Vec::new();
    }
    let pairs = circle(leaves.len(), round / turns);
    let seats = |leaf: usize| -> Vec<Option<usize>> {
        (0..turns).map(|seat| leaves[leaf].get(seat).copied()).collect()
    };
    let meet = |(a, b): Two| {
        let (a, b) = (seats(a), seats(b));
        let facing = move |seat: usize| Some((a[seat]?, b[(seat + round % turns) % turns]?));
        (0..turns).filter_map(facing).collect::<Vec<Two>>()
    };
    pairs.into_iter().flat_map(meet).collect()
}

/// Rounds of a whole [`quiet`] sweep.
#[must_use]
pub fn quiet_rounds(leaves: &[Vec<usize>]) -> usize {
    let size = leaves.iter().map(Vec::len).max().unwrap_or(0);
    match leaves {
        [only] => circle_rounds(only.len()) * (only.len() / 2),
        _ => circle_rounds(size) + size * size * circle_rounds(leaves.len()),
    }
}

/// A quiet sweep: in no round do two meetings share a card or an uplink of a leaf, so what is
/// slow is slow by itself. First the members of each leaf among themselves, then a circle
/// over the leaves with one member of each, another one in each turn. A single leaf is one
/// whose inside nobody knows: one pair at a time. Rounds repeat after [`quiet_rounds`].
#[must_use]
pub fn quiet(leaves: &[Vec<usize>], round: usize) -> Vec<Two> {
    let all = quiet_rounds(leaves);
    let size = leaves.iter().map(Vec::len).max().unwrap_or(0);
    if all == 0 {
        return Vec::new();
    }
    let round = round % all;
    let within = |leaf: &[usize], turn: usize| -> Vec<Two> {
        let named = |(a, b): Two| (leaf[a], leaf[b]);
        circle(leaf.len(), turn).into_iter().map(named).collect()
    };
    if let [only] = leaves {
        let at_once = only.len() / 2;
        return within(only, round / at_once).into_iter().skip(round % at_once).take(1).collect();
    }
    let inside = circle_rounds(size);
    if round < inside {
        return leaves.iter().flat_map(|leaf| within(leaf, round)).collect();
    }
    let (turn, round) = {
        let wheel = circle_rounds(leaves.len());
        ((round - inside) / wheel, (round - inside) % wheel)
    };
    // Every seat of one leaf faces every seat of the other once in size x size turns.
    let seats = (turn % size, (turn + turn / size) % size);
    let meet = |(a, b): Two| Some((*leaves[a].get(seats.0)?, *leaves[b].get(seats.1)?));
    circle(leaves.len(), round).into_iter().filter_map(meet).collect()
}

/// A random perfect matching: every one is as likely. Of an odd count one sits out.
#[must_use]
pub fn matching(count: usize, lot: &mut Lot) -> Vec<Two> {
    let mut order: Vec<usize> = (0..count).collect();
    lot.shuffle(&mut order);
    order.chunks_exact(2).map(|two| (two[0], two[1])).collect()
}

/// A pod's cut to all the rest: every member meets one of the others, which are taken evenly
/// from the other pods. A pod with more members than the rest has some sit out.
#[must_use]
pub fn one_against_rest(pods: &[Vec<usize>], pod: usize, turn: usize) -> Vec<Two> {
    let Some(own) = pods.get(pod) else { return Vec::new() };
    let others: Vec<&Vec<usize>> =
        pods.iter().enumerate().filter(|(at, _)| *at != pod).map(|(_, pod)| pod).collect();
    let longest = others.iter().map(|other| other.len()).max().unwrap_or(0);
    // One of each other pod in turn, so that any first part of the rest is even.
    let dealt = (0..longest).flat_map(|seat| others.iter().filter_map(move |pod| pod.get(seat)));
    let mut rest: Vec<usize> = dealt.copied().collect();
    if !rest.is_empty() {
        let by = turn * own.len() % rest.len();
        rest.rotate_left(by);
    }
    own.iter().copied().zip(rest).collect()
}

/// Progressive saturation of a cut: the first `open` pairs across it. With 1, 2, 3, ... the
/// sum of rates rises by a card each until it stays at what the cut carries.
#[must_use]
pub fn saturation(a: &[usize], b: &[usize], open: usize) -> Vec<Two> {
    a.iter().copied().zip(b.iter().copied()).take(open).collect()
}

/// Scale sweep: sendings among the first `open` pods with the same load on every node. Of
/// every pod about `1/open` of the members send inside it and as many to each other pod, so
/// `(open - 1)/open` of the bytes cross. Needs pods of one size; members beyond the smallest
/// pod's sit out, and so does a member whose only partner inside would be itself.
#[must_use]
pub fn scale(pods: &[Vec<usize>], open: usize) -> Vec<Two> {
    let pods = &pods[..open.min(pods.len())];
    let (open, size) = (pods.len(), pods.iter().map(Vec::len).min().unwrap_or(0));
    let mut sendings = Vec::new();
    for (pod, members) in pods.iter().enumerate() {
        for (seat, &from) in members.iter().take(size).enumerate() {
            let class = seat % open;
            // The next seat whose number leaves the same remainder, round and round.
            let next = if seat + open < size { seat + open } else { class };
            let to = pods[(pod + class) % open][next];
            if from != to {
                sendings.push((from, to));
            }
        }
    }
    sendings
}

/// Ring order in which each pod's members are neighbours: each boundary is crossed once, so
/// that a ring in this order can't see an island.
#[must_use]
pub fn contiguous_ring(pods: &[Vec<usize>]) -> Vec<usize> {
    pods.iter().flatten().copied().collect()
}

/// Ring order in which neighbours are of different pods as far as that goes: rank `i` is of
/// pod `i mod P`. Every hop crosses a cut.
#[must_use]
pub fn interleaved_ring(pods: &[Vec<usize>]) -> Vec<usize> {
    let longest = pods.iter().map(Vec::len).max().unwrap_or(0);
    (0..longest)
        .flat_map(|seat| pods.iter().filter_map(move |pod| pod.get(seat).copied()))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    /// How often each unordered pair met.
    fn met(rounds: impl Iterator<Item = Vec<Two>>) -> BTreeMap<Two, usize> {
        let mut met = BTreeMap::new();
        for (a, b) in rounds.flatten() {
            *met.entry((a.min(b), a.max(b))).or_default() += 1;
        }
        met
    }

    /// Nobody in two meetings of one round, and nobody with itself.
    fn is_matching(round: &[Two]) -> bool {
        let mut seen = BTreeSet::new();
        round.iter().all(|&(a, b)| a != b && seen.insert(a) && seen.insert(b))
    }

    /// Nobody sends twice or hears twice, and nobody sends to itself.
    fn is_permutation(round: &[Two]) -> bool {
        let (mut from, mut to) = (BTreeSet::new(), BTreeSet::new());
        round.iter().all(|&(a, b)| a != b && from.insert(a) && to.insert(b))
    }

    /// Groups of these sizes, members numbered through.
    fn groups(sizes: &[usize]) -> Vec<Vec<usize>> {
        let mut first = 0;
        let group = |size: &usize| {
            first += size;
            (first - size..first).collect()
        };
        sizes.iter().map(group).collect()
    }

    proptest! {
        #[test]
        fn a_quiet_sweep_meets_every_pair_and_no_two_meetings_share_a_leaf(
            sizes in prop::collection::vec(1usize..5, 1..7),
        ) {
            let leaves = groups(&sizes);
            let leaf_of = |member: usize| leaves.iter().position(|leaf| leaf.contains(&member));
            let rounds: Vec<_> = (0..quiet_rounds(&leaves)).map(|at| quiet(&leaves, at)).collect();
            for round in &rounds {
                prop_assert!(is_matching(round));
                let crossing = round.iter().filter(|(a, b)| leaf_of(*a) != leaf_of(*b));
                let mut seen = BTreeSet::new();
                for (a, b) in crossing {
                    prop_assert!(seen.insert(leaf_of(*a)) && seen.insert(leaf_of(*b)));
                }
            }
            let count: usize = sizes.iter().sum();
            let met = met(rounds.into_iter());
            prop_assert_eq!(met.len(), count * (count - 1) / 2);
        }

        #[test]
        fn where_leaves_are_unknown_one_pair_talks_at_a_time(count in 2usize..12) {
            let all = groups(&[count]);
            let rounds = (0..quiet_rounds(&all)).map(|at| quiet(&all, at));
            prop_assert!(rounds.clone().all(|round| round.len() <= 1));
            let met = met(rounds);
            prop_assert_eq!(met.len(), count * (count - 1) / 2);
            prop_assert!(met.values().all(|times| *times == 1));
        }

        #[test]
        fn the_circle_meets_every_pair_once(count in 2usize..70) {
            let rounds = circle_rounds(count);
            prop_assert!((0..rounds).all(|round| is_matching(&circle(count, round))));
            let met = met((0..rounds).map(|round| circle(count, round)));
            prop_assert_eq!(met.len(), count * (count - 1) / 2);
            prop_assert!(met.values().all(|times| *times == 1));
        }

        #[test]
        fn all_shifts_send_over_every_ordered_pair_once(count in 1usize..40) {
            let all: Vec<Two> = (0..count).flat_map(|by| shift(count, by)).collect();
            prop_assert!((0..=count).all(|by| is_permutation(&shift(count, by))));
            let different: BTreeSet<Two> = all.iter().copied().collect();
            prop_assert_eq!((all.len(), different.len()), (count * (count - 1), all.len()));
        }

        #[test]
        fn a_leaf_tournament_meets_every_pair_of_two_leaves_once_and_no_neighbours(
            sizes in prop::collection::vec(0usize..6, 0..8),
        ) {
            let leaves = groups(&sizes);
            let rounds = leaf_tournament_rounds(&leaves);
            prop_assert!((0..rounds).all(|r| is_matching(&leaf_tournament(&leaves, r))));
            let met = met((0..rounds).map(|round| leaf_tournament(&leaves, round)));
            let all: usize = sizes.iter().sum();
            let inside: usize = sizes.iter().map(|size| size * size).sum();
            prop_assert_eq!(met.len(), (all * all - inside) / 2);
            prop_assert!(met.values().all(|times| *times == 1));
            let leaf = |host: &usize| leaves.iter().position(|leaf| leaf.contains(host));
            prop_assert!(met.keys().all(|(a, b)| leaf(a) != leaf(b)));
        }

        #[test]
        fn a_matching_by_lot_leaves_at_most_one_alone(count in 0usize..60, seed: u64) {
            let pairs = matching(count, &mut Lot::new(seed, 1));
            prop_assert!(is_matching(&pairs));
            prop_assert_eq!(pairs.len(), count / 2);
            prop_assert_eq!(pairs, matching(count, &mut Lot::new(seed, 1)));
        }

        #[test]
        fn a_cut_is_crossed_by_every_pair_once(a in 0usize..12, b in 0usize..12) {
            let sides = groups(&[a, b]);
            let turns = a.max(b);
            let rounds: Vec<_> = (0..turns).map(|t| across(&sides[0], &sides[1], t)).collect();
            prop_assert!(rounds.iter().all(|round| is_matching(round)));
            let met = met(rounds.into_iter());
            prop_assert_eq!(met.len(), a * b);
            prop_assert!(met.values().all(|times| *times == 1));
        }

        #[test]
        fn one_pod_against_the_rest_crosses_and_spreads(
            sizes in prop::collection::vec(1usize..9, 2..6), pod in 0usize..6, turn in 0usize..20,
        ) {
            let pods = groups(&sizes);
            let pod = pod % pods.len();
            let pairs = one_against_rest(&pods, pod, turn);
            prop_assert!(is_matching(&pairs));
            let rest: usize = sizes.iter().sum::<usize>() - sizes[pod];
            prop_assert_eq!(pairs.len(), sizes[pod].min(rest));
            prop_assert!(pairs.iter().all(|(a, b)| pods[pod].contains(a) && !pods[pod].contains(b)));
        }

        #[test]
        fn saturation_opens_one_pair_more_at_a_time(
            a in 1usize..12, b in 1usize..12, open in 1usize..14,
        ) {
            let sides = groups(&[a, b]);
            let pairs = saturation(&sides[0], &sides[1], open);
            prop_assert!(is_matching(&pairs));
            prop_assert_eq!(pairs.len(), open.min(a).min(b));
            prop_assert_eq!(&pairs[..pairs.len() - 1], &saturation(&sides[0], &sides[1], pairs.len() - 1)[..]);
        }

        #[test]
        fn a_scale_sweep_loads_every_node_alike_and_crosses_as_much_as_it_says(
            count in 1usize..6, times in 2usize..6, open in 1usize..6,
        ) {
            // Whole multiples, so that nobody sits out and the share is exact.
            let open = open.min(count);
            let pods = groups(&vec![open * times; count]);
            let sendings = scale(&pods, open);
            prop_assert!(is_permutation(&sendings));
            prop_assert_eq!(sendings.len(), open * open * times);
            let pod = |node: usize| node / (open * times);
            let crossing = sendings.iter().filter(|(a, b)| pod(*a) != pod(*b)).count();
            prop_assert_eq!(crossing * open, sendings.len() * (open - 1));
        }

        #[test]
        fn a_ring_order_has_everybody_once(sizes in prop::collection::vec(0usize..7, 0..6)) {
            let pods = groups(&sizes);
            let whole: Vec<usize> = (0..sizes.iter().sum()).collect();
            prop_assert_eq!(&contiguous_ring(&pods), &whole);
            let mut interleaved = interleaved_ring(&pods);
            interleaved.sort_unstable();
            prop_assert_eq!(&interleaved, &whole);
        }
    }

    #[test]
    fn sixty_four_nodes_meet_in_sixty_three_rounds() {
        assert_eq!(circle_rounds(64), 63);
        let met = met((0..63).map(|round| circle(64, round)));
        assert_eq!((met.len(), met.values().max()), (2016, Some(&1)));
    }

    #[test]
    fn interleaved_neighbours_are_of_different_pods() {
        let ring = interleaved_ring(&groups(&[3, 3]));
        assert_eq!(ring, [0, 3, 1, 4, 2, 5]);
    }

    #[test]
    fn nobody_is_no_round() {
        assert!(circle(1, 0).is_empty() && shift(1, 3).is_empty() && shift(0, 0).is_empty());
        assert!(scale(&[], 3).is_empty() && one_against_rest(&[], 0, 0).is_empty());
    }
}
