//! What was found so far. A checkpoint is no verdict: it says findings and nothing else.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use model::Finding;

use crate::evidence;
use crate::hall::Hall;

/// Distance of looks at what there is to judge.
const LOOK: Duration = Duration::from_secs(1);
/// Checkpoints are at least so far apart,
const PAUSE_MIN: Duration = Duration::from_secs(10);
/// and at least so many times as long as the last one took: a long run must not be judged all
/// the time because somebody looks.
const PAUSE_SHARE: u32 = 20;

/// Findings of one run.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Judged {
    pub(super) run: String,
    /// Whether its record was looked at: no findings before that says nothing.
    pub(super) looked: bool,
    /// Whether the run is over and these are its findings for good.
    pub(super) settled: bool,
    pub(super) findings: Vec<Found>,
}

/// A finding in words.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Found {
    pub(super) id: String,
    pub(super) kind: String,
    /// `pdu pdu-b07`.
    pub(super) suspect: String,
    pub(super) severity: String,
    pub(super) standing: String,
    pub(super) cannot_exclude: Vec<String>,
    pub(super) action: String,
}

impl Found {
    fn of(finding: &Finding) -> Self {
        let name = |suspect: &model::finding::Suspect| format!("{} {}", suspect.kind, suspect.id);
        Self {
            id: finding.id.clone(),
            kind: finding.kind.word().to_owned(),
            suspect: name(&finding.suspect),
            severity: finding.severity.word().to_owned(),
            standing: finding.standing.word().to_owned(),
            cannot_exclude: finding.cannot_exclude.iter().map(name).collect(),
            action: finding.action.clone(),
        }
    }
}

/// The latest, shared.
#[derive(Debug, Clone, Default)]
pub(super) struct Latest(Arc<Mutex<Judged>>);

impl Latest {
    pub(super) fn get(&self) -> Judged {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn put(&self, judged: Judged) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = judged;
    }
}

/// Keeps the latest up to date: an active run from time to time while `is_watched`, an ended one
/// once.
pub(super) async fn keep(hall: Hall, latest: Latest, is_watched: impl Fn() -> bool) {
    let mut next = Instant::now();
    loop {
        tokio::time::sleep(LOOK).await;
        let Some(status) = hall.status("") else { continue };
        let known = latest.get();
        let is_new = known.run != status.run_id;
        let due = match status.ended {
            true => is_new || !known.settled,
            false => is_watched() && Instant::now() >= next,
        };
        if is_new && !due {
            // Findings of an earlier run must not stand beside this one.
            latest.put(Judged { run: status.run_id.clone(), ..Judged::default() });
        }
        if !due {
            continue;
        }
        let began = Instant::now();
        let folder = hall.config.folder_of(&status.run_id);
        let _ = hall.writer.flush().await;
        let findings = judge(folder).await;
        next = Instant::now() + (began.elapsed() * PAUSE_SHARE).max(PAUSE_MIN);
        latest.put(Judged { run: status.run_id, looked: true, settled: status.ended, findings });
    }
}

async fn judge(folder: PathBuf) -> Vec<Found> {
    let report = tokio::task::spawn_blocking(move || evidence::report_of(&folder)).await;
    match report {
        Ok(Ok(report)) => report.findings.iter().map(Found::of).collect(),
        Ok(Err(error)) => {
            tracing::warn!(%error, "the run is not judged for the live page");
            Vec::new()
        }
        Err(error) => {
            tracing::error!(%error, "judging for the live page failed");
            Vec::new()
        }
    }
}
