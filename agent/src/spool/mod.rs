//! The spool: batches on disk until the coordinator has them for good.
//!
//! Owns durability, order and bounds of what the agent has to say. Knows batches as bytes;
//! refuses the wire, the records in them, and async: its calls block on a disk.
//!
//! Picture a pile of carbon copies. A copy is thrown away when its receipt arrives; when
//! the drawer is full the oldest go first, and a slip says which. Slips have receipts too.
//!
//! Invariants:
//! * A batch whose `append` returned survives the death of the process, and the loss of
//!   power from the moment that [`Durability`] promises.
//! * Every `seq` of a stream is a batch, or is in a loss note. A batch that is cut off
//!   at the very end of a stream by loss of power may have been acked before: a note about
//!   a batch that the coordinator holds is void.
//! * Batches that were not acked for certain are offered again, under the key that they
//!   had: the store drops what it has.
//!
//! On disk: `lock`, `ledger` (acks, loss notes), `0000000000000001.seg` and so on.

mod disk;
mod error;
mod frame;
mod ledger;
mod limits;
mod lock;
mod notes;
mod recovery;
mod room;
mod segment;
mod stream;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use model::id::{AgentInstance, RunId};

use disk::Disk;
use frame::Frame;
use ledger::Ledger;
use lock::DirLock;
use notes::{Lost, Notes};
use recovery::Recovery;
use segment::{Segment, Writer};
use stream::Stream;

pub use error::SpoolError;
pub use limits::{
    BYTES_MAX_DEFAULT, DURABLE_WITHIN_DEFAULT, Durability, Limits, RUNS_MAX, SEGMENT_BYTES_DEFAULT,
};
pub use notes::{LossNote, LossWhy};
pub use stream::{Entry, Found, Pending, StreamKey};

/// Who spools now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// New at every start of the agent.
    pub instance: AgentInstance,
    /// The kernel's boot id.
    pub boot_id: String,
}

/// Batches of this agent instance, and what earlier ones left.
#[derive(Debug)]
pub struct Spool {
    dir: PathBuf,
    disk: Disk,
    limits: Limits,
    own: Identity,
    streams: BTreeMap<StreamKey, Stream>,
    /// By number: the oldest first.
    segments: BTreeMap<u64, Segment>,
    /// Open ends of own segments, the latest used last.
    writers: Vec<Writer>,
    ledger: Ledger,
    notes: Notes,
    /// Of all segments together.
    bytes: u64,
    next_number: u64,
    unsynced_since: Option<Instant>,
    _lock: DirLock,
}

impl Spool {
    /// Opens a spool directory, making it if need be, and says what was found in it.
    ///
    /// # Errors
    /// When another agent holds it, the limits make no sense, or the disk refuses. Damage
    /// is no error: it is reported in [`Found`] and in loss notes.
    pub fn open(
        dir: &Path,
        own: Identity,
        limits: Limits,
    ) -> Result<(Self, Vec<Found>), SpoolError> {
        Self::open_on(Disk::default(), dir, own, limits)
    }

    fn open_on(
        disk: Disk,
        dir: &Path,
        own: Identity,
        limits: Limits,
    ) -> Result<(Self, Vec<Found>), SpoolError> {
        limits.check()?;
        fs::create_dir_all(dir)
            .map_err(|source| SpoolError::CreateDir { dir: dir.to_owned(), source })?;
        let lock = DirLock::take(dir)?;
        let (ledger, replay) = Ledger::open(dir, disk.clone()).map_err(SpoolError::Ledger)?;
        let recovery = Recovery::run(dir, replay)?;
        if recovery.segments.values().any(|segment| segment.stream.instance == own.instance) {
            return Err(SpoolError::InstanceReused { dir: dir.to_owned() });
        }
        let mut spool = Self {
            dir: dir.to_owned(),
            disk,
            limits,
            own,
            streams: streams_of(&recovery),
            bytes: recovery.segments.values().map(|segment| segment.bytes).sum(),
            segments: recovery.segments,
            writers: Vec::new(),
            ledger,
            notes: recovery.notes,
            next_number: recovery.next_number,
            unsynced_since: None,
            _lock: lock,
        };
        let mut found = recovery.found;
        spool.settle(&recovery.torn);
        found.extend(spool.pending().into_iter().map(Found::Earlier));
        Ok((spool, found))
    }

    /// Notes first, then cut and remove what they speak of. A full disk refuses some of
    /// this; it is tried again at the next write, or at the next start.
    fn settle(&mut self, torn: &BTreeMap<u64, u64>) {
        if let Err(error) = self.save_notes() {
            tracing::warn!(%error, "the spool's loss notes can't be written yet");
        } else {
            for (number, torn_bytes) in torn {
                let Some(segment) = self.segments.get_mut(number) else { continue };
                match segment.cut(*torn_bytes) {
                    Ok(()) => self.bytes -= torn_bytes,
                    Err(error) => tracing::warn!(%error, "can't cut a torn segment"),
                }
            }
        }
        self.remove_done();
        self.make_room(0);
        // Whoever wrote them may have been killed before it could keep its promise.
        let flush = |segment: &Segment| File::open(&segment.path)?.sync_data();
        if let Err(error) = self.segments.values().try_for_each(flush) {
            tracing::warn!(%error, "can't make an earlier instance's batches durable");
        }
        if let Err(error) = self.compact() {
            tracing::warn!(%error, "can't write the spool's ledger anew");
        }
    }

