//! Loss notes: which batches were given up, until somebody was told.
//!
//! Pure bookkeeping; the ledger keeps it on disk. A note that was told stays, silent, as
//! long as a segment of its stream lies before it: without it the next start would take
//! the gap for fresh damage and tell it twice.

use std::ops::RangeInclusive;

use super::StreamKey;
use super::limits::NOTES_MAX;

/// Why batches were given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
#[repr(i32)]
pub enum LossWhy {
    Unknown = 0,
    /// The spool was full: the oldest went first.
    Bound = 1,
    /// The disk refused the batch.
    WriteFailed = 2,
    /// The batch was on disk and its checksum no longer held.
    Damaged = 3,
    /// The batch was being written when process or power ended.
    TornTail = 4,
}

impl LossWhy {
    /// The reason in words for a report.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Unknown => "given up for an unknown reason",
            Self::Bound => "the spool was full and gave up its oldest batches",
            Self::WriteFailed => "the spool's disk refused the batch",
            Self::Damaged => "the batch was damaged on the spool's disk",
            Self::TornTail => "the batch was cut off when the agent or its power ended",
        }
    }
}

/// Batches that will never come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LossNote {
    /// For [`super::Spool::ack_loss`]; means nothing beyond this spool.
    pub id: u64,
    pub stream: StreamKey,
    pub from_seq: u64,
    pub to_seq: u64,
    /// Records in these batches; a floor of one a batch where `exact` is false.
    pub records: u64,
    pub exact: bool,
    pub why: LossWhy,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) note: LossNote,
    /// Given to the caller: may not grow any more.
    pub(super) handed_out: bool,
    /// The coordinator knows.
    pub(super) told: bool,
    /// On disk as it is here.
    pub(super) saved: bool,
}

/// What was lost, as one piece says it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lost {
    pub(super) records: u64,
    pub(super) exact: bool,
    pub(super) why: LossWhy,
}

#[derive(Debug, Default)]
pub(super) struct Notes {
    pub(super) kept: Vec<Kept>,
    last_id: u64,
}

impl Notes {
    /// Takes a note found on disk; one with the same id is replaced.
    pub(super) fn restore(&mut self, note: LossNote) {
        self.last_id = self.last_id.max(note.id);
        self.kept.retain(|kept| kept.note.id != note.id);
        // Whether it was handed out is not known any more: it may not grow.
        self.kept.push(Kept { note, handed_out: true, told: false, saved: true });
    }

    pub(super) fn tell(&mut self, id: u64) -> bool {
        let found = self.kept.iter_mut().find(|kept| kept.note.id == id && !kept.told);
        found.map(|kept| kept.told = true).is_some()
    }

    /// Notes a loss. It joins the stream's latest note where they touch and nobody has
    /// seen that yet.
    pub(super) fn add(&mut self, stream: &StreamKey, seqs: RangeInclusive<u64>, lost: Lost) {
        let before = self.kept.iter_mut().rev().find(|kept| kept.note.stream == *stream);
        if let Some(kept) = before
            && !kept.handed_out
            && touches(&kept.note, &seqs, lost)
        {
            let note = &mut kept.note;
            note.exact &= lost.exact;
            note.to_seq = *seqs.end();
            note.records = note.records.saturating_add(lost.records);
            kept.saved = false;
            return;
        }
        self.last_id += 1;
        let note = LossNote {
            id: self.last_id,
            stream: stream.clone(),
            from_seq: *seqs.start(),
            to_seq: *seqs.end(),
            records: lost.records,
            exact: lost.exact,
            why: lost.why,
        };
        self.kept.push(Kept { note, handed_out: false, told: false, saved: false });
        if self.kept.len() > NOTES_MAX {
            // Its gap stays visible: the coordinator sees a seq that never came.
            self.kept.remove(0);
        }
    }

    pub(super) fn is_unsaved(&self) -> bool {
        self.kept.iter().any(|kept| !kept.saved)
    }

    /// Notes nobody was told of yet, in the order they were made.
    pub(super) fn hand_out(&mut self) -> Vec<LossNote> {
        let untold = self.kept.iter_mut().filter(|kept| !kept.told && kept.saved);
        untold
            .map(|kept| {
                kept.handed_out = true;
                kept.note.clone()
            })
            .collect()
    }

    /// Whether this batch was given up while it was still sound.
    pub(super) fn gave_up(&self, stream: &StreamKey, seq: u64) -> bool {
        self.kept.iter().any(|kept| {
            let note = &kept.note;
            note.why == LossWhy::Bound
                && note.stream == *stream
                && (note.from_seq..=note.to_seq).contains(&seq)
        })
    }

    /// The parts of a gap that no note explains.
    pub(super) fn unexplained(
        &self,
        stream: &StreamKey,
        gap: RangeInclusive<u64>,
    ) -> Vec<RangeInclusive<u64>> {
        let mut known: Vec<(u64, u64)> = self
            .kept
            .iter()
            .filter(|kept| kept.note.stream == *stream)
            .map(|kept| (kept.note.from_seq, kept.note.to_seq))
            .collect();
        known.sort_unstable();
        let mut open = Vec::new();
        let mut next = *gap.start();
        for (from, to) in known {
            if from > next && next <= *gap.end() {
                open.push(next..=(from - 1).min(*gap.end()));
            }
            next = next.max(to.saturating_add(1));
        }
        if next <= *gap.end() {
            open.push(next..=*gap.end());
        }
        open
    }

    /// Forgets told notes that `is_needed` no longer asks for.
    pub(super) fn forget_told(&mut self, is_needed: impl Fn(&LossNote) -> bool) {
        self.kept.retain(|kept| !kept.told || is_needed(&kept.note));
    }
}

fn touches(note: &LossNote, seqs: &RangeInclusive<u64>, lost: Lost) -> bool {
    note.why == lost.why && note.to_seq.checked_add(1) == Some(*seqs.start())
}
