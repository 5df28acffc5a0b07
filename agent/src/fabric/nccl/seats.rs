//! Who is which rank: GPUs in the order of their nodes' ranks, then of their own indices.

use proto::v1;

use super::communicator::Seat;

/// The seats of a node's GPUs among all of a phase; empty when the node is not among them.
pub(crate) fn seats_of(node: &str, peers: &[v1::Peer]) -> Vec<Seat> {
    let world_size = peers.iter().map(|peer| peer.gpus).sum();
    let mut first = 0;
    for peer in peers {
        if peer.node == node {
            return (first..first + peer.gpus).map(|rank| Seat { rank, world_size }).collect();
        }
        first += peer.gpus;
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_run_through_the_nodes_in_order() {
        let peer =
            |node: &str, gpus| v1::Peer { node: node.to_owned(), gpus, ..v1::Peer::default() };
        let peers = [peer("a", 2), peer("b", 3)];
        let ranks = |node| seats_of(node, &peers).iter().map(|s| s.rank).collect::<Vec<_>>();
        assert_eq!((ranks("a"), ranks("b")), (vec![0, 1], vec![2, 3, 4]));
        assert!(seats_of("b", &peers).iter().all(|seat| seat.world_size == 5));
        assert!(seats_of("c", &peers).is_empty());
    }
}
