//! After a crash: the record of a run is picked up by itself, heat is not.

use std::collections::BTreeMap;

use crate::hall::{Active, Hall, SubmitError, lease_id, token};
use crate::run::phase_specs;
use crate::store::{JournalEntry, RunFile, RunRow};

/// Marks every run that was under way when the coordinator died as suspended. Batches that
/// agents kept still find their run file; nothing heats until a person says `resume`.
pub(crate) fn suspend_unfinished(hall: &Hall) -> Vec<String> {
    let now_ns = hall.clock.now_ns();
    let inner = hall.lock();
    let rows = inner.catalogue.runs().unwrap_or_default();
    let mut suspended = Vec::new();
    for row in rows.into_iter().filter(|row| row.state == "running") {
        let phase = interrupted_phase(hall, &row.run);
        hall.writer.journal(&row.run, now_ns, JournalEntry::Suspended { phase });
        let row = RunRow { state: "suspended".to_owned(), ..row };
        if let Err(error) = inner.catalogue.put(&row) {
            tracing::error!(%error, "catalogue not written");
        }
        suspended.push(row.run);
    }
    suspended
}

/// The first phase that was not completed.
fn interrupted_phase(hall: &Hall, run: &str) -> usize {
    let journal = RunFile::open(&hall.config.folder_of(run)).and_then(|file| file.journal());
    journal.map(|entries| first_uncompleted(&entries)).unwrap_or(0)
}

fn first_uncompleted(journal: &[(i64, JournalEntry)]) -> usize {
    let completed = journal.iter().filter_map(|(_, entry)| match entry {
        JournalEntry::PhaseCompleted { phase, .. } => Some(*phase + 1),
        _ => None,
    });
    completed.max().unwrap_or(0)
}

/// Builds a suspended run anew from its journal, to begin at the phase that was cut.
///
/// # Errors
/// When its file can't be read or none of its nodes is here.
pub(crate) fn rebuild(hall: &Hall, row: &RunRow) -> Result<(Active, usize), SubmitError> {
    let store = |error: crate::store::StoreError| SubmitError::Store(error.to_string());
    let file = RunFile::open(&hall.config.folder_of(&row.run)).map_err(store)?;
    let journal = file.journal().map_err(store)?;
    let created = crate::evidence::Created::find(&journal)
        .ok_or_else(|| SubmitError::Store("the run file has no beginning".to_owned()))?;
    let (plan, site) = created.documents().map_err(SubmitError::Refused)?;
    let phase = first_uncompleted(&journal).min(plan.phases.len().saturating_sub(1));
    let planned = hall.replan(&created.nodes);
    let present: Vec<String> =
        planned.iter().filter(|p| !p.instance.is_empty()).map(|p| p.node.clone()).collect();
    if present.is_empty() {
        return Err(SubmitError::NoAgents);
    }
    let specs = phase_specs(&plan, site.as_ref(), &present);
    let active = Active {
        run: row.run.clone(),
        plan,
        site_name: created.site_name.clone(),
        machine: hall.machine(&specs, &present, phase),
        specs,
        planned,
        token: token(),
        lease: lease_id(),
        // An injection is not repeated by a resume: it is once in a run.
        injections: Vec::new(),
        data_addresses: BTreeMap::new(),
        started_ns: row.started_ns,
        message: String::new(),
        clocks: Vec::new(),
    };
    Ok((active, phase))
}
