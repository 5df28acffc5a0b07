//! What survives: one SQLite file per run, and a catalogue of runs.
//!
//! The store keeps what agents said, compressed and keyed; whatever is derived is derived
//! at read time, so that a better analysis re-judges old runs.

mod catalogue;
mod format_1;
mod group;
mod journal;
mod lock;
mod notices;
mod run_file;
mod seen;
mod sweeps;
mod writer;

pub use catalogue::{Catalogue, Latch, RunRow};
pub use journal::{
    ExpandedPhase, JournalEntry, MeterEvent, NodeClock, Planned, PlannedDevice, Swept, SweptNode,
};
pub(crate) use lock::StateLock;
pub(crate) use notices::{Notice, Notices, Weight};
pub use run_file::{RunFile, StoredBatch};
pub use writer::{Durable, StoreError as WriteError, Writer};

use std::path::PathBuf;

/// A store file that can't be used, with the mend.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("{file}: {source}{}", mend(.source))]
    Sqlite { file: PathBuf, source: rusqlite::Error },
    #[error("{file}: {source}")]
    Io { file: PathBuf, source: std::io::Error },
    #[error(
        "{}: another coordinator ({holder}) keeps its record in this folder: stop it, or name another folder with --state-dir",
        .dir.display()
    )]
    Held { dir: PathBuf, holder: String },
    #[error("{file}: no run file here; name a run's folder or its id")]
    NotARun { file: PathBuf },
    #[error(
        "{file}: run file of format {found}, this version reads up to {}; use the loadbank that wrote it or a newer one",
        run_file::FORMAT
    )]
    Newer { file: PathBuf, found: i64 },
    #[error(
        "{file}: batch {seq} of {node} is damaged: {why}; samples.parquet beside it may be whole: `loadbank analyze --samples`"
    )]
    Damaged { file: PathBuf, node: String, seq: u64, why: String },
    #[error(
        "{file}: group {group} is damaged: {why}; samples.parquet beside it may be whole: `loadbank analyze --samples`"
    )]
    DamagedGroup { file: PathBuf, group: i64, why: String },
    #[error("{file}: journal entry {id} is damaged: {why}")]
    Journal { file: PathBuf, id: i64, why: String },
}

fn mend(error: &rusqlite::Error) -> &'static str {
    use rusqlite::ErrorCode::{DatabaseCorrupt, DiskFull, NotADatabase};
    match error.sqlite_error_code() {
        Some(DatabaseCorrupt | NotADatabase) => {
            "; the file is truncated or damaged: copy it away and try `sqlite3 FILE .recover`"
        }
        Some(DiskFull) => "; make room on that disk: agents keep what was not acknowledged",
        _ => "",
    }
}
