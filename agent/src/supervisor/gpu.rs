//! What GPUs say beside their sensors: Xids, strangers on them, counters that fell out.

use std::collections::{BTreeMap, BTreeSet};

use model::reading::{Absence, Reading};
use model::record::{EventKind, GpuSample, Health, Record, Sample};

use super::Supervisor;
use crate::hardware::Sensed;

const SAYS_NOTHING: Reading<f64> = Reading::Absent(Absence::NotYet);

/// Processes on GPUs.
#[derive(Debug, Default)]
pub(super) struct Occupants {
    /// Seen last, by device.
    present: BTreeMap<u32, Vec<u32>>,
    /// Workers that we ever started: a driver forgets them a moment after their end.
    ours: BTreeSet<u32>,
}

impl Occupants {
    pub(super) fn started(&mut self, worker: u32) {
        self.ours.insert(worker);
    }

    fn strangers(&self, device: u32) -> Vec<u32> {
        let present = self.present.get(&device).into_iter().flatten();
        present.filter(|pid| !self.ours.contains(pid)).copied().collect()
    }
}

impl Supervisor {
    /// Takes in what a look at a GPU told beside its sensors.
    pub(super) fn note_gpu(&mut self, device: u32, sensed: &Sensed) {
        let Some(gpu) = &sensed.gpu else { return };
        if let Some(processes) = &gpu.processes {
            self.occupants.present.insert(device, processes.clone());
        }
        for text in &gpu.lost {
            let text = format!("device {device}: {text}");
            self.record_event(EventKind::SensorLost, Some(device), text);
        }
    }

    /// The driver named an error at this instant. A row of its own: the sampler may hang.
    pub(super) fn record_xid(&mut self, device: u32, at_ns: u64, code: u64) {
        let Some(run) = &self.run else { return };
        let gpu = GpuSample { xid: Some(code), ..GpuSample::default() };
        let sample = Sample {
            time_ns: self.parts.clock.tell(at_ns),
            device,
            phase: run.phase_at(at_ns).map(|phase| phase.name.clone()).unwrap_or_default(),
            power_w: SAYS_NOTHING,
            temp_c: SAYS_NOTHING,
            clock_mhz: SAYS_NOTHING,
            busy: SAYS_NOTHING,
            gpu: Some(Box::new(gpu)),
        };
        self.spool(&[Record::Sample(sample)]);
    }

    /// Slow figures of a look, if it had some.
    pub(super) fn health(&self, device: u32, at_ns: u64, sensed: &Sensed) -> Option<Record> {
        let gpu = sensed.gpu.as_ref().filter(|gpu| !gpu.health.is_empty())?;
        let run = self.run.as_ref()?;
        Some(Record::Health(Health {
            time_ns: self.parts.clock.tell(at_ns),
            device,
            phase: run.phase_at(at_ns).map(|phase| phase.name.clone()).unwrap_or_default(),
            gauges: gpu.health.clone(),
        }))
    }

    /// Why a device is not loaded in this run, if so: by what it is, or by whom it is used.
    pub(super) fn refusal_of(&self, device: u32) -> Option<String> {
        self.run.as_ref()?.refused.get(&device).cloned()
    }

    /// Looks once, before our own workers start, at whom the run would disturb.
    pub(super) fn refuse_devices(&mut self) {
        let mut refused = self.parts.refusals.clone();
        for device in &self.parts.devices {
            let strangers = self.occupants.strangers(device.index);
            if !strangers.is_empty() {
                let pids: Vec<String> = strangers.iter().map(ToString::to_string).collect();
                let why = format!("in use by another process (pid {})", pids.join(", "));
                // The stranger first: a person can do something about him.
                let known = refused.remove(&device.index).map(|known| format!("; {known}"));
                refused.insert(device.index, why + &known.unwrap_or_default());
            }
        }
        for (device, why) in &refused {
            let text = format!("device {device} is not loaded: {why}");
            self.record_event(EventKind::DeviceRefused, Some(*device), text);
        }
        if let Some(run) = &mut self.run {
            run.refused = refused;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_of_ours_is_no_stranger_even_after_its_end() {
        let mut occupants = Occupants::default();
        occupants.started(7);
        occupants.present.insert(3, vec![7, 4242]);
        assert_eq!(occupants.strangers(3), [4242]);
        assert!(occupants.strangers(0).is_empty());
    }
}
