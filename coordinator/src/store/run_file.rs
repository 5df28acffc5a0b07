//! One run's SQLite file: batches as agents sent them, and the journal.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::path::{Path, PathBuf};

use proto::v1;
use rusqlite::{Connection, OpenFlags, params};

use super::group::{self, GROUP_BYTES, Packer, Place, Row};
use super::seen::Seen;
use super::{JournalEntry, StoreError, format_1};

/// Format of the run file; raised when an older reader would misread a newer file. Format 1 had
/// a row for each batch, which is still read.
pub(super) const FORMAT: i64 = 2;
/// Name of the file in a run's folder.
pub(super) const FILE_NAME: &str = "run.sqlite";

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS streams(
  id INTEGER PRIMARY KEY, node TEXT NOT NULL, instance TEXT NOT NULL, boot_id TEXT NOT NULL,
  UNIQUE(node, instance));
CREATE TABLE IF NOT EXISTS groups(
  id INTEGER PRIMARY KEY, directory BLOB NOT NULL, bytes INTEGER NOT NULL,
  packed INTEGER NOT NULL, records BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS journal(
  id INTEGER PRIMARY KEY, time_ns INTEGER NOT NULL, body TEXT NOT NULL);
";

/// Whether a file may be SQLite's: somebody who hands in a site document made a mistake, and
/// nothing is damaged. A file too short to tell is looked at by SQLite.
fn looks_like_a_database(path: &Path) -> bool {
    let mut head = [0; 16];
    let read = std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut head));
    read.is_err() || head == *b"SQLite format 3\0"
}

/// An open run file.
pub struct RunFile {
    connection: Connection,
    path: PathBuf,
    /// What is in it, by node and instance; filled where it is opened for writing.
    streams: HashMap<(String, String), Stream>,
    packer: Packer,
}

/// The batches of one agent instance.
struct Stream {
    id: i64,
    seen: Seen,
}

/// A batch as it lies in the store.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredBatch {
    pub batch: v1::Batch,
    /// Coordinator's clock when it was stored.
    pub received_ns: i64,
}

impl RunFile {
    /// Opens or makes the run file of a folder, for writing.
    ///
    /// # Errors
    /// When the folder can't be made or the file is damaged or newer than this version.
    pub fn create(folder: &Path) -> Result<Self, StoreError> {
        std::fs::create_dir_all(folder)
            .map_err(|source| StoreError::Io { file: folder.to_owned(), source })?;
        let path = folder.join(FILE_NAME);
        let connection = Connection::open(&path).map_err(|s| sqlite(&path, s))?;
        let mut file = Self::over(connection, path);
        file.in_file(|c| {
            c.busy_timeout(std::time::Duration::from_secs(5))?;
            c.pragma_update(None, "journal_mode", "WAL")?;
            c.pragma_update(None, "synchronous", "FULL")
        })?;
        file.check_format()?;
        file.in_file(|c| {
            c.execute_batch(SCHEMA)?;
            c.pragma_update(None, "user_version", FORMAT)
        })?;
        file.recall()?;
        Ok(file)
    }

    fn over(connection: Connection, path: PathBuf) -> Self {
        Self { connection, path, streams: HashMap::new(), packer: Packer::new() }
    }

