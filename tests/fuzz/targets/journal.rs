//! Entries of a run's journal, as they lie in its file.

#![no_main]

use coordinator::store::JournalEntry;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(entry) = serde_json::from_slice::<JournalEntry>(data) else { return };
    let Ok(written) = serde_json::to_string(&entry) else { return };
    assert!(serde_json::from_str::<JournalEntry>(&written).is_ok(), "{written}");
});
