//! What an earlier life left in the directory: loaded, explained, reported.
//!
//! Every gap between batches gets a loss note here, unless one explains it already. What
//! lies before a stream's first segment needs none: it was acked, or noted when given up.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use super::StreamKey;
use super::error::SpoolError;
use super::ledger::Replay;
use super::limits::SEGMENT_BYTES_MAX;
use super::notes::{LossWhy, Lost, Notes};
use super::segment::{Loaded, Segment, number_of};
use super::stream::Found;

/// Where a segment goes that nobody can read: the latest stays for a person to look at.
const UNREADABLE: &str = "unreadable";

#[derive(Debug, Default)]
pub(super) struct Recovery {
    pub(super) segments: BTreeMap<u64, Segment>,
    pub(super) acked: BTreeMap<StreamKey, u64>,
    pub(super) notes: Notes,
    pub(super) found: Vec<Found>,
    /// Bytes to cut off the end of a segment, once the notes are safe.
    pub(super) torn: BTreeMap<u64, u64>,
    pub(super) next_number: u64,
}

impl Recovery {
    /// Reads all segments in `dir` and explains their gaps.
    pub(super) fn run(dir: &Path, replay: Replay) -> Result<Self, SpoolError> {
        let mut recovery =
            Self { acked: replay.acked, notes: replay.notes, next_number: 1, ..Self::default() };
        if replay.damaged_bytes > 0 {
            recovery.found.push(Found::LedgerDamaged { bytes: replay.damaged_bytes });
        }
        let listed =
            list(dir).map_err(|source| SpoolError::List { dir: dir.to_owned(), source })?;
        for (number, path) in listed {
            recovery.next_number = recovery.next_number.max(number.saturating_add(1));
            recovery.load(dir, number, &path);
        }
        let streams: BTreeSet<StreamKey> =
            recovery.segments.values().map(|segment| segment.stream.clone()).collect();
        for stream in &streams {
            recovery.explain(stream);
        }
        recovery.drop_given_up();
        recovery.settle_carriers();
        Ok(recovery)
    }

    fn load(&mut self, dir: &Path, number: u64, path: &Path) {
        let bytes = fs::metadata(path).map_or(0, |metadata| metadata.len());
        // Larger than any of ours: not read at all.
        if bytes <= u64::from(SEGMENT_BYTES_MAX)
            && let Ok(Some(Loaded { segment, torn_bytes })) = Segment::load(path)
        {
            self.torn.insert(number, torn_bytes);
            self.segments.insert(number, segment);
            return;
        }
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if let Err(error) = fs::rename(path, dir.join(UNREADABLE)) {
            tracing::warn!(%error, file, "can't put an unreadable segment aside");
        }
        self.found.push(Found::Unreadable { file, bytes });
    }

    /// Finds the gaps of a stream, and its torn tail.
    fn explain(&mut self, stream: &StreamKey) {
        let mut gaps: Vec<RangeInclusive<u64>> = Vec::new();
        let mut next: Option<u64> = None;
        let mut tail = 0;
        for (number, segment) in self.segments.iter().filter(|(_, s)| s.stream == *stream) {
            let mut expected = next.unwrap_or(segment.first_seq);
            let begins = segment.first_seq.max(expected);
            if begins > expected {
                gaps.push(expected..=begins - 1);
                expected = begins;
            }
            for frame in &segment.frames {
                if frame.seq > expected {
                    gaps.push(expected..=frame.seq - 1);
                }
                expected = frame.seq.saturating_add(1);
            }
            next = Some(expected);
            tail = *number;
        }
        for gap in gaps {
            self.note_damage(stream, gap);
        }
        self.note_torn_tail(stream, tail, next.unwrap_or(1));
    }

    fn note_damage(&mut self, stream: &StreamKey, gap: RangeInclusive<u64>) {
        let acked = self.acked.get(stream).copied().unwrap_or(0);
        let unacked = *gap.start().max(&(acked.saturating_add(1)))..=*gap.end();
        for part in self.notes.unexplained(stream, unacked) {
            let (from_seq, to_seq) = (*part.start(), *part.end());
            let records = to_seq - from_seq + 1;
            self.notes.add(stream, part, Lost { records, exact: false, why: LossWhy::Damaged });
            self.found.push(Found::Damaged { stream: stream.clone(), from_seq, to_seq });
        }
    }

    /// Something was being written behind the last good batch.
    fn note_torn_tail(&mut self, stream: &StreamKey, number: u64, next_seq: u64) {
        // Behind other segments of the stream a torn end is a gap, and was noted as one.
        self.torn.retain(|other, bytes| {
            *bytes > 0
                && (*other == number
                    || self.segments.get(other).is_none_or(|segment| segment.stream != *stream))
        });
        let Some(bytes) = self.torn.get(&number).copied() else { return };
        let acked = self.acked.get(stream).copied().unwrap_or(0);
        for part in self.notes.unexplained(stream, next_seq.max(acked + 1)..=next_seq) {
            let lost = Lost { records: 1, exact: false, why: LossWhy::TornTail };
            self.notes.add(stream, part, lost);
        }
        let last_good_seq = next_seq.saturating_sub(1);
        self.found.push(Found::TornTail { stream: stream.clone(), last_good_seq, bytes });
    }

    fn settle_carriers(&mut self) {
        let (acked, segments) = (&self.acked, &self.segments);
        self.notes.settle_carriers(
            |stream, seq| acked.get(stream).is_some_and(|up_to| seq <= *up_to),
            |stream, seq| {
                let mut of_stream = segments.values().filter(|s| s.stream == *stream);
                of_stream.any(|segment| segment.frames.iter().any(|frame| frame.seq == seq))
            },
        );
    }

    /// Batches that were given up, noted, and then not removed before the end.
    fn drop_given_up(&mut self) {
        let notes = &self.notes;
        for segment in self.segments.values_mut() {
            let stream = &segment.stream;
            segment.frames.retain(|frame| !notes.gave_up(stream, frame.seq));
        }
    }
}

fn list(dir: &Path) -> io::Result<BTreeMap<u64, PathBuf>> {
    let mut segments = BTreeMap::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if let Some(number) = number_of(&path) {
            segments.insert(number, path);
        }
    }
    Ok(segments)
}
