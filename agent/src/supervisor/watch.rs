//! Readings that interlocks ask for: all of them once a second, and at once where one passes a
//! limit that the coordinator named. What follows from it is the coordinator's business; the
//! guard is ours.

use std::collections::BTreeMap;

use proto::v1;

use super::Supervisor;
use crate::clock::monotonic_ns;

/// Whether each watch is passed on each device.
#[derive(Debug, Default)]
pub(super) struct Watched {
    passed: BTreeMap<(u32, usize), bool>,
}

impl Watched {
    /// Takes a device's readings in. True where a limit was passed, or left.
    fn changes(&mut self, watches: &[v1::ReadingWatch], reading: &v1::DeviceReading) -> bool {
        let mut changed = false;
        for (at, watch) in watches.iter().enumerate() {
            let Some(passed) = passes(watch, reading) else { continue };
            let before = self.passed.insert((reading.device, at), passed);
            changed |= before.unwrap_or(false) != passed;
        }
        changed
    }

    pub(super) fn forget(&mut self) {
        self.passed.clear();
    }
}

/// Whether a reading is beyond a watch; `None` where it was not read.
fn passes(watch: &v1::ReadingWatch, reading: &v1::DeviceReading) -> Option<bool> {
    let value = match watch.reading.as_str() {
        "temp_c" => reading.temp_c?,
        "mem_temp_c" => reading.mem_temp_c?,
        "power_w" => reading.power_w?,
        "throttle" => return Some(reading.clock_event_reasons? & watch.reasons != 0),
        // Of a later release.
        _ => return None,
    };
    let above = watch.above.is_some_and(|most| value > most);
    Some(above || watch.below.is_some_and(|least| value < least))
}

impl Supervisor {
    /// The last readings of every device.
    pub(super) fn readings(&self) -> Vec<v1::DeviceReading> {
        self.sensed.keys().filter_map(|device| self.reading(*device)).collect()
    }

    fn reading(&self, device: u32) -> Option<v1::DeviceReading> {
        let sensed = self.sensed.get(&device)?;
        let sample = sensed.gpu.as_ref().map(|gpu| &gpu.sample);
        Some(v1::DeviceReading {
            device,
            read_ns: self.parts.clock.tell(*self.sensed_at_ns.get(&device)?),
            temp_c: sensed.temp_c.value(),
            mem_temp_c: sample.and_then(|sample| sample.mem_temp_c.value()),
            power_w: sensed.power_w.value(),
            clock_event_reasons: sample.and_then(|sample| sample.clock_event_reasons.value()),
        })
    }

    /// A reading that passes a limit waits for no second.
    pub(super) fn say_if_passed(&mut self, device: u32) {
        let Some(reading) = self.reading(device) else { return };
        let Some(run) = &self.run else { return };
        if self.watched.changes(&run.prepare.watches, &reading) {
            self.say_status(monotonic_ns());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(temp_c: Option<f64>, reasons: Option<u64>) -> v1::DeviceReading {
        v1::DeviceReading { temp_c, clock_event_reasons: reasons, ..v1::DeviceReading::default() }
    }

    #[test]
    fn a_limit_is_told_once_when_it_is_passed_and_once_when_it_is_left() {
        let hot = v1::ReadingWatch {
            reading: "temp_c".to_owned(),
            above: Some(80.0),
            ..v1::ReadingWatch::default()
        };
        let brake = v1::ReadingWatch {
            reading: "throttle".to_owned(),
            reasons: 0x80,
            ..v1::ReadingWatch::default()
        };
        let watches = [hot, brake];
        let mut watched = Watched::default();
        let mut told = |temp_c, reasons| watched.changes(&watches, &reading(temp_c, reasons));
        assert!(!told(Some(80.0), Some(0x04)));
        assert!(told(Some(80.1), Some(0x04)));
        assert!(!told(Some(85.0), Some(0x04)));
        assert!(!told(None, None), "what was not read changes nothing");
        assert!(told(Some(85.0), Some(0x84)));
        assert!(told(Some(70.0), Some(0x04)));
    }
}
