//! Run files of format 1, which had a row for each batch. They are read, never written.

use std::path::Path;

use proto::v1;
use rusqlite::Connection;

use super::StoreError;
use super::run_file::StoredBatch;

/// A batch that unpacks to more than the wire allows is damaged.
const UNPACKED_BYTES_MAX: usize = proto::channel::MESSAGE_BYTES_MAX;

/// Feeds every batch to `f`, in the order of its key.
pub(super) fn for_each_batch(
    connection: &Connection,
    path: &Path,
    run: &str,
    f: &mut impl FnMut(StoredBatch) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let wrap = |source| StoreError::Sqlite { file: path.to_owned(), source };
    let mut query = connection
        .prepare(
            "SELECT node, instance, seq, boot_id, received_ns, packed, records FROM batches \
             ORDER BY node, instance, seq",
        )
        .map_err(wrap)?;
    let mut rows = query.query([]).map_err(wrap)?;
    while let Some(row) = rows.next().map_err(wrap)? {
        let (packed, stored) = read_row(row, run).map_err(wrap)?;
        f(unpacked(packed, stored, path)?)?;
    }
    Ok(())
}

/// Every batch's node, instance and seq.
pub(super) fn for_each_key(
    connection: &Connection,
    f: &mut impl FnMut(&str, &str, u64),
) -> rusqlite::Result<()> {
    let mut query = connection.prepare("SELECT node, instance, seq FROM batches")?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        let (node, instance): (String, String) = (row.get(0)?, row.get(1)?);
        f(&node, &instance, row.get::<_, i64>(2)? as u64);
    }
    Ok(())
}

fn read_row(row: &rusqlite::Row<'_>, run: &str) -> rusqlite::Result<(bool, StoredBatch)> {
    let batch = v1::Batch {
        run_id: run.to_owned(),
        node: row.get(0)?,
        instance: row.get(1)?,
        boot_id: row.get(3)?,
        seq: row.get::<_, i64>(2)? as u64,
        records: row.get(6)?,
    };
    Ok((row.get(5)?, StoredBatch { batch, received_ns: row.get(4)? }))
}

fn unpacked(packed: bool, stored: StoredBatch, path: &Path) -> Result<StoredBatch, StoreError> {
    if !packed {
        return Ok(stored);
    }
    let StoredBatch { mut batch, received_ns } = stored;
    batch.records =
        zstd::bulk::decompress(&batch.records, UNPACKED_BYTES_MAX).map_err(|error| {
            StoreError::Damaged {
                file: path.to_owned(),
                node: batch.node.clone(),
                seq: batch.seq,
                why: error.to_string(),
            }
        })?;
    Ok(StoredBatch { batch, received_ns })
}

#[cfg(test)]
mod tests {
    use super::super::RunFile;
    use super::*;

    fn batch(seq: u64, records: &[u8]) -> StoredBatch {
        let batch = v1::Batch {
            run_id: "r".into(),
            node: "n".into(),
            instance: "i".into(),
            boot_id: "b".into(),
            seq,
            records: records.to_vec(),
        };
        StoredBatch { batch, received_ns: 7 }
    }

    #[test]
    fn what_is_in_a_file_of_format_1_is_read_and_falls_away_when_it_comes_again() {
        let folder = tempfile::tempdir().unwrap();
        let old = Connection::open(folder.path().join("run.sqlite")).unwrap();
        old.execute_batch(
            "CREATE TABLE batches(
               node TEXT NOT NULL, instance TEXT NOT NULL, seq INTEGER NOT NULL,
               boot_id TEXT NOT NULL, received_ns INTEGER NOT NULL, packed INTEGER NOT NULL,
               records BLOB NOT NULL,
               PRIMARY KEY(node, instance, seq)) WITHOUT ROWID;
             CREATE TABLE journal(
               id INTEGER PRIMARY KEY, time_ns INTEGER NOT NULL, body TEXT NOT NULL);
             PRAGMA user_version = 1;",
        )
        .unwrap();
        let packed = zstd::bulk::compress(&[9; 500], 1).unwrap();
        for (seq, packed, records) in [(1, false, vec![1, 2]), (2, true, packed)] {
            let row = rusqlite::params!["n", "i", seq, "b", 7, packed, records];
            old.execute("INSERT INTO batches VALUES(?1,?2,?3,?4,?5,?6,?7)", row).unwrap();
        }
        drop(old);
        let mut file = RunFile::create(folder.path()).unwrap();
        file.commit(&[batch(2, &[9; 500]), batch(3, &[3])], &[]).unwrap();
        let mut found = Vec::new();
        let read = file.for_each_batch("r", |stored| {
            found.push((stored.batch.seq, stored.batch.records));
            Ok(())
        });
        read.unwrap();
        assert_eq!(found, [(1, vec![1, 2]), (2, vec![9; 500]), (3, vec![3])]);
        assert_eq!(file.counts().unwrap(), [("n".into(), "i".into(), 3, 3)]);
    }
}
