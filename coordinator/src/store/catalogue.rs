//! The catalogue: which runs there are and how they ended.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::StoreError;

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS runs(
  run TEXT PRIMARY KEY, plan TEXT NOT NULL, site TEXT NOT NULL, state TEXT NOT NULL,
  verdict TEXT NOT NULL, started_ns INTEGER NOT NULL, ended_ns INTEGER NOT NULL,
  folder TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS peaks(node TEXT PRIMARY KEY, watts REAL NOT NULL, run TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS sweeps(name TEXT PRIMARY KEY, sweep TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS outcomes(
  sweep TEXT NOT NULL, due_ns INTEGER NOT NULL, run TEXT NOT NULL, what TEXT NOT NULL,
  PRIMARY KEY(sweep, due_ns));
CREATE TABLE IF NOT EXISTS measures(
  sweep TEXT NOT NULL, run TEXT NOT NULL, measures TEXT NOT NULL, PRIMARY KEY(sweep, run));
CREATE TABLE IF NOT EXISTS latches(rule TEXT NOT NULL, words TEXT NOT NULL, run TEXT NOT NULL);
";

/// All runs of one state directory.
pub struct Catalogue {
    connection: Connection,
    path: PathBuf,
}

/// One run's line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRow {
    pub run: String,
    pub plan: String,
    pub site: String,
    /// running, suspended, finished, stopped, aborted, failed
    pub state: String,
    /// Empty while the run goes on.
    pub verdict: String,
    pub started_ns: i64,
    /// 0 while the run goes on.
    pub ended_ns: i64,
    pub folder: String,
}

/// An interlock that tripped and that nobody resumed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Latch {
    pub rule: String,
    /// Rule, source and reading, for people.
    pub words: String,
    /// The run that it ended or changed.
    pub run: String,
}

impl Catalogue {
    /// Opens or makes the catalogue of a state directory.
    ///
    /// # Errors
    /// When the directory can't be made or written, or the file is damaged.
    pub fn open(state_dir: &Path) -> Result<Self, StoreError> {
        std::fs::create_dir_all(state_dir)
            .map_err(|source| StoreError::Io { file: state_dir.to_owned(), source })?;
        let path = state_dir.join("catalogue.sqlite");
        let open = || {
            let connection = Connection::open(&path)?;
            connection.busy_timeout(Duration::from_secs(5))?;
            connection.pragma_update(None, "journal_mode", "WAL")?;
            connection.pragma_update(None, "synchronous", "FULL")?;
            connection.execute_batch(SCHEMA)?;
            Ok(connection)
        };
        match open() {
            Ok(connection) => Ok(Self { connection, path }),
            Err(source) => Err(StoreError::Sqlite { file: path, source }),
        }
    }

    /// Writes a run's line, replacing an older one.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn put(&self, row: &RunRow) -> Result<(), StoreError> {
        let values = params![
            row.run,
            row.plan,
            row.site,
            row.state,
            row.verdict,
            row.started_ns,
            row.ended_ns,
            row.folder
        ];
        self.connection
            .execute("INSERT OR REPLACE INTO runs VALUES(?1,?2,?3,?4,?5,?6,?7,?8)", values)
            .map(|_| ())
            .map_err(|source| self.error(source))
    }

    /// Most watts that each node was measured with.
    ///
    /// # Errors
    /// When the file is damaged.
    pub fn peaks(&self) -> Result<BTreeMap<String, f64>, StoreError> {
        let list = || {
            let mut query = self.connection.prepare("SELECT node, watts FROM peaks")?;
            let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect::<rusqlite::Result<_>>()
        };
        list().map_err(|source| self.error(source))
    }

    /// Keeps the watts of a run's nodes where they are more than what is known.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn keep_peaks(&self, run: &str, peaks: &[(String, f64)]) -> Result<(), StoreError> {
        let keep = || {
            let change = self.connection.unchecked_transaction()?;
            for (node, watts) in peaks {
                change.execute(
                    "INSERT INTO peaks VALUES(?1,?2,?3) ON CONFLICT(node) DO UPDATE
                     SET watts = excluded.watts, run = excluded.run
                     WHERE excluded.watts > peaks.watts",
                    params![node, watts, run],
                )?;
            }
            change.commit()
        };
        keep().map_err(|source| self.error(source))
    }

    /// Trips that nobody resumed, oldest first.
    ///
    /// # Errors
    /// When the file is damaged.
    pub fn latches(&self) -> Result<Vec<Latch>, StoreError> {
        let list = || {
            let mut query =
                self.connection.prepare("SELECT rule, words, run FROM latches ORDER BY rowid")?;
            let latch = |row: &Row<'_>| {
                Ok(Latch { rule: row.get(0)?, words: row.get(1)?, run: row.get(2)? })
            };
            query.query_map([], latch)?.collect::<rusqlite::Result<_>>()
        };
        list().map_err(|source| self.error(source))
    }

    /// Keeps a trip until it is resumed.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn latch(&self, latch: &Latch) -> Result<(), StoreError> {
        let values = params![latch.rule, latch.words, latch.run];
        let put = self.connection.execute("INSERT INTO latches VALUES(?1,?2,?3)", values);
        put.map(drop).map_err(|source| self.error(source))
    }

    /// Forgets the trips of a rule.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn unlatch(&self, rule: &str) -> Result<(), StoreError> {
        let gone = self.connection.execute("DELETE FROM latches WHERE rule = ?1", [rule]);
        gone.map(drop).map_err(|source| self.error(source))
    }

    /// One run by its id.
    ///
    /// # Errors
    /// When the file is damaged.
    pub fn get(&self, run: &str) -> Result<Option<RunRow>, StoreError> {
        self.connection
            .query_row("SELECT * FROM runs WHERE run = ?1", [run], read)
            .optional()
            .map_err(|source| self.error(source))
    }

    /// Every run, oldest first.
    ///
    /// # Errors
    /// When the file is damaged.
    pub fn runs(&self) -> Result<Vec<RunRow>, StoreError> {
        let list = || {
            let mut query =
                self.connection.prepare("SELECT * FROM runs ORDER BY started_ns, run")?;
            query.query_map([], read)?.collect::<rusqlite::Result<Vec<RunRow>>>()
        };
        list().map_err(|source| self.error(source))
    }

    /// Changes the catalogue at once or not at all.
    pub(super) fn write(
        &self,
        change: impl FnOnce(&Connection) -> rusqlite::Result<()>,
    ) -> Result<(), StoreError> {
        let whole = || {
            let transaction = self.connection.unchecked_transaction()?;
            change(&transaction)?;
            transaction.commit()
        };
        whole().map_err(|source| self.error(source))
    }

    /// Reads from the catalogue.
    pub(super) fn read<T>(
        &self,
        look: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        look(&self.connection).map_err(|source| self.error(source))
    }

    fn error(&self, source: rusqlite::Error) -> StoreError {
        StoreError::Sqlite { file: self.path.clone(), source }
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<RunRow> {
    Ok(RunRow {
        run: row.get(0)?,
        plan: row.get(1)?,
        site: row.get(2)?,
        state: row.get(3)?,
        verdict: row.get(4)?,
        started_ns: row.get(5)?,
        ended_ns: row.get(6)?,
        folder: row.get(7)?,
    })
}
