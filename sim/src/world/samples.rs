//! What the devices' sensors show: rows in order of time, in chunks.

use model::sample_columns::{Metric, Names, SampleColumns};

use super::engine::{DeviceState, Engine, Step};
use super::{START_NS, World};
use crate::noise::{Noise, Stream};

/// Bits of NVML's clock event reasons.
mod reason {
    pub(super) const IDLE: u64 = 0x1;
    pub(super) const SW_POWER_CAP: u64 = 0x4;
    pub(super) const HW_SLOWDOWN: u64 = 0x8;
    pub(super) const SW_THERMAL: u64 = 0x20;
    pub(super) const HW_THERMAL: u64 = 0x40;
    pub(super) const HW_POWER_BRAKE: u64 = 0x80;
}

/// How often a row is taken.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cadence {
    /// Every so many seconds; a shorter phase gets one row.
    Every(f64),
    /// So many rows a phase, evenly, however long it is.
    PerPhase(u32),
}

/// Most rows of one phase and device: a month at 10 Hz.
const ROWS_MAX: f64 = 3e7;
/// Rows of one chunk, about: a few megabytes.
const CHUNK_ROWS: usize = 65_536;

/// What of a world is sampled.
#[derive(Debug, Clone, PartialEq)]
pub struct Sampling {
    pub cadence: Cadence,
    /// Columns to fill; those that devices here do not have stay empty.
    pub metrics: Vec<Metric>,
    pub clock_event_reasons: bool,
}

impl Default for Sampling {
    /// Everything, once a second.
    fn default() -> Self {
        Self { cadence: Cadence::Every(1.0), metrics: FILLED.to_vec(), clock_event_reasons: true }
    }
}

/// What devices here measure.
const FILLED: [Metric; 9] = [
    Metric::PowerW,
    Metric::TempC,
    Metric::MemTempC,
    Metric::InletAirC,
    Metric::CoolantSupplyC,
    Metric::ClockMhz,
    Metric::ClockMinMhz,
    Metric::Perf,
    Metric::PowerLimitW,
];

impl Sampling {
    /// Everything, so many rows a phase: cheap, for calibrations over many sites.
    #[must_use]
    pub fn per_phase(rows: u32) -> Self {
        Self { cadence: Cadence::PerPhase(rows), ..Self::default() }
    }

    /// The same without a column.
    #[must_use]
    pub fn without(mut self, metric: Metric) -> Self {
        self.metrics.retain(|kept| *kept != metric);
        self
    }

    /// Rows of a phase of this length.
    fn rows(&self, seconds: f64) -> usize {
        let rows = match self.cadence {
            Cadence::PerPhase(rows) => f64::from(rows),
            Cadence::Every(every_s) if every_s > 0.0 => (seconds / every_s).floor(),
            Cadence::Every(_) => 0.0,
        };
        rows.clamp(1.0, ROWS_MAX) as usize
    }
}

/// The sensors of one device.
#[derive(Debug, Clone)]
struct Sensor {
    noise: Noise,
    stuck_at: Option<f64>,
}

/// Rows of a world, chunk by chunk.
#[derive(Debug)]
pub struct Samples<'w> {
    world: &'w World,
    sampling: Sampling,
    engine: Engine,
    sensors: Vec<Sensor>,
    segment: usize,
    row: usize,
}

impl<'w> Samples<'w> {
    pub(super) fn new(world: &'w World, sampling: Sampling) -> Self {
        let sensor = |device| Sensor {
            noise: Noise::new(world.seed, Stream::Sensor, device),
            stuck_at: None,
        };
        Self {
            world,
            sampling,
            engine: Engine::new(world),
            sensors: (0..world.devices.len()).map(sensor).collect(),
            segment: 0,
            row: 0,
        }
    }

