//! A CSV file that somebody else appends to, row by row.
//!
//! A row counts once its line has an end: what is being written is not there yet. A file that
//! was replaced or cut is begun anew.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::marker::PhantomData;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use csv::StringRecord;

use super::csv_reader::{put, wrong};
use super::{Facts, Row, match_columns};
use crate::table_error::{TableError, TablePlace};

/// Of what was there before, this much of the end is read: minutes of a hall's meters.
const HISTORY_BYTES: u64 = 1 << 20;
/// Most bytes of one look; the rest comes with the next.
const LOOK_BYTES: u64 = 4 << 20;
/// Longest line, header included.
const LINE_BYTES_MAX: usize = 1 << 16;

/// Follows one file.
pub struct TableFollower<R: Row> {
    path: PathBuf,
    open: Option<Open>,
    row: PhantomData<R>,
}

struct Open {
    file: File,
    inode: u64,
    /// Bytes that were read.
    offset: u64,
    /// A line without an end yet.
    rest: Vec<u8>,
    columns: Option<Vec<Option<usize>>>,
    /// The file had this much when it was opened: only its end is read.
    skip_to: u64,
}

/// What one look brought: rows, and lines that are no rows.
#[derive(Debug)]
pub struct Followed<R> {
    pub rows: Vec<R>,
    pub wrong: Vec<TableError>,
}

impl<R: Row> TableFollower<R> {
    /// Follows a file that need not be there yet.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), open: None, row: PhantomData }
    }

    /// What was appended since the last look; at the first one the end of what was there.
    ///
    /// # Errors
    /// When the file can't be read, or has no such header. The next look begins anew.
    pub fn look(&mut self) -> Result<Followed<R>, TableError> {
        let looked = self.try_look();
        if looked.is_err() {
            self.open = None;
        }
        looked
    }

    fn try_look(&mut self) -> Result<Followed<R>, TableError> {
        let name = self.path.to_string_lossy().into_owned();
        let unreadable = |error: io::Error| {
            TableError::whole(&name, format!("cannot be read: {error}"), "check the path")
        };
        let now = std::fs::metadata(&self.path).map_err(unreadable)?;
        let ours = |open: &Open| open.inode == now.ino() && open.offset <= now.len();
        if !self.open.as_ref().is_some_and(ours) {
            self.open = Some(Open::at(&self.path, now.len()).map_err(unreadable)?);
        }
        let Some(open) = &mut self.open else {
            return Ok(Followed { rows: Vec::new(), wrong: Vec::new() });
        };
        let lines = open.lines().map_err(unreadable)?;
        let mut followed = Followed { rows: Vec::new(), wrong: Vec::new() };
        for line in lines {
            let Some(columns) = &open.columns else {
                open.columns = Some(header::<R>(&name, &line)?);
                continue;
            };
            match row::<R>(&name, &line, columns) {
                Ok(row) => followed.rows.extend(row),
                Err(error) => followed.wrong.push(error),
            }
        }
        Ok(followed)
    }
}

impl Open {
    fn at(path: &Path, len: u64) -> io::Result<Self> {
        let file = File::open(path)?;
        let inode = file.metadata()?.ino();
        let skip_to = len.saturating_sub(HISTORY_BYTES);
        Ok(Self { file, inode, offset: 0, rest: Vec::new(), columns: None, skip_to })
    }

    /// Whole lines that are new.
    fn lines(&mut self) -> io::Result<Vec<Vec<u8>>> {
        let mut bytes = std::mem::take(&mut self.rest);
        let before = bytes.len();
        self.file.seek(SeekFrom::Start(self.offset))?;
        (&self.file).take(LOOK_BYTES).read_to_end(&mut bytes)?;
        self.offset += (bytes.len() - before) as u64;
        let mut lines: Vec<Vec<u8>> = Vec::new();
        let mut at = 0;
        while let Some(end) = bytes[at..].iter().position(|byte| *byte == b'\n') {
            lines.push(bytes[at..at + end].to_vec());
            at += end + 1;
        }
        self.rest = bytes.split_off(at);
        if self.rest.len() > LINE_BYTES_MAX {
            let what = format!("a line longer than {LINE_BYTES_MAX} bytes");
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        // Behind the header of a long file its end is what matters, from the next whole line.
        if self.columns.is_none() && !lines.is_empty() && self.skip_to > self.offset {
            lines.truncate(1);
            self.file.seek(SeekFrom::Start(self.skip_to))?;
            let mut end = Vec::new();
            (&self.file).take(LINE_BYTES_MAX as u64).read_to_end(&mut end)?;
            let whole = end.iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            self.offset = self.skip_to + whole as u64;
            self.rest.clear();
        }
        Ok(lines)
    }
}

fn record(name: &str, line: &[u8]) -> Result<Option<StringRecord>, TableError> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(line);
    let mut record = StringRecord::new();
    match reader.read_record(&mut record) {
        Ok(more) => Ok(more.then_some(record)),
        Err(error) => Err(TableError { place: TablePlace::File, ..wrong(name, &error) }),
    }
}

