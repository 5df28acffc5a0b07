//! The guard of one device: what ends its heat whatever the plan says. A pure machine.
//!
//! Owns the decision to drop a device. It outranks plan and lease, and it is latched: only
//! a person's new arm ([`Guard::reset`]) opens it again. Refuses I/O and clocks (`now_ns`
//! is CLOCK_MONOTONIC of this machine) and refuses findings: a wrong result is evidence
//! for the judge, not a danger.
//!
//! A guard that loses a sensor it had fails closed. A machine that never had the sensor is
//! not dropped: there it is "not measured", and the verdict says so.

mod sensor;
#[cfg(test)]
mod tests;

use std::fmt;

use crate::hardware::Sensed;
use sensor::Watch;

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

/// Which of a device's sensors the guard watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sensor {
    Temperature,
    Power,
}

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
    /// Time passed.
    Tick,
}

/// What the caller must do, at once.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Action {
    Drop { device: u32, why: Trip },
}

/// Why a device was dropped.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Trip {
    TooHot {
        temp_c: f64,
        limit_c: f64,
    },
    SensorLost {
        sensor: Sensor,
        how: Loss,
    },
    SamplerHung {
        silent_ns: u64,
    },
    UncorrectableErrors {
        before: u64,
        now: u64,
    },
    /// The limit itself is no number that could ever be reached.
    LimitAbsurd {
        limit_c: f64,
    },
}

/// How a sensor was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// Bad readings in a row.
    Bad { readings: u32 },
    /// No value for so long.
    Silent { silent_ns: u64 },
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
            Event::Uncorrectable { count } => {
                let before = self.uncorrectable.replace(count)?;
                (count > before).then_some(Trip::UncorrectableErrors { before, now: count })
            }
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
        let hot = self.temperature.value().zip(self.limits.device_temp_c);
        hot.filter(|(temp_c, limit_c)| temp_c >= limit_c)
            .map(|(temp_c, limit_c)| Trip::TooHot { temp_c, limit_c })
            .or_else(|| lost(Sensor::Temperature, temperature?))
            .or_else(|| lost(Sensor::Power, power?))
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

impl fmt::Display for Sensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Temperature => "temperature",
            Self::Power => "power",
        })
    }
}

impl fmt::Display for Trip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |ns: u64| ns as f64 / NS_PER_S as f64;
        match *self {
            Self::TooHot { temp_c, limit_c } => {
                write!(f, "{temp_c:.1} °C reached the limit of {limit_c:.1} °C")
            }
            Self::SensorLost { sensor, how: Loss::Bad { readings } } => {
                write!(f, "the {sensor} sensor gave {readings} bad readings in a row")
            }
            Self::SensorLost { sensor, how: Loss::Silent { silent_ns } } => {
                write!(f, "the {sensor} sensor gave no value for {:.1} s", seconds(silent_ns))
            }
            Self::SamplerHung { silent_ns } => {
                write!(f, "reading the sensors hung for {:.1} s", seconds(silent_ns))
            }
            Self::UncorrectableErrors { before, now } => {
                write!(f, "uncorrectable memory errors rose from {before} to {now}")
            }
            Self::LimitAbsurd { limit_c } => {
                write!(f, "a temperature limit of {limit_c} °C guards nothing")
            }
        }
    }
}
