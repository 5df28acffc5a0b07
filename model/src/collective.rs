//! Bandwidth of collectives by the definitions of nccl-tests (doc/PERFORMANCE.md).

/// A collective operation that the data plane can run.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum CollectiveOp {
    /// Every rank ends with the element-wise sum of all ranks.
    AllReduce,
}

impl CollectiveOp {
    /// The word in plans, records and reports.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::AllReduce => "all_reduce",
        }
    }

    /// The operation of a word, if it is one.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        (word == Self::AllReduce.word()).then_some(Self::AllReduce)
    }
}

/// Algorithm bandwidth in GB/s (decimal): bytes of the operation over its time.
/// `None` when no time passed.
#[must_use]
pub fn algbw_gb_per_s(bytes: u64, seconds: f64) -> Option<f64> {
    (seconds > 0.0).then(|| bytes as f64 / seconds / 1e9)
}

/// Bus bandwidth in GB/s: algbw times the factor that makes it comparable with the
/// hardware's speed whatever the number of ranks. All-reduce: 2(n-1)/n.
#[must_use]
pub fn busbw_gb_per_s(op: CollectiveOp, bytes: u64, seconds: f64, world_size: u32) -> Option<f64> {
    let ranks = f64::from(world_size);
    let factor = match op {
        CollectiveOp::AllReduce => 2.0 * (ranks - 1.0) / ranks,
    };
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
    fn one_rank_moves_nothing_over_a_bus() {
        assert_eq!(busbw_gb_per_s(CollectiveOp::AllReduce, 1, 1.0, 1), None);
        assert_eq!(algbw_gb_per_s(1, 0.0), None);
    }
}
