//! A series of readings: its values as a sketch, its absences by reason.

use std::collections::BTreeMap;

use model::{Absence, Reading};

use super::sketch::Sketch;

/// What one sensor said over one phase.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Series {
    pub values: Sketch,
    pub absences: BTreeMap<Absence, u64>,
}

impl Series {
    /// Counts one reading.
    pub(super) fn add(&mut self, reading: Reading<f64>) {
        match reading {
            Reading::Value(value) => self.values.add(value),
            Reading::Absent(why) => *self.absences.entry(why).or_default() += 1,
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.values.merge(&other.values);
        for (why, count) in &other.absences {
            *self.absences.entry(*why).or_default() += count;
        }
    }
}

/// What the sensors of one device said over one phase.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sensors {
    pub power_w: Series,
    pub temp_c: Series,
    pub clock_mhz: Series,
    pub busy: Series,
}

impl Sensors {
    pub(super) fn add(&mut self, sample: &model::record::Sample) {
        self.power_w.add(sample.power_w);
        self.temp_c.add(sample.temp_c);
        self.clock_mhz.add(sample.clock_mhz);
        self.busy.add(sample.busy);
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.power_w.merge(&other.power_w);
        self.temp_c.merge(&other.temp_c);
        self.clock_mhz.merge(&other.clock_mhz);
        self.busy.merge(&other.busy);
    }
}
