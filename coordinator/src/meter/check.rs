//! Asks every device of a document for a while, without a coordinator: what would be read?

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use formats::MeterFollower;
use formats::sources::{SourceKind, Sources};
use model::table::MeterRow;

use super::drive::{Ear, Place};
use super::state::{Change, State};
use crate::clock::CoordinatorClock;

/// What one device said.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Checked {
    pub source: String,
    pub address: String,
    pub domain: String,
    /// The last reading of each of its points.
    pub rows: Vec<MeterRow>,
    /// What came and is no reading.
    pub wrong: Vec<String>,
    /// Why nothing comes, if nothing does.
    pub trouble: Option<String>,
    /// Our clock minus its own, in nanoseconds, where that is off.
    pub off_ns: Option<i64>,
    pub rounds: u64,
    pub failed: u64,
}

/// Asks for so long, and says what came, device by device. Nothing is written anywhere.
///
/// # Errors
/// What of the document can't be used here, in words.
pub async fn check(sources: &Sources, time: Duration) -> Result<Vec<Checked>, String> {
    let heard = Arc::new(Heard { clock: CoordinatorClock::start(), places: Mutex::default() });
    let ear: Arc<dyn Ear> = heard.clone();
    let tasks = super::start(sources, &ear)?;
    tokio::time::sleep(time).await;
    drop(tasks);
    let mut found: Vec<Checked> = heard.lock().values().cloned().collect();
    found.extend(sources.sources.iter().filter_map(|source| match &source.kind {
        SourceKind::Table(table) => Some(look(&source.name, &table.path)),
        _ => None,
    }));
    Ok(found)
}

/// What a table holds by now.
fn look(source: &str, path: &std::path::Path) -> Checked {
    let mut checked = Checked {
        source: source.to_owned(),
        address: path.display().to_string(),
        rounds: 1,
        ..Checked::default()
    };
    match MeterFollower::new(path).look() {
        Ok(looked) => {
            checked.wrong = looked.wrong.iter().map(ToString::to_string).collect();
            keep(&mut checked.rows, looked.rows);
        }
        Err(error) => (checked.failed, checked.trouble) = (1, Some(error.to_string())),
    }
    checked
}

/// The last row of each point.
fn keep(kept: &mut Vec<MeterRow>, rows: Vec<MeterRow>) {
    for row in rows {
        let same = |other: &&mut MeterRow| other.domain == row.domain && other.point == row.point;
        match kept.iter_mut().find(same) {
            Some(old) => *old = row,
            None => kept.push(row),
        }
    }
}

struct Heard {
    clock: CoordinatorClock,
    places: Mutex<BTreeMap<Place, Checked>>,
}

impl Heard {
    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Place, Checked>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn at(&self, place: &Place, change: impl FnOnce(&mut Checked)) {
        let mut places = self.lock();
        let checked = places.entry(place.clone()).or_insert_with(|| Checked {
            source: place.source.clone(),
            address: place.address.clone(),
            domain: place.domain.clone(),
            ..Checked::default()
        });
        change(checked);
    }
}

impl Ear for Heard {
    fn now_ns(&self) -> i64 {
        self.clock.now_ns()
    }

    fn rows(&self, place: &Place, rows: Vec<MeterRow>, _: bool) {
        self.at(place, |checked| keep(&mut checked.rows, rows));
    }

    fn wrong(&self, place: &Place, what: &str) {
        self.at(place, |checked| {
            if !checked.wrong.iter().any(|told| told == what) {
                checked.wrong.push(what.to_owned());
            }
        });
    }

    fn state(&self, place: &Place, state: &State, _: &[Change]) {
        self.at(place, |checked| {
            (checked.rounds, checked.failed) = (state.rounds, state.failed);
            checked.trouble = state.trouble.as_ref().map(|(_, error)| error.to_string());
            checked.off_ns = state.off_ns;
        });
    }
}
