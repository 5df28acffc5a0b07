//! What devices and nodes of a world are made of: drawn once from the seed.

use std::collections::HashMap;

use model::site::{DomainIx, DomainKind, NodeIx, Site};

use super::plant::Plant;
use super::silicon;
use crate::noise::{Noise, Stream};
use crate::physics::Physics;

/// The cap that the thermal resistances of [`crate::physics::ThermalModel`] are for, in W.
const REFERENCE_CAP_W: f64 = 700.0;
/// Smallest share of a nominal part that leaves a factory.
const LEAST_PART: f64 = 0.2;

/// One device.
#[derive(Debug, Clone)]
pub(super) struct DevicePart {
    /// Dynamic power at a clock, as a multiple of the nominal device's.
    pub(super) dynamic: f64,
    pub(super) idle_w: f64,
    /// First stage, K/W.
    pub(super) r1: f64,
    /// What its slot adds to the second stage, K/W.
    pub(super) slot_r: f64,
    /// What its power sensor shows of one watt.
    pub(super) power_gain: f64,
    pub(super) temp_offset_k: f64,
    /// Whether its temperature sensor is missing.
    pub(super) no_temp: bool,
}

/// One node.
#[derive(Debug, Clone)]
pub(super) struct NodePart {
    /// Its devices are `first..first + devices` of the world's.
    pub(super) first: usize,
    pub(super) devices: usize,
    pub(super) cap_w: f64,
    /// Resistances scale with this: 1 for a cap of 700 W.
    pub(super) r_scale: f64,
    /// The loop that cools it; `None`: air does.
    pub(super) coolant: Option<usize>,
    /// Its share of the nominal flow.
    pub(super) flow: f64,
    /// What its place in row and manifold adds to the second stage, K/W.
    pub(super) place_r: f64,
    /// Cold air where it stands, in degrees Celsius.
    pub(super) air_c: f64,
    pub(super) air_offset_k: f64,
    pub(super) coolant_offset_k: f64,
    /// Whole node at the wall with every device at its cap, in kW.
    pub(super) full_kw: f64,
}

impl NodePart {
    pub(super) fn range(&self) -> std::ops::Range<usize> {
        self.first..self.first + self.devices
    }
}

pub(super) fn nodes(site: &Site, plant: &Plant, physics: &Physics, seed: u64) -> Vec<NodePart> {
    let mut first = 0;
    let air = air_of(site, physics, seed);
    let rows = row_gradients(site, physics, seed);
    let manifolds = manifold_gradients(site, physics, seed);
    let mut parts = Vec::with_capacity(site.nodes().len());
    for ix in site.node_ixs() {
        let node = site.node(ix);
        let devices = node.devices as usize;
        let cap_w = silicon::cap_w(node.device_model.as_deref(), &physics.device);
        let mut noise = Noise::new(seed, Stream::Node, ix.index());
        let place_k = rows[ix.index()] + manifolds[ix.index()];
        let load_w = cap_w * devices as f64 + physics.power.host_load_w;
        parts.push(NodePart {
            first,
            devices,
            cap_w,
            r_scale: REFERENCE_CAP_W / cap_w,
            coolant: plant.loop_of(ix),
            flow: noise.tailed(1.0, physics.thermal.node_spread, &physics.tails).max(LEAST_PART),
            place_r: place_k / cap_w,
            air_c: air[ix.index()],
            air_offset_k: noise.part(0.0, physics.sensors.inlet_offset_k),
            coolant_offset_k: noise.part(0.0, physics.sensors.inlet_offset_k),
            full_kw: load_w / physics.power.psu_efficiency / 1_000.0,
        });
        first += devices;
    }
    parts
}

