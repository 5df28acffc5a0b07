//! Samples in chunks of columns, as the digest takes them.

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_schema::{DataType, Schema};
use model::SampleColumns;
use model::table::SampleRow;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
    ParquetRecordBatchReaderBuilder,
};

use super::clocks::Clocks;
use super::columns::{columns_of, is_names};
use super::duplicates::{DUPLICATE_ROWS_MAX, Duplicates};
use super::facts::SampleFacts;
use crate::table::{
    Facts, Storage, TableReader, Wrong, match_columns, parquet_guard, storage, unreadable_parquet,
};
use crate::table_error::{TableError, TablePlace};

/// Rows of one chunk: enough for each of a thousand devices to have many in it, and some
/// 10 MB of memory.
pub const CHUNK_ROWS: usize = 131_072;
/// Column that no chunk carries: what made the heat is the phase's to say.
const LEFT_OUT: &str = "kernel";

/// Reads samples in chunks of at most [`CHUNK_ROWS`]. Ends after the first error.
///
/// Rows that are there twice are dropped (up to [`DUPLICATE_ROWS_MAX`] rows) and clocks
/// that go backwards are counted: see [`SampleChunks::facts`].
pub struct SampleChunks {
    source: Source,
    facts: SampleFacts,
    duplicates: Option<Duplicates>,
    clocks: Clocks,
    failed: bool,
}

enum Source {
    Csv(Box<TableReader<SampleRow>>),
    Parquet(Box<Groups>),
}

/// Row groups of a Parquet file, one after the other.
struct Groups {
    path: PathBuf,
    name: String,
    metadata: ArrowReaderMetadata,
    wanted: Vec<usize>,
    /// Those that were not begun.
    left: Range<usize>,
    /// Rows of the file before the next chunk.
    before: u64,
    reader: Option<ParquetRecordBatchReader>,
}

impl SampleChunks {
    /// Opens a table and reads its header.
    ///
    /// # Errors
    /// When the file can't be opened, is no such table, or lacks a column that every row needs.
    pub fn open(path: &Path) -> Result<Self, TableError> {
        Self::open_limited(path, DUPLICATE_ROWS_MAX)
    }

    /// Opens a table of which so many rows are compared with each other.
    pub(super) fn open_limited(path: &Path, compared_max: u64) -> Result<Self, TableError> {
        if storage(path)? == Storage::Parquet {
            let mut facts = Facts::default();
            let groups = Groups::open(path, &mut facts)?;
            let small = groups.rows() <= compared_max;
            return Ok(Self {
                source: Source::Parquet(Box::new(groups)),
                facts: SampleFacts {
                    unknown_columns: facts.unknown,
                    absent_columns: facts.absent,
                    ..SampleFacts::default()
                },
                duplicates: small.then(|| Duplicates::new(compared_max)),
                clocks: Clocks::default(),
                failed: false,
            });
        }
        let reader = TableReader::open(path)?;
        let facts = SampleFacts {
            unknown_columns: reader.unknown_columns().to_vec(),
            absent_columns: reader.absent_columns().to_vec(),
            ..SampleFacts::default()
        };
        Ok(Self {
            source: Source::Csv(Box::new(reader)),
            facts,
            duplicates: Some(Duplicates::new(compared_max)),
            clocks: Clocks::default(),
            failed: false,
        })
    }

    /// Splits a table into at most so many parts, one after the other, for as many threads:
    /// large Parquet only, everything else stays whole.
    #[must_use]
    pub fn split(self, parts: usize) -> Vec<Self> {
        let Source::Parquet(groups) = &self.source else { return vec![self] };
        if self.duplicates.is_some() || parts < 2 || groups.left.len() < parts {
            return vec![self];
        }
        let cuts: Vec<usize> = (0..=parts).map(|part| groups.left.len() * part / parts).collect();
        let part = |range: &[usize]| {
            let (from, to) = (groups.left.start + range[0], groups.left.start + range[1]);
            let facts = SampleFacts {
                unknown_columns: self.facts.unknown_columns.clone(),
                absent_columns: self.facts.absent_columns.clone(),
                ..SampleFacts::default()
            };
            Self {
                source: Source::Parquet(Box::new(groups.part(from..to))),
                facts,
                duplicates: None,
                clocks: Clocks::default(),
                failed: false,
            }
        };
        cuts.windows(2).map(part).collect()
    }

