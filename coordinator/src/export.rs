//! What lies beside the run file at the end: the samples as Parquet, the report as JSON.

use std::path::Path;

use crate::evidence;
use crate::hall::Hall;
use crate::store::{RunFile, StoreError};

/// Judges a run and writes report and samples. Called when it ends and after late batches.
pub(crate) fn settle(hall: &Hall, run: &str) {
    let folder = hall.config.folder_of(run);
    if let Err(error) = write_samples(&folder, run) {
        tracing::error!(%run, %error, "samples not written as Parquet");
    }
    let verdict = match evidence::report_of(&folder) {
        Ok(report) => {
            let path = folder.join("report.json");
            let written = serde_json::to_vec_pretty(&report)
                .map_err(std::io::Error::other)
                .and_then(|json| std::fs::write(&path, json));
            if let Err(error) = written {
                tracing::error!(%run, file = %path.display(), %error, "report not written");
            }
            report.verdict.word().to_owned()
        }
        Err(error) => {
            tracing::error!(%run, %error, "run not judged");
            "NOT_JUDGED".to_owned()
        }
    };
    hall.set_verdict(run, &verdict);
}

fn write_samples(folder: &Path, run: &str) -> Result<(), StoreError> {
    let file = RunFile::open(folder)?;
    let path = folder.join("samples.parquet");
    let io =
        |error: String| StoreError::Io { file: path.clone(), source: std::io::Error::other(error) };
    let mut writer =
        formats::samples::SampleWriter::create(&path).map_err(|error| io(error.to_string()))?;
    file.for_each_batch(run, |stored| {
        let node = stored.batch.node.clone();
        let seq = stored.batch.seq;
        let records = proto::convert::records_from_batch(&stored.batch).map_err(|error| {
            StoreError::Damaged { file: file.path().to_owned(), node, seq, why: error.to_string() }
        })?;
        for row in sample_rows(&records) {
            writer.push(row).map_err(|error| io(error.to_string()))?;
        }
        Ok(())
    })?;
    writer.finish().map_err(|error| io(error.to_string()))
}
