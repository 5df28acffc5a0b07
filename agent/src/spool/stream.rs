//! A stream: the batches of one run, said by one life of one agent.

use model::id::{AgentInstance, RunId};

/// Whose batches. Their `seq` counts from 1 without holes within it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamKey {
    pub run: RunId,
    pub instance: AgentInstance,
}

/// A batch that waits for its ack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub stream: StreamKey,
    /// The kernel's boot id when it was written.
    pub boot_id: String,
    pub seq: u64,
    pub records: u32,
    pub payload: Vec<u8>,
}

/// A stream with batches that wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    pub stream: StreamKey,
    pub boot_id: String,
    /// All up to here are safe with the coordinator.
    pub acked_seq: u64,
    /// The last that was given a seq.
    pub last_seq: u64,
    /// Batches that wait.
    pub batches: u64,
}

/// What was found when the spool was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// An earlier life of the agent left these: offered for upload as they are.
    Earlier(Pending),
    /// The end of a stream was cut after its last good batch.
    TornTail { stream: StreamKey, last_good_seq: u64, bytes: u64 },
    /// Batches before the end of a stream are gone; a loss note says so too.
    Damaged { stream: StreamKey, from_seq: u64, to_seq: u64 },
    /// A segment that does not say whose it is; put aside under the name `unreadable`.
    Unreadable { file: String, bytes: u64 },
    /// Lines of the ledger are gone: some batches may be offered again.
    LedgerDamaged { bytes: u64 },
}

/// What the spool knows of a stream beside its segments.
#[derive(Debug, Clone, Default)]
pub(super) struct Stream {
    pub(super) acked: u64,
    pub(super) last_seq: u64,
}
