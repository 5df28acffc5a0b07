//! The spool against stories, and against a model in memory.

mod against_model;
mod stories;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use super::*;

fn limits() -> Limits {
    Limits {
        bytes_max: 8 << 10,
        segment_bytes: 1 << 10,
        durability: Durability::Within(Duration::from_secs(3_600)),
    }
}

fn identity(life: u32) -> Identity {
    Identity { instance: AgentInstance(format!("life-{life}")), boot_id: format!("boot-{life}") }
}

fn run(number: u32) -> RunId {
    RunId(format!("run-{number}"))
}

fn stream(run_number: u32, life: u32) -> StreamKey {
    StreamKey { run: run(run_number), instance: identity(life).instance }
}

/// A spool on a disk that can be filled.
fn open(dir: &Path, life: u32, space: &Arc<AtomicU64>) -> (Spool, Vec<Found>) {
    let disk = Disk { space: Some(Arc::clone(space)) };
    Spool::open_on(disk, dir, identity(life), limits()).unwrap()
}

fn endless() -> Arc<AtomicU64> {
    Arc::new(AtomicU64::new(u64::MAX))
}

/// Tells all losses that may be told, in one batch; its seq.
fn tell(spool: &mut Spool) -> Option<u64> {
    let ids: Vec<u64> = spool.losses().iter().map(|note| note.id).collect();
    (!ids.is_empty()).then(|| spool.tell_losses(&run(1), &ids, b"lost").unwrap())
}

fn seqs(spool: &mut Spool, stream: &StreamKey) -> Vec<u64> {
    spool.unacked(stream, 0, usize::MAX).unwrap().iter().map(|entry| entry.seq).collect()
}

fn ranges(notes: &[LossNote]) -> Vec<(u64, u64, LossWhy)> {
    notes.iter().map(|note| (note.from_seq, note.to_seq, note.why)).collect()
}
