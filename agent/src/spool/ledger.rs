//! The ledger: acks and loss notes, appended to one small file of frames.
//!
//! An ack that is lost costs an upload that the store's key drops again. A loss note is
//! flushed before the batches it speaks of are removed.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use model::id::{AgentInstance, RunId};
use prost::Message;

use super::StreamKey;
use super::disk::{Disk, sync_dir};
use super::frame;
use super::limits::LEDGER_BYTES_MAX;
use super::notes::{Kept, LossNote, LossWhy, Notes};

const FILE: &str = "ledger";
const FRESH: &str = "ledger.new";

/// One line of the ledger. Fields are added, never reused.
#[derive(Clone, PartialEq, Message)]
struct Line {
    #[prost(oneof = "What", tags = "1, 2, 3, 4")]
    what: Option<What>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum What {
    #[prost(message, tag = "1")]
    Acked(Acked),
    #[prost(message, tag = "2")]
    Lost(Lost),
    /// The note with this id was told.
    #[prost(uint64, tag = "3")]
    Told(u64),
    #[prost(message, tag = "4")]
    Carried(Carried),
}

/// The notes with these ids travel in this batch. One line for all of them: half of it
/// would leave some to a batch that says something else.
#[derive(Clone, PartialEq, Message)]
struct Carried {
    #[prost(uint64, repeated, tag = "1")]
    ids: Vec<u64>,
    #[prost(string, tag = "2")]
    run: String,
    #[prost(string, tag = "3")]
    instance: String,
    #[prost(uint64, tag = "4")]
    seq: u64,
}

#[derive(Clone, PartialEq, Message)]
struct Acked {
    #[prost(string, tag = "1")]
    run: String,
    #[prost(string, tag = "2")]
    instance: String,
    #[prost(uint64, tag = "3")]
    up_to_seq: u64,
}

#[derive(Clone, PartialEq, Message)]
struct Lost {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(string, tag = "2")]
    run: String,
    #[prost(string, tag = "3")]
    instance: String,
    #[prost(uint64, tag = "4")]
    from_seq: u64,
    #[prost(uint64, tag = "5")]
    to_seq: u64,
    #[prost(uint64, tag = "6")]
    records: u64,
    #[prost(bool, tag = "7")]
    exact: bool,
    #[prost(enumeration = "LossWhy", tag = "8")]
    why: i32,
}

/// What a ledger said when it was opened.
#[derive(Debug, Default)]
pub(super) struct Replay {
    pub(super) acked: BTreeMap<StreamKey, u64>,
    pub(super) notes: Notes,
    pub(super) damaged_bytes: u64,
}

#[derive(Debug)]
pub(super) struct Ledger {
    dir: PathBuf,
    disk: Disk,
    file: File,
    bytes: u64,
    lines: u64,
    /// What it had when it was last written anew.
    fresh_bytes: u64,
}

