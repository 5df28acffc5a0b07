//! Every cooling loop of a fleet under watch: what is summed, and the rule that needs no
//! statistics.

use std::collections::BTreeMap;

use super::{Alarm, Calibration, Cusum};
use crate::middle::median;

/// So many devices of one loop in hardware thermal slowdown at nearly the same time are an
/// alarm at once, whatever the sum says (proposal: one may be its own cold plate, two a
/// node).
pub const SLOWDOWN_DEVICES: usize = 3;
/// "Nearly the same time", in seconds.
pub const SLOWDOWN_WINDOW_S: f64 = 10.0;

/// The sample of one loop: the median over its devices of (temperature minus what their
/// power explains), less the fleet's median of the same. `None` when nobody reported.
#[must_use]
pub fn loop_residual(devices: &[f64], fleet_median: f64) -> Option<f64> {
    median(devices).map(|middle| middle - fleet_median).filter(|x| x.is_finite())
}

/// Why a loop is called out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum LoopAlarm {
    /// Its residual rose.
    Warming(Alarm),
    /// Several of its devices are in hardware thermal slowdown.
    Slowdown { devices: usize },
}

/// The streams of all loops.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LoopWatch {
    loops: BTreeMap<String, Cusum>,
    /// Last instant at which each device of a loop was in slowdown, in seconds.
    slowdowns: BTreeMap<(String, String), f64>,
}

impl LoopWatch {
    /// Watches every loop that has a calibration.
    #[must_use]
    pub fn new(calibrations: &BTreeMap<String, Calibration>) -> Self {
        let streams = calibrations.len();
        let watch = |(id, c): (&String, &Calibration)| (id.clone(), Cusum::new(*c, streams));
        Self { loops: calibrations.iter().map(watch).collect(), slowdowns: BTreeMap::new() }
    }

    /// Takes one instant: of each loop the residuals of the devices that reported. A loop
    /// that is not here has a missing sample.
    pub fn step(&mut self, residuals: &BTreeMap<String, Vec<f64>>) -> Vec<(String, LoopAlarm)> {
        let fleet: Vec<f64> = residuals.values().filter_map(|devices| median(devices)).collect();
        let fleet = median(&fleet).unwrap_or(0.0);
        let mut alarms = Vec::new();
        for (id, cusum) in &mut self.loops {
            let sample = residuals.get(id).and_then(|devices| loop_residual(devices, fleet));
            if let Some(alarm) = cusum.step(sample.unwrap_or(f64::NAN)) {
                alarms.push((id.clone(), LoopAlarm::Warming(alarm)));
            }
        }
        alarms
    }

    /// A device of a loop is in hardware thermal slowdown at this instant, in seconds.
    pub fn slowdown(&mut self, id: &str, device: &str, at_s: f64) -> Option<LoopAlarm> {
        if !at_s.is_finite() {
            return None;
        }
        // What is too old to count is dropped: never more entries than devices.
        self.slowdowns.retain(|_, last| (at_s - *last).abs() <= SLOWDOWN_WINDOW_S);
        self.slowdowns.insert((id.to_owned(), device.to_owned()), at_s);
        let devices = self.slowdowns.keys().filter(|(whose, _)| whose == id).count();
        (devices >= SLOWDOWN_DEVICES).then_some(LoopAlarm::Slowdown { devices })
    }
}
