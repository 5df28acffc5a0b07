//! What must happen, one story each.

use std::os::unix::fs::FileExt;
use std::sync::atomic::Ordering::SeqCst;

use super::*;

const BATCH: [u8; 200] = [7; 200];

fn append(spool: &mut Spool, count: u64) {
    for _ in 0..count {
        spool.append(&run(1), 3, &BATCH).unwrap();
    }
}

fn flip(path: &Path, offset: u64) {
    let file = fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], offset).unwrap();
}

#[test]
fn counts_from_one_in_each_run_and_hands_out_what_it_got() {
    let dir = tempfile::tempdir().unwrap();
    let (mut spool, found) = open(dir.path(), 1, &endless());
    assert_eq!(found, vec![]);
    assert_eq!(spool.append(&run(1), 2, b"one").unwrap(), 1);
    assert_eq!(spool.append(&run(2), 1, b"other").unwrap(), 1);
    assert_eq!(spool.append(&run(1), 1, b"two").unwrap(), 2);
    let entries = spool.unacked(&stream(1, 1), 0, usize::MAX).unwrap();
    assert_eq!(entries.iter().map(|e| e.payload.as_slice()).collect::<Vec<_>>(), [b"one", b"two"]);
    assert_eq!(entries[0].boot_id, "boot-1");
    assert_eq!(entries[0].records, 2);
    assert_eq!(spool.unacked(&stream(1, 1), 1, usize::MAX).unwrap()[0].seq, 2);
}

#[test]
fn hands_out_one_batch_at_least_and_then_as_many_as_fit() {
    let dir = tempfile::tempdir().unwrap();
    let (mut spool, _) = open(dir.path(), 1, &endless());
    append(&mut spool, 9);
    let count = |spool: &mut Spool, max| spool.unacked(&stream(1, 1), 0, max).unwrap().len();
    assert_eq!(count(&mut spool, 1), 1);
    assert_eq!(count(&mut spool, 1_000), 5);
    assert_eq!(count(&mut spool, 1 << 20), 9);
}

#[test]
fn a_killed_agent_loses_and_doubles_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (mut spool, _) = open(dir.path(), 1, &endless());
    append(&mut spool, 9);
    spool.ack(&stream(1, 1), 4).unwrap();
    drop(spool);
    let (mut spool, found) = open(dir.path(), 2, &endless());
    let left = Pending {
        stream: stream(1, 1),
        boot_id: "boot-1".to_owned(),
        acked_seq: 4,
        last_seq: 9,
        batches: 5,
    };
    assert_eq!(found, vec![Found::Earlier(left)]);
    assert_eq!(spool.append(&run(1), 1, b"new life").unwrap(), 1);
    assert_eq!(seqs(&mut spool, &stream(1, 1)), [5, 6, 7, 8, 9]);
    assert_eq!(seqs(&mut spool, &stream(1, 2)), [1]);
    spool.ack(&stream(1, 1), 9).unwrap();
    drop(spool);
    let (mut spool, found) = open(dir.path(), 3, &endless());
    assert_eq!(found.len(), 1);
    assert_eq!(seqs(&mut spool, &stream(1, 1)), [] as [u64; 0]);
    assert_eq!(seqs(&mut spool, &stream(1, 2)), [1]);
    assert_eq!(spool.losses(), vec![]);
}

#[test]
fn acks_give_space_back_and_never_reach_into_the_future() {
    let dir = tempfile::tempdir().unwrap();
    let (mut spool, _) = open(dir.path(), 1, &endless());
    append(&mut spool, 12);
    let before = spool.bytes();
    spool.ack(&stream(1, 1), 8).unwrap();
    assert!(spool.bytes() < before);
    spool.ack(&stream(1, 1), 1_000).unwrap();
    append(&mut spool, 1);
    assert_eq!(seqs(&mut spool, &stream(1, 1)), [13]);
}

