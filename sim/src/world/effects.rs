//! What the faults of a world do at present: multipliers and limits that the physics obeys.

use model::site::{NodeIx, Site};

use super::parts::{DevicePart, NodePart};
use super::plant::{Plant, PlantEffects};
use super::supply::{Supply, SupplyEffects};
use crate::fault::{Fault, FaultError, FaultKind, Target};
use crate::physics::Physics;

/// What the faults do to one node.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct NodeEffect {
    pub(super) present: bool,
    /// Share of the time that its devices wait for the host.
    pub(super) wait: f64,
    /// Share of each device's cap that management leaves.
    pub(super) cap: f64,
    /// Share of its flow that is left.
    pub(super) flow: f64,
    /// Multiple of the first thermal stage.
    pub(super) r1: f64,
    /// Kelvin of inlet air at full load, and always.
    pub(super) air_loaded_k: f64,
    pub(super) air_k: f64,
    /// Share of the time that the brake is pulled from outside.
    pub(super) brake: f64,
}

/// What the faults do to one device.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct DeviceEffect {
    /// Multiples of its first thermal stage and of its dynamic power.
    pub(super) r1: f64,
    pub(super) dynamic: f64,
    /// Share of its readings that are lost.
    pub(super) lost: f64,
    pub(super) stuck: bool,
}

/// A bound on what several nodes draw together.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct PowerLimit {
    pub(super) nodes: Vec<usize>,
    pub(super) kw: f64,
}

/// Everything that is wrong at present.
#[derive(Debug, Clone)]
pub(super) struct Effects {
    pub(super) nodes: Vec<NodeEffect>,
    pub(super) devices: Vec<DeviceEffect>,
    pub(super) limits: Vec<PowerLimit>,
    pub(super) plant: PlantEffects,
    pub(super) supply: SupplyEffects,
}

/// A fault and where in the world it works.
#[derive(Debug, Clone)]
struct Placed {
    fault: Fault,
    nodes: Vec<usize>,
    devices: Vec<usize>,
    /// Loops, exchangers, sources: positions in their tables.
    loops: Vec<usize>,
    exchangers: Vec<usize>,
    sources: Vec<usize>,
    /// Loops that warm another, and the other.
    coupled: Vec<(usize, usize)>,
}

/// How much of an interval a fault takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Share {
    there: f64,
    /// Share in which it pulls the power brake by itself.
    brake: f64,
}

/// The faults of a world.
#[derive(Debug, Clone)]
pub(super) struct Faults {
    placed: Vec<Placed>,
}

/// What a world is made of, as the faults need it.
#[derive(Clone, Copy)]
pub(super) struct Made<'a> {
    pub(super) nodes: &'a [NodePart],
    pub(super) devices: &'a [DevicePart],
    pub(super) plant: &'a Plant,
    pub(super) supply: &'a Supply,
    pub(super) physics: &'a Physics,
}

impl Faults {
    /// Finds every fault's place.
    ///
    /// # Errors
    /// When the site has not what a fault works on.
    pub(super) fn new(site: &Site, faults: &[Fault], made: Made<'_>) -> Result<Self, FaultError> {
        let placed = faults.iter().map(|fault| place(site, fault, made));
        Ok(Self { placed: placed.collect::<Result<_, _>>()? })
    }

    /// Share of the interval in which each fault is there.
    pub(super) fn shares(&self, made: Made<'_>, from_s: f64, to_s: f64) -> Vec<Share> {
        let feed_brake_s = made.physics.power.feed_brake_s;
        let share = |placed: &Placed| Share {
            there: placed.fault.share(from_s, to_s),
            brake: placed.brake(feed_brake_s, from_s, to_s),
        };
        self.placed.iter().map(share).collect()
    }

    /// What the faults do when each is there for its share of the interval.
    pub(super) fn effects(&self, made: Made<'_>, shares: &[Share]) -> Effects {
        let mut now = healthy(made);
        for (placed, &share) in self.placed.iter().zip(shares) {
            if share.there > 0.0 {
                placed.strike(&mut now, made, share);
            }
        }
        now
    }
}