impl Ledger {
    /// Opens or makes the ledger and replays it. A torn tail is cut.
    pub(super) fn open(dir: &Path, disk: Disk) -> io::Result<(Self, Replay)> {
        let path = dir.join(FILE);
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            read => read?,
        };
        let scan = frame::scan(&bytes, 0);
        let mut replay = Replay { damaged_bytes: scan.damaged_bytes as u64, ..Replay::default() };
        for frame in &scan.frames {
            let payload = bytes.get(frame.offset as usize..).and_then(frame::payload);
            match payload.and_then(|payload| Line::decode(payload).ok()?.what) {
                Some(what) => replay.take(what),
                None => replay.damaged_bytes += frame.total_bytes() as u64,
            }
        }
        let file = OpenOptions::new().create(true).append(true).open(&path)?;
        file.set_len(scan.good_end as u64)?;
        let lines = scan.frames.last().map_or(0, |frame| frame.seq);
        let ledger = Self {
            dir: dir.to_owned(),
            disk,
            file,
            bytes: scan.good_end as u64,
            lines,
            fresh_bytes: 0,
        };
        Ok((ledger, replay))
    }

    /// Whether it is time to write it anew.
    pub(super) fn is_long(&self) -> bool {
        self.bytes > LEDGER_BYTES_MAX.max(2 * self.fresh_bytes)
    }

    pub(super) fn acked(&mut self, stream: &StreamKey, up_to_seq: u64) -> io::Result<()> {
        self.append(&acked_line(stream, up_to_seq))
    }

    pub(super) fn told(&mut self, ids: &[u64]) -> io::Result<()> {
        let mut lines = ids.iter().map(|id| Line { what: Some(What::Told(*id)) });
        lines.try_for_each(|line| self.append(&line))?;
        self.file.sync_data()
    }

    pub(super) fn carried(&mut self, ids: &[u64], stream: &StreamKey, seq: u64) -> io::Result<()> {
        self.append(&carried_line(ids.to_vec(), stream, seq))?;
        self.file.sync_data()
    }

    /// Writes the notes that are not on disk yet, and flushes them.
    pub(super) fn save(&mut self, notes: &mut Notes) -> io::Result<()> {
        for kept in notes.kept.iter().filter(|kept| !kept.saved) {
            self.append(&lost_line(&kept.note))?;
        }
        self.file.sync_data()?;
        notes.kept.iter_mut().for_each(|kept| kept.saved = true);
        Ok(())
    }

    /// Writes the ledger anew, with what still matters only.
    pub(super) fn compact(
        &mut self,
        acked: &[(&StreamKey, u64)],
        notes: &mut Notes,
    ) -> io::Result<()> {
        let acks = acked.iter().map(|(stream, up_to)| acked_line(stream, *up_to));
        let told = |kept: &Kept| kept.told.then_some(Line { what: Some(What::Told(kept.note.id)) });
        let noted = notes.kept.iter().flat_map(|kept| [Some(lost_line(&kept.note)), told(kept)]);
        // Behind all notes: a note takes the carriers back that were lost before it.
        let carried = notes.kept.iter().filter_map(|kept| {
            let (stream, seq) = kept.carrier.as_ref()?;
            Some(carried_line(vec![kept.note.id], stream, *seq))
        });
        let lines: Vec<Line> = acks.chain(noted.flatten()).chain(carried).collect();
        let mut bytes = Vec::new();
        for (line, number) in lines.iter().zip(1..) {
            bytes.extend(frame::encode(number, 0, &line.encode_to_vec()));
        }
        let fresh = self.dir.join(FRESH);
        let mut file = File::create(&fresh)?;
        self.disk.write_all(&mut file, &bytes)?;
        file.sync_all()?;
        fs::rename(&fresh, self.dir.join(FILE))?;
        sync_dir(&self.dir)?;
        self.file = OpenOptions::new().append(true).open(self.dir.join(FILE))?;
        self.bytes = bytes.len() as u64;
        self.fresh_bytes = self.bytes;
        self.lines = lines.len() as u64;
        notes.kept.iter_mut().for_each(|kept| kept.saved = true);
        Ok(())
    }

    fn append(&mut self, line: &Line) -> io::Result<()> {
        let bytes = frame::encode(self.lines + 1, 0, &line.encode_to_vec());
        if let Err(error) = self.disk.write_all(&mut self.file, &bytes) {
            // Half a line would end the replay there.
            self.file.set_len(self.bytes)?;
            return Err(error);
        }
        self.lines += 1;
        self.bytes += bytes.len() as u64;
        Ok(())
    }
}

impl Replay {
    fn take(&mut self, what: What) {
        match what {
            What::Acked(Acked { run, instance, up_to_seq }) => {
                let acked = self.acked.entry(key(run, instance)).or_default();
                *acked = up_to_seq.max(*acked);
            }
            What::Lost(lost) => self.notes.restore(LossNote {
                id: lost.id,
                why: lost.why(),
                stream: key(lost.run, lost.instance),
                from_seq: lost.from_seq,
                to_seq: lost.to_seq,
                records: lost.records,
                exact: lost.exact,
            }),
            What::Told(id) => self.notes.tell(id),
            What::Carried(Carried { ids, run, instance, seq }) => {
                self.notes.carry(&ids, &key(run, instance), seq);
            }
        }
    }
}

fn key(run: String, instance: String) -> StreamKey {
    StreamKey { run: RunId(run), instance: AgentInstance(instance) }
}

fn acked_line(stream: &StreamKey, up_to_seq: u64) -> Line {
    let (run, instance) = (stream.run.0.clone(), stream.instance.0.clone());
    Line { what: Some(What::Acked(Acked { run, instance, up_to_seq })) }
}

fn carried_line(ids: Vec<u64>, stream: &StreamKey, seq: u64) -> Line {
    let (run, instance) = (stream.run.0.clone(), stream.instance.0.clone());
    Line { what: Some(What::Carried(Carried { ids, run, instance, seq })) }
}

fn lost_line(note: &LossNote) -> Line {
    let lost = Lost {
        id: note.id,
        run: note.stream.run.0.clone(),
        instance: note.stream.instance.0.clone(),
        from_seq: note.from_seq,
        to_seq: note.to_seq,
        records: note.records,
        exact: note.exact,
        why: note.why.into(),
    };
    Line { what: Some(What::Lost(lost)) }
}
