//! A site made of physics that runs a plan: what devices would have felt, what the
//! building's meters would have shown, and what the truth was.

mod chain;
mod effects;
mod engine;
mod meters;
mod pairs;
mod parts;
mod plant;
mod samples;
mod schedule;
mod silicon;
mod supply;

use model::plan::Plan;
use model::site::{SelectError, Site};

pub use samples::{Cadence, Samples, Sampling};

use crate::fabric::{Harm, NoFabric, Wiring};
use crate::fault::{Fault, FaultError, FaultKind, Target, Truth, truth_of};
use crate::physics::Physics;
use effects::{Faults, Made};
use parts::{DevicePart, NodePart};
use plant::Plant;
use schedule::Segment;
use supply::Supply;

/// When every simulated run starts: 2026-01-01T00:00:00Z, in nanoseconds.
pub const START_NS: i64 = 1_767_225_600_000_000_000;

/// Film resistance goes with flow to minus this (Dittus-Boelter, turbulent).
const FLOW_EXPONENT: f64 = 0.8;

/// A facility with a plan, faults and a seed.
#[derive(Debug, Clone)]
pub struct World {
    names: Vec<String>,
    domain_ids: Vec<String>,
    nodes: Vec<NodePart>,
    devices: Vec<DevicePart>,
    plant: Plant,
    supply: Supply,
    faults: Faults,
    truth: Vec<Truth>,
    /// Domains whose meters are recorded under each other's name.
    swapped: Vec<(String, String)>,
    segments: Vec<Segment>,
    wiring: Result<Wiring, NoFabric>,
    harms: Vec<Harm>,
    seed: u64,
    physics: Physics,
}

/// Why a world cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WorldError {
    /// A phase of the plan takes nodes that the site does not have.
    #[error("plan: {0}")]
    Plan(#[from] SelectError),
    /// A fault works on something that the site does not have.
    #[error("fault: {0}")]
    Fault(#[from] FaultError),
}

impl World {
    /// Builds a world. The same five arguments make the same world, to the last bit.
    ///
    /// # Errors
    /// When plan or faults name what the site does not have.
    pub fn new(
        site: &Site,
        plan: &Plan,
        faults: &[Fault],
        seed: u64,
        physics: Physics,
    ) -> Result<Self, WorldError> {
        let mut plant = Plant::new(site, &physics, seed);
        let nodes = parts::nodes(site, &plant, &physics, seed);
        plant.size_for(nodes.iter().map(|node| node.full_kw));
        let devices = parts::devices(&nodes, &physics, seed);
        let supply = Supply::new(site, &nodes, &physics, seed);
        let made = Made {
            nodes: &nodes,
            devices: &devices,
            plant: &plant,
            supply: &supply,
            physics: &physics,
        };
        let placed = Faults::new(site, faults, made)?;
        let truth = faults.iter().map(|fault| truth_of(fault, site)).collect::<Result<_, _>>()?;
        let swapped = faults.iter().filter_map(|fault| match (&fault.target, fault.kind) {
            (Target::Cut { from, to }, FaultKind::SwappedMeters) => {
                Some((from.clone(), to.clone()))
            }
            _ => None,
        });
        let swapped = swapped.collect();
        let wiring = Wiring::of(site);
        let harms = wiring.as_ref().map_or_else(
            |_| Vec::new(),
            |wiring| faults.iter().filter_map(|fault| Harm::of(fault, site, wiring)).collect(),
        );
        Ok(Self {
            names: site.nodes().iter().map(|node| node.name.clone()).collect(),
            domain_ids: site.domains().iter().map(|domain| domain.id.clone()).collect(),
            segments: schedule::segments(plan, site)?,
            nodes,
            devices,
            plant,
            supply,
            wiring,
            harms,
            faults: placed,
            truth,
            swapped,
            seed,
            physics,
        })
    }

    /// What a judge should say, one entry a fault, in their order.
    #[must_use]
    pub fn truth(&self) -> &[Truth] {
        &self.truth
    }

    /// Number of devices.
    #[must_use]
    pub fn devices(&self) -> usize {
        self.devices.len()
    }

    /// What the devices' sensors show over the whole plan, in order of time.
    #[must_use]
    pub fn samples(&self, sampling: Sampling) -> Samples<'_> {
        Samples::new(self, sampling)
    }

    fn made(&self) -> Made<'_> {
        Made {
            nodes: &self.nodes,
            devices: &self.devices,
            plant: &self.plant,
            supply: &self.supply,
            physics: &self.physics,
        }
    }

    /// Exponent of dynamic power, and the lowest clock as a share of the highest.
    fn clocks(&self) -> (f64, f64) {
        let device = &self.physics.device;
        (device.clock_exponent, device.clock_floor_mhz / device.clock_max_mhz)
    }
}
