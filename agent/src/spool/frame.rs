//! The frame: one entry on disk, with checksums over its head and its payload.
//!
//! ```text
//! marker[4] payload_len:u32 seq:u64 records:u32 payload_crc:u32 head_crc:u32 payload
//! ```
//! All numbers are little-endian, all checksums CRC-32 (IEEE). Two of them, so that a
//! damaged payload does not make us lose our way: the head still says where it ends.

use std::ops::Range;

pub(super) const MARKER: [u8; 4] = *b"LBe1";
pub(super) const HEAD_BYTES: usize = 28;

/// Where a good frame lies in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) seq: u64,
    pub(super) records: u32,
    /// Of the head, from the beginning of the file.
    pub(super) offset: u32,
    pub(super) payload_len: u32,
}

/// What a file holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Scan {
    pub(super) frames: Vec<Frame>,
    /// Where the last good frame ends.
    pub(super) good_end: usize,
    /// Bytes between good frames that are none.
    pub(super) damaged_bytes: usize,
}

impl Frame {
    pub(super) fn total_bytes(&self) -> usize {
        HEAD_BYTES + self.payload_len as usize
    }
}

/// A frame as bytes. The caller has bounded the payload far below 4 GiB.
pub(super) fn encode(seq: u64, records: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEAD_BYTES + payload.len());
    bytes.extend_from_slice(&MARKER);
    bytes.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&seq.to_le_bytes());
    bytes.extend_from_slice(&records.to_le_bytes());
    bytes.extend_from_slice(&crc32fast::hash(payload).to_le_bytes());
    let head_crc = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&head_crc.to_le_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// The payload of the frame that begins `bytes`, if both checksums hold.
pub(super) fn payload(bytes: &[u8]) -> Option<&[u8]> {
    let head = Head::parse(bytes)?;
    let payload = bytes.get(HEAD_BYTES..HEAD_BYTES.checked_add(head.payload_len as usize)?)?;
    (crc32fast::hash(payload) == head.payload_crc).then_some(payload)
}

/// Finds all good frames from `begin` on, in ascending `seq`, and never fails.
pub(super) fn scan(bytes: &[u8], begin: usize) -> Scan {
    let mut scan = Scan { frames: Vec::new(), good_end: begin, damaged_bytes: 0 };
    let mut last_seq = 0;
    let mut at = begin;
    while at < bytes.len() {
        let Some(frame) = next_good(bytes, at, last_seq) else { break };
        scan.damaged_bytes += frame.offset as usize - scan.good_end;
        at = frame.offset as usize + frame.total_bytes();
        scan.good_end = at;
        last_seq = frame.seq;
        scan.frames.push(frame);
    }
    scan
}

/// The first good frame at or behind `at`.
fn next_good(bytes: &[u8], at: usize, last_seq: u64) -> Option<Frame> {
    let mut from = at;
    loop {
        if let Some(frame) = good_at(bytes, from, last_seq) {
            return Some(frame);
        }
        // A sound head with a damaged payload says where the next one is.
        let jump = bytes.get(from..).and_then(Head::parse).map(|head| from + head.total_bytes());
        if let Some(frame) = jump.and_then(|next| good_at(bytes, next, last_seq)) {
            return Some(frame);
        }
        from = find_marker(bytes, from + 1..bytes.len())?;
    }
}

fn good_at(bytes: &[u8], at: usize, last_seq: u64) -> Option<Frame> {
    let rest = bytes.get(at..)?;
    let head = Head::parse(rest).filter(|head| head.seq > last_seq)?;
    payload(rest)?;
    Some(Frame {
        seq: head.seq,
        records: head.records,
        offset: u32::try_from(at).ok()?,
        payload_len: head.payload_len,
    })
}

fn find_marker(bytes: &[u8], range: Range<usize>) -> Option<usize> {
    let found = bytes.get(range.clone())?.windows(MARKER.len()).position(|four| four == MARKER)?;
    Some(range.start + found)
}

/// A head whose checksum holds.
struct Head {
    payload_len: u32,
    seq: u64,
    records: u32,
    payload_crc: u32,
}

impl Head {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let head = bytes.get(..HEAD_BYTES)?;
        let word = |at: usize| Some(u32::from_le_bytes(head.get(at..at + 4)?.try_into().ok()?));
        let sound = head.starts_with(&MARKER) && word(24)? == crc32fast::hash(&head[..24]);
        sound.then_some(())?;
        Some(Self {
            payload_len: word(4)?,
            seq: u64::from_le_bytes(head.get(8..16)?.try_into().ok()?),
            records: word(16)?,
            payload_crc: word(20)?,
        })
    }

    fn total_bytes(&self) -> usize {
        HEAD_BYTES + self.payload_len as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn file(payloads: &[&[u8]]) -> Vec<u8> {
        let mut bytes = b"header".to_vec();
        for (i, payload) in payloads.iter().enumerate() {
            bytes.extend(encode(i as u64 + 1, 1, payload));
        }
        bytes
    }

    fn seqs(bytes: &[u8]) -> Vec<u64> {
        scan(bytes, 6).frames.iter().map(|frame| frame.seq).collect()
    }

    #[test]
    fn reads_what_it_wrote() {
        let bytes = file(&[b"one", b"", b"three"]);
        let found = scan(&bytes, 6);
        assert_eq!(found.good_end, bytes.len());
        assert_eq!(found.damaged_bytes, 0);
        let payloads: Vec<_> =
            found.frames.iter().map(|f| payload(&bytes[f.offset as usize..]).unwrap()).collect();
        assert_eq!(payloads, [b"one".as_slice(), b"", b"three"]);
    }

    #[test]
    fn skips_a_damaged_head_and_a_damaged_payload() {
        for at in [6, 6 + 5, 6 + HEAD_BYTES] {
            let mut bytes = file(&[b"one", b"two", b"three"]);
            bytes[at] ^= 0x40;
            assert_eq!(seqs(&bytes), [2, 3], "damage at {at}");
        }
    }

    proptest! {
        #[test]
        fn any_cut_leaves_a_prefix(cut in 0_usize..200) {
            let bytes = file(&[b"one", b"two", b"three", b"four"]);
            let cut = cut.min(bytes.len());
            let found = scan(&bytes[..cut], 6.min(cut));
            let expected: Vec<u64> = (1..=found.frames.len() as u64).collect();
            prop_assert_eq!(found.frames.iter().map(|f| f.seq).collect::<Vec<_>>(), expected);
            prop_assert!(found.good_end <= cut);
        }

        #[test]
        fn any_flipped_bit_costs_one_frame(bit in 0_usize..900) {
            let mut bytes = file(&[b"one", b"two", b"three", b"four"]);
            let bit = 48 + bit % ((bytes.len() - 6) * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(seqs(&bytes).len(), 3);
        }

        #[test]
        fn noise_is_no_frame_and_no_panic(noise in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert_eq!(scan(&noise, 0).frames, vec![]);
        }
    }
}
