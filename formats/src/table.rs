//! Tables of rows: what samples, pairs and meters have in common.
//!
//! A row type lists its columns once; CSV and Parquet read and write through that list.
//! Everything goes in batches: a table larger than memory is no problem.

mod csv_reader;
mod csv_writer;
mod follower;
pub(crate) mod parquet_guard;
mod parquet_reader;
mod parquet_writer;
mod staged_file;

use std::path::Path;

use crate::table_error::TableError;
use csv_reader::CsvReader;
use csv_writer::CsvWriter;
pub use follower::{Followed, TableFollower};
use parquet_reader::ParquetReader;
pub(crate) use parquet_reader::{Wrong, mistyped, times, unreadable as unreadable_parquet, wholes};
use parquet_writer::ParquetWriter;

/// Rows of one batch: enough to amortise a call, a few MiB of memory.
pub const BATCH_ROWS: usize = 8_192;

/// A row of a table, made of the listed columns.
pub trait Row: Default + Clone + Send + 'static {
    /// Every column, in the order in which they are written.
    const COLUMNS: &'static [Column<Self>];

    /// Names of all columns, in the order in which they are written.
    #[must_use]
    fn names() -> Vec<&'static str> {
        Self::COLUMNS.iter().map(|column| column.name).collect()
    }
}

/// One column of a row type.
pub struct Column<R> {
    pub(crate) name: &'static str,
    /// A table without this column is refused.
    pub(crate) needed: bool,
    pub(crate) slot: Slot<R>,
}

/// Where the value of a column lives in its row.
pub(crate) enum Slot<R> {
    /// Nanoseconds since the Unix epoch; every row has one.
    Time(fn(&mut R) -> &mut i64),
    /// A small whole number; every row has one.
    Index(fn(&mut R) -> &mut u32),
    /// A text whose absence is the empty text.
    Name(fn(&mut R) -> &mut String),
    Text(fn(&mut R) -> &mut Option<String>),
    Whole(fn(&mut R) -> &mut Option<u64>),
    Real(fn(&mut R) -> &mut Option<f64>),
}

impl<R> Column<R> {
    pub(crate) const fn needed(name: &'static str, slot: Slot<R>) -> Self {
        Self { name, needed: true, slot }
    }

    pub(crate) const fn optional(name: &'static str, slot: Slot<R>) -> Self {
        Self { name, needed: false, slot }
    }
}

/// How a table is stored, by the end of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Storage {
    Csv,
    CsvGz,
    Parquet,
}

pub(crate) fn storage(path: &Path) -> Result<Storage, TableError> {
    let name = path.to_string_lossy();
    let lower = name.to_ascii_lowercase();
    if lower.ends_with(".csv.gz") {
        Ok(Storage::CsvGz)
    } else if lower.ends_with(".csv") {
        Ok(Storage::Csv)
    } else if lower.ends_with(".parquet") {
        Ok(Storage::Parquet)
    } else {
        let what = "the name does not say what kind of table it is";
        Err(TableError::whole(&name, what, "end it in .csv, .csv.gz or .parquet"))
    }
}

/// Reads a table in batches of at most [`BATCH_ROWS`]. Ends after the first error.
pub struct TableReader<R: Row> {
    inner: Inner<R>,
    facts: Facts,
    failed: bool,
}

enum Inner<R: Row> {
    Csv(CsvReader<R>),
    Parquet(ParquetReader<R>),
}

/// What a reader learns besides the rows.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    pub(crate) unknown: Vec<String>,
    pub(crate) absent: Vec<&'static str>,
    rows: u64,
    not_finite: u64,
}

impl<R: Row> TableReader<R> {
    /// Opens a table and reads its header.
    ///
    /// # Errors
    /// When the file can't be opened, is no such table, or lacks a column that every row needs.
    pub fn open(path: &Path) -> Result<Self, TableError> {
        let mut facts = Facts::default();
        let inner = match storage(path)? {
            Storage::Csv => Inner::Csv(CsvReader::open(path, false, &mut facts)?),
            Storage::CsvGz => Inner::Csv(CsvReader::open(path, true, &mut facts)?),
            Storage::Parquet => Inner::Parquet(ParquetReader::open(path, &mut facts)?),
        };
        Ok(Self { inner, facts, failed: false })
    }

