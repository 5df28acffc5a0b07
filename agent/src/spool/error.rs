//! What goes wrong between the agent and its spool.

use std::io;
use std::path::PathBuf;

use model::id::RunId;

/// A failed step.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    #[error("create the spool directory {dir}")]
    CreateDir { dir: PathBuf, source: io::Error },
    #[error("another agent uses the spool {dir} ({holder}): give each agent its own state folder")]
    Held { dir: PathBuf, holder: String },
    #[error("lock the spool {dir}")]
    Lock { dir: PathBuf, source: io::Error },
    #[error("list the spool directory {dir}")]
    List { dir: PathBuf, source: io::Error },
    #[error("the spool's limits contradict each other: {0}")]
    Limits(&'static str),
    #[error(
        "the spool {dir} holds batches of this very agent instance; each start needs a new one"
    )]
    InstanceReused { dir: PathBuf },
    #[error("this agent instance has spooled for {max} runs; restart it")]
    TooManyRuns { max: usize },
    /// The batch is lost. Its seq is used, and a loss note will say so.
    #[error("batch {seq} of run {run} could not be written and is given up")]
    GivenUp { run: RunId, seq: u64, source: io::Error },
    /// The batch is kept and will be uploaded, but power loss may still take it.
    #[error("batch {seq} of run {run} is written but could not be made durable")]
    NotDurable { run: RunId, seq: u64, source: io::Error },
    #[error("make the spool durable")]
    Sync(#[source] io::Error),
    #[error("write the spool's ledger")]
    Ledger(#[source] io::Error),
    #[error("read the segment {path}")]
    Read { path: PathBuf, source: io::Error },
}
