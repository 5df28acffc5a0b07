//! A run's file that something else wrote: opened and read to its end.

#![no_main]

mod scratch;

use coordinator::store::RunFile;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let path = scratch::file("sqlite", data);
    let Ok(file) = RunFile::open(&path) else { return };
    let _ = file.journal();
    let _ = file.counts();
    let _ = file.for_each_batch("r", |_| Ok(()));
});