    /// Columns of the file that this table does not know: ignored, to be named once.
    #[must_use]
    pub fn unknown_columns(&self) -> &[String] {
        &self.facts.unknown
    }

    /// Columns of this table that the file does not have: not measured.
    #[must_use]
    pub fn absent_columns(&self) -> &[&'static str] {
        &self.facts.absent
    }

    /// Rows read so far.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.facts.rows
    }

    /// Cells read so far that were NaN or infinite: taken as not measured.
    #[must_use]
    pub fn not_finite(&self) -> u64 {
        self.facts.not_finite
    }
}

impl<R: Row> Iterator for TableReader<R> {
    type Item = Result<Vec<R>, TableError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let batch = match &mut self.inner {
            Inner::Csv(reader) => reader.batch(&mut self.facts),
            Inner::Parquet(reader) => reader.batch(&mut self.facts),
        };
        self.failed = batch.is_err();
        batch.map(|rows| (!rows.is_empty()).then_some(rows)).transpose()
    }
}

/// Sorts a file's columns into known ones and unknown ones.
///
/// Returns, for each column of the file, its position in [`Row::COLUMNS`].
pub(crate) fn match_columns<R: Row>(
    file: &str,
    names: &[String],
    facts: &mut Facts,
) -> Result<Vec<Option<usize>>, TableError> {
    let mut known = Vec::with_capacity(names.len());
    for name in names {
        let position = R::COLUMNS.iter().position(|column| column.name == name);
        if position.is_none() {
            facts.unknown.push(name.clone());
        } else if known.contains(&position) {
            let what = format!("a second column \"{name}\"");
            return Err(TableError::whole(file, what, "keep one of the two"));
        }
        known.push(position);
    }
    for (position, column) in R::COLUMNS.iter().enumerate() {
        if known.contains(&Some(position)) {
            continue;
        }
        if column.needed {
            let unknown: Vec<&str> = facts.unknown.iter().map(String::as_str).collect();
            let mend = match crate::nearest::nearest(column.name, &unknown) {
                Some(near) => format!("is it the one called \"{near}\"?"),
                None => format!("add a column {}", column.name),
            };
            return Err(TableError::whole(file, format!("no column \"{}\"", column.name), mend));
        }
        facts.absent.push(column.name);
    }
    Ok(known)
}

/// Writes a table. The file appears under its name only when it is complete; until then
/// it lies beside it under a name that starts with a dot.
pub struct TableWriter<R: Row> {
    inner: Sink<R>,
}

enum Sink<R: Row> {
    Csv(CsvWriter<R>),
    Parquet(ParquetWriter<R>),
}

impl<R: Row> TableWriter<R> {
    /// Starts a table; what lies at `path` stays until [`Self::finish`].
    ///
    /// # Errors
    /// When the name says no known kind of table, or the folder can't be written.
    pub fn create(path: &Path) -> Result<Self, TableError> {
        let inner = match storage(path)? {
            Storage::Csv => Sink::Csv(CsvWriter::create(path, false)?),
            Storage::CsvGz => Sink::Csv(CsvWriter::create(path, true)?),
            Storage::Parquet => Sink::Parquet(ParquetWriter::create(path)?),
        };
        Ok(Self { inner })
    }

    /// Adds one row.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn push(&mut self, row: R) -> Result<(), TableError> {
        match &mut self.inner {
            Sink::Csv(writer) => writer.push(row),
            Sink::Parquet(writer) => writer.push(row),
        }
    }

    /// Completes the file, makes it durable and gives it its name.
    ///
    /// # Errors
    /// When the file can't be written or renamed.
    pub fn finish(self) -> Result<(), TableError> {
        match self.inner {
            Sink::Csv(writer) => writer.finish(),
            Sink::Parquet(writer) => writer.finish(),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
