//! After a crash: the record of a run is picked up by itself, heat is not.

use std::collections::{BTreeMap, BTreeSet};

use crate::hall::{Active, Hall, HeatAsked, SubmitError, lease_id, token};
use crate::run::{ask_power, phase_specs};
use crate::store::{JournalEntry, RunFile, RunRow};

/// Marks every run that was under way when the coordinator died as suspended. Batches that
/// agents kept still find their run file; nothing heats until a person says `resume`.
///
/// A run's line is written behind its journal: one that ended by its journal has ended, and
/// one that ended and was not judged is judged now.
pub(crate) fn suspend_unfinished(hall: &Hall) -> Vec<String> {
    let now_ns = hall.clock.now_ns();
    let mut suspended = Vec::new();
    for row in hall.runs() {
        let journal = match row.state.as_str() {
            "running" => journal_of(hall, &row.run),
            _ => Vec::new(),
        };
        match (row.state.as_str(), end_of(&journal)) {
            ("running", None) => {
                let phase = first_uncompleted(&journal);
                hall.writer.journal(&row.run, now_ns, JournalEntry::Suspended { phase });
                suspended.push(row.run.clone());
                let row = RunRow { state: "suspended".to_owned(), ..row };
                hall.put(&mut hall.lock(), row);
            }
            ("running", Some((ended_ns, state))) => {
                let _ = hall.judging.send(row.run.clone());
                let row = RunRow { state, ended_ns, ..row };
                hall.put(&mut hall.lock(), row);
            }
            ("suspended", _) => {}
            _ if row.verdict.is_empty() => {
                let _ = hall.judging.send(row.run);
            }
            _ => {}
        }
    }
    suspended
}

fn journal_of(hall: &Hall, run: &str) -> Vec<(i64, JournalEntry)> {
    let journal = RunFile::open(&hall.config.folder_of(run)).and_then(|file| file.journal());
    journal.unwrap_or_default()
}

/// When and how a run ended, if its journal says so.
fn end_of(journal: &[(i64, JournalEntry)]) -> Option<(i64, String)> {
    journal.iter().rev().find_map(|(time_ns, entry)| match entry {
        JournalEntry::Ended { how, .. } => Some((*time_ns, how.clone())),
        _ => None,
    })
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
    let asked = HeatAsked {
        plan: &plan,
        site: site.as_ref(),
        planned: &planned,
        seconds: plan.phases.iter().skip(phase).map(|phase| phase.seconds).sum(),
        affirmed: affirmed(&journal),
        allow_unrated: created.allow_unrated,
    };
    let (heat, _) = hall.allow_heat(&hall.lock(), asked, hall.clock.now_ns())?;
    let mut specs = phase_specs(&plan, site.as_ref(), &present)
        .map_err(|lines| SubmitError::Refused(lines.join("\n")))?;
    ask_power(&mut specs, &heat.asked);
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
        nccl: BTreeMap::new(),
        nccl_id: (0, Vec::new()),
        started_ns: row.started_ns,
        message: String::new(),
        // The phase that was cut begins anew, and so does what a person does in it.
        marked: BTreeSet::new(),
        clocks: Vec::new(),
        site,
        heat,
        meters: crate::hall::Recorded::default(),
    };
    Ok((active, phase))
}

/// What the operator affirmed when the run was begun.
fn affirmed(journal: &[(i64, JournalEntry)]) -> Vec<String> {
    let said = journal.iter().find_map(|(_, entry)| match entry {
        JournalEntry::Permitted { affirmed, .. } => Some(affirmed.clone()),
        _ => None,
    });
    said.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;
    use crate::config::Config;
    use crate::store::{Catalogue, Writer};

    fn row(run: &str, state: &str) -> RunRow {
        RunRow {
            run: run.to_owned(),
            plan: "p".to_owned(),
            site: String::new(),
            state: state.to_owned(),
            verdict: String::new(),
            started_ns: 1,
            ended_ns: 0,
            folder: String::new(),
        }
    }

    #[test]
    fn a_run_is_suspended_unless_its_journal_says_that_it_ended() {
        let folder = tempfile::tempdir().unwrap();
        let config = Config::new(folder.path().to_owned());
        let catalogue = Catalogue::open(folder.path()).unwrap();
        for (run, state) in [("cut", "running"), ("ended", "running"), ("unjudged", "stopped")] {
            catalogue.put(&row(run, state)).unwrap();
        }
        let folders = config.clone();
        let writer = Writer::start(catalogue, move |run| folders.folder_of(run));
        let (phase, name) = (0, "p0".to_owned());
        writer.journal("cut", 5, JournalEntry::PhaseCompleted { phase, name });
        let (how, why) = ("finished".to_owned(), String::new());
        writer.journal("ended", 7, JournalEntry::Ended { how, why });
        writer.close();

        let (judging, mut judged) = mpsc::unbounded_channel();
        let hall = Hall::open(config.clone(), judging).unwrap();
        assert_eq!(suspend_unfinished(&hall), ["cut"]);
        let states: Vec<(String, String, i64)> =
            hall.runs().into_iter().map(|row| (row.run, row.state, row.ended_ns)).collect();
        let state = |run: &str, state: &str, at| (run.to_owned(), state.to_owned(), at);
        let expected = [
            state("cut", "suspended", 0),
            state("ended", "finished", 7),
            state("unjudged", "stopped", 0),
        ];
        assert_eq!(states, expected);
        assert_eq!([judged.try_recv().unwrap(), judged.try_recv().unwrap()], ["ended", "unjudged"]);
        hall.writer.flush().blocking_recv().unwrap().unwrap();
        let written = Catalogue::open(folder.path()).unwrap().runs().unwrap();
        assert_eq!(written, hall.runs(), "what is known here is on the disk");
        let journal = journal_of(&hall, "cut");
        assert_eq!(journal.last().unwrap().1, JournalEntry::Suspended { phase: 1 });
    }
}
