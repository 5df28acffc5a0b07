//! Loss notes: which batches were given up, until somebody was told.
//!
//! Pure bookkeeping; the ledger keeps it on disk. A note travels in a batch of the spool and
//! is told when that batch is acked: a batch that is itself given up on the way gives its
//! notes back. A note that was told stays, silent, as long as a segment of its stream lies
//! before it: without it the next start would take the gap for fresh damage and tell it twice.

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
    /// For [`super::Spool::tell_losses`]; means nothing beyond this spool.
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
    /// The batch that tells of it, while that is on its way.
    pub(super) carrier: Option<(StreamKey, u64)>,
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
    /// A carrier was given up, and nothing was acked since: another one would go the same
    /// way, and push out one more batch of what was measured.
    stuck: bool,
}

impl Notes {
    /// Takes a note found on disk; one with the same id is replaced.
    pub(super) fn restore(&mut self, note: LossNote) {
        self.last_id = self.last_id.max(note.id);
        self.kept.retain(|kept| kept.note.id != note.id);
        // Whether it was handed out is not known any more: it may not grow.
        self.release(&note.stream, &(note.from_seq..=note.to_seq));
        self.kept.push(Kept { note, handed_out: true, carrier: None, told: false, saved: true });
    }

    pub(super) fn tell(&mut self, id: u64) {
        if let Some(kept) = self.kept.iter_mut().find(|kept| kept.note.id == id) {
            kept.told = true;
        }
    }

    /// A batch tells of these notes.
    pub(super) fn carry(&mut self, ids: &[u64], stream: &StreamKey, seq: u64) {
        for kept in self.kept.iter_mut().filter(|kept| ids.contains(&kept.note.id)) {
            kept.carrier = Some((stream.clone(), seq));
        }
    }

    /// A stream was acked up to here: notes in its batches are told. Their ids.
    pub(super) fn arrived(&mut self, stream: &StreamKey, up_to_seq: u64) -> Vec<u64> {
        self.stuck = false;
        let arrived = |kept: &&mut Kept| {
            let by_then =
                |(carrier, seq): &(StreamKey, u64)| carrier == stream && *seq <= up_to_seq;
            !kept.told && kept.carrier.as_ref().is_some_and(by_then)
        };
        let told = self.kept.iter_mut().filter(arrived);
        told.map(|kept| {
            kept.told = true;
            kept.note.id
        })
        .collect()
    }

    /// Batches of a stream will never come: the notes in them must be told again.
    fn release(&mut self, stream: &StreamKey, seqs: &RangeInclusive<u64>) {
        for kept in self.kept.iter_mut().filter(|kept| !kept.told) {
            if kept.carrier.as_ref().is_some_and(|(on, seq)| on == stream && seqs.contains(seq)) {
                kept.carrier = None;
                self.stuck = true;
            }
        }
    }

    /// After a start: notes whose batch is neither on disk nor acked are told again.
    pub(super) fn settle_carriers(
        &mut self,
        is_acked: impl Fn(&StreamKey, u64) -> bool,
        is_kept: impl Fn(&StreamKey, u64) -> bool,
    ) {
        for kept in &mut self.kept {
            let Some((stream, seq)) = &kept.carrier else { continue };
            kept.told |= is_acked(stream, *seq);
            if !is_kept(stream, *seq) {
                kept.carrier = None;
            }
        }
    }

    /// Whether telling must wait for the next ack.
    pub(super) fn is_stuck(&self) -> bool {
        self.stuck
    }

    /// Notes a loss. It joins the stream's latest note where they touch and nobody has
    /// seen that yet.
    pub(super) fn add(&mut self, stream: &StreamKey, seqs: RangeInclusive<u64>, lost: Lost) {
        self.release(stream, &seqs);
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
        let fresh = Kept { note, handed_out: false, carrier: None, told: false, saved: false };
        self.kept.push(fresh);
        if self.kept.len() > NOTES_MAX {
            // Its gap stays visible: the coordinator sees a seq that never came.
            self.kept.remove(0);
        }
    }

    pub(super) fn is_unsaved(&self) -> bool {
        self.kept.iter().any(|kept| !kept.saved)
    }

    /// Notes that no batch carries yet, in the order they were made.
    pub(super) fn hand_out(&mut self) -> Vec<LossNote> {
        let untold =
            self.kept.iter_mut().filter(|kept| !kept.told && kept.saved && kept.carrier.is_none());
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
