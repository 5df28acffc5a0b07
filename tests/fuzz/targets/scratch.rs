//! A file of this process in memory, overwritten by every input.

use std::path::PathBuf;

/// The file with these bytes. Panics where there is no memory to write to: then nothing is tested.
#[allow(clippy::expect_used, dead_code, reason = "a fuzzer that can't write must say so")]
pub(crate) fn file(ending: &str, data: &[u8]) -> PathBuf {
    let path = folder().join(format!("input.{ending}"));
    std::fs::write(&path, data).expect("a file in memory");
    path
}

/// A folder of this process.
#[allow(clippy::expect_used, reason = "as above")]
pub(crate) fn folder() -> PathBuf {
    let folder = PathBuf::from(format!("/dev/shm/loadbank-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder in memory");
    folder
}