    /// Appends a batch of `records` records to a run and returns its `seq`.
    ///
    /// # Errors
    /// [`SpoolError::GivenUp`]: the batch is lost, its `seq` is used up, and a loss note
    /// for it follows as soon as the disk takes one. [`SpoolError::NotDurable`]: the batch
    /// is kept, and a loss of power may take it. [`SpoolError::TooManyRuns`].
    pub fn append(&mut self, run: &RunId, records: u32, payload: &[u8]) -> Result<u64, SpoolError> {
        let stream = StreamKey { run: run.clone(), instance: self.own.instance.clone() };
        let seq = self.take_seq(&stream)?;
        let written = self.write(&stream, seq, records, payload);
        self.settle_append(stream, seq, records, written)
    }

    /// What a write came to: a `seq`, or a loss note.
    fn settle_append(
        &mut self,
        stream: StreamKey,
        seq: u64,
        records: u32,
        written: io::Result<()>,
    ) -> Result<u64, SpoolError> {
        if let Err(source) = written {
            let records = u64::from(records);
            let lost = Lost { records, exact: true, why: LossWhy::WriteFailed };
            self.notes.add(&stream, seq..=seq, lost);
            return Err(SpoolError::GivenUp { run: stream.run, seq, source });
        }
        match self.sync_if_due() {
            Ok(()) => Ok(seq),
            Err(source) => Err(SpoolError::NotDurable { run: stream.run, seq, source }),
        }
    }

    /// The last `seq` that a stream was given; 0 before its first batch.
    #[must_use]
    pub fn last_seq(&self, stream: &StreamKey) -> u64 {
        self.streams.get(stream).map_or(0, |known| known.last_seq)
    }

    /// Streams with batches that wait, earlier instances included.
    #[must_use]
    pub fn pending(&self) -> Vec<Pending> {
        let mut pending: BTreeMap<&StreamKey, Pending> = BTreeMap::new();
        for segment in self.segments.values() {
            let Some(known) = self.streams.get(&segment.stream) else { continue };
            let waiting = segment.frames.iter().filter(|frame| frame.seq > known.acked).count();
            if waiting > 0 {
                let entry = pending.entry(&segment.stream).or_insert_with(|| Pending {
                    stream: segment.stream.clone(),
                    boot_id: segment.boot_id.clone(),
                    acked_seq: known.acked,
                    last_seq: known.last_seq,
                    batches: 0,
                });
                entry.batches += waiting as u64;
            }
        }
        pending.into_values().collect()
    }

