//! Bandwidth of collectives by the definitions of nccl-tests (doc/PERFORMANCE.md).

/// A collective operation that the data plane can run. Bytes of an operation are, as in
/// nccl-tests: of all-reduce and send-receive the operand of a rank, of the others the larger
/// of a rank's two buffers (what it gathers, scatters or exchanges with all).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum CollectiveOp {
    /// Every rank ends with the element-wise sum of all ranks.
    AllReduce,
    /// Every rank ends with the parts of all ranks.
    AllGather,
    /// Every rank ends with its part of the element-wise sum.
    ReduceScatter,
    /// Every rank sends a part to every other.
    AllToAll,
    /// Every rank sends to the next and receives from the one before, in a ring.
    SendReceive,
}

impl CollectiveOp {
    /// Every operation.
    pub const ALL: [Self; 5] =
        [Self::AllReduce, Self::AllGather, Self::ReduceScatter, Self::AllToAll, Self::SendReceive];

    /// The word in plans, records and reports.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::AllReduce => "all_reduce",
            Self::AllGather => "all_gather",
            Self::ReduceScatter => "reduce_scatter",
            Self::AllToAll => "all_to_all",
            Self::SendReceive => "send_recv",
        }
    }

    /// The operation of a word, if it is one.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|op| op.word() == word)
    }

    /// What makes bandwidths of different operations and numbers of ranks comparable with
    /// the hardware's: bus bandwidth over algorithm bandwidth.
    fn bus_factor(self, ranks: f64) -> f64 {
        match self {
            Self::AllReduce => 2.0 * (ranks - 1.0) / ranks,
            Self::AllGather | Self::ReduceScatter | Self::AllToAll => (ranks - 1.0) / ranks,
            Self::SendReceive => 1.0,
        }
    }
}

/// What carries a collective.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// Our own ring over TCP between agents: one rank a node.
    Tcp,
    /// NCCL between GPUs: one rank a GPU.
    Nccl,
}

impl Transport {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Tcp, Self::Nccl];

    /// The word in plans, records and reports.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Nccl => "nccl",
        }
    }

    /// The transport of a word, if it is one.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|transport| transport.word() == word)
    }
}

/// Algorithm bandwidth in GB/s (decimal): bytes of the operation over its time.
/// `None` when no time passed.
#[must_use]
pub fn algbw_gb_per_s(bytes: u64, seconds: f64) -> Option<f64> {
    (seconds > 0.0).then(|| bytes as f64 / seconds / 1e9)
}

/// Bus bandwidth in GB/s: algbw times the factor that makes it comparable with the
/// hardware's speed whatever the number of ranks. All-reduce: 2(n-1)/n; all-gather,
/// reduce-scatter and all-to-all: (n-1)/n; send-receive: 1.
#[must_use]
pub fn busbw_gb_per_s(op: CollectiveOp, bytes: u64, seconds: f64, world_size: u32) -> Option<f64> {
    let factor = op.bus_factor(f64::from(world_size));
    (world_size > 1).then(|| algbw_gb_per_s(bytes, seconds).map(|algbw| algbw * factor)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_reduce_of_four_ranks_counts_three_halves() {
        let busbw = busbw_gb_per_s(CollectiveOp::AllReduce, 1_000_000_000, 1.0, 4);
        assert_eq!(busbw, Some(1.5));
    }

    #[test]
    fn other_operations_count_what_crosses_the_bus() {
        let busbw = |op| busbw_gb_per_s(op, 1_000_000_000, 1.0, 4);
        assert_eq!(busbw(CollectiveOp::AllGather), Some(0.75));
        assert_eq!(busbw(CollectiveOp::AllToAll), Some(0.75));
        assert_eq!(busbw(CollectiveOp::SendReceive), Some(1.0));
    }

    #[test]
    fn words_round_trip() {
        for op in CollectiveOp::ALL {
            assert_eq!(CollectiveOp::from_word(op.word()), Some(op));
        }
        for transport in Transport::ALL {
            assert_eq!(Transport::from_word(transport.word()), Some(transport));
        }
    }

    #[test]
    fn one_rank_moves_nothing_over_a_bus() {
        assert_eq!(busbw_gb_per_s(CollectiveOp::AllReduce, 1, 1.0, 1), None);
        assert_eq!(algbw_gb_per_s(1, 0.0), None);
    }
}