    /// Opens a run file to read it. `at` is the file or its folder.
    ///
    /// # Errors
    /// When there is none, or it is damaged or newer than this version.
    pub fn open(at: &Path) -> Result<Self, StoreError> {
        let path = if at.is_dir() { at.join(FILE_NAME) } else { at.to_owned() };
        let ours = path.file_name().is_some_and(|name| name == FILE_NAME);
        if !path.is_file() || (!ours && !looks_like_a_database(&path)) {
            return Err(StoreError::NotARun { file: path });
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&path, flags)
            .or_else(|_| Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY))
            .map_err(|source| sqlite(&path, source))?;
        let file = Self::over(connection, path);
        file.in_file(|c| c.busy_timeout(std::time::Duration::from_secs(5)))?;
        file.check_format()?;
        Ok(file)
    }

    /// Where the file lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Stores batches and journal entries in one transaction: all or nothing. A batch that
    /// is already there falls away.
    ///
    /// # Errors
    /// When the transaction can't be committed; then nothing of it is stored, and the file must
    /// be opened anew before anything else is.
    pub fn commit(
        &mut self,
        batches: &[StoredBatch],
        journal: &[(i64, JournalEntry)],
    ) -> Result<(), StoreError> {
        let path = self.path.clone();
        let wrap = |source| sqlite(&path, source);
        let transaction = self.connection.transaction().map_err(wrap)?;
        {
            let fresh = fresh(&transaction, &mut self.streams, batches).map_err(wrap)?;
            let mut insert = transaction
                .prepare_cached(
                    "INSERT INTO groups(directory, bytes, packed, records) VALUES(?1,?2,?3,?4)",
                )
                .map_err(wrap)?;
            for group in groups_of(&fresh) {
                let row = self.packer.row(group);
                let bytes = row.bytes as i64;
                insert
                    .execute(params![row.directory, bytes, row.packed, row.records])
                    .map_err(wrap)?;
            }
            let mut insert = transaction
                .prepare_cached("INSERT INTO journal(time_ns, body) VALUES(?1,?2)")
                .map_err(wrap)?;
            for (time_ns, entry) in journal {
                let body = serde_json::to_string(entry).map_err(|error| StoreError::Journal {
                    file: path.clone(),
                    id: 0,
                    why: error.to_string(),
                })?;
                insert.execute(params![time_ns, body]).map_err(wrap)?;
            }
        }
        transaction.commit().map_err(wrap)
    }

    /// Every journal entry in order, with its time on the coordinator's clock.
    ///
    /// # Errors
    /// When the file is damaged.
    pub fn journal(&self) -> Result<Vec<(i64, JournalEntry)>, StoreError> {
        let rows: Vec<(i64, i64, String)> = self.in_file(|c| {
            let mut query = c.prepare("SELECT id, time_ns, body FROM journal ORDER BY id")?;
            let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
            rows.collect()
        })?;
        rows.into_iter()
            .map(|(id, time_ns, body)| {
                let entry = serde_json::from_str(&body).map_err(|error| StoreError::Journal {
                    file: self.path.clone(),
                    id,
                    why: error.to_string(),
                })?;
                Ok((time_ns, entry))
            })
            .collect()
    }

    /// Feeds every batch to `f`, one at a time, in the order in which they were stored: those of
    /// one agent almost in the order of their numbers.
    ///
    /// # Errors
    /// When the file is damaged, or whatever `f` fails with.
    pub fn for_each_batch(
        &self,
        run: &str,
        mut f: impl FnMut(StoredBatch) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        if self.has_table("batches")? {
            format_1::for_each_batch(&self.connection, &self.path, run, &mut f)?;
        }
        if !self.has_table("groups")? {
            return Ok(());
        }
        let streams = self.stream_rows()?;
        let wrap = |source| sqlite(&self.path, source);
        let mut query = self
            .connection
            .prepare("SELECT id, directory, bytes, packed, records FROM groups ORDER BY id")
            .map_err(wrap)?;
        let mut rows = query.query([]).map_err(wrap)?;
        while let Some(row) = rows.next().map_err(wrap)? {
            let group: i64 = row.get(0).map_err(wrap)?;
            let read = read_row(row).map_err(wrap)?;
            let damaged = |why| StoreError::DamagedGroup { file: self.path.clone(), group, why };
            for stored in batches_of(read, &streams, run).map_err(damaged)? {
                f(stored)?;
            }
        }
        Ok(())
    }

    /// How many batches of each (node, instance) are stored, and the highest seq.
    ///
    /// # Errors
    /// When the file is damaged.
    pub fn counts(&self) -> Result<Vec<(String, String, u64, u64)>, StoreError> {
        let mut counts: BTreeMap<(String, String), (u64, u64)> = BTreeMap::new();
        self.for_each_key(|node, instance, seq| {
            let (batches, highest) =
                counts.entry((node.to_owned(), instance.to_owned())).or_default();
            (*batches, *highest) = (*batches + 1, seq.max(*highest));
        })?;
        let flat = |((node, instance), (batches, highest))| (node, instance, batches, highest);
        Ok(counts.into_iter().map(flat).collect())
    }

    /// Learns what is stored, so that what comes twice falls away.
    fn recall(&mut self) -> Result<(), StoreError> {
        let rows = self.stream_rows()?;
        let mut streams: HashMap<(String, String), Stream> = rows
            .into_iter()
            .map(|(id, row)| ((row.node, row.instance), Stream { id, seen: Seen::default() }))
            .collect();
        let mut old = Vec::new();
        self.for_each_key(|node, instance, seq| {
            let key = (node.to_owned(), instance.to_owned());
            match streams.get_mut(&key) {
                Some(stream) => {
                    stream.seen.insert(seq);
                }
                None => old.push((key, seq)),
            }
        })?;
        // Streams of format 1 have no row until something new comes of them.
        for ((node, instance), seq) in old {
            let id = match streams.get(&(node.clone(), instance.clone())) {
                Some(stream) => stream.id,
                None => add_stream(&self.connection, &node, &instance, "")
                    .map_err(|source| sqlite(&self.path, source))?,
            };
            let stream = streams
                .entry((node, instance))
                .or_insert_with(|| Stream { id, seen: Seen::default() });
            stream.seen.insert(seq);
        }
        self.streams = streams;
        Ok(())
    }

    /// Every batch's node, instance and seq, without its records.
    fn for_each_key(&self, mut f: impl FnMut(&str, &str, u64)) -> Result<(), StoreError> {
        if self.has_table("batches")? {
            format_1::for_each_key(&self.connection, &mut f)
                .map_err(|source| sqlite(&self.path, source))?;
        }
        if !self.has_table("groups")? {
            return Ok(());
        }
        let streams = self.stream_rows()?;
        let wrap = |source| sqlite(&self.path, source);
        let mut query = self
            .connection
            .prepare("SELECT id, directory FROM groups ORDER BY id")
            .map_err(wrap)?;
        let mut rows = query.query([]).map_err(wrap)?;
        while let Some(row) = rows.next().map_err(wrap)? {
            let group: i64 = row.get(0).map_err(wrap)?;
            let directory: Vec<u8> = row.get(1).map_err(wrap)?;
            let damaged = |why| StoreError::DamagedGroup { file: self.path.clone(), group, why };
            for place in group::places(&directory).map_err(damaged)? {
                let stream = streams.get(&place.stream).ok_or_else(|| damaged(no_stream(place)))?;
                f(&stream.node, &stream.instance, place.seq);
            }
        }
        Ok(())
    }

    fn stream_rows(&self) -> Result<HashMap<i64, StreamRow>, StoreError> {
        self.in_file(|c| {
            let mut query = c.prepare("SELECT id, node, instance, boot_id FROM streams")?;
            let rows = query.query_map([], |row| {
                let row_of =
                    StreamRow { node: row.get(1)?, instance: row.get(2)?, boot_id: row.get(3)? };
                Ok((row.get(0)?, row_of))
            })?;
            rows.collect()
        })
    }

    fn has_table(&self, name: &str) -> Result<bool, StoreError> {
        self.in_file(|c| c.table_exists(None, name))
    }

    fn check_format(&self) -> Result<(), StoreError> {
        let found: i64 =
            self.in_file(|c| c.query_row("PRAGMA user_version", [], |row| row.get(0)))?;
        if found > FORMAT {
            return Err(StoreError::Newer { file: self.path.clone(), found });
        }
        Ok(())
    }

    fn in_file<T>(
        &self,
        f: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        f(&self.connection).map_err(|source| sqlite(&self.path, source))
    }
}

