//! The guard of one device: what ends its heat whatever the plan says. A pure machine.
//!
//! Owns the decision to drop a device. It outranks plan and lease, and it is latched: only
//! a person's new arm ([`Guard::reset`]) opens it again. Refuses I/O and clocks (`now_ns`
//! is CLOCK_MONOTONIC of this machine) and refuses findings: a wrong result is evidence
//! for the judge, not a danger.
//!
//! A guard that loses a sensor it had fails closed. A machine that never had the sensor is
//! not dropped: there it is "not measured", and the verdict says so.

mod held;
mod sensor;
#[cfg(test)]
mod tests;
mod trip;

use model::xid::Xid;

use crate::hardware::{GpuSensed, Sensed};
use held::Held;
use sensor::Watch;

pub use trip::{Loss, Sensor, Trip};

const NS_PER_S: u64 = 1_000_000_000;

/// So many bad readings in a row lose a sensor: at one a second it is blind for three
/// seconds, and one hiccup of a bus does not end a run.
pub const BAD_READINGS_MAX: u32 = 3;

/// A sensor that had a value and gave none for so long is lost, however it flaps between
/// "not yet" and silence. A die warms by some 10 K in that time, less than the margin to
/// its own shutdown.
pub const SENSOR_SILENT_MAX_NS: u64 = 10 * NS_PER_S;

/// A sampler that did not come back for so long hangs (a sick GPU blocks NVML for
/// minutes). As long as a silent sensor: to the guard it is the same blindness.
pub const SAMPLER_SILENT_MAX_NS: u64 = 10 * NS_PER_S;

/// Slowed down by its own hardware for so long: three looks at one a second, as others ask
/// for before they call a brake sustained (NVSentinel#1668). Shorter ones are counted by the
/// driver, and judged.
pub const HELD_MAX_NS: u64 = 3 * NS_PER_S;

/// NVML's mask of clock-event reasons (nvml.h): hardware thermal slowdown, external brake.
const HW_THERMAL: u64 = 0x40;
const POWER_BRAKE: u64 = 0x80;

/// What a plan or a person allows.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Limits {
    /// Heat ends where a reading reaches this, in °C; no limit where absent.
    pub device_temp_c: Option<f64>,
}

/// What the guard hears.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The sampler came back.
    Sensed(Sensed),
    /// The sampler did not come back in its time; it may still.
    SenseTimedOut,
    /// Uncorrectable memory errors of the device, counted since whenever.
    Uncorrectable { count: u64 },
    /// The driver reported an error of the device by its number.
    Xid { code: u64 },
    /// Time passed.
    Tick,
}

/// What the caller must do, at once.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Action {
    Drop { device: u32, why: Trip },
}

/// The guard of one device.
#[derive(Debug)]
pub struct Guard {
    device: u32,
    limits: Limits,
    temperature: Watch,
    power: Watch,
    /// When the sampler last came back, or when we began to wait for it.
    heard_ns: Option<u64>,
    uncorrectable: Option<u64>,
    hw_thermal: Held,
    brake: Held,
    tripped: Option<Trip>,
    /// The latest instant seen: time here never runs backwards.
    now_ns: u64,
}

impl Guard {
    #[must_use]
    pub fn new(device: u32, limits: Limits) -> Self {
        Self {
            device,
            limits,
            temperature: Watch::new(Sensor::Temperature),
            power: Watch::new(Sensor::Power),
            heard_ns: None,
            uncorrectable: None,
            hw_thermal: Held::default(),
            brake: Held::default(),
            tripped: None,
            now_ns: 0,
        }
    }

    /// Why the device was dropped, until [`Guard::reset`].
    #[must_use]
    pub fn tripped(&self) -> Option<Trip> {
        self.tripped
    }

    /// The sensors that never gave a value: not watched, and to be reported as such.
    #[must_use]
    pub fn not_measured(&self) -> Vec<Sensor> {
        let watches = [&self.temperature, &self.power];
        watches.into_iter().filter(|watch| !watch.had()).map(Watch::sensor).collect()
    }

    /// A person arms the device anew, perhaps with other limits. What the device once had
    /// is not forgotten: a sensor still lost trips again.
    pub fn reset(&mut self, now_ns: u64, limits: Limits) {
        self.now_ns = self.now_ns.max(now_ns);
        self.limits = limits;
        self.tripped = None;
        self.heard_ns = Some(self.now_ns);
        self.temperature.restart(self.now_ns);
        self.power.restart(self.now_ns);
        self.hw_thermal.restart();
        self.brake.restart();
    }

