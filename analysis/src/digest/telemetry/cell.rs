//! A cell: one device in one phase of one block.

use std::collections::BTreeMap;

use model::{Metric, SampleColumns};

use super::bounds::is_possible;
use super::trace::{Curve, Moment, Trace, second};
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
    /// Of the rows with a counter of energy.
    energy_span_ns: Option<(i64, i64)>,
    series: [Option<Box<Sketch>>; Metric::COUNT],
    reasons: Reasons,
    /// Least and greatest value of the counter.
    ecc_uncorrected: Option<(u64, u64)>,
    /// Xid codes and how many rows had them.
    xids: BTreeMap<u64, u64>,
    trace: Trace,
    /// Values that no device can show, by the index of their metric: counted, not used.
    impossible: BTreeMap<usize, u64>,
}

/// Memory that is used again for each cell.
#[derive(Debug, Default)]
pub(super) struct Room {
    values: Vec<f64>,
    moments: Vec<Moment>,
}

impl Cell {
    /// Counts rows of a table, all of this cell.
    pub(super) fn add_rows(&mut self, columns: &SampleColumns, rows: &[u32], room: &mut Room) {
        self.rows += rows.len() as u64;
        let at = |row: &u32| *row as usize;
        let energy = columns.reals[Metric::EnergyJ.index()].as_deref();
        for row in rows {
            let time_ns = columns.time_ns[at(row)];
            self.span_ns = widen(self.span_ns, time_ns);
            if energy.is_some_and(|energy| is_possible(Metric::EnergyJ, energy[at(row)])) {
                self.energy_span_ns = widen(self.energy_span_ns, time_ns);
            }
        }
        for metric in Metric::ALL {
            let Some(column) = &columns.reals[metric.index()] else { continue };
            room.values.clear();
            let values = rows.iter().map(|row| column[at(row)]);
            room.values.extend(values.filter(|value| value.is_finite()));
            let finite = room.values.len();
            room.values.retain(|value| is_possible(metric, *value));
            self.refuse(metric, finite - room.values.len());
            if !room.values.is_empty() {
                self.series[metric.index()].get_or_insert_default().add_all(&room.values);
            }
        }
        room.moments.clear();
        let column = |metric: Metric| columns.reals[metric.index()].as_deref();
        let (temp, power) = (column(Metric::TempC), column(Metric::PowerW));
        let value = |metric, column: Option<&[f64]>, row| {
            let value = column.map_or(f64::NAN, |column| column[row]);
            if is_possible(metric, value) { value } else { f64::NAN }
        };
        room.moments.extend(rows.iter().map(|row| {
            let row = at(row);
            let values = [value(Metric::TempC, temp, row), value(Metric::PowerW, power, row)];
            (second(columns.time_ns[row]), values)
        }));
        self.trace.add(&room.moments);
        self.add_wholes(columns, rows);
    }

    fn add_wholes(&mut self, columns: &SampleColumns, rows: &[u32]) {
        let wholes = |column: &Option<Vec<Option<u64>>>, count: &mut dyn FnMut(u64)| {
            let Some(column) = column else { return };
            rows.iter().filter_map(|row| column[*row as usize]).for_each(count);
        };
        wholes(&columns.clock_event_reasons, &mut |mask| self.add_words(Some(mask), None, None));
        wholes(&columns.ecc_uncorrected, &mut |ecc| self.add_words(None, Some(ecc), None));
        wholes(&columns.xid, &mut |xid| self.add_words(None, None, Some(xid)));
    }

    /// Counts a mask of reasons, a reading of the error counter, an Xid.
    pub(super) fn add_words(&mut self, mask: Option<u64>, ecc: Option<u64>, xid: Option<u64>) {
        if let Some(mask) = mask {
            self.reasons.rows += 1;
            for (bit, count) in self.reasons.set.iter_mut().enumerate() {
                *count += mask >> bit & 1;
            }
        }
        if let Some(errors) = ecc {
            self.ecc_uncorrected = widen(self.ecc_uncorrected, errors);
        }
        if let Some(xid) = xid.filter(|xid| *xid > 0) {
            *self.xids.entry(xid).or_default() += 1;
        }
    }

    /// Counts what one sample measured.
    pub(super) fn add_moment(&mut self, time_ns: i64, values: &[(Metric, Option<f64>)]) {
        self.rows += 1;
        self.span_ns = widen(self.span_ns, time_ns);
        let of = |wanted: Metric| {
            let value = values.iter().find(|(metric, _)| *metric == wanted);
            let value = value.and_then(|(_, value)| *value);
            value.filter(|value| is_possible(wanted, *value)).unwrap_or(f64::NAN)
        };
        if is_possible(Metric::EnergyJ, of(Metric::EnergyJ)) {
            self.energy_span_ns = widen(self.energy_span_ns, time_ns);
        }
        self.trace.add(&[(second(time_ns), [of(Metric::TempC), of(Metric::PowerW)])]);
        for (metric, value) in values {
            let Some(value) = value else { continue };
            if value.is_finite() && !is_possible(*metric, *value) {
                self.refuse(*metric, 1);
            } else {
                self.series[metric.index()].get_or_insert_default().add(*value);
            }
        }
    }

    fn refuse(&mut self, metric: Metric, count: usize) {
        if count > 0 {
            *self.impossible.entry(metric.index()).or_default() += count as u64;
        }
    }

    /// Values of a metric that no device can show: counted, not used.
    #[must_use]
    pub fn impossible(&self, metric: Metric) -> u64 {
        self.impossible.get(&metric.index()).copied().unwrap_or(0)
    }

    /// Adds another cell's counts.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.rows += other.rows;
        if let Some((first, last)) = other.span_ns {
            self.span_ns = widen(widen(self.span_ns, first), last);
        }
        if let Some((first, last)) = other.energy_span_ns {
            self.energy_span_ns = widen(widen(self.energy_span_ns, first), last);
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
        for (metric, count) in &other.impossible {
            *self.impossible.entry(*metric).or_default() += count;
        }
        self.trace.merge(&other.trace);
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

    /// Mean power by the counter of energy, in watts: no window of a sensor, no sampling
    /// between two readings.
    #[must_use]
    pub fn mean_power_w(&self) -> Option<f64> {
        let (first, last) = self.energy_span_ns?;
        let (least, most) = self.range(Metric::EnergyJ)?;
        let seconds = (i128::from(last) - i128::from(first)) as f64 / 1e9;
        (seconds > 0.0).then(|| (most - least) / seconds)
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

    /// The course of the cell's first [`super::HEAD_BINS`] seconds, second by second, of
    /// temperature or power; nothing else is traced.
    #[must_use]
    pub fn head(&self, metric: Metric) -> Option<Curve> {
        self.trace.head(metric)
    }

    /// The course of the whole cell in at most [`super::WHOLE_BINS`] bins of 2^k seconds,
    /// of temperature or power; nothing else is traced.
    #[must_use]
    pub fn whole(&self, metric: Metric) -> Option<Curve> {
        self.trace.whole(metric)
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
