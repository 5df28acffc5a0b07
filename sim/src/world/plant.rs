//! Loops and the exchangers behind them: how warm the coolant comes back to the racks.

use std::collections::HashMap;

use model::site::{DomainIx, DomainKind, NodeIx, Site};

use super::chain;
use crate::noise::{Noise, Stream};
use crate::physics::{CoolingModel, Physics};

/// A secondary circuit.
#[derive(Debug, Clone)]
pub(super) struct Loop {
    pub(super) domain: DomainIx,
    /// Position of the exchanger that cools it.
    pub(super) exchanger: usize,
    /// What its controller's sensor is off by.
    offset_k: f64,
    /// Period in s and phase (turns) of its valve's hunting.
    hunting: (f64, f64),
    /// Heat at full load, kW into the liquid.
    full_kw: f64,
}

/// A heat exchanger between facility water and the loops of one CDU.
#[derive(Debug, Clone)]
pub(super) struct Exchanger {
    pub(super) domain: DomainIx,
    /// Heat of all its loops at full load, in kW.
    full_kw: f64,
}

/// All loops and exchangers of a site.
#[derive(Debug, Clone)]
pub(super) struct Plant {
    pub(super) loops: Vec<Loop>,
    pub(super) exchangers: Vec<Exchanger>,
    of_node: Vec<Option<usize>>,
    model: CoolingModel,
}

/// What is wrong with a plant at present.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct PlantEffects {
    /// Kelvin that a loop's supply is warmer, whatever the load.
    pub(super) loop_k: Vec<f64>,
    /// Share of an exchanger's capacity that is left.
    pub(super) exchanger_left: Vec<f64>,
    /// Share of a loop's flow that is left.
    pub(super) flow_left: Vec<f64>,
    /// Loop that warms another at full load by so many kelvin: from, to, K.
    pub(super) coupled: Vec<(usize, usize, f64)>,
}

impl Plant {
    /// The plant of a site: loops; where a node names only a CDU or a manifold, that stands
    /// for its loop.
    pub(super) fn new(site: &Site, physics: &Physics, seed: u64) -> Self {
        let mut loops: Vec<Loop> = Vec::new();
        let mut exchangers: Vec<Exchanger> = Vec::new();
        let mut loop_at: HashMap<DomainIx, usize> = HashMap::new();
        let mut exchanger_at: HashMap<DomainIx, usize> = HashMap::new();
        let mut of_node = Vec::with_capacity(site.nodes().len());
        for node in site.node_ixs() {
            let first = |kind| site.ancestors_of_kind(node, kind).next();
            let cdu = first(DomainKind::Cdu);
            let Some(circuit) = first(DomainKind::Loop).or(cdu).or(first(DomainKind::Manifold))
            else {
                of_node.push(None);
                continue;
            };
            let behind = cdu.unwrap_or(circuit);
            let exchanger = *exchanger_at.entry(behind).or_insert_with(|| {
                exchangers.push(Exchanger { domain: behind, full_kw: 0.0 });
                exchangers.len() - 1
            });
            let at = *loop_at.entry(circuit).or_insert_with(|| {
                let mut noise = Noise::new(seed, Stream::Domain, circuit.index());
                let offset_k = noise.part(0.0, physics.cooling.loop_spread_k);
                let period_s = physics.cooling.hunting_s * (1.0 + 2.0 * noise.uniform());
                let hunting = (period_s, noise.uniform());
                loops.push(Loop { domain: circuit, exchanger, offset_k, hunting, full_kw: 0.0 });
                loops.len() - 1
            });
            of_node.push(Some(at));
        }
        Self { loops, exchangers, of_node, model: physics.cooling.clone() }
    }

    pub(super) fn loop_of(&self, node: NodeIx) -> Option<usize> {
        self.of_node[node.index()]
    }

    /// Tells the plant what its nodes draw at full load, in kW: it was built for that.
    pub(super) fn size_for(&mut self, full_kw: impl Iterator<Item = f64>) {
        for (at, kw) in self.of_node.iter().zip(full_kw) {
            let Some(at) = *at else { continue };
            let heat = kw * self.model.capture;
            self.loops[at].full_kw += heat;
            self.exchangers[self.loops[at].exchanger].full_kw += heat;
        }
    }

    pub(super) fn healthy(&self) -> PlantEffects {
        PlantEffects {
            loop_k: vec![0.0; self.loops.len()],
            exchanger_left: vec![1.0; self.exchangers.len()],
            flow_left: vec![1.0; self.loops.len()],
            coupled: Vec::new(),
        }
    }

    /// Heat into each loop, in kW, from what nodes draw at the wall.
    pub(super) fn heat(&self, node_kw: &[f64]) -> Vec<f64> {
        let mut heat = vec![0.0; self.loops.len()];
        for (at, kw) in self.of_node.iter().zip(node_kw) {
            if let Some(at) = *at {
                heat[at] += kw * self.model.capture;
            }
        }
        heat
    }

    /// Supply of each loop at `end_s` after `dt_s` with this heat. The valve holds the set
    /// point, hunting a little, as long as the exchanger can: beyond, the supply is facility
    /// water plus heat over UA.
    pub(super) fn advance(
        &self,
        supply: &mut [f64],
        heat: &[f64],
        now: &PlantEffects,
        (dt_s, end_s): (f64, f64),
    ) {
        let mut load = vec![0.0; self.exchangers.len()];
        for (circuit, heat) in self.loops.iter().zip(heat) {
            load[circuit.exchanger] += heat;
        }
        let (left, _) = chain::decay(self.model.loop_s, dt_s);
        for (at, circuit) in self.loops.iter().enumerate() {
            let least = self.least_supply(circuit.exchanger, &load, now);
            let set = self.model.supply_set_c + circuit.offset_k + self.hunting_k(at, end_s);
            let others = now.coupled.iter().filter(|(_, to, _)| *to == at);
            let coupled_k: f64 =
                others.map(|(from, _, k)| k * heat[*from] / self.loops[*from].full_kw).sum();
            let steady = set.max(least) + now.loop_k[at] + coupled_k;
            supply[at] = steady + (supply[at] - steady) * left;
        }
    }

    fn hunting_k(&self, at: usize, end_s: f64) -> f64 {
        let (period_s, phase) = self.loops[at].hunting;
        if period_s <= 0.0 {
            return 0.0;
        }
        self.model.hunting_k * (std::f64::consts::TAU * (end_s / period_s + phase)).sin()
    }

    fn least_supply(&self, exchanger: usize, load: &[f64], now: &PlantEffects) -> f64 {
        let model = &self.model;
        let approach_k = (model.supply_set_c - model.facility_water_c).max(0.0);
        let full_kw = self.exchangers[exchanger].full_kw;
        let ua = full_kw / approach_k * model.exchanger_margin * now.exchanger_left[exchanger];
        if ua > 0.0 { model.facility_water_c + load[exchanger] / ua } else { model.supply_set_c }
    }

    /// Flow of a loop in L/min.
    pub(super) fn flow_lpm(&self, at: usize, now: &PlantEffects) -> f64 {
        let electric_kw = self.loops[at].full_kw / self.model.capture;
        electric_kw * self.model.flow_lpm_per_kw * now.flow_left[at]
    }

    /// Return of a loop, by the energy balance of its heat and flow.
    pub(super) fn return_c(
        &self,
        at: usize,
        supply_c: f64,
        heat_kw: f64,
        now: &PlantEffects,
    ) -> f64 {
        let flow = self.flow_lpm(at, now);
        if flow > 0.0 { supply_c + heat_kw * self.model.lpm_k_per_kw / flow } else { supply_c }
    }
}
