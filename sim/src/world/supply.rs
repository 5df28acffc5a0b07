//! The power tree above the nodes: which supplies carry them, how their load divides over
//! feeds and phases, and how far the voltage sags.

use std::collections::BTreeMap;

use model::site::{DomainIx, DomainKind, Family, Site};

use super::parts::NodePart;
use crate::noise::{Noise, Stream};
use crate::physics::{Physics, PowerModel};

/// Phases of the building.
pub(super) const PHASES: usize = 3;

/// What a node's cords may be plugged into, nearest first.
const CORDS: [DomainKind; 8] = [
    DomainKind::Pdu,
    DomainKind::PowerShelf,
    DomainKind::Busbar,
    DomainKind::Busway,
    DomainKind::Breaker,
    DomainKind::Feed,
    DomainKind::Ups,
    DomainKind::Ats,
];

/// A supply that nodes are plugged into.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub(super) domain: DomainIx,
    /// Line to neutral without load, V.
    volts: f64,
    /// Of each phase.
    ohm: [f64; PHASES],
    /// Position among the upstreams of what regulates its voltage.
    upstream: Option<usize>,
}

/// A power domain above sources.
#[derive(Debug, Clone)]
pub(super) struct Upstream {
    pub(super) domain: DomainIx,
    sources: Vec<usize>,
    full_kw: f64,
}

/// A cord of a node.
#[derive(Debug, Clone, Copy)]
struct Cord {
    source: usize,
    share: f64,
    /// The phase that carries the most of it.
    phase: usize,
}

/// The power tree of a site.
#[derive(Debug, Clone)]
pub(super) struct Supply {
    pub(super) sources: Vec<Source>,
    pub(super) upstreams: Vec<Upstream>,
    cords: Vec<Vec<Cord>>,
    model: PowerModel,
}

/// What is wrong with supplies at present.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SupplyEffects {
    pub(super) dead: Vec<bool>,
    pub(super) more_ohm: Vec<f64>,
}

/// What a supply carries.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Carried {
    pub(super) kw: [f64; PHASES],
    pub(super) volts: [f64; PHASES],
    pub(super) amps: [f64; PHASES],
}

impl Carried {
    pub(super) fn total_kw(&self) -> f64 {
        self.kw.iter().sum()
    }
}

impl Supply {
    pub(super) fn new(site: &Site, nodes: &[NodePart], physics: &Physics, seed: u64) -> Self {
        let model = physics.power.clone();
        let mut sources: BTreeMap<DomainIx, usize> = BTreeMap::new();
        let mut cords = Vec::with_capacity(nodes.len());
        for node in site.node_ixs() {
            let kind =
                CORDS.into_iter().find(|&kind| site.ancestors_of_kind(node, kind).next().is_some());
            let mut noise = Noise::new(seed, Stream::Node, nodes.len() + node.index());
            let plugs: Vec<DomainIx> =
                kind.into_iter().flat_map(|kind| site.ancestors_of_kind(node, kind)).collect();
            let mut own: Vec<Cord> = Vec::with_capacity(plugs.len());
            for domain in plugs {
                let next = sources.len();
                let source = *sources.entry(domain).or_insert(next);
                let share = noise.part(1.0, 2.0 * model.side_spread).max(0.0);
                own.push(Cord { source, share, phase: node.index() % PHASES });
            }
            let total: f64 = own.iter().map(|cord| cord.share).sum();
            own.iter_mut().for_each(|cord| cord.share /= total);
            cords.push(own);
        }
        let mut domains = vec![None; sources.len()];
        for (domain, at) in sources {
            domains[at] = Some(domain);
        }
        let domains: Vec<DomainIx> = domains.into_iter().flatten().collect();
        let upstreams = upstreams(site, &domains, nodes);
        let sources =
            domains.iter().map(|&ix| source(site, ix, &upstreams, &model, seed)).collect();
        Self { sources, upstreams, cords, model }
    }

    pub(super) fn healthy(&self) -> SupplyEffects {
        SupplyEffects {
            dead: vec![false; self.sources.len()],
            more_ohm: vec![0.0; self.sources.len()],
        }
    }

    /// Whether a node still has a cord with power; one that is not drawn in the site at all
    /// has power from somewhere.
    pub(super) fn powered(&self, node: usize, now: &SupplyEffects) -> bool {
        let cords = &self.cords[node];
        cords.is_empty() || cords.iter().any(|cord| !now.dead[cord.source])
    }