    /// What was learned so far.
    #[must_use]
    pub fn facts(&self) -> &SampleFacts {
        &self.facts
    }

    /// What was learned from all parts of a table, in the order of [`Self::split`].
    #[must_use]
    pub fn join(parts: Vec<Self>) -> SampleFacts {
        let mut parts = parts.into_iter();
        let Some(mut first) = parts.next() else { return SampleFacts::default() };
        for part in parts {
            first.facts.clock_backwards += first.clocks.append(part.clocks);
            first.facts.add(part.facts);
        }
        first.facts
    }

    fn chunk(&mut self) -> Result<Option<SampleColumns>, TableError> {
        let chunk = match &mut self.source {
            Source::Csv(reader) => {
                let mut rows = Vec::new();
                while rows.len() < CHUNK_ROWS
                    && let Some(batch) = reader.next()
                {
                    rows.append(&mut batch?);
                }
                self.facts.not_finite = reader.not_finite();
                (!rows.is_empty()).then(|| SampleColumns::from_rows(&rows))
            }
            Source::Parquet(groups) => groups.chunk(&mut self.facts)?,
        };
        let Some(mut columns) = chunk else { return Ok(None) };
        let rows = columns.rows() as u64;
        self.facts.rows += rows;
        let (dropped, not_compared) = match &mut self.duplicates {
            Some(duplicates) => duplicates.drop_from(&mut columns),
            None => (0, rows),
        };
        self.facts.duplicates += dropped;
        self.facts.not_compared += not_compared;
        self.facts.clock_backwards += self.clocks.add(&columns);
        Ok(Some(columns))
    }
}

impl Iterator for SampleChunks {
    type Item = Result<SampleColumns, TableError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let chunk = self.chunk();
        self.failed = chunk.is_err();
        chunk.transpose()
    }
}

impl Groups {
    fn open(path: &Path, facts: &mut Facts) -> Result<Self, TableError> {
        let name = path.to_string_lossy().into_owned();
        let unreadable = |error: &dyn std::fmt::Display| unreadable_parquet(&name, error);
        let handle = File::open(path).map_err(|error| unreadable(&error))?;
        // The types of Parquet itself are fewer than those of the library that wrote it.
        let plain = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let found = parquet_guard::open(|| ArrowReaderMetadata::load(&handle, plain))
            .map_err(|error| unreadable(&error))?;
        let names: Vec<String> =
            found.schema().fields().iter().map(|field| field.name().clone()).collect();
        let known = match_columns::<SampleRow>(&name, &names, facts)?;
        let wanted = |position: &usize| known[*position].is_some() && names[*position] != LEFT_OUT;
        let wanted: Vec<usize> = (0..names.len()).filter(wanted).collect();
        let schema = Arc::new(with_keys(found.schema()));
        let options = ArrowReaderOptions::new().with_schema(schema);
        let read = Arc::clone(found.metadata());
        let metadata = parquet_guard::open(|| ArrowReaderMetadata::try_new(read, options))
            .map_err(|error| unreadable(&error))?;
        let bytes = std::fs::metadata(path).map_err(|error| unreadable(&error))?.len();
        parquet_guard::check(&name, bytes, metadata.metadata())?;
        let left = 0..metadata.metadata().num_row_groups();
        Ok(Self { path: path.to_owned(), name, metadata, wanted, left, before: 0, reader: None })
    }

    /// Some of the row groups.
    fn part(&self, left: Range<usize>) -> Self {
        let rows_of = |group: usize| self.rows_of(group);
        Self {
            path: self.path.clone(),
            name: self.name.clone(),
            metadata: self.metadata.clone(),
            wanted: self.wanted.clone(),
            before: (0..left.start).map(rows_of).sum(),
            left,
            reader: None,
        }
    }

