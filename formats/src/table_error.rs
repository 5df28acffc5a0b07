//! What is wrong with a table, where, and how to mend it.

use std::fmt;

/// Where in a table a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TablePlace {
    /// The file as a whole.
    File,
    /// A line of a CSV file, from 1; the header is line 1.
    Line(u64),
    /// A row of a Parquet file, from 1.
    Row(u64),
}

/// A table that can't be read or written any further.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct TableError {
    /// The file as the operator called it.
    pub file: String,
    pub place: TablePlace,
    pub what: String,
    /// What to do about it; may be empty.
    pub mend: String,
}

impl TableError {
    pub(crate) fn whole(file: &str, what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self::at(file, TablePlace::File, what, mend)
    }

    pub(crate) fn at(
        file: &str,
        place: TablePlace,
        what: impl Into<String>,
        mend: impl Into<String>,
    ) -> Self {
        Self { file: file.to_owned(), place, what: what.into(), mend: mend.into() }
    }
}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        match self.place {
            TablePlace::File => {}
            TablePlace::Line(line) => write!(f, ":{line}")?,
            TablePlace::Row(row) => write!(f, " row {row}")?,
        }
        write!(f, ": {}", self.what)?;
        if self.mend.is_empty() { Ok(()) } else { write!(f, "; {}", self.mend) }
    }
}
