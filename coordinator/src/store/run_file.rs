//! One run's SQLite file: batches as agents sent them, and the journal.

use std::io::Read;
use std::path::{Path, PathBuf};

use proto::v1;
use rusqlite::{Connection, OpenFlags, params};

use super::{JournalEntry, StoreError};

/// Format of the run file; raised when an older reader would misread a newer file.
pub(super) const FORMAT: i64 = 1;
/// Name of the file in a run's folder.
pub(super) const FILE_NAME: &str = "run.sqlite";
/// Blobs shorter than this are stored as they are: zstd would not shrink them.
const COMPRESS_BYTES_MIN: usize = 200;
/// Fast and good enough for protobuf of floats.
const ZSTD_LEVEL: i32 = 1;
/// A batch that unpacks to more than the wire allows is damaged.
const UNPACKED_BYTES_MAX: usize = proto::channel::MESSAGE_BYTES_MAX;

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS batches(
  node TEXT NOT NULL, instance TEXT NOT NULL, seq INTEGER NOT NULL,
  boot_id TEXT NOT NULL, received_ns INTEGER NOT NULL, packed INTEGER NOT NULL,
  records BLOB NOT NULL,
  PRIMARY KEY(node, instance, seq)) WITHOUT ROWID;
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
        let file = Self { connection, path };
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
        Ok(file)
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
        let file = Self { connection, path };
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
    /// When the transaction can't be committed; then nothing of it is stored.
    pub fn commit(
        &mut self,
        batches: &[StoredBatch],
        journal: &[(i64, JournalEntry)],
    ) -> Result<(), StoreError> {
        let path = self.path.clone();
        let wrap = |source| sqlite(&path, source);
        let transaction = self.connection.transaction().map_err(wrap)?;
        {
            let mut insert = transaction
                .prepare_cached("INSERT OR IGNORE INTO batches VALUES(?1,?2,?3,?4,?5,?6,?7)")
                .map_err(wrap)?;
            for StoredBatch { batch, received_ns } in batches {
                let (packed, blob) = pack(&batch.records);
                let seq = batch.seq as i64;
                let row = params![
                    batch.node,
                    batch.instance,
                    seq,
                    batch.boot_id,
                    received_ns,
                    packed,
                    blob
                ];
                insert.execute(row).map_err(wrap)?;
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

    /// Feeds every batch to `f`, one at a time, in key order.
    ///
    /// # Errors
    /// When the file is damaged, or whatever `f` fails with.
    pub fn for_each_batch(
        &self,
        run: &str,
        mut f: impl FnMut(StoredBatch) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let wrap = |source| sqlite(&self.path, source);
        let mut query = self
            .connection
            .prepare(
                "SELECT node, instance, seq, boot_id, received_ns, packed, records FROM batches \
                 ORDER BY node, instance, seq",
            )
            .map_err(wrap)?;
        let mut rows = query.query([]).map_err(wrap)?;
        while let Some(row) = rows.next().map_err(wrap)? {
            f(self.read_batch(run, row)?)?;
        }
        Ok(())
    }

    /// How many batches of each (node, instance) are stored, and the highest seq.
    ///
    /// # Errors
    /// When the file is damaged.
    pub fn counts(&self) -> Result<Vec<(String, String, u64, u64)>, StoreError> {
        self.in_file(|c| {
            let mut query = c.prepare(
                "SELECT node, instance, count(*), max(seq) FROM batches GROUP BY node, instance",
            )?;
            let rows = query.query_map([], |row| {
                let (count, highest): (i64, i64) = (row.get(2)?, row.get(3)?);
                Ok((row.get(0)?, row.get(1)?, count as u64, highest as u64))
            })?;
            rows.collect()
        })
    }

    fn read_batch(&self, run: &str, row: &rusqlite::Row<'_>) -> Result<StoredBatch, StoreError> {
        let wrap = |source| sqlite(&self.path, source);
        let node: String = row.get(0).map_err(wrap)?;
        let seq = row.get::<_, i64>(2).map_err(wrap)? as u64;
        let packed: bool = row.get(5).map_err(wrap)?;
        let blob: Vec<u8> = row.get(6).map_err(wrap)?;
        let records = unpack(packed, blob).map_err(|why| StoreError::Damaged {
            file: self.path.clone(),
            node: node.clone(),
            seq,
            why,
        })?;
        let batch = v1::Batch {
            run_id: run.to_owned(),
            node,
            instance: row.get(1).map_err(wrap)?,
            boot_id: row.get(3).map_err(wrap)?,
            seq,
            records,
        };
        Ok(StoredBatch { batch, received_ns: row.get(4).map_err(wrap)? })
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

fn pack(records: &[u8]) -> (bool, Vec<u8>) {
    if records.len() >= COMPRESS_BYTES_MIN
        && let Ok(packed) = zstd::bulk::compress(records, ZSTD_LEVEL)
        && packed.len() < records.len()
    {
        return (true, packed);
    }
    (false, records.to_vec())
}

fn unpack(packed: bool, blob: Vec<u8>) -> Result<Vec<u8>, String> {
    if !packed {
        return Ok(blob);
    }
    zstd::bulk::decompress(&blob, UNPACKED_BYTES_MAX).map_err(|error| error.to_string())
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