#[test]
fn the_oldest_goes_first_and_leaves_a_note_that_survives() {
    let dir = tempfile::tempdir().unwrap();
    let (mut spool, _) = open(dir.path(), 1, &endless());
    append(&mut spool, 60);
    assert!(spool.bytes() <= limits().bytes_max);
    let first = seqs(&mut spool, &stream(1, 1))[0];
    assert!(first > 1);
    drop(spool);
    let (mut spool, _) = open(dir.path(), 2, &endless());
    let notes = spool.losses();
    assert_eq!(ranges(&notes), [(1, first - 1, LossWhy::Bound)]);
    assert_eq!((notes[0].records, notes[0].exact), (3 * (first - 1), true));
    assert_eq!(tell(&mut spool), Some(1));
    assert_eq!(spool.losses(), vec![], "on its way");
    spool.ack(&stream(1, 2), 1).unwrap();
    assert_eq!(spool.losses(), vec![], "told");
    drop(spool);
    let (mut spool, _) = open(dir.path(), 3, &endless());
    assert_eq!(spool.losses(), vec![]);
    assert_eq!(seqs(&mut spool, &stream(1, 1))[0], first);
}

#[test]
fn a_loss_on_its_way_is_told_once_by_whoever_comes_next() {
    let dir = tempfile::tempdir().unwrap();
    let (mut spool, _) = open(dir.path(), 1, &endless());
    append(&mut spool, 60);
    let told = tell(&mut spool).unwrap();
    drop(spool);
    let (mut spool, _) = open(dir.path(), 2, &endless());
    assert_eq!(spool.losses(), vec![], "its batch is still there");
    let waiting = seqs(&mut spool, &stream(1, 1));
    assert_eq!(waiting.last(), Some(&told));
    spool.ack(&stream(1, 1), told).unwrap();
    drop(spool);
    let (mut spool, _) = open(dir.path(), 3, &endless());
    assert_eq!(spool.losses(), vec![]);
}

#[test]
fn a_loss_whose_telling_is_lost_is_told_again_once_the_way_is_free() {
    for restart in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let (mut spool, _) = open(dir.path(), 1, &endless());
        append(&mut spool, 60);
        let first = spool.losses();
        tell(&mut spool).unwrap();
        append(&mut spool, 60);
        assert_eq!(spool.losses(), vec![], "another one would go the same way");
        if restart {
            drop(spool);
            spool = open(dir.path(), 2, &endless()).0;
        }
        let oldest = seqs(&mut spool, &stream(1, 1))[0];
        spool.ack(&stream(1, 1), oldest).unwrap();
        let why = LossWhy::Bound;
        let (before, after) = (first[0].to_seq, oldest - 1);
        assert_eq!(ranges(&spool.losses()), [(1, before, why), (before + 1, after, why)]);
        // The batch that told of it had nothing measured in it.
        let records: u64 = spool.losses().iter().map(|note| note.records).sum();
        assert_eq!(records, 3 * (after - 1));
        tell(&mut spool).unwrap();
        for pending in spool.pending() {
            spool.ack(&pending.stream, pending.last_seq).unwrap();
        }
        assert_eq!(spool.losses(), vec![]);
    }
}

#[test]
fn what_was_acked_is_no_loss_when_its_segment_goes() {
    let dir = tempfile::tempdir().unwrap();
    let (mut spool, _) = open(dir.path(), 1, &endless());
    append(&mut spool, 2);
    spool.ack(&stream(1, 1), 2).unwrap();
    for _ in 0..60 {
        spool.append(&run(2), 1, &BATCH).unwrap();
    }
    assert!(spool.losses().iter().all(|note| note.stream == stream(2, 1)));
}

#[test]
fn a_torn_tail_is_cut_and_told() {
    let dir = tempfile::tempdir().unwrap();
    let (mut spool, _) = open(dir.path(), 1, &endless());
    append(&mut spool, 6);
    let (path, bytes) = spool.segments.values().last().map(|s| (s.path.clone(), s.bytes)).unwrap();
    drop(spool);
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(bytes - 1).unwrap();
    let (mut spool, found) = open(dir.path(), 2, &endless());
    let torn = |found: &Found| matches!(found, Found::TornTail { last_good_seq: 5, .. });
    assert!(found.iter().any(torn), "{found:?}");
    assert_eq!(seqs(&mut spool, &stream(1, 1)), [1, 2, 3, 4, 5]);
    assert_eq!(ranges(&spool.losses()), [(6, 6, LossWhy::TornTail)]);
    drop(spool);
    let (mut spool, found) = open(dir.path(), 3, &endless());
    assert!(!found.iter().any(torn), "told twice");
    assert_eq!(ranges(&spool.losses()), [(6, 6, LossWhy::TornTail)]);
}