fn sqlite(path: &Path, source: rusqlite::Error) -> StoreError {
    StoreError::Sqlite { file: path.to_owned(), source }
}

/// Who made batches.
struct StreamRow {
    node: String,
    instance: String,
    boot_id: String,
}

fn add_stream(c: &Connection, node: &str, instance: &str, boot: &str) -> rusqlite::Result<i64> {
    c.prepare_cached("INSERT INTO streams(node, instance, boot_id) VALUES(?1,?2,?3)")?
        .insert(params![node, instance, boot])
}

/// Batches that are not stored yet, each with its stream.
fn fresh<'a>(
    connection: &Connection,
    streams: &mut HashMap<(String, String), Stream>,
    batches: &'a [StoredBatch],
) -> rusqlite::Result<Vec<(i64, &'a StoredBatch)>> {
    let mut fresh = Vec::with_capacity(batches.len());
    for stored in batches {
        let v1::Batch { node, instance, boot_id, seq, .. } = &stored.batch;
        let stream = match streams.entry((node.clone(), instance.clone())) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => {
                let id = add_stream(connection, node, instance, boot_id)?;
                place.insert(Stream { id, seen: Seen::default() })
            }
        };
        if stream.seen.insert(*seq) {
            fresh.push((stream.id, stored));
        }
    }
    Ok(fresh)
}

