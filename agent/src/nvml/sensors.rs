//! What one card feels: power, energy, heat and clocks at every look, counters and limits
//! once a second, states of links and memory once in five.

use model::gauge::Gauge;
use model::reading::{Absence, Reading};
use model::record::GpuSample;

use super::card::{CLOCK_SM, Card, Field, UNCORRECTED};
use super::counter::Counter;
use super::energy::Energy;
use super::fields::{
    MEMORY_TEMP, PERF_POLICY_POWER, PERF_POLICY_SYNC_BOOST, POWER_AVERAGE, POWER_CURRENT_LIMIT,
    POWER_INSTANT, POWER_REQUESTED_LIMIT,
};
use super::health;
use super::watch::Watched;
use crate::clock::monotonic_ns;
use crate::hardware::{GpuSensed, Sensed};

/// Counters step in tenths of a second (unverified): a second is a window over which they mean something.
const SLOW_NS: u64 = 1_000_000_000;
/// Links and rows change when something breaks.
const HEALTH_NS: u64 = 5_000_000_000;
const NOT_YET: Reading<f64> = Reading::Absent(Absence::NotYet);

/// The reasons that have counters: name, bit of the mask.
const REASONS: [(&str, u64); 5] = [
    ("sw_power_cap_s", 0x04),
    ("sync_boost_s", 0x10),
    ("sw_thermal_s", 0x20),
    ("hw_thermal_s", 0x40),
    ("power_brake_s", 0x80),
];

/// The sensors of one card. One thread owns them, and may hang in them.
pub(crate) struct GpuSensors {
    card: Card,
    watched: Watched,
    counters: [Counter; 5],
    energy: Energy,
    /// NVML's own time of the latest power reading.
    power_at_us: i64,
    slow_due_ns: u64,
    health_due_ns: u64,
    gone: Option<&'static str>,
}

impl GpuSensors {
    pub(super) fn new(card: Card, watched: Watched) -> Self {
        Self {
            card,
            watched,
            counters: Default::default(),
            energy: Energy::default(),
            power_at_us: 0,
            slow_due_ns: 0,
            health_due_ns: 0,
            gone: None,
        }
    }

    /// The next look is a whole one: whoever looked before kept it to himself.
    pub(super) fn begin_anew(&mut self) {
        (self.power_at_us, self.slow_due_ns, self.health_due_ns) = (0, 0, 0);
    }

    /// Reads what is due. May block for minutes where the card is sick.
    pub(crate) fn read(&mut self) -> Sensed {
        let now_ns = monotonic_ns();
        let (status, celsius) = self.card.temperature();
        self.gone = status.gone();
        let [instant, average] = self.card.fields([POWER_INSTANT, POWER_AVERAGE]);
        self.gone = self.gone.or_else(|| instant.status.gone());
        let mut gpu = GpuSensed { gone: self.gone, ..GpuSensed::default() };
        let usage = self.card.power_usage();
        let mask = self.card.reasons();
        gpu.sample = GpuSample {
            mem_temp_c: NOT_YET,
            margin_c: NOT_YET,
            power_limit_w: NOT_YET,
            energy_j: self.energy.take(now_ns, self.card.energy()),
            sw_power_cap_s: NOT_YET,
            sw_thermal_s: NOT_YET,
            hw_thermal_s: NOT_YET,
            power_brake_s: NOT_YET,
            clock_event_reasons: mask,
            ecc_uncorrected: Reading::Absent(Absence::NotYet),
            xid: None,
        };
        if now_ns >= self.slow_due_ns {
            self.slow_due_ns = now_ns + SLOW_NS;
            self.read_slow(now_ns, mask, &mut gpu);
            gpu.health.extend([
                (Gauge::PowerInstantW, watts(instant.value)),
                (Gauge::PowerAverageW, watts(average.value)),
                (Gauge::PowerUsageW, watts(usage)),
            ]);
        }
        if now_ns >= self.health_due_ns {
            self.health_due_ns = now_ns + HEALTH_NS;
            gpu.health.extend(health::states(&self.card));
        }
        Sensed {
            power_w: self.power(instant, average, usage),
            temp_c: status.reading(f64::from(celsius)),
            clock_mhz: self.card.clock(CLOCK_SM),
            busy: Reading::Absent(Absence::NotPresent),
            gpu: Some(Box::new(gpu)),
        }
    }

