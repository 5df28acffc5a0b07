//! Who sends to whom in which round.

use model::rounds::{circle, circle_rounds};

use super::dice::Dice;
use super::shape::Shape;

/// Source ports begin where the kernel's ephemeral range does (IANA, RFC 6335).
pub(super) const SPORT_FIRST: u16 = 49_152;
/// Ports of the ephemeral range.
pub(super) const SPORTS: usize = 16_384;

/// One directed flow of one round, hosts by position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transfer {
    pub src: usize,
    pub dst: usize,
    pub sport: u16,
}

/// How rounds are filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schedule {
    /// A circle over leaves, one host chosen by lot in each, one flow each way: no two
    /// flows of a round share a link of the fabric.
    Quiet,
    /// Rounds of the circle over all hosts, in an order drawn by lot, so many flows a pair
    /// and direction.
    AllBusy { flows: usize },
    /// Every host of a pod meets a host of another pod: one perfect matching across.
    AcrossPods { flows: usize },
    /// In turn: the circle inside every pod, then a matching across.
    PodsInTurn { flows: usize },
}

impl Schedule {
    /// The transfers of a round, fresh source ports in each.
    #[must_use]
    pub fn round(self, shape: &Shape, round: usize, seed: u64) -> Vec<Transfer> {
        let mut dice = Dice::new(seed, 1 + round as u64);
        let (pairs, flows) = match self {
            Self::Quiet => (leaf_pairs(shape, round, seed, &mut dice), 1),
            Self::AllBusy { flows } => (busy_pairs(shape, round, seed), flows),
            Self::AcrossPods { flows } => (pod_pairs(shape, &mut dice), flows),
            Self::PodsInTurn { flows } if round.is_multiple_of(2) => {
                (inner_pairs(shape, round / 2, seed), flows)
            }
            Self::PodsInTurn { flows } => (pod_pairs(shape, &mut dice), flows),
        };
        let both = pairs.into_iter().flat_map(|(a, b)| [(a, b), (b, a)]);
        let mut transfers = Vec::new();
        for (src, dst) in both {
            let mut ports: Vec<u16> = Vec::with_capacity(flows);
            while ports.len() < flows.min(SPORTS) {
                let port = SPORT_FIRST + dice.below(SPORTS) as u16;
                if !ports.contains(&port) {
                    ports.push(port);
                }
            }
            transfers.extend(ports.into_iter().map(|sport| Transfer { src, dst, sport }));
        }
        transfers
    }
}

/// The round of the circle that comes at a place of an order drawn by lot.
fn drawn(rounds: usize, round: usize, seed: u64) -> usize {
    let mut order: Vec<usize> = (0..rounds.max(1)).collect();
    Dice::new(seed, 0).shuffle(&mut order);
    order[round % order.len()]
}

fn leaf_pairs(shape: &Shape, round: usize, seed: u64, dice: &mut Dice) -> Vec<(usize, usize)> {
    let leaves = shape.pods * shape.leaves;
    let pairs = circle(leaves, drawn(circle_rounds(leaves), round, seed));
    let mut host = |leaf: usize| leaf * shape.hosts + dice.below(shape.hosts);
    pairs.into_iter().map(|(a, b)| (host(a), host(b))).collect()
}

fn busy_pairs(shape: &Shape, round: usize, seed: u64) -> Vec<(usize, usize)> {
    let hosts = shape.all_hosts();
    circle(hosts, drawn(circle_rounds(hosts), round, seed))
}

fn inner_pairs(shape: &Shape, round: usize, seed: u64) -> Vec<(usize, usize)> {
    let size = shape.leaves * shape.hosts;
    let pairs = circle(size, drawn(circle_rounds(size), round, seed));
    let of_pod = |pod: usize| pairs.iter().map(move |(a, b)| (pod * size + a, pod * size + b));
    (0..shape.pods).flat_map(of_pod).collect()
}

fn pod_pairs(shape: &Shape, dice: &mut Dice) -> Vec<(usize, usize)> {
    let size = shape.leaves * shape.hosts;
    let mut pods: Vec<Vec<usize>> =
        (0..shape.pods).map(|pod| (pod * size..(pod + 1) * size).collect()).collect();
    pods.iter_mut().for_each(|hosts| dice.shuffle(hosts));
    dice.shuffle(&mut pods);
    let halves = pods.chunks_exact(2);
    halves.flat_map(|two| two[0].iter().copied().zip(two[1].iter().copied())).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_host_sends_so_many_flows_in_a_busy_round() {
        let shape = Shape::default();
        let flows = Schedule::AllBusy { flows: 3 }.round(&shape, 4, 9);
        for host in 0..shape.all_hosts() {
            assert_eq!(flows.iter().filter(|flow| flow.src == host).count(), 3);
            assert_eq!(flows.iter().filter(|flow| flow.dst == host).count(), 3);
        }
    }

    #[test]
    fn a_quiet_round_has_one_flow_out_of_each_leaf() {
        let shape = Shape::default();
        let flows = Schedule::Quiet.round(&shape, 2, 9);
        let leaves: BTreeSet<_> = flows.iter().map(|flow| shape.leaf_of(flow.src)).collect();
        assert_eq!((flows.len(), leaves.len()), (8, 8));
    }
}