pub(super) fn devices(nodes: &[NodePart], physics: &Physics, seed: u64) -> Vec<DevicePart> {
    let (device, thermal, sensors) = (&physics.device, &physics.thermal, &physics.sensors);
    let slots = nodes.iter().map(|node| node.devices).max().unwrap_or(0);
    let slot_k: Vec<f64> = (0..slots)
        .map(|slot| {
            // Every second slot lies downstream of its neighbour; no two are quite alike.
            let own = Noise::new(seed, Stream::Hall, slot).part(0.0, 0.1 * thermal.slot_k);
            own + if slot % 2 == 1 { thermal.slot_k } else { 0.0 }
        })
        .collect();
    let mut parts = Vec::new();
    for node in nodes {
        for (slot, &slot_k) in slot_k.iter().enumerate().take(node.devices) {
            let mut noise = Noise::new(seed, Stream::Silicon, node.first + slot);
            // At the cap the clock goes with dynamic power to -1/exponent.
            let spread = device.perf_spread * device.clock_exponent;
            let r1 = thermal.r1_k_per_w * node.r_scale;
            parts.push(DevicePart {
                dynamic: noise.tailed(1.0, spread, &physics.tails).max(LEAST_PART),
                idle_w: device.idle_share
                    * node.cap_w
                    * noise.part(1.0, device.idle_spread).max(LEAST_PART),
                r1: r1 * noise.tailed(1.0, thermal.device_spread, &physics.tails).max(LEAST_PART),
                slot_r: slot_k / node.cap_w,
                power_gain: noise.part(1.0, sensors.power_gain).max(LEAST_PART),
                temp_offset_k: noise.part(0.0, sensors.temp_offset_k),
                no_temp: noise.uniform() < sensors.missing,
            });
        }
    }
    parts
}

fn domain_noise(seed: u64, domain: DomainIx) -> Noise {
    Noise::new(seed, Stream::Domain, domain.index())
}

/// Cold air of each node.
fn air_of(site: &Site, physics: &Physics, seed: u64) -> Vec<f64> {
    let cooling = &physics.cooling;
    let of = |node: NodeIx| {
        let zone = site.ancestors_of_kind(node, DomainKind::AirZone).next();
        let offset = |zone| domain_noise(seed, zone).part(0.0, cooling.zone_spread_k);
        cooling.inlet_air_c + zone.map_or(0.0, offset)
    };
    site.node_ixs().map(of).collect()
}

/// Kelvin that each node's place in its row adds at full load: the far end of a row is
/// served worse, or better.
fn row_gradients(site: &Site, physics: &Physics, seed: u64) -> Vec<f64> {
    let mut added = vec![0.0; site.nodes().len()];
    for row in site.of_kind(DomainKind::Row) {
        let racks: Vec<Option<DomainIx>> =
            site.members(row).iter().map(|&n| rack(site, n)).collect();
        let mut places: HashMap<Option<DomainIx>, usize> = HashMap::new();
        for rack in &racks {
            let next = places.len();
            places.entry(*rack).or_insert(next);
        }
        let most = physics.thermal.row_gradient_k;
        let slope = most * (2.0 * domain_noise(seed, row).uniform() - 1.0);
        for (node, rack) in site.members(row).iter().zip(&racks) {
            added[node.index()] += slope * centred(places[rack], places.len());
        }
    }
    added
}

fn rack(site: &Site, node: NodeIx) -> Option<DomainIx> {
    site.ancestors_of_kind(node, DomainKind::Rack).next()
}

/// Kelvin that each node's place on its manifold adds at full load: the hydraulically
/// furthest is served worst.
fn manifold_gradients(site: &Site, physics: &Physics, seed: u64) -> Vec<f64> {
    let mut added = vec![0.0; site.nodes().len()];
    for manifold in site.of_kind(DomainKind::Manifold) {
        let members = site.members(manifold);
        let slope = physics.thermal.manifold_gradient_k * domain_noise(seed, manifold).uniform();
        for (place, node) in members.iter().enumerate() {
            added[node.index()] += slope * centred(place, members.len());
        }
    }
    added
}

/// A place among `count`, from -0.5 to 0.5.
fn centred(place: usize, count: usize) -> f64 {
    if count < 2 { 0.0 } else { place as f64 / (count - 1) as f64 - 0.5 }
}
