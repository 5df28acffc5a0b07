//! Writes down what every device of a document says, without a coordinator: the building as it
//! is before a run, or for `analyze --meters`.

use std::sync::Arc;
use std::time::Duration;

use formats::sources::Sources;
use model::table::MeterRow;
use tokio::sync::mpsc;

use super::drive::{Ear, Place};
use super::state::{Change, State};
use crate::clock::CoordinatorClock;

/// Rounds that wait to be written: a minute of a thousand devices.
const ROUNDS_MAX: usize = 65_536;

/// Something worth writing down or saying.
#[derive(Debug, Clone, PartialEq)]
pub enum Recorded {
    Rows(Vec<MeterRow>),
    /// A device stopped answering, came back, or said what is no reading: in words.
    Said(String),
}

/// Asks every device until the time is over or nobody listens; `hear` gets what came, in order.
/// Tables are not followed: they are recorded already.
///
/// # Errors
/// What of the document can't be used here, in words, or what `hear` could not take.
pub async fn record(
    sources: &Sources,
    time: Duration,
    mut hear: impl FnMut(Recorded) -> Result<(), String>,
) -> Result<(), String> {
    let (said, mut heard) = mpsc::channel(ROUNDS_MAX);
    let ear: Arc<dyn Ear> = Arc::new(Pen { clock: CoordinatorClock::start(), said });
    let tasks = super::start(sources, &ear)?;
    drop(ear);
    let end = tokio::time::Instant::now() + time;
    while let Ok(Some(recorded)) = tokio::time::timeout_at(end, heard.recv()).await {
        hear(recorded)?;
    }
    drop(tasks);
    while let Ok(recorded) = heard.try_recv() {
        hear(recorded)?;
    }
    Ok(())
}

struct Pen {
    clock: CoordinatorClock,
    said: mpsc::Sender<Recorded>,
}

impl Pen {
    fn say(&self, recorded: Recorded) {
        if self.said.try_send(recorded).is_err() {
            tracing::error!("readings were lost: they can't be written as fast as they come");
        }
    }
}

impl Ear for Pen {
    fn now_ns(&self) -> i64 {
        self.clock.now_ns()
    }

    fn rows(&self, _: &Place, rows: Vec<MeterRow>, _: bool) {
        if !rows.is_empty() {
            self.say(Recorded::Rows(rows));
        }
    }

    fn wrong(&self, place: &Place, what: &str) {
        tracing::debug!(source = %place.source, address = %place.address, "no reading: {what}");
    }

    fn state(&self, place: &Place, _: &State, changes: &[Change]) {
        for change in changes {
            let words = change.words();
            let Place { source, address, domain } = place;
            self.say(Recorded::Said(format!("{source} {address} ({domain}): {words}")));
        }
    }
}
