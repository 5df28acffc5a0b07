//! A stream: the batches of one life of one agent, and what is missing of them.

use std::collections::BTreeSet;

use model::record::Loss;

use super::sequence::SeqRanges;

/// Reasons for losses kept for one stream.
const REASONS_KEPT: usize = 4;

/// What arrived of one agent instance.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stream {
    pub boot_ids: BTreeSet<String>,
    /// Batches that arrived; each is counted once however often it came.
    pub seen: SeqRanges,
    /// Batches that the agent says it gave up.
    pub given_up: SeqRanges,
    /// Records in the batches that arrived, and that the agent says it gave up.
    pub records: u64,
    pub records_given_up: u64,
    pub reasons: BTreeSet<String>,
}

impl Stream {
    pub(super) fn add_loss(&mut self, loss: &Loss) {
        // From 0: records that never got as far as a batch.
        if loss.from_seq > 0 {
            self.given_up.insert(loss.from_seq, loss.to_seq);
        }
        self.records_given_up = self.records_given_up.saturating_add(loss.records);
        self.reasons.insert(loss.why.clone());
        self.keep_few_reasons();
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.boot_ids.extend(other.boot_ids.iter().cloned());
        self.seen.extend(&other.seen);
        self.given_up.extend(&other.given_up);
        self.records += other.records;
        self.records_given_up = self.records_given_up.saturating_add(other.records_given_up);
        self.reasons.extend(other.reasons.iter().cloned());
        self.keep_few_reasons();
    }

    /// Batches that are neither here nor given up: an unexplained gap. `made` is the last
    /// batch that the agent says it made, where it said so.
    #[must_use]
    pub fn missing(&self, made: Option<u64>) -> SeqRanges {
        let last = [made, self.seen.last(), self.given_up.last()].into_iter().flatten().max();
        let mut known = self.seen.clone();
        known.extend(&self.given_up);
        known.holes(last.unwrap_or(0))
    }

    fn keep_few_reasons(&mut self) {
        while self.reasons.len() > REASONS_KEPT {
            self.reasons.pop_last();
        }
    }
}
