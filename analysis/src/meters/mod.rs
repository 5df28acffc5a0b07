//! The building's own meters: what they say of each supply and each loop, and which of them
//! is weak.
//!
//! Owns sag, balance, headroom, heat balance and reconciliation. What it computes once
//! serves the findings, the measured lines and the gates. Domains that the site does not
//! know are gaps, never evidence.

mod alignment;
mod cooling;
mod course;
mod lines;
mod reconcile;
mod shared;
mod slope;
mod stiffness;
mod supply;
mod witness;

use model::facts::RunFacts;
use model::site::{Domain, DomainIx, DomainKind, Family, Site};

use crate::digest::Seen;
use crate::digest::meters::{Line, Meters, Quantity, Trace};

pub(crate) use alignment::Alignment;
pub(crate) use cooling::Loop;
pub(crate) use lines::measured;
pub(crate) use reconcile::Reconciliation;
pub(crate) use stiffness::Feeder;
pub(crate) use supply::Supply;
pub(crate) use witness::testify;

/// Kinds whose meters tell what hangs below them, the nearest to the nodes first.
const METERED_KINDS: [DomainKind; 8] = [
    DomainKind::PsuGroup,
    DomainKind::PowerShelf,
    DomainKind::Pdu,
    DomainKind::Busway,
    DomainKind::Feed,
    DomainKind::Breaker,
    DomainKind::Ups,
    DomainKind::Generator,
];

/// A site and its meters.
#[derive(Clone, Copy)]
pub(crate) struct Board<'a> {
    site: &'a Site,
    meters: &'a Meters,
}

/// All that the meters say of a building.
#[derive(Debug, Clone)]
pub(crate) struct Building {
    pub(crate) feeders: Vec<Feeder>,
    pub(crate) supplies: Vec<Supply>,
    pub(crate) loops: Vec<Loop>,
    pub(crate) reconciliation: Option<Reconciliation>,
    pub(crate) alignments: Vec<Alignment>,
}

impl Building {
    /// `None` without a site or without a meter of it.
    pub(crate) fn of(site: &Site, seen: &Seen, facts: &RunFacts) -> Option<Self> {
        let board = Board { site, meters: &seen.meters };
        (!board.meters.is_empty()).then(|| Self {
            feeders: stiffness::feeders(&board),
            supplies: supply::supplies(&board),
            loops: cooling::loops(&seen.telemetry, &board),
            reconciliation: reconcile::reconciliation(&seen.telemetry, &board),
            alignments: alignment::alignments(&seen.telemetry, &board, &facts.clocks),
        })
    }
}

impl<'a> Board<'a> {
    /// Domains of a family that any meter spoke of, in the site's order.
    fn metered(self, family: Family) -> impl Iterator<Item = (DomainIx, &'a Domain)> {
        let Self { site, meters } = self;
        let mut known: Vec<DomainIx> =
            meters.domains().filter_map(|(id, _)| site.domain_ix(id)).collect();
        known.sort_unstable();
        let all = known.into_iter().map(|ix| (ix, site.domain(ix)));
        all.filter(move |(_, domain)| domain.kind.family() == family)
    }

    /// Total power of a domain.
    fn power(self, domain: &Domain) -> Option<&'a Trace> {
        self.meters.trace(&domain.id, Quantity::PowerKw, Line::Whole)
    }

    /// Energy counter of a domain.
    fn energy(self, domain: &Domain) -> Option<&'a Trace> {
        self.meters.trace(&domain.id, Quantity::EnergyKwh, Line::Whole)
    }

    fn power_of(self, ix: DomainIx) -> Option<&'a Trace> {
        self.power(self.site.domain(ix))
    }

    /// Length of the longest trace of a domain's load, in seconds.
    fn seconds(self, domain: &Domain) -> f64 {
        let lines = [Line::Whole, Line::L1, Line::L2, Line::L3];
        let points = lines.into_iter().flat_map(|line| {
            [Quantity::PowerKw, Quantity::CurrentA].map(|quantity| (quantity, line))
        });
        let traces = points.filter_map(|(q, line)| self.meters.trace(&domain.id, q, line));
        traces.map(Trace::seconds).fold(0.0, f64::max)
    }

    /// Mean electricity of what hangs on a domain between two instants, in kW: of the first
    /// kind of supply whose meters cover all of its nodes. A supply that also feeds others
    /// counts by its share of nodes.
    fn electrical_kw(self, ix: DomainIx, from_ns: i64, to_ns: i64) -> Option<f64> {
        METERED_KINDS.into_iter().find_map(|kind| self.electrical_of(kind, ix, from_ns, to_ns))
    }

    fn electrical_of(self, kind: DomainKind, ix: DomainIx, from: i64, to: i64) -> Option<f64> {
        let site = self.site;
        let nodes = site.members(ix);
        let mut supplies: Vec<DomainIx> = Vec::new();
        for node in nodes {
            let mut own = site.ancestors_of_kind(*node, kind).peekable();
            own.peek()?;
            supplies.extend(own);
        }
        supplies.sort_unstable();
        supplies.dedup();
        let mut kw = 0.0;
        for supply in supplies {
            let members = site.members(supply);
            let shared = members.iter().filter(|node| nodes.binary_search(node).is_ok()).count();
            let mean = self.power_of(supply)?.mean_between(from, to)?;
            kw += mean * shared as f64 / members.len() as f64;
        }
        (kw > 0.0).then_some(kw)
    }
}

#[cfg(test)]
mod tests;
