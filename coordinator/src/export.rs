//! What lies beside the run file at the end: the samples as Parquet, the report as JSON.
//!
//! The table has one time axis, the coordinator's. A node whose clock was never compared
//! with it has no place there: its samples stay in the run file, and the report says so.

use std::collections::BTreeMap;
use std::path::Path;

use formats::samples::{SampleRow, SampleWriter};
use model::record::{GpuSample, Record, Records, Sample, Work};
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
                Record::Sample(sample) => rows.extend(self.row(node, sample)),
                _ => {}
            }
        }
        rows
    }

    /// `None` where nobody can say when it was.
    fn row(&self, node: &str, sample: &Sample) -> Option<SampleRow> {
        let offset_ns = self.clocks.offset_ns(node, sample.time_ns)?;
        let work = self.rates.get(&(node.to_owned(), sample.device)).filter(|work| {
            (work.to_ns..work.to_ns + RATE_FRESH_NS).contains(&sample.time_ns)
                && work.phase == sample.phase
        });
        let rate = |work: &Work| {
            let done = if work.flops > 0.0 { work.flops } else { work.bytes };
            done / ((work.to_ns - work.from_ns).max(1) as f64 / 1e9)
        };
        Some(SampleRow {
            time_ns: sample.time_ns + offset_ns,
            node: node.to_owned(),
            device: sample.device,
            phase: Some(sample.phase.clone()).filter(|phase| !phase.is_empty()),
            kernel: work.map(|work| work.kernel.word().to_owned()),
            power_w: sample.power_w.value(),
            temp_c: sample.temp_c.value(),
            clock_mhz: sample.clock_mhz.value(),
            busy: sample.busy.value(),
            perf: work.map(rate),
            ..gpu_columns(sample.gpu.as_deref())
        })
    }
}

/// What only a GPU feels.
fn gpu_columns(gpu: Option<&GpuSample>) -> SampleRow {
    let Some(gpu) = gpu else { return SampleRow::default() };
    SampleRow {
        mem_temp_c: gpu.mem_temp_c.value(),
        margin_c: gpu.margin_c.value(),
        power_limit_w: gpu.power_limit_w.value(),
        energy_j: gpu.energy_j.value(),
        sw_power_cap_s: gpu.sw_power_cap_s.value(),
        sw_thermal_s: gpu.sw_thermal_s.value(),
        hw_thermal_s: gpu.hw_thermal_s.value(),
        power_brake_s: gpu.power_brake_s.value(),
        clock_event_reasons: gpu.clock_event_reasons.value(),
        ecc_uncorrected: gpu.ecc_uncorrected.value(),
        xid: gpu.xid,
        ..SampleRow::default()
    }
}

/// Every agent's clock against the coordinator's, at the instants where it was estimated.
pub(crate) struct Clocks(BTreeMap<String, Vec<(i64, i64)>>);

impl Clocks {
    pub(crate) fn of(journal: &[(i64, JournalEntry)]) -> Self {
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

    /// Whether the node's clock was ever compared with the coordinator's.
    pub(crate) fn knows(&self, node: &str) -> bool {
        self.0.contains_key(node)
    }

    /// The estimate nearest in time; `None` where none was ever made.
    fn offset_ns(&self, node: &str, agent_ns: i64) -> Option<i64> {
        let known = self.0.get(node)?.iter();
        let nearest = known.min_by_key(|(at, offset)| (at - offset - agent_ns).abs());
        nearest.map(|(_, offset)| *offset)
    }
}

#[cfg(test)]
mod tests {
    use model::NodeName;
    use model::reading::{Absence, Reading};

    use super::*;
    use crate::store::NodeClock;

    fn clock(at_ns: i64, offset_ns: i64) -> JournalEntry {
        let clock = NodeClock { node: "n1".to_owned(), at_ns, offset_ns, error_ns: 1 };
        JournalEntry::Clock { clock }
    }

    fn samples(node: &str, times: &[i64]) -> Records {
        let missing = || Reading::Absent(Absence::NotPresent);
        let sample = |time_ns: &i64| {
            Record::Sample(Sample {
                time_ns: *time_ns,
                phase: String::new(),
                device: 0,
                power_w: missing(),
                temp_c: missing(),
                clock_mhz: missing(),
                busy: Reading::Value(0.5),
                gpu: None,
            })
        };
        Records {
            node: NodeName(node.to_owned()),
            instance: String::new(),
            boot_id: String::new(),
            seq: 1,
            records: times.iter().map(sample).collect(),
        }
    }

    #[test]
    fn samples_stand_on_the_coordinators_clock_or_nowhere() {
        let clocks = Clocks::of(&[(0, clock(1_000, 100)), (0, clock(9_000, 300))]);
        let mut rows = Rows { clocks, rates: BTreeMap::new() };
        let times: Vec<i64> =
            rows.of(&samples("n1", &[900, 8_000])).iter().map(|row| row.time_ns).collect();
        assert_eq!(times, [1_000, 8_300], "each by the estimate that is nearest");
        assert!(rows.of(&samples("n2", &[900])).is_empty(), "on whose clock?");
    }
}
