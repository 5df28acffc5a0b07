//! A group: the batches of one commit in one row, packed together.
//!
//! Ten thousand agents say ten thousand batches a second. A row for each, kept in the order
//! of its key, would write a page for each: forty megabytes a second for five. A group is
//! appended; who made which batch stands in its directory, which is read without the rest.

use super::run_file::StoredBatch;

/// Shorter than this is stored as it is: zstd would not shrink it.
const PACK_BYTES_MIN: usize = 200;
/// Fast and good enough for protobuf of floats.
const ZSTD_LEVEL: i32 = 1;
/// A group is closed when it is this long: what a reader unpacks at once.
pub(super) const GROUP_BYTES: usize = 1024 * 1024;
/// One batch more may be as long as a message.
const UNPACKED_BYTES_MAX: usize = GROUP_BYTES + proto::channel::MESSAGE_BYTES_MAX;

/// One line of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// Row of the agent's instance in `streams`.
    pub(super) stream: i64,
    pub(super) seq: u64,
    /// When it was received, on the coordinator's clock.
    pub(super) received_ns: i64,
    /// Length of its records.
    pub(super) bytes: usize,
}

/// A row of `groups`.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Row {
    pub(super) directory: Vec<u8>,
    /// Length of the records before they were packed.
    pub(super) bytes: usize,
    pub(super) packed: bool,
    pub(super) records: Vec<u8>,
}

/// Puts groups together, with a compressor that is kept.
pub(super) struct Packer(Option<zstd::bulk::Compressor<'static>>);

impl Packer {
    pub(super) fn new() -> Self {
        // Without memory for a compressor everything is stored as it is.
        Self(zstd::bulk::Compressor::new(ZSTD_LEVEL).ok())
    }

    /// One row of some batches, each with its stream.
    pub(super) fn row(&mut self, batches: &[(i64, &StoredBatch)]) -> Row {
        let mut directory = Vec::with_capacity(batches.len() * 12);
        let mut records = Vec::new();
        for (stream, stored) in batches {
            write_varint(&mut directory, *stream as u64);
            write_varint(&mut directory, stored.batch.seq);
            write_varint(&mut directory, stored.received_ns as u64);
            write_varint(&mut directory, stored.batch.records.len() as u64);
            records.extend_from_slice(&stored.batch.records);
        }
        let bytes = records.len();
        let packed = match &mut self.0 {
            Some(compressor) if bytes >= PACK_BYTES_MIN => compressor.compress(&records).ok(),
            _ => None,
        };
        match packed.filter(|packed| packed.len() < bytes) {
            Some(packed) => Row { directory, bytes, packed: true, records: packed },
            None => Row { directory, bytes, packed: false, records },
        }
    }
}

/// Reads a directory.
///
/// # Errors
/// When it was cut or changed.
pub(super) fn places(mut directory: &[u8]) -> Result<Vec<Place>, String> {
    let mut places = Vec::new();
    while !directory.is_empty() {
        let mut next = || read_varint(&mut directory).ok_or("its directory is cut off");
        let (stream, seq, received, bytes) = (next()?, next()?, next()?, next()?);
        places.push(Place {
            stream: stream as i64,
            seq,
            received_ns: received as i64,
            bytes: usize::try_from(bytes).map_err(|_| "a batch is too long")?,
        });
    }
    Ok(places)
}

/// The records of all batches of a row, one behind the other.
///
/// # Errors
/// When they were cut or changed.
pub(super) fn unpack(row: Row) -> Result<Vec<u8>, String> {
    if row.bytes > UNPACKED_BYTES_MAX {
        return Err(format!("{} bytes in one group", row.bytes));
    }
    let records = match row.packed {
        true => zstd::bulk::decompress(&row.records, row.bytes).map_err(|e| e.to_string())?,
        false => row.records,
    };
    if records.len() != row.bytes {
        return Err(format!("{} bytes where {} should be", records.len(), row.bytes));
    }
    Ok(records)
}

fn write_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn read_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f).checked_shl(shift)?;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proto::v1;

    use super::*;

    fn stored(seq: u64, received_ns: i64, records: Vec<u8>) -> StoredBatch {
        let batch = v1::Batch { seq, records, ..v1::Batch::default() };
        StoredBatch { batch, received_ns }
    }

    proptest! {
        #[test]
        fn a_group_comes_back_as_it_went_in(
            batches in prop::collection::vec(
                (0i64..1 << 40, any::<u64>(), any::<i64>(), prop::collection::vec(0u8..4, 0..300)),
                0..20,
            ),
        ) {
            let all: Vec<(i64, StoredBatch)> = batches
                .into_iter()
                .map(|(stream, seq, at_ns, records)| (stream, stored(seq, at_ns, records)))
                .collect();
            let lent: Vec<_> = all.iter().map(|(stream, batch)| (*stream, batch)).collect();
            let row = Packer::new().row(&lent);
            let places = places(&row.directory).unwrap();
            let records = unpack(row).unwrap();
            let mut rest = records.as_slice();
            prop_assert_eq!(places.len(), all.len());
            for (place, (stream, batch)) in places.iter().zip(&all) {
                let (own, after) = rest.split_at(place.bytes);
                prop_assert_eq!((place.stream, place.seq), (*stream, batch.batch.seq));
                prop_assert_eq!((place.received_ns, own), (batch.received_ns, &batch.batch.records[..]));
                rest = after;
            }
            prop_assert!(rest.is_empty());
        }

        #[test]
        fn noise_is_refused_or_read_but_never_panics(
            directory in prop::collection::vec(any::<u8>(), 0..200),
            records in prop::collection::vec(any::<u8>(), 0..200),
            bytes in 0usize..1 << 24,
        ) {
            let _ = places(&directory);
            let _ = unpack(Row { directory, bytes, packed: true, records });
        }
    }
}
