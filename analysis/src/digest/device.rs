//! A device's evidence, phase by phase.

use std::collections::{BTreeMap, BTreeSet};

use model::record::{Health, Start};
use model::{Gauge, Kernel};

use super::series::Sensors;
use super::work::WorkEvidence;

/// Starts kept for a device and phase: one is usual, a second follows a dead worker.
const STARTS_KEPT: usize = 4;

/// One device: phase name -> what was seen. The empty name is time outside of phases.
pub type DeviceEvidence = BTreeMap<String, DevicePhase>;

/// One device in one phase.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DevicePhase {
    pub work: BTreeMap<Kernel, WorkEvidence>,
    pub sensors: Sensors,
    /// The earliest starts.
    pub starts: BTreeSet<StartSeen>,
    /// Least and greatest value of each gauge that had one.
    pub gauges: BTreeMap<Gauge, (f64, f64)>,
}

/// A start as the agent's clock saw it. Ordered by the instant it was meant for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct StartSeen {
    pub intended_ns: i64,
    pub actual_ns: i64,
    pub claimed_error_ns: u64,
}

impl DevicePhase {
    pub(super) fn add_start(&mut self, start: &Start) {
        self.starts.insert(StartSeen {
            intended_ns: start.intended_ns,
            actual_ns: start.actual_ns,
            claimed_error_ns: start.claimed_error_ns,
        });
        self.keep_few_starts();
    }

    pub(super) fn add_health(&mut self, health: &Health) {
        for (gauge, reading) in &health.gauges {
            if let Some(value) = reading.value().filter(|value| value.is_finite()) {
                self.widen(*gauge, (value, value));
            }
        }
    }

    fn widen(&mut self, gauge: Gauge, (least, most): (f64, f64)) {
        let range = self.gauges.entry(gauge).or_insert((least, most));
        *range = (range.0.min(least), range.1.max(most));
    }

    pub(super) fn merge(&mut self, other: &Self) {
        for (gauge, range) in &other.gauges {
            self.widen(*gauge, *range);
        }
        for (kernel, work) in &other.work {
            self.work.entry(*kernel).or_default().merge(work);
        }
        self.sensors.merge(&other.sensors);
        self.starts.extend(&other.starts);
        self.keep_few_starts();
    }

    fn keep_few_starts(&mut self) {
        while self.starts.len() > STARTS_KEPT {
            self.starts.pop_last();
        }
    }
}
