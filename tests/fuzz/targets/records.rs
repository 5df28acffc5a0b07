//! Batches of records, histograms in them included; what is accepted is written and read again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use proto::convert::{records_from_batch, records_to_bytes};
use proto::v1;

fuzz_target!(|data: &[u8]| {
    let batch = |records: Vec<u8>| v1::Batch { records, ..v1::Batch::default() };
    let Ok(read) = records_from_batch(&batch(data.to_vec())) else { return };
    let written = records_to_bytes(&read.records);
    let again = records_from_batch(&batch(written.clone()));
    // NaN is not equal to itself: what was written twice is.
    let twice = again.map(|again| records_to_bytes(&again.records));
    assert_eq!(twice.ok(), Some(written));
});
