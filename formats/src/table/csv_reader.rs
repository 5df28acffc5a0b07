//! Rows out of CSV, plain or compressed, one at a time.

use std::fs::File;
use std::io::{self, Read};
use std::marker::PhantomData;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use csv::{ErrorKind, StringRecord};
use flate2::read::MultiGzDecoder;

use super::{BATCH_ROWS, Facts, Row, Slot, match_columns};
use crate::instant;
use crate::table_error::{TableError, TablePlace};

/// Longest row, in bytes. A quote that is never closed would otherwise swallow the file.
const ROW_BYTES_MAX: u64 = 1 << 20;

pub(super) struct CsvReader<R> {
    file: String,
    reader: csv::Reader<Bounded>,
    /// Bytes read since the last complete row.
    since_row: Arc<AtomicU64>,
    columns: Vec<Option<usize>>,
    record: StringRecord,
    row: PhantomData<R>,
}

impl<R: Row> CsvReader<R> {
    pub(super) fn open(
        path: &Path,
        compressed: bool,
        facts: &mut Facts,
    ) -> Result<Self, TableError> {
        let file = path.to_string_lossy().into_owned();
        let unreadable = |error: io::Error| {
            TableError::whole(&file, format!("cannot be read: {error}"), "check the path")
        };
        let plain = File::open(path).map_err(unreadable)?;
        let pipe: Box<dyn Read + Send> = match compressed {
            true => Box::new(MultiGzDecoder::new(io::BufReader::new(plain))),
            false => Box::new(plain),
        };
        let since_row = Arc::new(AtomicU64::new(0));
        let bounded = Bounded { pipe, since_row: Arc::clone(&since_row) };
        let mut reader = csv::Reader::from_reader(bounded);
        let header = reader.headers().map_err(|error| wrong(&file, &error))?;
        let names: Vec<String> = header.iter().map(|name| name.trim().to_owned()).collect();
        let columns = match_columns::<R>(&file, &names, facts)?;
        let record = StringRecord::new();
        Ok(Self { file, reader, since_row, columns, record, row: PhantomData })
    }

    /// The next rows; none at the end.
    pub(super) fn batch(&mut self, facts: &mut Facts) -> Result<Vec<R>, TableError> {
        let mut rows = Vec::new();
        while rows.len() < BATCH_ROWS {
            self.since_row.store(0, Ordering::Relaxed);
            let more = self.reader.read_record(&mut self.record);
            let more = more.map_err(|error| {
                let mut wrong = wrong(&self.file, &error);
                if wrong.place == TablePlace::File {
                    wrong.place = TablePlace::Line(self.reader.position().line());
                }
                wrong
            })?;
            if !more {
                break;
            }
            rows.push(self.row(facts)?);
        }
        facts.rows += rows.len() as u64;
        Ok(rows)
    }

    fn row(&self, facts: &mut Facts) -> Result<R, TableError> {
        let mut row = R::default();
        for (cell, column) in self.record.iter().zip(&self.columns) {
            let Some(column) = column.map(|position| &R::COLUMNS[position]) else { continue };
            put(cell, &column.slot, &mut row, &mut facts.not_finite).map_err(|(what, mend)| {
                let line = self.record.position().map_or(0, csv::Position::line);
                let what = format!("{} = {what}", column.name);
                TableError::at(&self.file, TablePlace::Line(line), what, mend)
            })?;
        }
        Ok(row)
    }
}

/// What is wrong with a cell, and the mend.
pub(super) type CellProblem = (String, &'static str);

/// Puts a cell into its slot.
pub(super) fn put<R>(
    cell: &str,
    slot: &Slot<R>,
    row: &mut R,
    not_finite: &mut u64,
) -> Result<(), CellProblem> {
    match slot {
        Slot::Time(of) => *of(row) = instant::parse(cell).map_err(|what| (what, ""))?,
        Slot::Index(of) => {
            let index = whole(cell)?.and_then(|index| u32::try_from(index).ok());
            let wrong = || (quoted(cell), "every row needs a whole number here");
            *of(row) = index.ok_or_else(wrong)?;
        }
        Slot::Name(of) => cell.clone_into(of(row)),
        Slot::Text(of) => *of(row) = (!cell.is_empty()).then(|| cell.to_owned()),
        Slot::Whole(of) => *of(row) = whole(cell)?,
        Slot::Real(of) => *of(row) = real(cell, not_finite)?,
    }
    Ok(())
}

fn real(cell: &str, not_finite: &mut u64) -> Result<Option<f64>, CellProblem> {
    let cell = cell.trim();
    if cell.is_empty() {
        return Ok(None);
    }
    let real: f64 =
        cell.parse().map_err(|_| (quoted(cell), "write a number, or nothing if not measured"))?;
    *not_finite += u64::from(!real.is_finite());
    Ok(Some(real).filter(|real| real.is_finite()))
}

/// A whole number; `64`, `0x40`, and `64.0` as tools write a column with gaps.
fn whole(cell: &str) -> Result<Option<u64>, CellProblem> {
    let cell = cell.trim();
    if cell.is_empty() || cell.eq_ignore_ascii_case("nan") {
        return Ok(None);
    }
    let hex = cell.strip_prefix("0x").and_then(|digits| u64::from_str_radix(digits, 16).ok());
    let plain = || cell.parse::<u64>().ok();
    let pointed = || cell.strip_suffix(".0").and_then(|digits| digits.parse().ok());
    let wrong = || (quoted(cell), "write a whole number, or nothing if not measured");
    hex.or_else(plain).or_else(pointed).map(Some).ok_or_else(wrong)
}

fn quoted(cell: &str) -> String {
    format!("\"{}\"", cell.escape_debug().take(40).collect::<String>())
}

pub(super) fn wrong(file: &str, error: &csv::Error) -> TableError {
    let line = error.position().map(csv::Position::line);
    let place = line.map_or(TablePlace::File, TablePlace::Line);
    match error.kind() {
        ErrorKind::UnequalLengths { expected_len, len, .. } => {
            let what = format!("{len} cells under a header of {expected_len}");
            TableError::at(file, place, what, "was the line cut off?")
        }
        ErrorKind::Utf8 { .. } => {
            TableError::at(file, place, "a cell is not UTF-8", "convert the file to UTF-8")
        }
        ErrorKind::Io(error) => {
            TableError::at(file, place, format!("cannot be read: {error}"), "is the file whole?")
        }
        _ => TableError::at(file, place, error.to_string(), ""),
    }
}

/// Refuses to hand out more than one row's worth of bytes for one row.
struct Bounded {
    pipe: Box<dyn Read + Send>,
    since_row: Arc<AtomicU64>,
}

impl Read for Bounded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let before = self.since_row.load(Ordering::Relaxed);
        if before > ROW_BYTES_MAX {
            let what = format!("a row longer than {ROW_BYTES_MAX} bytes, or a quote left open");
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        let bytes = self.pipe.read(buffer)?;
        self.since_row.store(before + bytes as u64, Ordering::Relaxed);
        Ok(bytes)
    }
}