    /// What each source carries of what the nodes draw. A dead source's share goes to the
    /// node's other cords: their voltage, impedance and phases then decide the rest.
    pub(super) fn carried(&self, node_kw: &[f64], now: &SupplyEffects) -> Vec<Carried> {
        let mut carried = vec![Carried::default(); self.sources.len()];
        for (cords, &kw) in self.cords.iter().zip(node_kw) {
            let alive = || cords.iter().filter(|cord| !now.dead[cord.source]);
            let total: f64 = alive().map(|cord| cord.share).sum();
            for cord in alive().filter(|_| total > 0.0) {
                let own_kw = kw * cord.share / total;
                let other = (1.0 - self.model.first_phase_share) / (PHASES - 1) as f64;
                for phase in 0..PHASES {
                    let first = phase == cord.phase;
                    let share = if first { self.model.first_phase_share } else { other };
                    carried[cord.source].kw[phase] += own_kw * share;
                }
            }
        }
        let loads: Vec<f64> = carried.iter().map(Carried::total_kw).collect();
        for (at, source) in self.sources.iter().enumerate() {
            if now.dead[at] {
                continue;
            }
            let droop = source.upstream.map_or(0.0, |up| {
                let load = self.upstream_kw(up, &loads) / self.upstreams[up].full_kw.max(1e-9);
                self.model.ups_droop * load
            });
            for phase in 0..PHASES {
                let open = source.volts * (1.0 - droop);
                let ohm = source.ohm[phase] + now.more_ohm[at];
                let watts = carried[at].kw[phase] * 1_000.0;
                let volts = sagged(open, ohm, watts / self.model.power_factor);
                carried[at].volts[phase] = volts;
                carried[at].amps[phase] = watts / (self.model.power_factor * volts);
            }
        }
        carried
    }

    pub(super) fn upstream_kw(&self, at: usize, source_kw: &[f64]) -> f64 {
        self.upstreams[at].sources.iter().map(|&source| source_kw[source]).sum()
    }
}

/// Voltage at a constant-power load behind an impedance: the stable root of
/// `V (V0 - V) / R = S`. Beyond what the impedance can pass, half the open voltage.
fn sagged(open: f64, ohm: f64, apparent_w: f64) -> f64 {
    let under = (open * open - 4.0 * ohm * apparent_w).max(0.0);
    f64::midpoint(open, under.sqrt())
}

fn source(
    site: &Site,
    ix: DomainIx,
    upstreams: &[Upstream],
    model: &PowerModel,
    seed: u64,
) -> Source {
    let domain = site.domain(ix);
    let volts = domain.volts.unwrap_or(model.volts) / 3.0_f64.sqrt();
    let mut noise = Noise::new(seed, Stream::Domain, ix.index());
    let ohm = std::array::from_fn(|_| {
        noise.part(model.pdu_ohm, model.ohm_spread * model.pdu_ohm).max(0.0)
    });
    let regulates = |up: &Upstream| {
        matches!(site.domain(up.domain).kind, DomainKind::Ups | DomainKind::Generator)
            && site.above(ix).contains(&up.domain)
    };
    Source { domain: ix, volts, ohm, upstream: upstreams.iter().position(regulates) }
}

fn upstreams(site: &Site, sources: &[DomainIx], nodes: &[NodePart]) -> Vec<Upstream> {
    let mut above: BTreeMap<DomainIx, Vec<usize>> = BTreeMap::new();
    for (at, &source) in sources.iter().enumerate() {
        let power = |ix: &&DomainIx| site.domain(**ix).kind.family() == Family::Power;
        for &ix in site.above(source).iter().filter(power) {
            above.entry(ix).or_default().push(at);
        }
    }
    let full_kw = |ix| site.members(ix).iter().map(|node| nodes[node.index()].full_kw).sum();
    above
        .into_iter()
        .map(|(domain, sources)| Upstream { domain, sources, full_kw: full_kw(domain) })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sag_is_resistance_times_power_over_voltage() {
        // 10 mOhm at 240 V: 0.042 V a kW.
        let sag = 240.0 - sagged(240.0, 0.010, 5_000.0);
        assert!((sag - 5_000.0 * 0.010 / 240.0).abs() < 1e-3, "{sag}");
        assert_eq!(sagged(240.0, 0.0, 5_000.0), 240.0);
        assert_eq!(sagged(240.0, 1.0, 1e9), 120.0);
    }
}