    /// One step of all devices; `None` at the end of the plan.
    fn step(&mut self, chunk: &mut SampleColumns, wanted: [bool; Metric::COUNT]) -> Option<()> {
        let world = self.world;
        let segment = world.segments.get(self.segment)?;
        let rows = self.sampling.rows(segment.seconds);
        let dt = match self.sampling.cadence {
            Cadence::Every(every_s) if every_s > 0.0 => every_s.min(segment.seconds),
            _ => segment.seconds / rows as f64,
        };
        let (from_s, to_s) = (self.row as f64 * dt, (self.row + 1) as f64 * dt);
        self.engine.step(world, Step { segment, from_s, to_s });
        let time_ns = START_NS + ((segment.start_s + to_s) * 1e9).round() as i64;
        let phase = u32::try_from(self.segment).unwrap_or(u32::MAX);
        self.emit(chunk, wanted, (time_ns, phase, dt));
        self.row += 1;
        if self.row >= rows {
            self.row = 0;
            self.segment += 1;
        }
        Some(())
    }

    fn emit(
        &mut self,
        chunk: &mut SampleColumns,
        wanted: [bool; Metric::COUNT],
        (time_ns, phase, dt): (i64, u32, f64),
    ) {
        let world = self.world;
        for (node, part) in world.nodes.iter().enumerate() {
            let present = self.engine.effects.nodes[node].present;
            let inlet = self.shown_air(node);
            let coolant = self.shown_coolant(node);
            for (slot, device) in part.range().enumerate() {
                // Lost nodes use up their noise too: what others show does not change.
                let shown = self.read(device, dt);
                if !present {
                    continue;
                }
                chunk.time_ns.push(time_ns);
                chunk.node.keys.push(u32::try_from(node).unwrap_or(u32::MAX));
                chunk.device.push(u32::try_from(slot).unwrap_or(u32::MAX));
                if let Some(names) = &mut chunk.phase {
                    names.keys.push(phase);
                }
                if let Some(reasons) = &mut chunk.clock_event_reasons {
                    reasons.push(shown.reasons);
                }
                let value = |metric| match metric {
                    Metric::PowerW => shown.power_w,
                    Metric::TempC => shown.temp_c,
                    Metric::MemTempC => shown.mem_temp_c,
                    Metric::InletAirC => inlet,
                    Metric::CoolantSupplyC => coolant,
                    Metric::ClockMhz => shown.clock_mhz,
                    Metric::ClockMinMhz => shown.clock_min_mhz,
                    Metric::Perf => shown.perf,
                    Metric::PowerLimitW => shown.power_limit_w,
                    Metric::TempMaxC
                    | Metric::Busy
                    | Metric::MarginC
                    | Metric::EnergyJ
                    | Metric::SwPowerCapS
                    | Metric::SwThermalS
                    | Metric::HwThermalS
                    | Metric::PowerBrakeS => f64::NAN,
                };
                for metric in Metric::ALL {
                    if wanted[metric.index()]
                        && let Some(column) = &mut chunk.reals[metric.index()]
                    {
                        column.push(value(metric));
                    }
                }
            }
        }
    }

    fn shown_air(&self, node: usize) -> f64 {
        let part = &self.world.nodes[node];
        let step = self.world.physics.sensors.inlet_step_c;
        quantised(self.engine.air_c[node] + part.air_offset_k, step)
    }

    fn shown_coolant(&self, node: usize) -> f64 {
        let part = &self.world.nodes[node];
        let step = self.world.physics.sensors.inlet_step_c;
        part.coolant.map_or(f64::NAN, |at| {
            quantised(self.engine.supply_c[at] + part.coolant_offset_k, step)
        })
    }

