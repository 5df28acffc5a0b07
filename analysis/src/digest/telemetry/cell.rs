//! A cell: one device in one phase of one block.

use std::collections::BTreeMap;

use model::{Metric, SampleColumns};

use crate::digest::sketch::Sketch;

/// Reasons of NVML's clock-event mask that are counted: bits 0 to 8 (nvml.h).
pub const REASON_BITS: usize = 9;

/// Rows that carried a clock-event mask, and how many had each bit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reasons {
    pub rows: u64,
    pub set: [u64; REASON_BITS],
}

/// What was seen of one device in one phase of one block.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Cell {
    rows: u64,
    span_ns: Option<(i64, i64)>,
    series: [Option<Box<Sketch>>; Metric::COUNT],
    reasons: Reasons,
    /// Least and greatest value of the counter.
    ecc_uncorrected: Option<(u64, u64)>,
    /// Xid codes and how many rows had them.
    xids: BTreeMap<u64, u64>,
}

impl Cell {
    pub(super) fn add(&mut self, columns: &SampleColumns, row: usize) {
        self.rows += 1;
        self.span_ns = widen(self.span_ns, columns.time_ns[row]);
        for metric in Metric::ALL {
            if let Some(value) = columns.real(metric, row) {
                self.series[metric.index()].get_or_insert_default().add(value);
            }
        }
        let whole = |column: &Option<Vec<Option<u64>>>| column.as_ref().and_then(|c| c[row]);
        if let Some(mask) = whole(&columns.clock_event_reasons) {
            self.reasons.rows += 1;
            for (bit, count) in self.reasons.set.iter_mut().enumerate() {
                *count += mask >> bit & 1;
            }
        }
        if let Some(errors) = whole(&columns.ecc_uncorrected) {
            self.ecc_uncorrected = widen(self.ecc_uncorrected, errors);
        }
        if let Some(xid) = whole(&columns.xid).filter(|xid| *xid > 0) {
            *self.xids.entry(xid).or_default() += 1;
        }
    }

    /// Adds another cell's counts.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.rows += other.rows;
        if let Some((first, last)) = other.span_ns {
            self.span_ns = widen(widen(self.span_ns, first), last);
        }
        for (ours, theirs) in self.series.iter_mut().zip(&other.series) {
            if let Some(theirs) = theirs {
                ours.get_or_insert_default().merge(theirs);
            }
        }
        self.reasons.rows += other.reasons.rows;
        for (ours, theirs) in self.reasons.set.iter_mut().zip(other.reasons.set) {
            *ours += theirs;
        }
        if let Some((least, most)) = other.ecc_uncorrected {
            self.ecc_uncorrected = widen(widen(self.ecc_uncorrected, least), most);
        }
        for (xid, count) in &other.xids {
            *self.xids.entry(*xid).or_default() += count;
        }
    }

    /// Rows that were counted.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Earliest and latest time, in nanoseconds since the Unix epoch.
    #[must_use]
    pub fn span_ns(&self) -> Option<(i64, i64)> {
        self.span_ns
    }

    /// Values of a metric that were counted.
    #[must_use]
    pub fn count(&self, metric: Metric) -> u64 {
        self.series[metric.index()].as_ref().map_or(0, |sketch| sketch.count())
    }

    /// The value of a metric at a share of its rows, 0..=1.
    #[must_use]
    pub fn quantile(&self, metric: Metric, share: f64) -> Option<f64> {
        self.series[metric.index()].as_ref()?.quantile(share)
    }

    /// The middle value of a metric.
    #[must_use]
    pub fn median(&self, metric: Metric) -> Option<f64> {
        self.quantile(metric, 0.5)
    }

    /// The least and the greatest value of a metric, exact.
    #[must_use]
    pub fn range(&self, metric: Metric) -> Option<(f64, f64)> {
        self.series[metric.index()].as_ref()?.range()
    }

    /// Clock-event reasons.
    #[must_use]
    pub fn reasons(&self) -> &Reasons {
        &self.reasons
    }

    /// Share of the rows with a mask that had any of these bits' reasons; the largest bit's.
    #[must_use]
    pub fn reason_share(&self, mask: u64) -> Option<f64> {
        let most =
            (0..REASON_BITS).filter(|bit| mask >> bit & 1 == 1).map(|bit| self.reasons.set[bit]);
        let most = most.max()?;
        (self.reasons.rows > 0).then(|| most as f64 / self.reasons.rows as f64)
    }

    /// Least and greatest value of the counter of uncorrectable errors.
    #[must_use]
    pub fn ecc_uncorrected(&self) -> Option<(u64, u64)> {
        self.ecc_uncorrected
    }

    /// Xid codes and how many rows had them.
    #[must_use]
    pub fn xids(&self) -> &BTreeMap<u64, u64> {
        &self.xids
    }
}

fn widen<T: Copy + Ord>(range: Option<(T, T)>, value: T) -> Option<(T, T)> {
    let (low, high) = range.unwrap_or((value, value));
    Some((low.min(value), high.max(value)))
}
