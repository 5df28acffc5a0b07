//! One-line kernel files, read as numbers or as a reason why not.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use model::reading::Absence;

/// Entries of one directory looked at, so that a strange tree can't hold discovery up.
/// The largest machines list some thousand hwmon, zone or powercap entries.
const ENTRIES_MAX: usize = 16_384;

/// Why the kernel did not give us a file's content.
pub(super) fn absence_of(error: &io::Error) -> Absence {
    match error.kind() {
        io::ErrorKind::NotFound => Absence::NotPresent,
        io::ErrorKind::PermissionDenied => Absence::NotPermitted,
        io::ErrorKind::TimedOut => Absence::TimedOut,
        _ => Absence::Failed,
    }
}

/// The trimmed content of a small file.
pub(super) fn read_text(path: &Path) -> Result<String, Absence> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(text.trim().to_owned()),
        Err(error) => Err(absence_of(&error)),
    }
}

/// The number in a small file.
pub(super) fn read_number<T: FromStr>(path: &Path) -> Result<T, Absence> {
    read_text(path)?.parse().map_err(|_| Absence::Failed)
}

/// Paths in a directory in the order of their names; empty where there is none.
pub(super) fn entries(dir: &Path) -> Vec<PathBuf> {
    let Ok(listing) = fs::read_dir(dir) else { return Vec::new() };
    let mut paths: Vec<PathBuf> =
        listing.filter_map(Result::ok).take(ENTRIES_MAX).map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// The last part of a path as text, empty if it is none.
pub(super) fn file_name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_its_reason() {
        let cases = [
            (io::ErrorKind::NotFound, Absence::NotPresent),
            (io::ErrorKind::PermissionDenied, Absence::NotPermitted),
            (io::ErrorKind::TimedOut, Absence::TimedOut),
            (io::ErrorKind::Other, Absence::Failed),
        ];
        for (kind, expected) in cases {
            assert_eq!(absence_of(&io::Error::from(kind)), expected);
        }
    }

    #[test]
    fn a_file_that_is_no_number_failed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("energy_uj");
        fs::write(&path, "garbage\n").unwrap();
        assert_eq!(read_number::<u64>(&path), Err(Absence::Failed));
        fs::write(&path, "17\n").unwrap();
        assert_eq!(read_number::<u64>(&path), Ok(17));
    }
}