    /// What the sensors of a device make of its state.
    fn read(&mut self, device: usize, dt: f64) -> Shown {
        let (model, thermal) = (&self.world.physics.device, &self.world.physics.thermal);
        let sensors = &self.world.physics.sensors;
        let part = &self.world.devices[device];
        let effect = self.engine.effects.devices[device];
        let state = self.engine.devices[device];
        let Sensor { noise, stuck_at } = &mut self.sensors[device];

        // Always the same number of draws, so that one row's luck is not the next one's.
        let draws = [noise.normal(), noise.normal(), noise.normal(), noise.normal()];
        let (lost, instant) = (noise.uniform(), noise.uniform());
        let temp_noise = sensors.temp_noise_k * draws[1];
        let temp_c = state.temp_c + part.temp_offset_k + temp_noise;
        let temp_c = quantised(temp_c, sensors.temp_step_c);
        let temp_c = if effect.stuck { *stuck_at.get_or_insert(temp_c) } else { temp_c };
        if lost < effect.lost.max(sensors.dropout) {
            return Shown::LOST;
        }
        let late = if dt > 0.0 { (sensors.power_lag_s / dt).min(1.0) } else { 0.0 };
        let power_w = state.power_w + (state.power_before_w - state.power_w) * late;
        let memory_k = thermal.memory_k * state.power_w / state.limit_w.max(1.0);
        let jitter = sensors.clock_step_mhz / 3.0 * draws[2];
        let clock = |share: f64| {
            let top = model.clock_max_mhz;
            let mhz = if state.busy > 0.0 { share * top + jitter } else { model.clock_idle_mhz };
            quantised(mhz.min(top), sensors.clock_step_mhz)
        };
        let perf = model.perf_at_max * state.busy * state.clock;
        Shown {
            power_w: (power_w * part.power_gain + sensors.power_noise_w * draws[0]).max(0.0),
            temp_c: if part.no_temp { f64::NAN } else { temp_c },
            mem_temp_c: quantised(temp_c + memory_k, sensors.temp_step_c),
            clock_mhz: clock(state.clock),
            // The lowest of an interval lies a step or two under its mean.
            clock_min_mhz: clock(state.clock_min) - sensors.clock_step_mhz,
            perf: if state.busy > 0.0 {
                perf * (1.0 + model.perf_repeat * draws[3])
            } else {
                f64::NAN
            },
            power_limit_w: state.limit_w.round(),
            reasons: Some(reasons(&state, instant)),
        }
    }
}

/// One row's values.
struct Shown {
    power_w: f64,
    temp_c: f64,
    mem_temp_c: f64,
    clock_mhz: f64,
    clock_min_mhz: f64,
    perf: f64,
    power_limit_w: f64,
    reasons: Option<u64>,
}

impl Shown {
    const LOST: Self = Self {
        power_w: f64::NAN,
        temp_c: f64::NAN,
        mem_temp_c: f64::NAN,
        clock_mhz: f64::NAN,
        clock_min_mhz: f64::NAN,
        perf: f64::NAN,
        power_limit_w: f64::NAN,
        reasons: None,
    };
}

fn quantised(value: f64, step: f64) -> f64 {
    if step > 0.0 { (value / step).round() * step } else { value }
}

/// The mask is read at one instant: a short brake is missed by most readings.
fn reasons(state: &DeviceState, instant: f64) -> u64 {
    if state.busy <= 0.0 || instant < state.wait {
        return reason::IDLE;
    }
    let mut mask = 0;
    if instant < state.brake {
        mask |= reason::HW_POWER_BRAKE | reason::HW_SLOWDOWN;
    } else if state.capped && !state.slowed {
        mask |= reason::SW_POWER_CAP;
    }
    if state.slowed {
        mask |= reason::SW_THERMAL;
    }
    if state.hw_slowed {
        mask |= reason::HW_THERMAL | reason::HW_SLOWDOWN;
    }
    mask
}

impl Iterator for Samples<'_> {
    type Item = SampleColumns;

    fn next(&mut self) -> Option<SampleColumns> {
        let world = self.world;
        let steps = (CHUNK_ROWS / world.devices.len().max(1)).max(1);
        let mut wanted = [false; Metric::COUNT];
        for metric in FILLED.iter().filter(|metric| self.sampling.metrics.contains(metric)) {
            wanted[metric.index()] = true;
        }
        let phases = world.segments.iter().map(|segment| segment.name.clone()).collect();
        let mut chunk = SampleColumns {
            node: Names { values: world.names.clone(), keys: Vec::new() },
            phase: Some(Names { values: phases, keys: Vec::new() }),
            reals: wanted.map(|wanted| wanted.then(Vec::new)),
            clock_event_reasons: self.sampling.clock_event_reasons.then(Vec::new),
            ..SampleColumns::default()
        };
        let mut stepped = 0;
        while stepped < steps && self.step(&mut chunk, wanted).is_some() {
            stepped += 1;
        }
        (stepped > 0).then_some(chunk)
    }
}
