//! Random lives of a spool against a model in memory: nothing kept is lost, nothing is
//! invented or doubled, order is kept, every gap has its note.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering::SeqCst;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

#[derive(Debug, Clone)]
enum Op {
    Append {
        run: u32,
        size: usize,
        records: u32,
    },
    Upload {
        max_bytes: usize,
        ack: bool,
    },
    TellLosses,
    Sync,
    /// The process is killed; with a share, power fails too and tears the newest file.
    Crash {
        power_keeps: Option<f64>,
    },
    Space {
        bytes: u64,
    },
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        12 => (0..2_u32, 0..400_usize, 1..9_u32)
            .prop_map(|(run, size, records)| Op::Append { run, size, records }),
        3 => (1..2_000_usize, any::<bool>())
            .prop_map(|(max_bytes, ack)| Op::Upload { max_bytes, ack }),
        1 => Just(Op::TellLosses),
        1 => Just(Op::Sync),
        1 => prop::option::of(0.0..1.0_f64).prop_map(|power_keeps| Op::Crash { power_keeps }),
        1 => (0..600_u64).prop_map(|bytes| Op::Space { bytes }),
        2 => Just(Op::Space { bytes: u64::MAX }),
    ];
    prop::collection::vec(op, 1..120)
}

/// What became of a seq, as far as the world outside can know.
#[derive(Debug, Clone, PartialEq)]
enum Fate {
    Written {
        payload: Vec<u8>,
        records: u32,
    },
    Refused {
        records: u32,
    },
    /// The power took it before it was durable.
    Torn,
}

#[derive(Debug, Default)]
struct Truth {
    fates: BTreeMap<StreamKey, Vec<Fate>>,
    /// The coordinator has all up to here, and said so.
    received: BTreeMap<StreamKey, u64>,
    /// The spool has noted that for good.
    acked: BTreeMap<StreamKey, u64>,
    told: BTreeSet<(StreamKey, u64)>,
    /// What the batch with this key tells of.
    carried: BTreeMap<(StreamKey, u64), Vec<LossNote>>,
    /// Losses that only the memory of a killed process knew.
    forgotten: BTreeSet<(StreamKey, u64)>,
}

struct Life {
    dir: TempDir,
    number: u32,
    space: Arc<AtomicU64>,
    spool: Option<Spool>,
    truth: Truth,
}

impl Life {
    fn new() -> Self {
        let (dir, space) = (tempfile::tempdir().unwrap(), endless());
        let spool = Some(open(dir.path(), 1, &space).0);
        Self { dir, number: 1, space, spool, truth: Truth::default() }
    }

    fn spool(&mut self) -> &mut Spool {
        self.spool.as_mut().unwrap()
    }

    fn play(&mut self, op: &Op) {
        match op {
            Op::Append { run, size, records } => self.append(*run, *size, *records),
            Op::Upload { max_bytes, ack } => self.upload(*max_bytes, *ack),
            Op::TellLosses => self.tell_losses(),
            Op::Sync => self.spool().sync().unwrap(),
            Op::Crash { power_keeps } => self.crash(*power_keeps),
            Op::Space { bytes } => self.space.store(*bytes, SeqCst),
        }
    }

    fn append(&mut self, number: u32, size: usize, records: u32) {
        let key = stream(number, self.number);
        let seq = self.truth.fates.get(&key).map_or(0, Vec::len) as u64 + 1;
        let payload: Vec<u8> = (0..size).map(|i| (i as u64 ^ seq) as u8).collect();
        let fate = match self.spool().append(&run(number), records, &payload) {
            Ok(given) => {
                assert_eq!(given, seq, "a hole in seq");
                Fate::Written { payload, records }
            }
            Err(SpoolError::GivenUp { seq: given, .. }) => {
                assert_eq!(given, seq, "a hole in seq");
                Fate::Refused { records }
            }
            Err(other) => panic!("{other}"),
        };
        self.truth.fates.entry(key).or_default().push(fate);
        assert!(self.spool().bytes() <= limits().bytes_max, "out of bounds");
    }

