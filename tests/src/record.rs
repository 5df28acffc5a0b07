//! What lies in a run's folder and in an agent's spool.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use agent::spool::{Identity, Limits, Spool};
use coordinator::store::{JournalEntry, RunFile};
use model::id::AgentInstance;
use model::record::{Record, Work};
use proto::convert::records_from_batch;

/// Who made a batch, and which.
pub type BatchKey = (String, String, u64);

/// The batches that a run's folder holds. Reads a copy: the file of a coordinator that was
/// killed must be found by the next one as it was left.
///
/// # Panics
/// When there is no readable run file.
#[must_use]
pub fn batches(folder: &Path) -> BTreeSet<BatchKey> {
    let copy = copy_of(folder, &["run.sqlite", "run.sqlite-wal"]);
    let file = RunFile::open(copy.path()).expect("a run file");
    let mut keys = BTreeSet::new();
    file.for_each_batch("", |stored| {
        let batch = stored.batch;
        let key = (batch.node, batch.instance, batch.seq);
        assert!(keys.insert(key.clone()), "stored twice: {key:?}");
        Ok(())
    })
    .expect("readable batches");
    keys
}

/// Every window of work in a run's file, with its node.
///
/// # Panics
/// When there is no readable run file.
#[must_use]
pub fn windows(folder: &Path, run: &str) -> Vec<(String, Work)> {
    let file = RunFile::open(folder).expect("a run file");
    let mut windows = Vec::new();
    let read = file.for_each_batch(run, |stored| {
        for record in records_from_batch(&stored.batch).expect("records").records {
            if let Record::Work(work) = record {
                windows.push((stored.batch.node.clone(), work));
            }
        }
        Ok(())
    });
    read.expect("readable batches");
    windows
}

/// The batches that agents said they gave up, by instance.
///
/// # Panics
/// When there is no readable run file.
#[must_use]
pub fn given_up(folder: &Path) -> BTreeMap<String, BTreeSet<u64>> {
    let copy = copy_of(folder, &["run.sqlite", "run.sqlite-wal"]);
    let file = RunFile::open(copy.path()).expect("a run file");
    let mut found: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
    file.for_each_batch("", |stored| {
        for record in records_from_batch(&stored.batch).expect("readable records").records {
            let Record::Loss(loss) = record else { continue };
            let own =
                if loss.instance.is_empty() { &stored.batch.instance } else { &loss.instance };
            found.entry(own.clone()).or_default().extend(loss.from_seq..=loss.to_seq);
        }
        Ok(())
    })
    .expect("readable batches");
    found
}

/// The journal of a run, from a copy as well.
///
/// # Panics
/// When there is no readable run file.
#[must_use]
pub fn journal(folder: &Path) -> Vec<JournalEntry> {
    let copy = copy_of(folder, &["run.sqlite", "run.sqlite-wal"]);
    let journal = RunFile::open(copy.path()).and_then(|file| file.journal());
    journal.expect("a readable journal").into_iter().map(|(_, entry)| entry).collect()
}

/// What every agent instance has in the store: node, how many, and the highest seq.
#[must_use]
pub fn by_instance(keys: &BTreeSet<BatchKey>) -> BTreeMap<String, (String, u64, u64)> {
    let mut found: BTreeMap<String, (String, u64, u64)> = BTreeMap::new();
    for (node, instance, seq) in keys {
        let entry = found.entry(instance.clone()).or_insert_with(|| (node.clone(), 0, 0));
        entry.1 += 1;
        entry.2 = entry.2.max(*seq);
    }
    found
}

/// Batches that wait in an agent's spool: instance, first and last seq. Reads a copy.
///
/// # Panics
/// When the spool can't be read.
#[must_use]
pub fn spooled(state_dir: &Path) -> Vec<(String, u64, u64)> {
    let spool = state_dir.join("spool");
    let names: Vec<String> = std::fs::read_dir(&spool)
        .expect("a spool")
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let copy = copy_of(&spool, &names);
    let own = Identity { instance: AgentInstance("reader".into()), boot_id: String::new() };
    let (spool, _) = Spool::open(copy.path(), own, Limits::default()).expect("a readable spool");
    let pending = spool.pending().into_iter();
    pending.map(|p| (p.stream.instance.0, p.acked_seq + 1, p.last_seq)).collect()
}

pub(crate) fn copy_of(folder: &Path, names: &[&str]) -> tempfile::TempDir {
    let copy = tempfile::tempdir().expect("a folder for a copy");
    for name in names {
        let from = folder.join(name);
        if from.exists() {
            std::fs::copy(&from, copy.path().join(name)).expect("a file can be copied");
        }
    }
    copy
}