    /// The nearest to what this look's interval drew: the instant, else the mean of a second.
    /// The same value with the same time of the driver is not counted twice.
    fn power(&mut self, instant: Field, average: Field, usage: Reading<f64>) -> Reading<f64> {
        let field = [instant, average].into_iter().find(|field| field.value.value().is_some());
        let Some(field) = field else { return watts(usage) };
        if field.at_us > 0 && field.at_us == self.power_at_us {
            return NOT_YET;
        }
        self.power_at_us = field.at_us;
        watts(field.value)
    }

    fn read_slow(&mut self, now_ns: u64, mask: Reading<u64>, gpu: &mut GpuSensed) {
        let [memory, current, requested] =
            self.card.fields([MEMORY_TEMP, POWER_CURRENT_LIMIT, POWER_REQUESTED_LIMIT]);
        let sample = &mut gpu.sample;
        sample.mem_temp_c = memory.value;
        sample.margin_c = self.card.margin();
        let enforced = self.card.enforced_limit();
        // The enforced limit is the least of all that anybody set; 190 is by name the same.
        let limit = if enforced.value().is_some() { enforced } else { current.value };
        sample.power_limit_w = watts(limit);
        sample.ecc_uncorrected = self.card.ecc(UNCORRECTED);
        let seconds = self.throttled(now_ns, mask, &mut gpu.lost);
        let [power_cap, sync_boost, sw_thermal, hw_thermal, brake] = seconds;
        let sample = &mut gpu.sample;
        sample.sw_power_cap_s = power_cap;
        sample.sw_thermal_s = sw_thermal;
        sample.hw_thermal_s = hw_thermal;
        sample.power_brake_s = brake;
        gpu.processes = self.card.processes().ok();
        gpu.health.extend([
            (Gauge::PowerRequestedW, watts(requested.value)),
            (Gauge::SyncBoostS, sync_boost),
            (Gauge::EnergyPeriodMs, self.energy.period_ms()),
            (Gauge::XidWatched, Reading::Value(f64::from(u8::from(self.watched.is_alive())))),
        ]);
    }

    /// Seconds by reason, in the order of [`REASONS`], each proven by its own bit.
    fn throttled(
        &mut self,
        now_ns: u64,
        mask: Reading<u64>,
        lost: &mut Vec<String>,
    ) -> [Reading<f64>; 5] {
        let Some(numbering) = self.card.library.numbering else {
            // Nobody knows which number is which counter.
            return [Reading::Absent(Absence::Failed); 5];
        };
        let [sw_thermal, hw_thermal, brake] = numbering.throttle_counters();
        let fields = self.card.fields([
            PERF_POLICY_POWER,
            PERF_POLICY_SYNC_BOOST,
            sw_thermal,
            hw_thermal,
            brake,
        ]);
        let mut seconds = [NOT_YET; 5];
        for (at, field) in fields.into_iter().enumerate() {
            let (name, bit) = REASONS[at];
            let was_whole = self.counters[at].broken().is_none();
            let set = mask.value().map(|mask| mask & bit != 0);
            seconds[at] = self.counters[at].take(now_ns, field.whole, set);
            if let Some(why) = self.counters[at].broken().filter(|_| was_whole) {
                lost.push(format!("{name}: {why}, so that it is no such counter: not measured"));
            }
        }
        seconds
    }
}

/// Milliwatts as watts.
pub(super) fn watts(milliwatts: Reading<f64>) -> Reading<f64> {
    milliwatts.map(|milliwatts| milliwatts / 1e3)
}
