//! What lies beside the run file at the end: the samples as Parquet, the report as JSON.

use std::collections::BTreeMap;
use std::path::Path;

use formats::samples::{SampleRow, SampleWriter};
use model::record::{Record, Records, Sample, Work};
use proto::convert::records_from_batch;

use crate::evidence;
use crate::hall::Hall;
use crate::store::{JournalEntry, RunFile, StoreError};

/// A sample takes its device's rate from a window that ended at most so long before it.
const RATE_FRESH_NS: i64 = 2_000_000_000;

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
    let failed = |error: formats::TableError| StoreError::Io {
        file: path.clone(),
        source: std::io::Error::other(error.to_string()),
    };
    let mut rows = Rows { clocks: Clocks::of(&file.journal()?), rates: BTreeMap::new() };
    let mut writer = SampleWriter::create(&path).map_err(failed)?;
    file.for_each_batch(run, |stored| {
        let (node, seq) = (stored.batch.node.clone(), stored.batch.seq);
        let records = records_from_batch(&stored.batch).map_err(|error| StoreError::Damaged {
            file: file.path().to_owned(),
            node,
            seq,
            why: error.to_string(),
        })?;
        rows.of(&records).into_iter().try_for_each(|row| writer.push(row).map_err(failed))
    })?;
    writer.finish().map_err(failed)
}

/// Makes rows of samples, each with the rate of its device's latest window.
struct Rows {
    clocks: Clocks,
    rates: BTreeMap<(String, u32), Work>,
}

impl Rows {
    fn of(&mut self, batch: &Records) -> Vec<SampleRow> {
        let node = &batch.node.0;
        let mut rows = Vec::new();
        for record in &batch.records {
            match record {
                Record::Work(work) => {
                    self.rates.insert((node.clone(), work.device), work.clone());
                }
                Record::Sample(sample) => rows.push(self.row(node, sample)),
                _ => {}
            }
        }
        rows
    }

    fn row(&self, node: &str, sample: &Sample) -> SampleRow {
        let work = self.rates.get(&(node.to_owned(), sample.device)).filter(|work| {
            (work.to_ns..work.to_ns + RATE_FRESH_NS).contains(&sample.time_ns)
                && work.phase == sample.phase
        });
        let rate = |work: &Work| {
            let done = if work.flops > 0.0 { work.flops } else { work.bytes };
            done / ((work.to_ns - work.from_ns).max(1) as f64 / 1e9)
        };
        SampleRow {
            time_ns: sample.time_ns + self.clocks.offset_ns(node, sample.time_ns),
            node: node.to_owned(),
            device: sample.device,
            phase: Some(sample.phase.clone()).filter(|phase| !phase.is_empty()),
            kernel: work.map(|work| work.kernel.word().to_owned()),
            power_w: sample.power_w.value(),
            temp_c: sample.temp_c.value(),
            clock_mhz: sample.clock_mhz.value(),
            busy: sample.busy.value(),
            perf: work.map(rate),
            ..SampleRow::default()
        }
    }
}

/// Every agent's clock against the coordinator's, at the instants where it was estimated.
struct Clocks(BTreeMap<String, Vec<(i64, i64)>>);

impl Clocks {
    fn of(journal: &[(i64, JournalEntry)]) -> Self {
        let mut nodes: BTreeMap<String, Vec<(i64, i64)>> = BTreeMap::new();
        for (_, entry) in journal {
            let clocks = match entry {
                JournalEntry::PhaseStarts { clocks, .. } => clocks.as_slice(),
                JournalEntry::Clock { clock } => std::slice::from_ref(clock),
                _ => &[],
            };
            for clock in clocks {
                nodes.entry(clock.node.clone()).or_default().push((clock.at_ns, clock.offset_ns));
            }
        }
        Self(nodes)
    }

    /// The estimate nearest in time; zero where none was ever made.
    fn offset_ns(&self, node: &str, agent_ns: i64) -> i64 {
        let nearest = self.0.get(node).and_then(|known| {
            known.iter().min_by_key(|(at, offset)| (at - offset - agent_ns).abs())
        });
        nearest.map_or(0, |(_, offset)| *offset)
    }
}
