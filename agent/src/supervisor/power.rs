//! Loads that hold watts: a loop a device, fed by its sampler, that moves its worker's scale.

use std::collections::BTreeMap;
use std::time::Duration;

use model::load::{Kernel, Waveform};
use model::reading::{Absence, Reading};
use model::record::EventKind;
use proto::v1;
use proto::v1::worker_command::Kind as Command;

use super::Supervisor;
use super::run::TimedPhase;
use crate::clock::monotonic_ns;
use crate::hardware::Sensed;
use crate::lease::Heat;
use crate::power::{Control, Known, Look, Order, Short};
use crate::worker::Slot;

/// While watts are held, sensors are looked at no less often: five looks a second make a
/// taste of half a second.
const LOOKS: Duration = Duration::from_millis(200);
/// A GPU's power is a mean of up to a second, refreshed every tenth (gpu.md §3.3).
const GPU_SENSOR_NS: u64 = 1_200_000_000;
/// A processor's power is the mean since the last look; two threads may be late.
const CPU_SENSOR_NS: u64 = 400_000_000;
/// NVML's reasons (nvml.h) by which hardware slows a card down: slowdown, both thermal ones,
/// power brake. At its own power cap a card is where it was asked to be.
const SLOWED: u64 = 0x8 | 0x20 | 0x40 | 0x80;

/// One device in one phase.
#[derive(Debug)]
struct Loop {
    kernel: Kernel,
    start_ns: u64,
    end_ns: u64,
    target_w: f64,
    control: Control,
    settled_said: bool,
    short_said: Option<Short>,
}

/// The loops of a run, and what is known of devices in this process.
#[derive(Debug, Default)]
pub(super) struct Powers {
    /// By device, in the order of their starts: the present one and the next.
    loops: BTreeMap<u32, Vec<Loop>>,
    /// Lowest power without load.
    idle_w: BTreeMap<u32, f64>,
    points: BTreeMap<(u32, Kernel), (f64, f64)>,
}

impl Powers {
    /// Forgets the loops: their run is over.
    pub(super) fn end(&mut self) {
        self.loops.clear();
    }

    /// The mean scale of the loops at an instant; 1 where none holds watts.
    pub(super) fn scale_at(&self, at_ns: u64) -> f64 {
        let now = |loops: &Vec<Loop>| {
            let held = loops.iter().rev().find(|l| (l.start_ns..l.end_ns).contains(&at_ns))?;
            Some(held.control.scale_at(at_ns))
        };
        let scales: Vec<f64> = self.loops.values().filter_map(now).collect();
        if scales.is_empty() { 1.0 } else { scales.iter().sum::<f64>() / scales.len() as f64 }
    }

    /// The loop that an instant lies in; those before it are over, and leave what they learned.
    fn at(&mut self, device: u32, now_ns: u64) -> Option<&mut Loop> {
        let loops = self.loops.get_mut(&device)?;
        let over = |l: &Loop| l.end_ns <= now_ns;
        for ended in loops.iter().filter(|l| over(l)) {
            if let Some(point) = ended.control.point() {
                self.points.insert((device, ended.kernel), point);
            }
        }
        loops.retain(|l| !over(l));
        loops.iter_mut().rev().find(|l| l.start_ns <= now_ns)
    }
}

impl Supervisor {
    /// Why a phase that asks for watts can't be held here.
    pub(super) fn refused_power(&self, arm: &v1::Arm) -> Option<String> {
        arm.load.as_ref()?.target_w?;
        // A rate needs two readings, and the first may be under way: a load that nobody sees
        // begins low and comes down by itself.
        let never = self.parts.missing.iter().any(|(what, _)| what.starts_with("power_w"));
        let blind = self.parts.devices.iter().find(|device| {
            let power = self.sensed.get(&device.index).map(|sensed| sensed.power_w);
            let unseen = match power {
                None | Some(Reading::Absent(Absence::NotYet)) => never,
                Some(Reading::Absent(_)) => true,
                Some(Reading::Value(_)) => false,
            };
            self.refusal_of(device.index).is_none() && unseen
        })?;
        let index = blind.index;
        Some(format!("the power of device {index} can't be read, so that no watts can be held"))
    }