fn header<R: Row>(name: &str, line: &[u8]) -> Result<Vec<Option<usize>>, TableError> {
    let names: Vec<String> =
        record(name, line)?.unwrap_or_default().iter().map(|name| name.trim().to_owned()).collect();
    match_columns::<R>(name, &names, &mut Facts::default())
}

/// `None` for an empty line.
fn row<R: Row>(
    name: &str,
    line: &[u8],
    columns: &[Option<usize>],
) -> Result<Option<R>, TableError> {
    let Some(record) = record(name, line)? else { return Ok(None) };
    if record.len() != columns.len() {
        let what = format!("{} cells under a header of {}", record.len(), columns.len());
        return Err(TableError::whole(name, what, "was the line cut off?"));
    }
    let mut row = R::default();
    for (cell, column) in record.iter().zip(columns) {
        let Some(column) = column.map(|position| &R::COLUMNS[position]) else { continue };
        put(cell, &column.slot, &mut row, &mut 0).map_err(|(what, mend)| {
            TableError::whole(name, format!("{} = {what}", column.name), mend)
        })?;
    }
    Ok(Some(row))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::meters::MeterRow;

    const HEADER: &str = "time,domain,point,value\n";

    fn values(follower: &mut TableFollower<MeterRow>) -> Vec<Option<f64>> {
        follower.look().unwrap().rows.into_iter().map(|row| row.value).collect()
    }

    fn append(path: &Path, text: &str) {
        let mut file = File::options().create(true).append(true).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    #[test]
    fn rows_come_once_and_only_when_their_line_has_an_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("meters.csv");
        let mut follower = TableFollower::new(&path);
        assert!(follower.look().unwrap_err().to_string().contains("cannot be read"));
        append(&path, HEADER);
        assert_eq!(values(&mut follower), []);
        append(&path, "1,loop-1,supply_c,30.5\n2,loop-1,supply_c,3");
        assert_eq!(values(&mut follower), [Some(30.5)]);
        append(&path, "1.5\n\n3,loop-1,supply_c,\n");
        assert_eq!(values(&mut follower), [Some(31.5), None]);
        assert_eq!(values(&mut follower), []);
    }

    #[test]
    fn a_line_that_is_no_row_is_told_and_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("meters.csv");
        append(&path, HEADER);
        append(&path, "1,loop-1,supply_c,warm\n2,loop-1\n3,loop-1,supply_c,40\n");
        let looked = TableFollower::<MeterRow>::new(&path).look().unwrap();
        assert_eq!((looked.rows.len(), looked.wrong.len()), (1, 2));
        assert!(looked.wrong[0].to_string().contains("value = \"warm\""), "{}", looked.wrong[0]);
    }

    #[test]
    fn a_file_that_was_replaced_or_cut_is_begun_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("meters.csv");
        append(&path, &format!("{HEADER}1,a,supply_c,1\n"));
        let mut follower = TableFollower::new(&path);
        assert_eq!(values(&mut follower), [Some(1.0)]);
        let next = folder.path().join("next");
        append(&next, &format!("{HEADER}2,a,supply_c,2\n"));
        std::fs::rename(&next, &path).unwrap();
        assert_eq!(values(&mut follower), [Some(2.0)]);
        std::fs::write(&path, HEADER).unwrap();
        append(&path, "");
        assert_eq!(values(&mut follower), []);
        append(&path, "3,a,supply_c,3\n");
        assert_eq!(values(&mut follower), [Some(3.0)]);
    }

    #[test]
    fn of_a_long_file_the_end_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("meters.csv");
        let mut text = HEADER.to_owned();
        for at in 0..400_000 {
            text.push_str(&format!("{at},a,supply_c,{at}\n"));
        }
        append(&path, &text);
        let mut follower = TableFollower::new(&path);
        let mut seen = values(&mut follower);
        seen.extend(values(&mut follower));
        assert_eq!(seen.last(), Some(&Some(399_999.0)));
        assert!(seen.len() < 100_000, "{}", seen.len());
        assert!(seen.windows(2).all(|pair| pair[1].unwrap() - pair[0].unwrap() == 1.0));
    }
}