    /// The instant at which [`Event::Tick`] is due at the latest.
    #[must_use]
    pub fn next_deadline(&self) -> Option<u64> {
        if self.tripped.is_some() {
            return None;
        }
        let sampler = self.heard_ns.map(|heard| heard.saturating_add(SAMPLER_SILENT_MAX_NS));
        let sensors = [self.temperature.deadline(), self.power.deadline()];
        sampler.into_iter().chain(sensors.into_iter().flatten()).min()
    }

    /// Takes an event; a drop is said once.
    pub fn step(&mut self, now_ns: u64, event: Event) -> Vec<Action> {
        self.now_ns = self.now_ns.max(now_ns);
        // Before the event: what comes too late does not undo that it was late.
        let late = self.check_silence();
        let seen = self.take(event);
        if self.tripped.is_some() {
            return Vec::new();
        }
        self.tripped = seen.or(late).or_else(|| self.check_limit());
        let drop = |why| Action::Drop { device: self.device, why };
        self.tripped.map(drop).into_iter().collect()
    }

    fn take(&mut self, event: Event) -> Option<Trip> {
        match event {
            Event::Sensed(sensed) => self.take_sensed(&sensed),
            Event::Uncorrectable { count } => self.take_uncorrectable(count),
            Event::Xid { code } => Some(Xid::of(code)).filter(|xid| xid.fatal).map(Trip::Xid),
            // The clock of the silence runs already; it begins here where nothing was heard.
            Event::SenseTimedOut | Event::Tick => {
                self.heard_ns.get_or_insert(self.now_ns);
                None
            }
        }
    }

    fn take_sensed(&mut self, sensed: &Sensed) -> Option<Trip> {
        self.heard_ns = Some(self.now_ns);
        let temperature = self.temperature.take(self.now_ns, sensed.temp_c);
        let power = self.power.take(self.now_ns, sensed.power_w);
        let gpu = sensed.gpu.as_deref().and_then(|gpu| self.take_gpu(gpu));
        let hot = self.temperature.value().zip(self.limits.device_temp_c);
        hot.filter(|(temp_c, limit_c)| temp_c >= limit_c)
            .map(|(temp_c, limit_c)| Trip::TooHot { temp_c, limit_c })
            .or(gpu)
            .or_else(|| lost(Sensor::Temperature, temperature?))
            .or_else(|| lost(Sensor::Power, power?))
    }

    /// Software's power cap is a burn's normal state; what the hardware does by itself is not.
    fn take_gpu(&mut self, gpu: &GpuSensed) -> Option<Trip> {
        if let Some(how) = gpu.gone {
            return Some(Trip::Gone { how });
        }
        let ecc = gpu.sample.ecc_uncorrected.value();
        let errors = ecc.and_then(|count| self.take_uncorrectable(count));
        let mask = gpu.sample.clock_event_reasons.value();
        let mut held = |held: fn(&mut Self) -> &mut Held, bit: u64| {
            let now_ns = self.now_ns;
            mask.map_or(0, |mask| held(self).take(now_ns, mask & bit != 0))
        };
        let braked_ns = held(|guard| &mut guard.brake, POWER_BRAKE);
        let hot_ns = held(|guard| &mut guard.hw_thermal, HW_THERMAL);
        errors
            .or_else(|| {
                (braked_ns >= HELD_MAX_NS).then_some(Trip::PowerBrake { held_ns: braked_ns })
            })
            .or_else(|| (hot_ns >= HELD_MAX_NS).then_some(Trip::HwThermal { held_ns: hot_ns }))
    }

    fn take_uncorrectable(&mut self, count: u64) -> Option<Trip> {
        let before = self.uncorrectable.replace(count)?;
        (count > before).then_some(Trip::UncorrectableErrors { before, now: count })
    }

    fn check_silence(&self) -> Option<Trip> {
        let silent_ns = self.now_ns.saturating_sub(self.heard_ns?);
        if silent_ns >= SAMPLER_SILENT_MAX_NS {
            return Some(Trip::SamplerHung { silent_ns });
        }
        let silent = |watch: &Watch| lost(watch.sensor(), watch.silent(self.now_ns)?);
        silent(&self.temperature).or_else(|| silent(&self.power))
    }

    /// A limit that no reading can reach would be no limit.
    fn check_limit(&self) -> Option<Trip> {
        let limit_c = self.limits.device_temp_c?;
        (!sensor::is_possible_temp(limit_c)).then_some(Trip::LimitAbsurd { limit_c })
    }
}

fn lost(sensor: Sensor, how: Loss) -> Option<Trip> {
    Some(Trip::SensorLost { sensor, how })
}
