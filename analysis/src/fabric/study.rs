//! The study: everything that is computed of the pairs, before anybody is blamed.

use model::site::Site;

use super::carried::{self, Carried, Visit};
use super::lasting::Peers;
use super::map::{Element, Map};
use super::nnls::{self, Fit};
use super::table::Table;
use crate::digest::pairs::Pairs;

/// One part as measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Part {
    pub(super) element: Element,
    /// Excess time for a byte that the fit books on it: 1 is half the speed.
    pub(super) excess: f64,
    /// The most that it carried in a round, in Gbit/s.
    pub(super) most: f64,
    /// The most that its like usually carried in a round, in Gbit/s.
    pub(super) usual_most: f64,
    /// Natural logarithm of the chance that a sound part never carried more.
    pub(super) ln_chance: f64,
}

impl Part {
    /// What it carried at most, as a share of what its like did.
    pub(super) fn share(&self) -> f64 {
        if self.usual_most > 0.0 { self.most / self.usual_most } else { 1.0 }
    }
}

/// All parts that were crossed.
pub(super) struct Study<'a> {
    pub(super) map: Map<'a>,
    pub(super) table: Table<'a>,
    pub(super) fit: Fit,
    pub(super) visits: Vec<Vec<Visit>>,
    pub(super) carried: Carried,
    pub(super) parts: Vec<Part>,
}

impl<'a> Study<'a> {
    pub(super) fn new(site: &'a Site, pairs: &'a Pairs) -> Self {
        let map = Map::new(site);
        let table = Table::new(&map, pairs);
        let fit = nnls::fit(&table.columns, &table.excess());
        let visits = carried::visits(&table);
        let carried = carried::carried(&map, &table, &visits);
        let peers = Peers::new(&carried.sorts, &visits, &carried.usual_most);
        let part = |(at, element): (usize, &Element)| {
            let mut part = Part {
                element: *element,
                excess: fit.x[at],
                most: carried.most[at],
                usual_most: carried.usual_most[at],
                ln_chance: 0.0,
            };
            part.ln_chance = peers.ln_chance(at, carried.sorts[at], &visits[at], part.share());
            part
        };
        let parts = table.elements.iter().enumerate().map(part).collect();
        Self { map, table, fit, visits, carried, parts }
    }
}
