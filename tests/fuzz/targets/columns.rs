//! Tables as Parquet, and as compressed CSV.

#![no_main]

mod scratch;

use formats::{MeterReader, PairReader, SampleReader};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    for ending in ["parquet", "csv.gz"] {
        let path = scratch::file(ending, data);
        let _ = SampleReader::open(&path).map(|rows| rows.for_each(drop));
        let _ = PairReader::open(&path).map(|rows| rows.for_each(drop));
        let _ = MeterReader::open(&path).map(|rows| rows.for_each(drop));
    }
});
