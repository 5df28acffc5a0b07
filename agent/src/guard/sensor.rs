//! One watched sensor: had, good, bad, lost.

use model::reading::{Absence, Reading};

use super::{BAD_READINGS_MAX, Loss, SENSOR_SILENT_MAX_NS, Sensor};

/// Colder than any machine room, hotter than any die that still computes: a reading
/// beyond is a broken sensor, not a temperature.
pub(super) const TEMP_C_MIN: f64 = -40.0;
pub(super) const TEMP_C_MAX: f64 = 150.0;

/// More than any device on a bus bar draws (an eight-GPU node is at 15 kW).
pub(super) const POWER_W_MAX: f64 = 100_000.0;

/// The life of one sensor.
#[derive(Debug)]
pub(super) struct Watch {
    sensor: Sensor,
    /// When it last gave a value, or was last given a new chance; `None` where it never
    /// gave one.
    good_ns: Option<u64>,
    bad: u32,
    value: Option<f64>,
}

impl Watch {
    pub(super) fn new(sensor: Sensor) -> Self {
        Self { sensor, good_ns: None, bad: 0, value: None }
    }

    pub(super) fn sensor(&self) -> Sensor {
        self.sensor
    }

    /// Whether it ever gave a value.
    pub(super) fn had(&self) -> bool {
        self.good_ns.is_some()
    }

    /// What the latest reading said, if it said something possible.
    pub(super) fn value(&self) -> Option<f64> {
        self.value
    }

    /// Takes a reading. "Not yet" is neither good nor bad, but silence counts on.
    pub(super) fn take(&mut self, now_ns: u64, reading: Reading<f64>) -> Option<Loss> {
        self.value = reading.value().filter(|value| self.is_possible(*value));
        if self.value.is_some() {
            self.good_ns = Some(now_ns);
            self.bad = 0;
        } else if reading != Reading::Absent(Absence::NotYet) {
            self.bad = self.bad.saturating_add(1);
        }
        (self.had() && self.bad >= BAD_READINGS_MAX).then_some(Loss::Bad { readings: self.bad })
    }

    /// Whether it has been without a value for too long.
    pub(super) fn silent(&self, now_ns: u64) -> Option<Loss> {
        let silent_ns = now_ns.saturating_sub(self.good_ns?);
        (silent_ns >= SENSOR_SILENT_MAX_NS).then_some(Loss::Silent { silent_ns })
    }

    pub(super) fn deadline(&self) -> Option<u64> {
        self.good_ns.map(|good| good.saturating_add(SENSOR_SILENT_MAX_NS))
    }

    /// A new arm: patience begins anew, the memory of having had it stays.
    pub(super) fn restart(&mut self, now_ns: u64) {
        self.bad = 0;
        self.good_ns = self.good_ns.map(|_| now_ns);
    }

    fn is_possible(&self, value: f64) -> bool {
        match self.sensor {
            Sensor::Temperature => is_possible_temp(value),
            Sensor::Power => (0.0..=POWER_W_MAX).contains(&value),
        }
    }
}

/// NaN and infinities are in no range.
pub(super) fn is_possible_temp(temp_c: f64) -> bool {
    (TEMP_C_MIN..=TEMP_C_MAX).contains(&temp_c)
}