    fn rows(&self) -> u64 {
        self.left.clone().map(|group| self.rows_of(group)).sum()
    }

    fn rows_of(&self, group: usize) -> u64 {
        u64::try_from(self.metadata.metadata().row_group(group).num_rows()).unwrap_or(0)
    }

    /// The next rows; they never reach over the end of a row group, where the keys of texts
    /// change their meaning.
    fn chunk(&mut self, facts: &mut SampleFacts) -> Result<Option<SampleColumns>, TableError> {
        loop {
            if self.reader.is_none() {
                let Some(group) = self.left.next() else { return Ok(None) };
                self.reader = Some(self.reader_of(group)?);
            }
            match self.reader.as_mut().and_then(parquet_guard::next) {
                None => self.reader = None,
                Some(Ok(batch)) if batch.num_rows() == 0 => {}
                Some(Ok(batch)) => {
                    let columns = columns_of(&batch, facts).map_err(|wrong| self.wrong(wrong))?;
                    self.before += columns.rows() as u64;
                    return Ok(Some(columns));
                }
                Some(Err(error)) => return Err(self.damaged(&error)),
            }
        }
    }

    fn reader_of(&self, group: usize) -> Result<ParquetRecordBatchReader, TableError> {
        let handle =
            File::open(&self.path).map_err(|error| unreadable_parquet(&self.name, &error))?;
        let builder =
            ParquetRecordBatchReaderBuilder::new_with_metadata(handle, self.metadata.clone());
        let mask = ProjectionMask::roots(builder.parquet_schema(), self.wanted.iter().copied());
        let builder = builder.with_projection(mask).with_row_groups(vec![group]);
        let builder = builder.with_batch_size(CHUNK_ROWS);
        parquet_guard::open(|| builder.build()).map_err(|error| self.damaged(&error))
    }

    fn wrong(&self, wrong: Wrong) -> TableError {
        wrong.at(&self.name, self.before)
    }

    fn damaged(&self, error: &dyn std::fmt::Display) -> TableError {
        let place = TablePlace::Row(self.before + 1);
        let mend = "is the file whole, and compressed with zstd, snappy or nothing?";
        TableError::at(&self.name, place, format!("cannot be read: {error}"), mend)
    }
}

/// The same columns, with texts of which few differ as keys.
fn with_keys(schema: &Schema) -> Schema {
    let field = |field: &Arc<arrow_schema::Field>| {
        if is_names(field.name()) && *field.data_type() == DataType::Utf8 {
            let keys = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
            return Arc::new(field.as_ref().clone().with_data_type(keys));
        }
        Arc::clone(field)
    };
    Schema::new(schema.fields().iter().map(field).collect::<Vec<_>>())
}

/// Folds a table on so many threads: each part of it into a state of its own, which come
/// back in the order of the table, with what was learned.
///
/// # Errors
/// When the table can't be read to its end: the error that stands first in it.
pub fn fold<S: Send>(
    path: &Path,
    threads: usize,
    new: impl Fn() -> S + Sync,
    add: impl Fn(&mut S, &SampleColumns) + Sync,
) -> Result<(Vec<S>, SampleFacts), TableError> {
    fold_parts(SampleChunks::open(path)?.split(threads), new, add)
}

pub(super) fn fold_parts<S: Send>(
    parts: Vec<SampleChunks>,
    new: impl Fn() -> S + Sync,
    add: impl Fn(&mut S, &SampleColumns) + Sync,
) -> Result<(Vec<S>, SampleFacts), TableError> {
    let run = |mut chunks: SampleChunks| {
        let mut state = new();
        for chunk in chunks.by_ref() {
            add(&mut state, &chunk?);
        }
        Ok((state, chunks))
    };
    let run = &run;
    let results: Vec<Result<(S, SampleChunks), TableError>> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            parts.into_iter().map(|part| scope.spawn(move || run(part))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    let done: Result<Vec<_>, _> = results.into_iter().collect();
    let (states, parts): (Vec<S>, Vec<SampleChunks>) = done?.into_iter().unzip();
    Ok((states, SampleChunks::join(parts)))
}
