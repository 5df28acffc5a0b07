//! What the building's meters show, each with its own resolution, gain and clock.

use model::table::MeterRow;

use super::engine::{Engine, Step};
use super::plant::PlantEffects;
use super::supply::Carried;
use super::{START_NS, World};
use crate::noise::{Noise, Stream};

/// A meter's clock is off by no more than this many standard deviations of the model: what
/// the meter states as its bound.
const CLOCK_BOUND: f64 = 3.0;
/// Most readings of one meter: a month at one a second.
const READINGS_MAX: usize = 2_700_000;

/// One meter.
struct Meter {
    domain: String,
    gain: f64,
    offset_k: [f64; 2],
    flow_gain: f64,
    clock_ns: i64,
    bound_ms: f64,
    noise: Noise,
}

impl Meter {
    fn new(world: &World, domain: usize) -> Self {
        let model = &world.physics.meters;
        let mut noise = Noise::new(world.seed, Stream::Meter, domain);
        let clock_ms = noise.part(0.0, model.clock_error_ms);
        let bound_ms = CLOCK_BOUND * model.clock_error_ms;
        Self {
            domain: world.recorded_as(domain).to_owned(),
            gain: noise.part(1.0, model.gain),
            offset_k: [noise.part(0.0, model.temp_offset_k), noise.part(0.0, model.temp_offset_k)],
            flow_gain: noise.part(1.0, model.flow_gain),
            clock_ns: (clock_ms.clamp(-bound_ms, bound_ms) * 1e6) as i64,
            bound_ms,
            noise,
        }
    }

    fn row(&self, time_ns: i64, point: &str, value: f64, step: f64, unit: &str) -> MeterRow {
        let shown = if step > 0.0 { (value / step).round() * step } else { value };
        MeterRow {
            time_ns: time_ns + self.clock_ns,
            domain: self.domain.clone(),
            point: point.to_owned(),
            value: Some(shown).filter(|shown| shown.is_finite()),
            unit: Some(unit.to_owned()),
            quality: Some("good".to_owned()),
            clock_error_ms: Some(self.bound_ms),
        }
    }
}

impl World {
    /// The name under which a domain's meter is recorded.
    fn recorded_as(&self, domain: usize) -> &str {
        let own = self.domain_ids[domain].as_str();
        let swapped = self.swapped.iter().find_map(|(a, b)| match own {
            own if own == a => Some(b.as_str()),
            own if own == b => Some(a.as_str()),
            _ => None,
        });
        swapped.unwrap_or(own)
    }

    /// What the meters of supplies, of what is above them and of loops show over the plan.
    /// Rows come in order of true time; their own times are what the meters' clocks say.
    #[must_use]
    pub fn meters(&self) -> Vec<MeterRow> {
        let model = &self.physics.meters;
        let every_s = model.power_refresh_s.min(model.cooling_refresh_s);
        if every_s.is_nan() || every_s <= 0.0 {
            return Vec::new();
        }
        let mut reading = Reading {
            sources: self
                .supply
                .sources
                .iter()
                .map(|s| Meter::new(self, s.domain.index()))
                .collect(),
            upstreams: self
                .supply
                .upstreams
                .iter()
                .map(|u| Meter::new(self, u.domain.index()))
                .collect(),
            loops: self.plant.loops.iter().map(|l| Meter::new(self, l.domain.index())).collect(),
            rows: Vec::new(),
        };
        let mut engine = Engine::new(self);
        let (mut next_power_s, mut next_cooling_s) = (0.0, 0.0);
        for segment in &self.segments {
            let steps = ((segment.seconds / every_s).floor() as usize).clamp(1, READINGS_MAX);
            let dt = if steps == 1 { segment.seconds.min(every_s) } else { every_s };
            for step in 0..steps {
                let (from_s, to_s) = (step as f64 * dt, (step + 1) as f64 * dt);
                engine.step(self, Step { segment, from_s, to_s });
                let at_s = segment.start_s + to_s;
                let time_ns = START_NS + (at_s * 1e9).round() as i64;
                if at_s >= next_power_s {
                    reading.power(self, &engine, time_ns);
                    next_power_s = at_s + model.power_refresh_s;
                }
                if at_s >= next_cooling_s {
                    reading.cooling(self, &engine, time_ns);
                    next_cooling_s = at_s + model.cooling_refresh_s;
                }
            }
        }
        reading.rows
    }
}

/// All meters and what they have shown so far.
struct Reading {
    sources: Vec<Meter>,
    upstreams: Vec<Meter>,
    loops: Vec<Meter>,
    rows: Vec<MeterRow>,
}

impl Reading {
    fn power(&mut self, world: &World, engine: &Engine, time_ns: i64) {
        let model = &world.physics.meters;
        let carried = world.supply.carried(&engine.node_kw, &engine.effects.supply);
        for (meter, load) in self.sources.iter_mut().zip(&carried) {
            let kw = load.total_kw() * meter.gain;
            self.rows.push(meter.row(time_ns, "power_kw", kw, model.power_step_kw, "kW"));
            for (phase, (&volts, &amps)) in load.volts.iter().zip(&load.amps).enumerate() {
                let hum = model.volt_noise * meter.noise.normal();
                let volts = if volts > 0.0 { volts + hum } else { 0.0 };
                let line = phase + 1;
                let (v, a) = (format!("voltage_v.l{line}"), format!("current_a.l{line}"));
                self.rows.push(meter.row(time_ns, &v, volts, model.volt_step, "V"));
                self.rows.push(meter.row(time_ns, &a, amps * meter.gain, model.amp_step, "A"));
            }
        }
        let loads: Vec<f64> = carried.iter().map(Carried::total_kw).collect();
        for (at, meter) in self.upstreams.iter().enumerate() {
            let kw = world.supply.upstream_kw(at, &loads) * meter.gain;
            self.rows.push(meter.row(time_ns, "power_kw", kw, model.power_step_kw, "kW"));
        }
    }

    fn cooling(&mut self, world: &World, engine: &Engine, time_ns: i64) {
        let model = &world.physics.meters;
        let now: &PlantEffects = &engine.effects.plant;
        for (at, meter) in self.loops.iter().enumerate() {
            let supply = engine.supply_c[at];
            let back = world.plant.return_c(at, supply, engine.heat_kw[at], now);
            let flow = world.plant.flow_lpm(at, now) * meter.flow_gain;
            let [off_supply, off_return] = meter.offset_k;
            let step = model.temp_step_c;
            self.rows.push(meter.row(time_ns, "supply_c", supply + off_supply, step, "C"));
            self.rows.push(meter.row(time_ns, "return_c", back + off_return, step, "C"));
            self.rows.push(meter.row(time_ns, "flow_lpm", flow, model.flow_step_lpm, "L/min"));
        }
    }
}
