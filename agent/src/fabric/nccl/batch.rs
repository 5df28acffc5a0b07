//! How many operations all ranks enqueue before they agree anew. Pure.
//!
//! Ranks may not decide by their own clocks when to stop: one that stops an operation early
//! leaves all others in it for ever. So rank 0 proposes a number, all take it, none ends.

/// A batch lasts about so long, in nanoseconds: stops are quick, agreeing costs little.
const BATCH_NS: u64 = 50_000_000;
/// Timing events are made in advance for so many.
pub(super) const BATCH_MAX: u32 = 256;

/// The next batch, as rank 0 proposes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Batch {
    operations: u32,
}

impl Batch {
    /// The first tells how long an operation takes.
    pub(super) fn first() -> Self {
        Self { operations: 1 }
    }

    /// What to propose at an instant: none when the time is over.
    pub(super) fn propose(self, now_ns: u64, end_ns: u64) -> u32 {
        if now_ns >= end_ns { 0 } else { self.operations }
    }

    /// Learns from a batch that took so long in all.
    pub(super) fn learn(&mut self, operations: u32, took_ns: u64) {
        let each_ns = (took_ns / u64::from(operations.max(1))).max(1);
        let fitting = u32::try_from(BATCH_NS / each_ns).unwrap_or(BATCH_MAX);
        // At most doubled: the first operations of a communicator are slow for other reasons.
        self.operations = fitting.clamp(1, (operations * 2).clamp(1, BATCH_MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_grow_to_what_fits_and_shrink_at_once() {
        let mut batch = Batch::first();
        for expected in [2, 4, 5, 5] {
            let operations = batch.operations;
            batch.learn(operations, u64::from(operations) * 10_000_000);
            assert_eq!(batch.propose(0, 1), expected);
        }
        batch.learn(5, 5_000_000_000);
        assert_eq!(batch.propose(0, 1), 1);
    }

    #[test]
    fn the_end_is_a_proposal_too() {
        let batch = Batch::first();
        assert_eq!(batch.propose(99, 100), 1);
        assert_eq!(batch.propose(100, 100), 0);
    }

    #[test]
    fn a_batch_never_outgrows_its_events() {
        let mut batch = Batch::first();
        for _ in 0..20 {
            let operations = batch.operations;
            batch.learn(operations, 1);
        }
        assert_eq!(batch.propose(0, 1), BATCH_MAX);
    }
}