    /// What the spool offers of a stream must be what was written, in order.
    fn offered(&mut self, key: &StreamKey, max_bytes: usize) -> Vec<u64> {
        let entries = self.spool().unacked(key, 0, max_bytes).unwrap();
        let acked = self.truth.acked.get(key).copied().unwrap_or(0);
        let mut last = acked;
        for entry in &entries {
            assert!(entry.seq > last, "doubled or out of order: {} after {last}", entry.seq);
            last = entry.seq;
            let fate = &self.truth.fates[key][entry.seq as usize - 1];
            let said = Fate::Written { payload: entry.payload.clone(), records: entry.records };
            assert_eq!(fate, &said, "not what was written");
            assert_eq!(entry.boot_id, key.instance.0.replace("life", "boot"));
        }
        entries.iter().map(|entry| entry.seq).collect()
    }

    fn upload(&mut self, max_bytes: usize, ack: bool) {
        for pending in self.spool().pending() {
            let seqs = self.offered(&pending.stream, max_bytes);
            let last = *seqs.last().expect("pending, and nothing offered");
            if !ack {
                continue;
            }
            self.truth.received.insert(pending.stream.clone(), last);
            let at = |seq: &u64| (pending.stream.clone(), *seq);
            let notes: Vec<LossNote> =
                seqs.iter().flat_map(|seq| self.truth.carried.remove(&at(seq))).flatten().collect();
            // A full disk may forget the ack when the process ends: offered again, then, and
            // told again.
            let acked = self.spool().ack(&pending.stream, last).is_ok();
            let hears = if acked { &mut self.truth.told } else { &mut self.truth.forgotten };
            hears.extend(notes.iter().flat_map(seqs_of));
            if acked {
                self.truth.acked.insert(pending.stream, last);
            }
        }
    }

    fn tell_losses(&mut self) {
        let notes = self.spool().losses();
        for note in &notes {
            self.check_note(note);
        }
        let of_a_run = notes.chunk_by(|a, b| a.stream.run == b.stream.run);
        for notes in of_a_run.flat_map(|notes| notes.chunks(4)) {
            let ids: Vec<u64> = notes.iter().map(|note| note.id).collect();
            let run = notes[0].stream.run.clone();
            let key = StreamKey { run: run.clone(), instance: identity(self.number).instance };
            let payload = vec![1; 100 * notes.len()];
            let fate = match self.spool().tell_losses(&run, &ids, &payload) {
                Ok(seq) => {
                    self.truth.carried.insert((key.clone(), seq), notes.to_vec());
                    Fate::Written { payload, records: 0 }
                }
                Err(SpoolError::GivenUp { .. }) => Fate::Refused { records: 0 },
                Err(other) => panic!("{other}"),
            };
            self.truth.fates.entry(key).or_default().push(fate);
        }
    }

    fn check_note(&self, note: &LossNote) {
        let fates = &self.truth.fates[&note.stream];
        let mut records = 0;
        for seq in note.from_seq..=note.to_seq {
            assert!(!self.truth.told.contains(&(note.stream.clone(), seq)), "{seq} told twice");
            match (&fates[seq as usize - 1], note.why) {
                (Fate::Written { records: n, .. }, LossWhy::Bound) => records += u64::from(*n),
                (Fate::Refused { records: n }, LossWhy::WriteFailed) => records += u64::from(*n),
                (Fate::Torn | Fate::Refused { .. }, LossWhy::TornTail) => {}
                (fate, why) => panic!("{seq} was {fate:?} and is noted as {why:?}"),
            }
        }
        assert!(!note.exact || note.records == records, "{note:?} should have {records}");
    }

