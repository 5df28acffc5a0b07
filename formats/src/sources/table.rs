//! A table that something else writes, followed.

use std::path::{Path, PathBuf};

use super::only;
use crate::document::Table;

/// Keys of `kind = "table"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableSource {
    /// CSV with the columns of meters.
    pub path: PathBuf,
}

pub(super) fn read(table: &Table<'_, '_>, folder: &Path) -> Option<TableSource> {
    only(table, &["path"]);
    table.need("path", "path = \"meters.csv\"");
    Some(TableSource { path: folder.join(table.text("path")?) })
}