/// Cuts batches where a group is full.
fn groups_of<'a, 'b>(
    fresh: &'b [(i64, &'a StoredBatch)],
) -> impl Iterator<Item = &'b [(i64, &'a StoredBatch)]> {
    let mut bytes = 0;
    fresh.chunk_by(move |(_, stored), _| {
        bytes += stored.batch.records.len();
        let goes_on = bytes < GROUP_BYTES;
        if !goes_on {
            bytes = 0;
        }
        goes_on
    })
}

fn read_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    let bytes: i64 = row.get(2)?;
    Ok(Row {
        directory: row.get(1)?,
        bytes: usize::try_from(bytes).unwrap_or(usize::MAX),
        packed: row.get(3)?,
        records: row.get(4)?,
    })
}

/// The batches of a row.
fn batches_of(
    row: Row,
    streams: &HashMap<i64, StreamRow>,
    run: &str,
) -> Result<Vec<StoredBatch>, String> {
    let places = group::places(&row.directory)?;
    let records = group::unpack(row)?;
    let mut rest = records.as_slice();
    let mut batches = Vec::with_capacity(places.len());
    for place in places {
        let stream = streams.get(&place.stream).ok_or_else(|| no_stream(place))?;
        let (own, after) =
            rest.split_at_checked(place.bytes).ok_or("its directory says more than it holds")?;
        rest = after;
        let batch = v1::Batch {
            run_id: run.to_owned(),
            node: stream.node.clone(),
            instance: stream.instance.clone(),
            boot_id: stream.boot_id.clone(),
            seq: place.seq,
            records: own.to_vec(),
        };
        batches.push(StoredBatch { batch, received_ns: place.received_ns });
    }
    Ok(batches)
}

fn no_stream(place: Place) -> String {
    format!("nobody knows who made batch {} (stream {})", place.seq, place.stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(seq: u64, records: Vec<u8>) -> StoredBatch {
        let batch = v1::Batch {
            run_id: "r".into(),
            node: "n".into(),
            instance: "i".into(),
            boot_id: "b".into(),
            seq,
            records,
        };
        StoredBatch { batch, received_ns: 7 }
    }

    fn all(file: &RunFile) -> Vec<StoredBatch> {
        let mut found = Vec::new();
        file.for_each_batch("r", |stored| {
            found.push(stored);
            Ok(())
        })
        .unwrap();
        found
    }

    #[test]
    fn duplicates_fall_away_and_everything_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = RunFile::create(folder.path()).unwrap();
        let (small, large) = (batch(1, vec![1, 2]), batch(2, vec![9; 5000]));
        file.commit(&[small.clone(), large.clone()], &[]).unwrap();
        file.commit(std::slice::from_ref(&large), &[(5, JournalEntry::Suspended { phase: 2 })])
            .unwrap();
        drop(file);
        let file = RunFile::open(folder.path()).unwrap();
        assert_eq!(all(&file), [small, large]);
        assert_eq!(file.journal().unwrap(), [(5, JournalEntry::Suspended { phase: 2 })]);
        assert_eq!(file.counts().unwrap(), [("n".into(), "i".into(), 2, 2)]);
    }

    #[test]
    fn a_damaged_file_says_so_with_its_name_and_the_mend() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE_NAME);
        std::fs::write(&path, vec![0x55; 4096]).unwrap();
        let error = RunFile::open(folder.path()).err().unwrap().to_string();
        assert!(error.contains("run.sqlite") && error.contains("damaged"), "{error}");
    }

    #[test]
    fn a_truncated_file_is_an_error_and_no_panic() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = RunFile::create(folder.path()).unwrap();
        let many: Vec<_> = (1..200).map(|seq| batch(seq, vec![seq as u8; 190])).collect();
        file.commit(&many, &[]).unwrap();
        drop(file);
        let path = folder.path().join(FILE_NAME);
        let length = std::fs::metadata(&path).unwrap().len();
        std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(length / 2).unwrap();
        let outcome = RunFile::open(folder.path()).and_then(|f| f.for_each_batch("r", |_| Ok(())));
        assert!(outcome.unwrap_err().to_string().contains("damaged"));
    }

    #[test]
    fn another_document_is_no_run_and_not_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("site.toml");
        std::fs::write(&path, "schema = 1\nname = \"hall-b\"\n").unwrap();
        assert!(matches!(RunFile::open(&path), Err(StoreError::NotARun { .. })));
    }

    #[test]
    fn a_newer_format_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = RunFile::create(folder.path()).unwrap();
        file.connection.pragma_update(None, "user_version", FORMAT + 1).unwrap();
        drop(file);
        assert!(matches!(RunFile::open(folder.path()), Err(StoreError::Newer { .. })));
    }
}
