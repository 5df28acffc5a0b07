//! Sweeps in the catalogue: what was added, what became of it, and what its runs measured.

use rusqlite::params;

use super::{Catalogue, StoreError};
use crate::sweep::{Measures, Outcome, Sweep};

/// Runs whose measures are kept, the latest: ten clean ones among them.
const MEASURES_MAX: u32 = 30;
/// Outcomes that are kept of a sweep.
const OUTCOMES_MAX: u32 = 1_000;

impl Catalogue {
    /// Every sweep. One that this version can't read is told and left out.
    ///
    /// # Errors
    /// When the file is damaged.
    pub(crate) fn sweeps(&self) -> Result<Vec<Sweep>, StoreError> {
        let texts: Vec<String> = self.list("SELECT sweep FROM sweeps ORDER BY name", "")?;
        let read = |text: &String| match serde_json::from_str(text) {
            Ok(sweep) => Some(sweep),
            Err(error) => {
                tracing::error!(%error, "a sweep in the catalogue can't be read: add it again");
                None
            }
        };
        Ok(texts.iter().filter_map(read).collect())
    }

    /// Adds or replaces a sweep.
    ///
    /// # Errors
    /// When the file can't be written.
    pub(crate) fn put_sweep(&self, sweep: &Sweep) -> Result<(), StoreError> {
        let text = serde_json::to_string(sweep).unwrap_or_default();
        let sql = "INSERT OR REPLACE INTO sweeps VALUES(?1,?2)";
        self.write(|c| c.execute(sql, params![sweep.name, text]).map(drop))
    }

    /// Forgets a sweep; what it measured stays, in case that it comes back.
    ///
    /// # Errors
    /// When the file can't be written.
    pub(crate) fn remove_sweep(&self, name: &str) -> Result<(), StoreError> {
        self.write(|c| c.execute("DELETE FROM sweeps WHERE name = ?1", [name]).map(drop))
    }

    /// Writes what became of a due instant, replacing what was known of it.
    ///
    /// # Errors
    /// When the file can't be written.
    pub(crate) fn put_outcome(&self, outcome: &Outcome) -> Result<(), StoreError> {
        let Outcome { sweep, due_ns, run, what } = outcome;
        self.write(|c| {
            let sql = "INSERT OR REPLACE INTO outcomes VALUES(?1,?2,?3,?4)";
            c.execute(sql, params![sweep, due_ns, run, what])?;
            let old = "DELETE FROM outcomes WHERE sweep = ?1 AND due_ns NOT IN
                (SELECT due_ns FROM outcomes WHERE sweep = ?1 ORDER BY due_ns DESC LIMIT ?2)";
            c.execute(old, params![sweep, OUTCOMES_MAX]).map(drop)
        })
    }

    /// What became of each due instant of all sweeps, oldest first.
    ///
    /// # Errors
    /// When the file is damaged.
    pub(crate) fn outcomes(&self) -> Result<Vec<Outcome>, StoreError> {
        self.read(|c| {
            let mut query =
                c.prepare("SELECT sweep, due_ns, run, what FROM outcomes ORDER BY due_ns")?;
            let outcome = |row: &rusqlite::Row<'_>| {
                let (sweep, due_ns) = (row.get(0)?, row.get(1)?);
                Ok(Outcome { sweep, due_ns, run: row.get(2)?, what: row.get(3)? })
            };
            query.query_map([], outcome)?.collect()
        })
    }

    /// Keeps what a run of a sweep measured.
    ///
    /// # Errors
    /// When the file can't be written.
    pub(crate) fn put_measures(
        &self,
        sweep: &str,
        run: &str,
        measures: &Measures,
    ) -> Result<(), StoreError> {
        let text = serde_json::to_string(measures).unwrap_or_default();
        self.write(|c| {
            let sql = "INSERT OR REPLACE INTO measures VALUES(?1,?2,?3)";
            c.execute(sql, params![sweep, run, text])?;
            let old = "DELETE FROM measures WHERE sweep = ?1 AND rowid NOT IN
                (SELECT rowid FROM measures WHERE sweep = ?1 ORDER BY rowid DESC LIMIT ?2)";
            c.execute(old, params![sweep, MEASURES_MAX]).map(drop)
        })
    }

    /// What the runs of a sweep measured, oldest first.
    ///
    /// # Errors
    /// When the file is damaged.
    pub(crate) fn measures(&self, sweep: &str) -> Result<Vec<Measures>, StoreError> {
        let sql = "SELECT measures FROM measures WHERE sweep = ?1 ORDER BY rowid";
        let texts: Vec<String> = self.list(sql, sweep)?;
        Ok(texts.iter().filter_map(|text| serde_json::from_str(text).ok()).collect())
    }

    fn list(&self, sql: &str, with: &str) -> Result<Vec<String>, StoreError> {
        self.read(|c| {
            let mut query = c.prepare(sql)?;
            let needed = query.parameter_count();
            let values: Vec<&str> = std::iter::repeat_n(with, needed).collect();
            let rows = query.query_map(rusqlite::params_from_iter(values), |row| row.get(0))?;
            rows.collect()
        })
    }
}
