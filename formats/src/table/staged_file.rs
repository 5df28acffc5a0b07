//! A file that appears under its name only when it is complete.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::table_error::TableError;

/// The file under its temporary name; removed when dropped before [`Self::publish`].
pub(super) struct StagedFile {
    target: PathBuf,
    temporary: PathBuf,
    published: bool,
}

impl StagedFile {
    pub(super) fn create(target: &Path) -> Result<(Self, File), TableError> {
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let temporary = target.with_file_name(format!(".{name}.part"));
        let staged = Self { target: target.to_owned(), temporary, published: false };
        let file = File::create(&staged.temporary).map_err(|error| staged.failed(&error))?;
        Ok((staged, file))
    }

    /// Makes the content durable and gives the file its name.
    pub(super) fn publish(mut self, file: &File) -> Result<(), TableError> {
        file.sync_all().map_err(|error| self.failed(&error))?;
        std::fs::rename(&self.temporary, &self.target).map_err(|error| self.failed(&error))?;
        self.published = true;
        let folder = self.target.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))
            .and_then(|folder| folder.sync_all())
            .map_err(|error| self.failed(&error))
    }

    pub(super) fn failed(&self, error: &dyn std::fmt::Display) -> TableError {
        let file = self.target.to_string_lossy();
        TableError::whole(&file, format!("cannot be written: {error}"), "check folder and space")
    }
}

impl Drop for StagedFile {
    fn drop(&mut self) {
        if !self.published {
            // Nothing to do when it fails: the leftover is overwritten by the next writer.
            let _ = std::fs::remove_file(&self.temporary);
        }
    }
}