    /// Makes the loop of a device for a phase that asks for watts: the scale to begin with.
    pub(super) fn begin_power(
        &mut self,
        device: u32,
        load: &v1::PhaseLoad,
        waveform: Waveform,
        phase: &TimedPhase,
    ) -> Option<f64> {
        let target_w = load.target_w?;
        let kernel = Kernel::from_word(&load.kernel)?;
        let own = self.parts.devices.iter().find(|own| own.index == device)?;
        let usual_ns = if own.uuid.is_some() { GPU_SENSOR_NS } else { CPU_SENSOR_NS };
        let asked_ns = self.parts.power_lag_ms.map(|ms| u64::from(ms) * 1_000_000);
        let sensor_ns = asked_ns.unwrap_or(usual_ns);
        let order = Order { target_w, waveform, start_ns: phase.start_ns, sensor_ns };
        let running = self.power.loops.get(&device).and_then(|loops| loops.last());
        let running = running.filter(|l| l.kernel == kernel).and_then(|l| l.control.point());
        let known = Known {
            idle_w: self.power.idle_w.get(&device).copied(),
            limit_w: own.power_limit_mw.map(|limit| limit as f64 / 1e3),
            point: running.or_else(|| self.power.points.get(&(device, kernel)).copied()),
        };
        let control = Control::new(order, known);
        let first = control.scale_at(phase.start_ns);
        self.power.loops.entry(device).or_default().push(Loop {
            kernel,
            start_ns: phase.start_ns,
            end_ns: phase.end_ns,
            target_w,
            control,
            settled_said: false,
            short_said: None,
        });
        Some(first)
    }

    /// Sensors are looked at more often from now on.
    pub(super) fn look_often(&mut self) {
        let interval = self.run.as_ref().map_or(0, |run| run.prepare.sample_interval_ms);
        self.parts.sampling.set_interval(LOOKS.min(Duration::from_millis(interval.into())));
    }

    /// Takes a reading to the device's loop; without one, tells it that time passed.
    pub(super) fn hold_power(&mut self, device: u32, at_ns: u64, sensed: Option<&Sensed>) {
        let watts = sensed.and_then(|sensed| sensed.power_w.value());
        self.note_idle(device, watts);
        let Some(run) = self.run.as_ref().filter(|run| run.stopping.is_none()) else { return };
        // What others hold it under: a loop that did not know would rise blindly behind it.
        let cap = run.scale.at(at_ns).min(run.ceiling.at(at_ns));
        if !matches!(self.lease.heat(monotonic_ns()), Heat::Full { .. }) {
            return;
        }
        let reasons = sensed.and_then(|s| s.gpu.as_ref()).map(|gpu| gpu.sample.clock_event_reasons);
        let mask = reasons.and_then(|reasons| reasons.value()).unwrap_or(0);
        let slowed = mask & SLOWED != 0;
        let Some(held) = self.power.at(device, at_ns) else { return };
        let moved = held.control.look(Look { at_ns, watts, cap, slowed });
        let (target_w, settled, short) =
            (held.target_w, held.control.settled_ns(), held.control.short());
        let mut notes = Vec::new();
        if let Some(settled_ns) = settled.filter(|_| !held.settled_said) {
            held.settled_said = true;
            let seconds = settled_ns as f64 / 1e9;
            notes.push(format!("device {device} holds {target_w:.0} W after {seconds:.1} s"));
        }
        if short != held.short_said {
            held.short_said = short;
            notes.extend(short.map(|short| {
                format!("device {device} is below {target_w:.0} W: {}", short.words())
            }));
        }
        for text in notes {
            self.record_event(EventKind::Note, Some(device), text);
        }
        if let Some(moved) = moved {
            let power = v1::WorkerPower { to: moved.to, over_ns: moved.over_ns };
            self.tell(Slot::Device(device), Command::Power(power));
        }
    }

    /// Time passed: whoever does not hear from his sensor comes down.
    pub(super) fn watch_power(&mut self, now_ns: u64) {
        for device in self.power.loops.keys().copied().collect::<Vec<_>>() {
            self.hold_power(device, now_ns, None);
        }
    }

    /// What a device draws while none of ours is loaded, at its least.
    fn note_idle(&mut self, device: u32, watts: Option<f64>) {
        let Some(watts) = watts else { return };
        if self.workers.get(&Slot::Device(device)).is_none_or(|worker| worker.idle) {
            let least = self.power.idle_w.entry(device).or_insert(watts);
            *least = least.min(watts);
        }
    }
}