    fn crash(&mut self, power_keeps: Option<f64>) {
        let unsaved: Vec<LossNote> = {
            let kept = self.spool().notes.kept.iter();
            kept.filter(|kept| !kept.saved).map(|kept| kept.note.clone()).collect()
        };
        for note in unsaved {
            let seqs = note.from_seq..=note.to_seq;
            self.truth.forgotten.extend(seqs.map(|seq| (note.stream.clone(), seq)));
        }
        if let Some(share) = power_keeps {
            self.tear(share);
        }
        self.spool = None;
        self.number += 1;
        self.spool = Some(open(self.dir.path(), self.number, &self.space).0);
    }

    /// Power loss takes an end of the newest open segment that was not synced.
    fn tear(&mut self, share: f64) {
        let spool = self.spool.as_ref().unwrap();
        let Some((number, segment)) = spool.segments.last_key_value() else { return };
        let writer = spool.writers.iter().find(|writer| writer.number == *number);
        let safe = writer.map_or(segment.bytes, |writer| writer.synced_bytes);
        let keep = safe + ((segment.bytes - safe) as f64 * share) as u64;
        fs::OpenOptions::new().write(true).open(&segment.path).unwrap().set_len(keep).unwrap();
        let (key, frames) = (segment.stream.clone(), segment.frames.clone());
        for frame in frames {
            if u64::from(frame.offset) + frame.total_bytes() as u64 > keep {
                self.truth.fates.get_mut(&key).unwrap()[frame.seq as usize - 1] = Fate::Torn;
            }
        }
    }

    /// Everything is offered, noted, acked, or was the very end of a torn stream.
    fn check_whole(&mut self) {
        self.space.store(u64::MAX, SeqCst);
        let kept = self.spool().notes.kept.iter();
        let notes: Vec<LossNote> =
            kept.filter(|kept| !kept.told).map(|kept| kept.note.clone()).collect();
        let mut noted = BTreeSet::new();
        for note in &notes {
            self.check_note(note);
            for seq in note.from_seq..=note.to_seq {
                assert!(noted.insert((note.stream.clone(), seq)), "{seq} noted twice");
            }
        }
        let keys: Vec<StreamKey> = self.truth.fates.keys().cloned().collect();
        for key in keys {
            let offered: BTreeSet<u64> = self.offered(&key, usize::MAX).into_iter().collect();
            let received = self.truth.received.get(&key).copied().unwrap_or(0);
            let known = |seq: u64| {
                let at = (key.clone(), seq);
                noted.contains(&at) || self.truth.told.contains(&at)
            };
            let fates = &self.truth.fates[&key];
            let count = fates.len() as u64;
            let top = (1..=count).rev().find(|seq| offered.contains(seq) || known(*seq));
            for seq in 1..=count {
                assert!(!(offered.contains(&seq) && known(seq)), "{seq} offered and noted");
                let forgotten = self.truth.forgotten.contains(&(key.clone(), seq));
                let accounted =
                    seq <= received || offered.contains(&seq) || known(seq) || forgotten;
                let written = matches!(fates[seq as usize - 1], Fate::Written { .. });
                let must = written || Some(seq) < top;
                assert!(accounted || !must, "{key:?} {seq} of {count} is gone without a word");
            }
        }
    }

    /// With a disk and a coordinator that take everything, every loss is told soon.
    fn check_told_in_the_end(&mut self) {
        self.space.store(u64::MAX, SeqCst);
        let mut rounds = 0;
        while self.spool().notes.kept.iter().any(|kept| !kept.told) {
            assert!(rounds < 200, "{:?}", self.spool().notes);
            rounds += 1;
            self.tell_losses();
            self.upload(usize::MAX, true);
        }
    }
}

fn seqs_of(note: &LossNote) -> impl Iterator<Item = (StreamKey, u64)> {
    let stream = note.stream.clone();
    (note.from_seq..=note.to_seq).map(move |seq| (stream.clone(), seq))
}

proptest! {
    #[test]
    fn nothing_is_lost_doubled_or_silent(ops in ops()) {
        let mut life = Life::new();
        for op in &ops {
            life.play(op);
        }
        life.check_whole();
        life.crash(None);
        life.check_whole();
        life.check_told_in_the_end();
        life.check_whole();
    }
}
