//! What the tests of the world share: short plans, and medians of what was sampled.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::collections::{BTreeMap, BTreeSet};

use model::load::Kernel;
use model::plan::{Limits, Phase, PhaseKind, PhaseLoad, Plan, Selector};
use model::sample_columns::{Metric, SampleColumns};
use model::site::Site;
use sim::fault::Fault;
use sim::physics::Physics;
use sim::world::{Sampling, World};

pub(crate) fn phase(name: &str, kind: PhaseKind, seconds: f64, percent: Option<f64>) -> Phase {
    Phase {
        name: name.to_owned(),
        kind,
        seconds,
        on: Selector::All,
        load: percent.map(|percent| PhaseLoad::of(Kernel::Mix, percent)),
        traffic: None,
        act: None,
    }
}

pub(crate) fn plan(phases: Vec<Phase>) -> Plan {
    Plan {
        name: "short".to_owned(),
        requires: BTreeSet::new(),
        seed: 1,
        limits: Limits::default(),
        least_seconds: 0.0,
        least_rating_percent: None,
        experiments: Vec::new(),
        phases,
    }
}

/// Idle, then long enough at full load for everything to settle.
pub(crate) fn soak() -> Plan {
    plan(vec![
        phase("idle", PhaseKind::Idle, 600.0, None),
        phase("soak", PhaseKind::Hold, 2_400.0, Some(100.0)),
    ])
}

pub(crate) fn faults(texts: &[&str]) -> Vec<Fault> {
    texts.iter().map(|text| text.parse().expect(text)).collect()
}

pub(crate) fn world(site: &Site, plan: &Plan, texts: &[&str], seed: u64) -> World {
    World::new(site, plan, &faults(texts), seed, Physics::default()).expect("a world")
}

/// Physics without chance: every part nominal, every sensor exact.
pub(crate) fn exact() -> Physics {
    let mut physics = Physics::default();
    physics.device.perf_spread = 0.0;
    physics.device.perf_repeat = 0.0;
    physics.device.idle_spread = 0.0;
    physics.thermal.device_spread = 0.0;
    physics.thermal.node_spread = 0.0;
    physics.thermal.slot_k = 0.0;
    physics.thermal.row_gradient_k = 0.0;
    physics.thermal.manifold_gradient_k = 0.0;
    physics.cooling.loop_spread_k = 0.0;
    physics.cooling.zone_spread_k = 0.0;
    physics.cooling.hunting_k = 0.0;
    physics.power.side_spread = 0.0;
    physics.power.ohm_spread = 0.0;
    physics.power.ups_droop = 0.0;
    let sensors = &mut physics.sensors;
    sensors.power_gain = 0.0;
    sensors.power_noise_w = 0.0;
    sensors.power_lag_s = 0.0;
    sensors.temp_offset_k = 0.0;
    sensors.temp_noise_k = 0.0;
    sensors.temp_step_c = 0.0;
    sensors.clock_step_mhz = 0.0;
    sensors.dropout = 0.0;
    sensors.inlet_step_c = 0.0;
    sensors.inlet_offset_k = 0.0;
    let meters = &mut physics.meters;
    meters.gain = 0.0;
    meters.volt_noise = 0.0;
    meters.temp_offset_k = 0.0;
    meters.flow_gain = 0.0;
    meters.power_step_kw = 0.0;
    meters.volt_step = 0.0;
    meters.amp_step = 0.0;
    meters.temp_step_c = 0.0;
    meters.flow_step_lpm = 0.0;
    meters.clock_error_ms = 0.0;
    physics
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.retain(|value| value.is_finite());
    values.sort_by(f64::total_cmp);
    if values.is_empty() { f64::NAN } else { values[values.len() / 2] }
}

/// Of each device (node, index): every value of a metric in a phase, in order of time.
pub(crate) fn series(
    chunks: &[SampleColumns],
    phase: &str,
    metric: Metric,
) -> BTreeMap<(String, u32), Vec<f64>> {
    // Every chunk of a world has the same table of nodes.
    let mut series: BTreeMap<(u32, u32), Vec<f64>> = BTreeMap::new();
    for chunk in chunks {
        for row in 0..chunk.rows() {
            if chunk.phase.as_ref().expect("phases").get(row) == phase {
                let values = series.entry((chunk.node.keys[row], chunk.device[row])).or_default();
                values.push(chunk.real(metric, row).unwrap_or(f64::NAN));
            }
        }
    }
    let name = |node: u32| chunks[0].node.values[node as usize].clone();
    series.into_iter().map(|((node, device), values)| ((name(node), device), values)).collect()
}

pub(crate) fn chunks(world: &World, rows: u32) -> Vec<SampleColumns> {
    world.samples(Sampling::per_phase(rows)).collect()
}
