//! Writing within bounds: which segment a batch goes to, and what must make room.

use std::fs;
use std::io;

use super::disk::sync_dir;
use super::error::SpoolError;
use super::limits::{RUNS_MAX, WRITERS_MAX};
use super::notes::{LossWhy, Lost};
use super::segment::{Segment, header_bytes};
use super::stream::StreamKey;
use super::{Spool, frame};

impl Spool {
    pub(super) fn take_seq(&mut self, stream: &StreamKey) -> Result<u64, SpoolError> {
        if !self.streams.contains_key(stream) && self.streams.len() >= RUNS_MAX {
            return Err(SpoolError::TooManyRuns { max: RUNS_MAX });
        }
        let known = self.streams.entry(stream.clone()).or_default();
        known.last_seq += 1;
        Ok(known.last_seq)
    }

    /// Writes a batch. The notes of everything lost before it are on disk first, so that
    /// no gap is ever without one.
    pub(super) fn write(
        &mut self,
        stream: &StreamKey,
        seq: u64,
        records: u32,
        payload: &[u8],
    ) -> io::Result<()> {
        let needed = header_bytes(stream, &self.own.boot_id) + frame::HEAD_BYTES + payload.len();
        if needed > self.limits.segment_bytes as usize {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "the batch exceeds a segment"));
        }
        self.make_room(needed as u64);
        self.save_notes()?;
        let frame = frame::encode(seq, records, payload);
        self.open_writer(stream, seq, frame.len())?;
        let Some(mut writer) = self.writers.pop() else {
            return Err(io::Error::other("no segment is open"));
        };
        let Some(segment) = self.segments.get_mut(&writer.number) else {
            return Err(io::Error::other("the open segment is unknown"));
        };
        let batch = (seq, records, payload.len() as u32);
        match segment.append(&self.disk, &mut writer, batch, &frame) {
            Ok(()) => {
                self.bytes += frame.len() as u64;
                self.writers.push(writer);
                Ok(())
            }
            Err(failed) => {
                // Half a frame that can't be taken back: nothing may follow it there.
                if failed.whole {
                    self.writers.push(writer);
                }
                Err(failed.error)
            }
        }
    }

    /// Puts the stream's writer last, with room for a frame.
    fn open_writer(&mut self, stream: &StreamKey, seq: u64, frame_bytes: usize) -> io::Result<()> {
        let of_stream = |number: &u64| self.segments.get(number).filter(|s| s.stream == *stream);
        let found = self.writers.iter().position(|writer| of_stream(&writer.number).is_some());
        if let Some(at) = found {
            let fits = |segment: &Segment| {
                segment.bytes + frame_bytes as u64 <= u64::from(self.limits.segment_bytes)
            };
            if of_stream(&self.writers[at].number).is_some_and(fits) {
                self.writers[at..].rotate_left(1);
                return Ok(());
            }
            self.seal(at)?;
        }
        if self.writers.len() >= WRITERS_MAX {
            self.seal(0)?;
        }
        let boot_id = &self.own.boot_id;
        let number = self.next_number;
        self.next_number += 1;
        let (segment, writer) =
            Segment::create(&self.disk, &self.dir, number, stream, boot_id, seq)?;
        self.bytes += segment.bytes;
        self.segments.insert(number, segment);
        self.writers.push(writer);
        Ok(())
    }

    /// Closes a segment for good.
    fn seal(&mut self, at: usize) -> io::Result<()> {
        let mut writer = self.writers.remove(at);
        let synced = writer.sync();
        self.remove_done();
        synced
    }

    /// Gives up the oldest segments until `needed` bytes fit.
    pub(super) fn make_room(&mut self, needed: u64) {
        while self.bytes + needed > self.limits.bytes_max && !self.segments.is_empty() {
            self.give_up_oldest();
        }
    }

    fn give_up_oldest(&mut self) {
        let Some((number, segment)) = self.segments.first_key_value() else { return };
        let (number, stream) = (*number, segment.stream.clone());
        let acked = self.streams.get(&stream).map_or(0, |known| known.acked);
        let waiting: Vec<(u64, u32)> = segment
            .frames
            .iter()
            .filter(|frame| frame.seq > acked)
            .map(|frame| (frame.seq, frame.records))
            .collect();
        for (seq, records) in waiting {
            let lost = Lost { records: u64::from(records), exact: true, why: LossWhy::Bound };
            self.notes.add(&stream, seq..=seq, lost);
        }
        // On a full disk the note must wait for the space that this segment gives back.
        let noted = self.save_notes();
        self.remove(number);
        let durable = sync_dir(&self.dir);
        if let Err(error) = noted.and(durable).or_else(|_| self.save_notes()) {
            tracing::warn!(%error, "a loss note of the spool waits for the disk");
        }
    }

    /// Removes closed segments of which nothing waits any more.
    pub(super) fn remove_done(&mut self) {
        let acked = |segment: &Segment| {
            let acked = self.streams.get(&segment.stream).map_or(0, |known| known.acked);
            segment.frames.iter().all(|frame| frame.seq <= acked)
        };
        let is_open = |number: &u64| self.writers.iter().any(|writer| writer.number == *number);
        let done: Vec<u64> = self
            .segments
            .iter()
            .filter(|(number, segment)| !is_open(number) && acked(segment))
            .map(|(number, _)| *number)
            .collect();
        if done.is_empty() {
            return;
        }
        done.into_iter().for_each(|number| self.remove(number));
        self.forget_told();
        // An earlier instance says no more; an own stream must remember its seq.
        let own = &self.own.instance;
        let left = &self.segments;
        self.streams.retain(|stream, _| {
            stream.instance == *own || left.values().any(|segment| segment.stream == *stream)
        });
    }

    fn remove(&mut self, number: u64) {
        self.writers.retain(|writer| writer.number != number);
        let Some(segment) = self.segments.remove(&number) else { return };
        self.bytes -= segment.bytes;
        if let Err(error) = fs::remove_file(&segment.path) {
            tracing::warn!(%error, path = %segment.path.display(), "can't remove a segment");
        }
    }

    pub(super) fn forget_told(&mut self) {
        let segments = &self.segments;
        self.notes.forget_told(|note| {
            let before = |s: &Segment| s.stream == note.stream && s.first_seq <= note.from_seq;
            segments.values().any(before)
        });
    }

    /// Makes notes durable, and before them the batches that they follow: otherwise loss
    /// of power could leave a note, and behind it a gap that nobody knows of.
    pub(super) fn save_notes(&mut self) -> io::Result<()> {
        if self.notes.is_unsaved() {
            self.sync_writers()?;
            self.compact_if_long()?;
            self.ledger.save(&mut self.notes)?;
        }
        Ok(())
    }

    pub(super) fn compact_if_long(&mut self) -> io::Result<()> {
        if self.ledger.is_long() { self.compact() } else { Ok(()) }
    }

    pub(super) fn compact(&mut self) -> io::Result<()> {
        let has_segment = |stream: &StreamKey| self.segments.values().any(|s| s.stream == *stream);
        let acked: Vec<(&StreamKey, u64)> = self
            .streams
            .iter()
            .filter(|(stream, known)| known.acked > 0 && has_segment(stream))
            .map(|(stream, known)| (stream, known.acked))
            .collect();
        self.ledger.compact(&acked, &mut self.notes)
    }
}
