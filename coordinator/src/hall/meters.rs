//! The building's meters in the hall: interlocks hear them at once, the active run records them.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::record::{MeterReading, Record};
use model::table::MeterRow;
use proto::convert::records_to_bytes;
use proto::v1;

use super::{Active, Hall, Inner};
use crate::meter::{Change, Ear, Place, State, off_words};
use crate::store::{JournalEntry, MeterEvent, StoredBatch};

/// What meters said leaves for the store so often, as agents' batches do.
const FLUSH_NS: i64 = 1_000_000_000;
/// Or when so many readings wait: a batch of about half a megabyte.
const READINGS_MAX: usize = 5_000;
/// Things that were no reading are told so often in one run; the rest is counted.
const WRONG_TOLD_MAX: usize = 100;

/// Readings of the active run that are on their way to its file.
#[derive(Debug, Default)]
pub(crate) struct Recorded {
    waiting: Vec<Record>,
    seq: u64,
    flushed_ns: i64,
    /// What was told already, so that a meter that always says it is told once.
    wrong: BTreeMap<(Place, String), u64>,
}

impl Hall {
    /// Whoever hears the building for this hall.
    pub(crate) fn ear(&self) -> Arc<dyn Ear> {
        Arc::new(HallEar(self.clone()))
    }

    /// Rows of the building's meters, as they came. `from` names the source that they show to be
    /// alive, if they do.
    pub(crate) fn take_meters(&self, rows: &[MeterRow], from: Option<&str>) {
        let now_ns = self.clock.now_ns();
        let mut inner = self.lock();
        self.watch_meters(&mut inner, now_ns, rows, from);
        let Some(active) = inner.active.as_mut() else { return };
        let readings = rows.iter().filter_map(reading_of).map(Record::Meter);
        active.meters.waiting.extend(readings);
        if active.meters.waiting.len() >= READINGS_MAX {
            self.flush_meters(active, now_ns);
        }
    }

    /// Sends what waits to the store, when it is time.
    pub(super) fn flush_meters_if_due(&self, inner: &mut Inner, now_ns: i64) {
        let Some(active) = inner.active.as_mut() else { return };
        if now_ns - active.meters.flushed_ns >= FLUSH_NS {
            self.flush_meters(active, now_ns);
        }
    }

    /// Sends what waits to the store: before the run's end is written, for example.
    pub(super) fn flush_meters(&self, active: &mut Active, now_ns: i64) {
        let meters = &mut active.meters;
        meters.flushed_ns = now_ns;
        if meters.waiting.is_empty() {
            return;
        }
        meters.seq += 1;
        let records = std::mem::take(&mut meters.waiting);
        // No node: the coordinator itself said it.
        let batch = v1::Batch {
            run_id: active.run.clone(),
            instance: self.instance.to_string(),
            seq: meters.seq,
            records: records_to_bytes(&records),
            ..v1::Batch::default()
        };
        // Nobody waits for it: what a full disk refuses is told by the writer.
        drop(self.writer.batch(&active.run, StoredBatch { batch, received_ns: now_ns }));
    }

    /// A run begins: which meters are not there, from its first instant on.
    pub(super) fn begin_metering(&self, inner: &Inner, now_ns: i64) {
        let Some(run) = inner.active.as_ref().map(|active| active.run.as_str()) else { return };
        for (place, state) in &inner.meters {
            if let (true, Some((_, error))) = (state.is_lost(), &state.trouble) {
                self.tell_meter(run, now_ns, place, MeterEvent::Lost, &error.to_string());
            }
            if let Some(off_ns) = state.off_ns {
                self.tell_meter(run, now_ns, place, MeterEvent::ClockOff, &off_words(off_ns));
            }
        }
    }

    /// How every device of the building does.
    pub(crate) fn meters(&self) -> v1::MetersReply {
        let now_ns = self.clock.now_ns();
        let inner = self.lock();
        let seconds = |ns: i64| ns as f64 / 1e9;
        let entry = |(place, state): (&Place, &State)| v1::MeterEntry {
            source: place.source.clone(),
            address: place.address.clone(),
            domain: place.domain.clone(),
            rounds: state.rounds,
            failed: state.failed,
            readings: state.rows,
            doubles: state.doubles,
            wrong: state.wrong,
            trouble: state.trouble.as_ref().map_or_else(String::new, |(_, e)| e.to_string()),
            last_reading_s: state.last_row_ns.map(|at_ns| seconds(now_ns - at_ns)),
            clock_off_s: state.off_ns.map(seconds),
        };
        v1::MetersReply { meters: inner.meters.iter().map(entry).collect() }
    }

    fn tell_meter(&self, run: &str, now_ns: i64, place: &Place, event: MeterEvent, why: &str) {
        let entry = JournalEntry::Meter {
            source: place.source.clone(),
            address: place.address.clone(),
            domain: place.domain.clone(),
            event,
            why: why.to_owned(),
        };
        self.writer.journal(run, now_ns, entry);
    }

    fn note_wrong(&self, place: &Place, what: &str) {
        let now_ns = self.clock.now_ns();
        let mut inner = self.lock();
        let Some(active) = inner.active.as_mut() else { return };
        let told = active.meters.wrong.len();
        let key = (place.clone(), what.to_owned());
        if let Some(count) = active.meters.wrong.get_mut(&key) {
            *count += 1;
        } else if told < WRONG_TOLD_MAX {
            active.meters.wrong.insert(key, 1);
            let run = active.run.clone();
            self.tell_meter(&run, now_ns, place, MeterEvent::Wrong, what);
        }
    }

    fn note_state(&self, place: &Place, state: &State, changes: &[Change]) {
        let now_ns = self.clock.now_ns();
        let mut inner = self.lock();
        inner.meters.insert(place.clone(), state.clone());
        let run = inner.active.as_ref().map(|active| active.run.clone());
        drop(inner);
        for change in changes {
            let event = match change {
                Change::Lost(_) => MeterEvent::Lost,
                Change::Back => MeterEvent::Back,
                Change::ClockOff(_) => MeterEvent::ClockOff,
                Change::ClockRight => MeterEvent::ClockRight,
            };
            let why = change.words();
            let (source, address) = (&place.source, &place.address);
            tracing::warn!(%source, %address, domain = %place.domain, "meter: {why}");
            if let Some(run) = &run {
                self.tell_meter(run, now_ns, place, event, &why);
            }
        }
    }
}

/// The hall, as meters speak to it.
struct HallEar(Hall);

impl Ear for HallEar {
    fn now_ns(&self) -> i64 {
        self.0.clock.now_ns()
    }

    fn rows(&self, place: &Place, rows: Vec<MeterRow>, heartbeat: bool) {
        self.0.take_meters(&rows, heartbeat.then_some(place.source.as_str()));
    }

    fn wrong(&self, place: &Place, what: &str) {
        let (source, address) = (&place.source, &place.address);
        tracing::debug!(%source, %address, "no reading: {what}");
        self.0.note_wrong(place, what);
    }

    fn state(&self, place: &Place, state: &State, changes: &[Change]) {
        self.0.note_state(place, state, changes);
    }
}

/// What the run keeps; an empty cell is nothing to keep.
fn reading_of(row: &MeterRow) -> Option<MeterReading> {
    Some(MeterReading {
        time_ns: row.time_ns,
        domain: row.domain.clone(),
        point: row.point.clone(),
        value: row.value?,
        unit: row.unit.clone().unwrap_or_default(),
        quality: row.quality.clone().unwrap_or_default(),
        clock_error_ms: row.clock_error_ms,
    })
}
