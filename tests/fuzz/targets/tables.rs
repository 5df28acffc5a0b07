//! Tables as CSV: samples, pairs and meters, read to their end.

#![no_main]

mod scratch;

use formats::{MeterReader, PairReader, SampleReader};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let path = scratch::file("csv", data);
    let _ = SampleReader::open(&path).map(|rows| rows.for_each(drop));
    let _ = PairReader::open(&path).map(|rows| rows.for_each(drop));
    let _ = MeterReader::open(&path).map(|rows| rows.for_each(drop));
});
