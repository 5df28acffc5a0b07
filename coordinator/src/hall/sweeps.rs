//! What sweeps need of the hall: its book, its agents' names, and a place in the catalogue.

use std::sync::{MutexGuard, PoisonError};

use proto::v1;

use super::Hall;
use crate::store::Catalogue;
use crate::sweep::{Book, Entry, Measures, Outcome, Sweep, hook_place};

impl Hall {
    /// The book of sweeps. Never held while the hall itself is locked.
    pub(crate) fn sweeps(&self) -> MutexGuard<'_, Book> {
        self.sweeps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The run that is active, or is just being recorded.
    pub(crate) fn active_run(&self) -> Option<String> {
        let inner = self.lock();
        inner.active.as_ref().map(|active| active.run.clone()).or_else(|| inner.starting.clone())
    }

    /// Nodes whose agents are connected.
    pub(crate) fn agent_names(&self) -> Vec<String> {
        let inner = self.lock();
        let here = inner.agents.iter().filter(|(_, agent)| agent.outbox.is_some());
        here.map(|(node, _)| node.clone()).collect()
    }

    /// The verdict of a run that was judged.
    pub(crate) fn verdict_of(&self, run: &str) -> Option<String> {
        let inner = self.lock();
        let row = inner.runs.get(run)?;
        (!row.verdict.is_empty()).then(|| row.verdict.clone())
    }

    /// Every sweep as operators see it, by name.
    pub(crate) fn sweep_entries(&self) -> Vec<v1::SweepEntry> {
        self.sweeps().entries().map(entry).collect()
    }

    /// One of them.
    pub(crate) fn sweep_entry(&self, name: &str) -> Option<v1::SweepEntry> {
        self.sweep_entries().into_iter().find(|entry| entry.name == name)
    }

    /// Adds or replaces a sweep, whose hooks must be there.
    ///
    /// # Errors
    /// A sentence about what makes no sense.
    pub(crate) fn add_sweep(&self, sweep: Sweep) -> Result<(), String> {
        for name in [&sweep.before, &sweep.after].into_iter().filter(|name| !name.is_empty()) {
            hook_place(self.config.sweep_hooks.as_deref(), name)?;
        }
        self.sweeps().add(sweep.clone(), jiff::Timestamp::now())?;
        self.writer.change("a sweep", move |catalogue| catalogue.put_sweep(&sweep));
        Ok(())
    }

    /// Takes a sweep out.
    ///
    /// # Errors
    /// When there is none of that name, or it runs.
    pub(crate) fn remove_sweep(&self, name: &str) -> Result<(), String> {
        self.sweeps().remove(name)?;
        let name = name.to_owned();
        self.writer.change("the end of a sweep", move |catalogue| catalogue.remove_sweep(&name));
        Ok(())
    }

    /// Keeps what became of a due instant, beyond this process' life.
    pub(crate) fn keep_outcome(&self, outcome: Outcome) {
        self.sweeps().note(outcome.clone());
        self.writer.change("an outcome", move |catalogue| catalogue.put_outcome(&outcome));
    }

    /// Keeps what a run of a sweep measured.
    pub(crate) fn keep_measures(&self, sweep: &str, run: &str, measures: Measures) {
        let (sweep, run) = (sweep.to_owned(), run.to_owned());
        self.writer
            .change("measures", move |catalogue| catalogue.put_measures(&sweep, &run, &measures));
    }

    /// What earlier runs of a sweep measured. Blocks on the disk.
    pub(crate) fn measures_of(&self, sweep: &str) -> Vec<Measures> {
        let read = Catalogue::open(&self.config.state_dir).and_then(|c| c.measures(sweep));
        read.unwrap_or_else(|error| {
            tracing::error!(%sweep, %error, "no baseline: earlier runs can't be read");
            Vec::new()
        })
    }
}

fn entry(Entry { sweep, schedule, last }: &Entry) -> v1::SweepEntry {
    let last = last.clone();
    v1::SweepEntry {
        name: sweep.name.clone(),
        at: sweep.at.clone(),
        zone: sweep.zone.clone(),
        window: sweep.window.clone(),
        plan: sweep.plan_file.clone(),
        on: sweep.on.clone(),
        next_ns: schedule.due().map_or(0, |due| due.as_nanosecond() as i64),
        last_due_ns: last.as_ref().map(|last| last.due_ns),
        last_run: last.as_ref().map(|last| last.run.clone()).unwrap_or_default(),
        last: last.map(|last| last.what).unwrap_or_default(),
        before: sweep.before.clone(),
        after: sweep.after.clone(),
    }
}
