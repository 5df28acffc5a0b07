//! The fabric's evidence: latencies, transfers and collectives.

use std::collections::BTreeMap;

use model::collective::{CollectiveOp, Transport, busbw_gb_per_s};
use model::record::{CollectiveWindow, Latency, Transfer};
use model::{Absence, LatencyHistogram, NodeName, Reading};

use super::sketch::Sketch;

/// Two nodes, in the direction of the traffic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pair {
    pub from: NodeName,
    pub to: NodeName,
}

impl std::fmt::Display for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}>{}", self.from, self.to)
    }
}

/// Which latencies may be added up: never idle with loaded. A histogram is 11 KiB, so the
/// evidence holds one for each pair and one for each phase, never one for both.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum LatencyKey {
    Pair {
        pair: Pair,
        loaded: bool,
    },
    /// All pairs together.
    Phase {
        phase: String,
        loaded: bool,
    },
}

/// Round trips of one pair or phase in one state.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LatencyEvidence {
    pub histogram: LatencyHistogram,
    pub lost: u64,
}

impl LatencyEvidence {
    pub(super) fn add(&mut self, latency: &Latency) {
        self.histogram.merge(&latency.histogram);
        self.lost = self.lost.saturating_add(latency.lost);
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.histogram.merge(&other.histogram);
        self.lost = self.lost.saturating_add(other.lost);
    }
}

/// Transfers of one directed pair in one phase.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TransferEvidence {
    pub gb_per_s: Sketch,
    pub bytes: u128,
    pub retransmits: u64,
    pub retransmits_absent: BTreeMap<Absence, u64>,
    /// Transfers that say nothing: no bytes, no time.
    pub refused: u64,
}

impl TransferEvidence {
    pub(super) fn add(&mut self, transfer: &Transfer) {
        if transfer.bytes == 0 || !transfer.seconds.is_finite() || transfer.seconds <= 0.0 {
            self.refused += 1;
            return;
        }
        self.gb_per_s.add(transfer.bytes as f64 / transfer.seconds / 1e9);
        self.bytes += u128::from(transfer.bytes);
        match transfer.retransmits {
            Reading::Value(count) => self.retransmits = self.retransmits.saturating_add(count),
            Reading::Absent(why) => *self.retransmits_absent.entry(why).or_default() += 1,
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.gb_per_s.merge(&other.gb_per_s);
        self.bytes += other.bytes;
        self.retransmits = self.retransmits.saturating_add(other.retransmits);
        for (why, count) in &other.retransmits_absent {
            *self.retransmits_absent.entry(*why).or_default() += count;
        }
        self.refused += other.refused;
    }
}

/// One kind of collective in one phase.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CollectiveKey {
    pub phase: String,
    pub op: CollectiveOp,
    pub over: Transport,
    pub bytes: u64,
    pub world_size: u32,
}

/// The ranks of a collective: (rank, node) -> what it saw.
pub type Ranks = BTreeMap<(u32, NodeName), RankEvidence>;

/// A collective as one rank saw it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RankEvidence {
    pub operations: u64,
    pub wrong: u64,
    pub durations: LatencyHistogram,
}

impl RankEvidence {
    pub(super) fn add(&mut self, window: &CollectiveWindow) {
        self.operations = self.operations.saturating_add(window.operations);
        self.wrong = self.wrong.saturating_add(window.wrong);
        self.durations.merge(&window.durations);
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.operations = self.operations.saturating_add(other.operations);
        self.wrong = self.wrong.saturating_add(other.wrong);
        self.durations.merge(&other.durations);
    }
}

/// Median duration on the slowest rank, in seconds: a collective is as slow as that one.
#[must_use]
pub fn slowest_rank_seconds(ranks: &Ranks) -> Option<f64> {
    let medians = ranks.values().filter_map(|rank| rank.durations.quantile_ns(0.5));
    medians.max().map(|ns| ns as f64 / 1e9)
}

/// Bus bandwidth by the slowest rank's median.
#[must_use]
pub fn busbw(key: &CollectiveKey, ranks: &Ranks) -> Option<f64> {
    busbw_gb_per_s(key.op, key.bytes, slowest_rank_seconds(ranks)?, key.world_size)
}