fn healthy(made: Made<'_>) -> Effects {
    let node = NodeEffect {
        present: true,
        wait: 0.0,
        cap: 1.0,
        flow: 1.0,
        r1: 1.0,
        air_loaded_k: 0.0,
        air_k: 0.0,
        brake: 0.0,
    };
    let device = DeviceEffect { r1: 1.0, dynamic: 1.0, lost: 0.0, stuck: false };
    Effects {
        nodes: vec![node; made.nodes.len()],
        devices: vec![device; made.devices.len()],
        limits: Vec::new(),
        plant: made.plant.healthy(),
        supply: made.supply.healthy(),
    }
}

fn place(site: &Site, fault: &Fault, made: Made<'_>) -> Result<Placed, FaultError> {
    fault.check(site)?;
    let all = || (0..made.nodes.len()).collect();
    let one = |name: &str| site.node_ix(name).map(NodeIx::index).into_iter().collect();
    let mut placed = Placed {
        fault: fault.clone(),
        nodes: Vec::new(),
        devices: Vec::new(),
        loops: Vec::new(),
        exchangers: Vec::new(),
        sources: Vec::new(),
        coupled: Vec::new(),
    };
    match &fault.target {
        Target::Domain(id) => {
            let ix = fault.domain_ix(site, id)?;
            placed.nodes = site.members(ix).iter().map(|node| node.index()).collect();
            let here = |domain| domain == ix || site.above(domain).contains(&ix);
            placed.loops = positions(&made.plant.loops, |circuit| here(circuit.domain));
            placed.exchangers = positions(&made.plant.exchangers, |unit| unit.domain == ix);
            placed.sources = positions(&made.supply.sources, |source| here(source.domain));
        }
        Target::Node(name) => placed.nodes = one(name),
        Target::Device { node, index } => {
            placed.nodes = one(node);
            let first = placed.nodes.first().map(|&node: &usize| made.nodes[node].first);
            placed.devices = first.map(|first| first + *index as usize).into_iter().collect();
        }
        Target::Fleet => {
            placed.nodes = all();
            placed.loops = (0..made.plant.loops.len()).collect();
        }
        Target::Cut { from, to } if fault.kind == FaultKind::SharedHeader => {
            let at = |id: &str| {
                let loops = positions(&made.plant.loops, |circuit| {
                    site.domain_ix(id) == Some(circuit.domain)
                });
                loops.first().copied()
            };
            placed.coupled = at(from).zip(at(to)).into_iter().collect();
        }
        Target::Link { .. } | Target::Cut { .. } | Target::Nic { .. } => {}
    }
    if placed.devices.is_empty() {
        placed.devices = placed.nodes.iter().flat_map(|&node| made.nodes[node].range()).collect();
    }
    Ok(placed)
}

fn positions<T>(parts: &[T], here: impl Fn(&T) -> bool) -> Vec<usize> {
    (0..parts.len()).filter(|&at| here(&parts[at])).collect()
}

/// From this share of an interval on, something that can only be there or not is gone.
const MOSTLY: f64 = 0.5;

impl Placed {
    /// A lost feed pulls the brake at its onset.
    fn brake(&self, brake_s: f64, from_s: f64, to_s: f64) -> f64 {
        let onset = self.fault.onset_s;
        let braked_s = (to_s.min(onset + brake_s) - from_s.max(onset)).max(0.0);
        let pulls = self.fault.kind == FaultKind::FeedLost && to_s > from_s;
        if pulls { braked_s / (to_s - from_s) } else { 0.0 }
    }