    /// Batches of a stream behind `after_seq` (or behind its ack), in order: at least one
    /// if there is one, and no more than fit `max_bytes` of payload. A hole in `seq` is in
    /// a loss note.
    ///
    /// # Errors
    /// When a segment can't be opened. Damage is none: it becomes a loss note.
    pub fn unacked(
        &mut self,
        stream: &StreamKey,
        after_seq: u64,
        max_bytes: usize,
    ) -> Result<Vec<Entry>, SpoolError> {
        let Some(known) = self.streams.get(stream) else { return Ok(Vec::new()) };
        let after_seq = after_seq.max(known.acked);
        let mut entries = Vec::new();
        let mut room = max_bytes;
        let mut damaged: Vec<(u64, Frame)> = Vec::new();
        'segments: for (number, segment) in &self.segments {
            if segment.stream != *stream || segment.last_seq() <= after_seq {
                continue;
            }
            let file = open_segment(&segment.path)?;
            let begin = segment.frames.partition_point(|frame| frame.seq <= after_seq);
            for frame in &segment.frames[begin..] {
                let size = frame.payload_len as usize;
                if size > room && !entries.is_empty() {
                    break 'segments;
                }
                match file.as_ref().and_then(|file| Segment::read(file, frame)) {
                    Some(payload) => entries.push(Entry {
                        stream: stream.clone(),
                        boot_id: segment.boot_id.clone(),
                        seq: frame.seq,
                        records: frame.records,
                        payload,
                    }),
                    None => damaged.push((*number, *frame)),
                }
                room = room.saturating_sub(size);
            }
        }
        self.note_damaged(stream, &damaged);
        Ok(entries)
    }

    fn note_damaged(&mut self, stream: &StreamKey, damaged: &[(u64, Frame)]) {
        for (number, frame) in damaged {
            let records = u64::from(frame.records);
            let lost = Lost { records, exact: true, why: LossWhy::Damaged };
            self.notes.add(stream, frame.seq..=frame.seq, lost);
            if let Some(segment) = self.segments.get_mut(number) {
                segment.frames.retain(|kept| kept.seq != frame.seq);
            }
        }
    }

    /// The coordinator has all batches of a stream up to `up_to_seq` for good.
    ///
    /// # Errors
    /// When the ledger can't be written: the ack holds for this process, and the next one
    /// may offer the batches again.
    pub fn ack(&mut self, stream: &StreamKey, up_to_seq: u64) -> Result<(), SpoolError> {
        let Some(known) = self.streams.get_mut(stream) else { return Ok(()) };
        let up_to_seq = up_to_seq.min(known.last_seq);
        if up_to_seq <= known.acked {
            return Ok(());
        }
        known.acked = up_to_seq;
        // Before the batches go that told of them: without both the next start would tell
        // them again.
        let told = self.notes.arrived(stream, up_to_seq);
        let noted = if told.is_empty() { Ok(()) } else { self.ledger.told(&told) };
        self.remove_done();
        self.forget_told();
        noted.map_err(SpoolError::Ledger)?;
        if self.segments.values().any(|segment| segment.stream == *stream) {
            self.ledger.acked(stream, up_to_seq).map_err(SpoolError::Ledger)?;
        }
        self.compact_if_long().map_err(SpoolError::Ledger)
    }

    /// Losses to be told now, oldest first: [`Spool::tell_losses`] takes them. Each is
    /// offered again, by this process or a later one, whenever the batch that tells of it is
    /// itself given up. None while such a batch was given up and no ack came since: the way
    /// is blocked, and every further batch would cost one of what was measured.
    #[must_use = "a loss that nobody hears of is a silent gap"]
    pub fn losses(&mut self) -> Vec<LossNote> {
        if let Err(error) = self.save_notes() {
            tracing::warn!(%error, "the spool's loss notes can't be written yet");
        }
        if self.notes.is_stuck() && !self.pending().is_empty() {
            return Vec::new();
        }
        self.notes.hand_out()
    }

    /// Appends a batch that tells of losses. They are told for good once it is acked. Nothing
    /// in it was measured: were it given up, no record would be lost.
    ///
    /// # Errors
    /// As [`Spool::append`].
    pub fn tell_losses(
        &mut self,
        run: &RunId,
        ids: &[u64],
        payload: &[u8],
    ) -> Result<u64, SpoolError> {
        let stream = StreamKey { run: run.clone(), instance: self.own.instance.clone() };
        let seq = self.take_seq(&stream)?;
        // Written down first: what leaves without it is told again by the next process. If
        // that fails the seq is used up all the same: half of it may be on the disk.
        let written = self.ledger.carried(ids, &stream, seq).and_then(|()| {
            self.notes.carry(ids, &stream, seq);
            self.write(&stream, seq, 0, payload)
        });
        self.settle_append(stream, seq, 0, written)
    }

    /// When [`Spool::sync`] is due to keep the promise of [`Durability::Within`].
    #[must_use]
    pub fn next_sync(&self) -> Option<Instant> {
        match self.limits.durability {
            Durability::EveryAppend => self.unsynced_since,
            Durability::Within(wait) => self.unsynced_since?.checked_add(wait),
        }
    }

    /// Makes all that was appended safe from loss of power.
    ///
    /// # Errors
    /// When the disk refuses; what was appended is then safe from the death of the process
    /// only.
    pub fn sync(&mut self) -> Result<(), SpoolError> {
        self.sync_writers().map_err(SpoolError::Sync)
    }

    /// Bytes that all segments take.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    fn sync_writers(&mut self) -> io::Result<()> {
        self.writers.iter_mut().try_for_each(Writer::sync)?;
        self.unsynced_since = None;
        Ok(())
    }

    fn sync_if_due(&mut self) -> io::Result<()> {
        let since = *self.unsynced_since.get_or_insert_with(Instant::now);
        match self.limits.durability {
            Durability::Within(wait) if since.elapsed() < wait => Ok(()),
            _ => self.sync_writers(),
        }
    }
}

fn streams_of(recovery: &Recovery) -> BTreeMap<StreamKey, Stream> {
    let mut streams: BTreeMap<StreamKey, Stream> = BTreeMap::new();
    for segment in recovery.segments.values() {
        let acked = recovery.acked.get(&segment.stream).copied().unwrap_or(0);
        let known = streams.entry(segment.stream.clone()).or_default();
        known.acked = acked;
        known.last_seq = known.last_seq.max(segment.last_seq()).max(acked);
    }
    for kept in &recovery.notes.kept {
        if let Some(known) = streams.get_mut(&kept.note.stream) {
            known.last_seq = known.last_seq.max(kept.note.to_seq);
        }
    }
    streams
}

/// `None` where somebody removed the file: its batches are lost, and noted.
fn open_segment(path: &Path) -> Result<Option<File>, SpoolError> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(SpoolError::Read { path: path.to_owned(), source }),
    }
}
