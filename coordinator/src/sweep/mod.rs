//! Sweeps: runs that begin by themselves, at their hours, within their window, never two at once.
//!
//! What may heat is decided where every run's heat is (permit, budgets, interlocks); a sweep that
//! is refused is recorded with the refusal. Nothing queues up and nothing is made up for.

mod baseline;
mod book;
mod conduct;
mod cron;
mod hook;
mod schedule;
mod window;

use serde::{Deserialize, Serialize};

pub(crate) use baseline::Measures;
pub(crate) use book::{Book, Entry, NotNow};
pub(crate) use hook::place as hook_place;

/// A sweep as it was added: documents by their text, so that files that change later change
/// nothing silently.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sweep {
    pub(crate) name: String,
    /// Five fields of cron.
    pub(crate) at: String,
    /// IANA name.
    pub(crate) zone: String,
    pub(crate) plan_file: String,
    pub(crate) plan_toml: String,
    pub(crate) site_file: String,
    /// Empty without a site.
    pub(crate) site_toml: String,
    /// Overrides the selector of every phase; empty keeps the plan's.
    pub(crate) on: String,
    pub(crate) allow_unrated: bool,
    /// `02:00-05:00`; empty without one.
    pub(crate) window: String,
    /// Plain names of programs in the folder of `serve --sweep-hooks`; empty without one.
    pub(crate) before: String,
    pub(crate) after: String,
    /// How long each hook may take.
    pub(crate) hook_seconds: u32,
    /// Conditions of the permit that whoever added it affirms for every run.
    pub(crate) affirmed: Vec<String>,
    pub(crate) who: String,
    pub(crate) added_ns: i64,
}

/// What became of one due instant of a sweep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) sweep: String,
    pub(crate) due_ns: i64,
    /// Empty where no run began.
    pub(crate) run: String,
    /// `running`, a verdict, or `skipped: why`, `missed: why`, `refused: why`.
    pub(crate) what: String,
}
