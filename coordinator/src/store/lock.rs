//! One coordinator a state folder: an advisory lock that dies with its process, by
//! `kill -9` too.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::Path;

use super::StoreError;

const FILE: &str = "coordinator.lock";

/// Held as long as it lives.
#[derive(Debug)]
pub(crate) struct StateLock {
    _file: File,
}

impl StateLock {
    /// Makes the folder where it is not there, and takes it.
    ///
    /// # Errors
    /// When another coordinator has it, or nobody can.
    pub(crate) fn take(state_dir: &Path) -> Result<Self, StoreError> {
        let path = state_dir.join(FILE);
        let failed = |source: io::Error| StoreError::Io { file: path.clone(), source };
        fs::create_dir_all(state_dir)
            .map_err(|source| StoreError::Io { file: state_dir.to_owned(), source })?;
        let open = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let mut file = open.map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let holder = fs::read_to_string(&path).unwrap_or_default().trim().to_owned();
                return Err(StoreError::Held { dir: state_dir.to_owned(), holder });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        // For the message above only: a full disk must not keep the coordinator from starting.
        let _ = file.set_len(0).and_then(|()| writeln!(file, "process {}", std::process::id()));
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_held_is_refused_with_its_holder_and_free_again_after_it() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("new");
        let held = StateLock::take(&dir).unwrap();
        let refused = StateLock::take(&dir).unwrap_err().to_string();
        assert!(refused.contains(&dir.display().to_string()), "{refused}");
        assert!(refused.contains(&format!("process {}", std::process::id())), "{refused}");
        drop(held);
        StateLock::take(&dir).unwrap();
    }
}