#[test]
fn a_damaged_middle_is_reported_with_its_range() {
    let dir = tempfile::tempdir().unwrap();
    let (mut spool, _) = open(dir.path(), 1, &endless());
    append(&mut spool, 12);
    let segment = spool.segments.values().next().unwrap();
    let (path, second) = (segment.path.clone(), segment.frames[1]);
    drop(spool);
    flip(&path, u64::from(second.offset) + 40);
    for life in 2..5 {
        let (mut spool, found) = open(dir.path(), life, &endless());
        let damaged = Found::Damaged { stream: stream(1, 1), from_seq: 2, to_seq: 2 };
        assert_eq!(found.contains(&damaged), life == 2, "life {life}: {found:?}");
        assert_eq!(seqs(&mut spool, &stream(1, 1)), [1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
        let notes = spool.losses();
        if life < 4 {
            assert_eq!(ranges(&notes), [(2, 2, LossWhy::Damaged)]);
            assert!(!notes[0].exact);
        } else {
            assert_eq!(notes, vec![], "told in life 3, and again");
        }
        if life == 3 {
            let told = tell(&mut spool).unwrap();
            spool.ack(&stream(1, 3), told).unwrap();
        }
    }
}

#[test]
fn damage_that_comes_while_running_becomes_a_note() {
    let dir = tempfile::tempdir().unwrap();
    let (mut spool, _) = open(dir.path(), 1, &endless());
    append(&mut spool, 6);
    let segment = spool.segments.values().next().unwrap();
    flip(&segment.path, u64::from(segment.frames[0].offset) + 40);
    assert_eq!(seqs(&mut spool, &stream(1, 1)), [2, 3, 4, 5, 6]);
    assert_eq!(ranges(&spool.losses()), [(1, 1, LossWhy::Damaged)]);
}

#[test]
fn a_segment_that_vanished_becomes_a_note() {
    let dir = tempfile::tempdir().unwrap();
    let (mut spool, _) = open(dir.path(), 1, &endless());
    append(&mut spool, 12);
    let middle = spool.segments.values().nth(1).unwrap();
    let (from, to) = (middle.first_seq, middle.last_seq());
    fs::remove_file(&middle.path).unwrap();
    drop(spool);
    let (mut spool, _) = open(dir.path(), 2, &endless());
    assert_eq!(ranges(&spool.losses()), [(from, to, LossWhy::Damaged)]);
}

#[test]
fn a_segment_without_a_head_is_put_aside() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("0000000000000007.seg"), b"LBSPOOL1 and then nothing of use")
        .unwrap();
    let (mut spool, found) = open(dir.path(), 1, &endless());
    let file = "0000000000000007.seg".to_owned();
    assert_eq!(found, vec![Found::Unreadable { file, bytes: 32 }]);
    assert!(dir.path().join("unreadable").exists());
    append(&mut spool, 1);
    assert_eq!(seqs(&mut spool, &stream(1, 1)), [1]);
}

#[test]
fn a_full_disk_costs_batches_and_no_order() {
    let dir = tempfile::tempdir().unwrap();
    let space = endless();
    let (mut spool, _) = open(dir.path(), 1, &space);
    append(&mut spool, 2);
    space.store(100, SeqCst);
    for seq in 3..8 {
        let error = spool.append(&run(1), 4, &BATCH).unwrap_err();
        assert!(matches!(error, SpoolError::GivenUp { seq: s, .. } if s == seq), "{error}");
    }
    assert_eq!(spool.losses(), vec![], "told before it is safe");
    space.store(u64::MAX, SeqCst);
    assert_eq!(spool.append(&run(1), 1, &BATCH).unwrap(), 8);
    let notes = spool.losses();
    assert_eq!(ranges(&notes), [(3, 7, LossWhy::WriteFailed)]);
    assert_eq!((notes[0].records, notes[0].exact), (20, true));
    drop(spool);
    let (mut spool, found) = open(dir.path(), 2, &space);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(seqs(&mut spool, &stream(1, 1)), [1, 2, 8]);
    assert_eq!(spool.losses(), notes);
}

#[test]
fn a_loss_seen_by_somebody_does_not_grow() {
    let dir = tempfile::tempdir().unwrap();
    let space = endless();
    let (mut spool, _) = open(dir.path(), 1, &space);
    append(&mut spool, 1);
    for _ in 0..2 {
        space.store(0, SeqCst);
        spool.append(&run(1), 1, &BATCH).unwrap_err();
        space.store(u64::MAX, SeqCst);
        assert!(!spool.losses().is_empty());
    }
    let why = LossWhy::WriteFailed;
    assert_eq!(ranges(&spool.losses()), [(2, 2, why), (3, 3, why)]);
}