    fn strike(&self, now: &mut Effects, made: Made<'_>, share: Share) {
        let size = self.fault.size * share.there;
        let mostly = share.there >= MOSTLY;
        match self.fault.kind {
            FaultKind::PduLimit | FaultKind::PsuGroupLimit => self.limit(now, made, size),
            FaultKind::WeakPsu => self.limit(now, made, size),
            FaultKind::BmcCap | FaultKind::FleetCap => {
                self.each_node(now, |node| node.cap = node.cap.min(1.0 - size));
            }
            FaultKind::FeedLost => self.lose_feed(now, made, share),
            FaultKind::SoftSource => {
                self.sources.iter().for_each(|&at| now.supply.more_ohm[at] += size);
            }
            FaultKind::DomainTrip => {
                self.sources.iter().for_each(|&at| now.supply.dead[at] |= mostly);
                self.each_node(now, |node| node.present &= !mostly);
            }
            FaultKind::NodeLost => self.each_node(now, |node| node.present &= !mostly),
            FaultKind::LoopFlow => {
                self.loops.iter().for_each(|&at| now.plant.flow_left[at] *= 1.0 - size);
                self.each_node(now, |node| node.flow *= 1.0 - size);
            }
            FaultKind::WarmSupply => self.warm_loops(now, size),
            FaultKind::WarmHall => {
                self.warm_loops(now, size);
                self.each_node(now, |node| node.air_k += size);
            }
            FaultKind::CduCapacity => {
                let left = &mut now.plant.exchanger_left;
                self.exchangers.iter().for_each(|&at| left[at] *= 1.0 - size);
            }
            FaultKind::BlockedManifold => {
                // Less of the plate is wetted: the film's law, on the first stage.
                let more = (1.0 - size).powf(-super::FLOW_EXPONENT);
                self.each_node(now, |node| node.r1 *= more);
            }
            FaultKind::Recirculation => self.each_node(now, |node| node.air_loaded_k += size),
            FaultKind::HostIo => self.each_node(now, |node| node.wait = node.wait.max(size)),
            FaultKind::ColdPlate => self.each_device(now, |device| device.r1 *= 1.0 + size),
            FaultKind::SlowDevice => {
                let more = (1.0 - size).powf(-made.physics.device.clock_exponent);
                self.each_device(now, |device| device.dynamic *= more);
            }
            FaultKind::SensorDropout => {
                self.each_device(now, |device| device.lost = device.lost.max(size));
            }
            FaultKind::StuckSensor => self.each_device(now, |device| device.stuck |= mostly),
            FaultKind::SharedHeader => {
                let coupled = self.coupled.iter().map(|&(from, to)| (from, to, size));
                now.plant.coupled.extend(coupled);
            }
            FaultKind::SwappedMeters
            | FaultKind::SlowUplink
            | FaultKind::FlakyUplink
            | FaultKind::SlowNic
            | FaultKind::NetworkIsland => {}
        }
    }

    fn each_node(&self, now: &mut Effects, strike: impl Fn(&mut NodeEffect)) {
        self.nodes.iter().for_each(|&node| strike(&mut now.nodes[node]));
    }

    fn each_device(&self, now: &mut Effects, strike: impl Fn(&mut DeviceEffect)) {
        self.devices.iter().for_each(|&device| strike(&mut now.devices[device]));
    }

    fn warm_loops(&self, now: &mut Effects, kelvin: f64) {
        self.loops.iter().for_each(|&at| now.plant.loop_k[at] += kelvin);
    }

    /// The nodes together get so much less than they draw at full load.
    fn limit(&self, now: &mut Effects, made: Made<'_>, size: f64) {
        let full_kw: f64 = self.nodes.iter().map(|&node| made.nodes[node].full_kw).sum();
        now.limits.push(PowerLimit { nodes: self.nodes.clone(), kw: full_kw * (1.0 - size) });
    }

    /// Nodes without another cord are gone; the others are braked for a moment, then capped
    /// to what their other supplies carry.
    fn lose_feed(&self, now: &mut Effects, made: Made<'_>, share: Share) {
        let mostly = share.there >= MOSTLY;
        self.sources.iter().for_each(|&at| now.supply.dead[at] |= mostly);
        for &at in &self.nodes {
            let node = &mut now.nodes[at];
            if mostly && !made.supply.powered(at, &now.supply) {
                node.present = false;
                continue;
            }
            node.brake = node.brake.max(share.brake);
            let part = &made.nodes[at];
            let devices_w = part.cap_w * part.devices as f64;
            let lost_w =
                self.fault.size * part.full_kw * 1_000.0 * made.physics.power.psu_efficiency;
            let cap = if devices_w > 0.0 { (1.0 - lost_w / devices_w).max(0.0) } else { 1.0 };
            node.cap = node.cap.min(1.0 - share.there * (1.0 - cap));
        }
    }
}