#[test]
fn a_batch_larger_than_a_segment_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let (mut spool, _) = open(dir.path(), 1, &endless());
    let error = spool.append(&run(1), 1, &[0; 1_024]).unwrap_err();
    assert!(matches!(error, SpoolError::GivenUp { seq: 1, .. }));
    append(&mut spool, 1);
    assert_eq!(ranges(&spool.losses()), [(1, 1, LossWhy::WriteFailed)]);
    assert_eq!(seqs(&mut spool, &stream(1, 1)), [2]);
}

#[test]
fn two_agents_never_share_a_directory() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open(dir.path(), 1, &endless());
    let error = Spool::open(dir.path(), identity(2), limits()).unwrap_err();
    let holder = format!("process {}", std::process::id());
    assert!(matches!(&error, SpoolError::Held { holder: h, .. } if *h == holder), "{error}");
    drop(spool);
    Spool::open(dir.path(), identity(2), limits()).unwrap();
}

#[test]
fn an_instance_lives_once() {
    let dir = tempfile::tempdir().unwrap();
    let (mut spool, _) = open(dir.path(), 1, &endless());
    append(&mut spool, 1);
    drop(spool);
    let error = Spool::open(dir.path(), identity(1), limits()).unwrap_err();
    assert!(matches!(error, SpoolError::InstanceReused { .. }));
}

#[test]
fn limits_that_contradict_each_other_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    for (bytes_max, segment_bytes) in [(8 << 10, 8 << 10), (8 << 10, 1), (1 << 40, u32::MAX)] {
        let limits = Limits { bytes_max, segment_bytes, ..limits() };
        let error = Spool::open(dir.path(), identity(1), limits).unwrap_err();
        assert!(matches!(error, SpoolError::Limits(_)));
    }
}

#[test]
fn durability_is_kept_as_promised() {
    let dir = tempfile::tempdir().unwrap();
    let (mut spool, _) = open(dir.path(), 1, &endless());
    assert_eq!(spool.next_sync(), None);
    append(&mut spool, 1);
    assert!(spool.next_sync().is_some());
    spool.sync().unwrap();
    assert_eq!(spool.next_sync(), None);
    spool.limits.durability = Durability::EveryAppend;
    append(&mut spool, 1);
    assert_eq!(spool.next_sync(), None);
    assert_eq!(spool.writers[0].synced_bytes, spool.bytes());
}

#[test]
fn more_runs_than_open_files() {
    let dir = tempfile::tempdir().unwrap();
    let (mut spool, _) = open(dir.path(), 1, &endless());
    for round in 1..4 {
        for number in 0..7 {
            assert_eq!(spool.append(&run(number), 1, b"x").unwrap(), round);
            assert!(spool.writers.len() <= limits::WRITERS_MAX);
        }
    }
    for number in 0..7 {
        assert_eq!(seqs(&mut spool, &stream(number, 1)), [1, 2, 3]);
    }
}

#[test]
fn a_long_ledger_is_written_anew() {
    let dir = tempfile::tempdir().unwrap();
    let (mut spool, _) = open(dir.path(), 1, &endless());
    append(&mut spool, 40);
    for seq in 1..=40 {
        for _ in 0..500 {
            spool.ledger.acked(&stream(1, 1), seq).unwrap();
        }
        spool.ack(&stream(1, 1), seq).unwrap();
    }
    let ledger = fs::metadata(dir.path().join("ledger")).unwrap().len();
    assert!(ledger <= limits::LEDGER_BYTES_MAX + 100, "{ledger}");
    drop(spool);
    let (spool, found) = open(dir.path(), 2, &endless());
    assert_eq!((found, spool.bytes()), (vec![], 0));
}

#[test]
fn a_damaged_ledger_offers_again_and_invents_no_loss() {
    let dir = tempfile::tempdir().unwrap();
    let (mut spool, _) = open(dir.path(), 1, &endless());
    append(&mut spool, 12);
    spool.ack(&stream(1, 1), 6).unwrap();
    spool.ack(&stream(1, 1), 7).unwrap();
    drop(spool);
    flip(&dir.path().join("ledger"), 30);
    let (mut spool, found) = open(dir.path(), 2, &endless());
    assert!(found.iter().any(|found| matches!(found, Found::LedgerDamaged { .. })));
    assert_eq!(seqs(&mut spool, &stream(1, 1)), [8, 9, 10, 11, 12]);
    assert_eq!(spool.losses(), vec![]);
}
