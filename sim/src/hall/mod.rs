//! Generated halls: a shape in a dozen numbers becomes a site with its whole power, cooling
//! and network graph.
//!
//! Shapes differ in what coincides with what. Where a rack, its PDUs and a loop hold the same
//! nodes, nothing that is measured can tell them apart; where loops run across racks, it can.

mod draft;
mod shapes;

use model::site::{Site, SiteDraft, SiteProblem};

/// Which nodes a cooling loop serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoopLayout {
    /// Whole racks, so many a loop: one a loop is the rack's alias.
    Racks(u32),
    /// So many neighbouring racks share as many loops, each of which takes a slice (the
    /// lowest nodes, the next ones, ...) of every rack.
    Across(u32),
    /// None: air cools everything.
    Air,
}

/// What a generated hall looks like.
#[derive(Debug, Clone, PartialEq)]
pub struct HallShape {
    pub name: String,
    pub racks: u32,
    pub nodes_per_rack: u32,
    pub devices: u32,
    pub device_model: String,
    /// The whole node at the wall, in kW.
    pub node_kw: f64,
    pub racks_per_row: u32,
    /// Racks on one pair of PDUs.
    pub racks_per_pdu: u32,
    /// PDUs of side B begin half their racks later than those of side A (needs an even
    /// `racks_per_pdu`): the sides no longer coincide.
    pub staggered_sides: bool,
    pub racks_per_ups: u32,
    /// Nodes on one group of power supplies; `None`: the site has no such groups.
    pub nodes_per_psu_group: Option<u32>,
    pub loops: LoopLayout,
    pub loops_per_cdu: u32,
    /// Nodes on one manifold, a branch of its loop within one rack; `None`: no manifolds.
    pub nodes_per_manifold: Option<u32>,
    pub racks_per_air_zone: u32,
    pub nodes_per_leaf: u32,
    pub leaves_per_pod: u32,
    pub spines: u32,
    /// Speed of a node's card, in Gbit/s.
    pub nic_gbps: f64,
    /// Speed of a cable between switches, in Gbit/s.
    pub link_gbps: f64,
}

impl HallShape {
    /// Nodes of the hall.
    #[must_use]
    pub fn nodes(&self) -> u32 {
        self.racks * self.nodes_per_rack
    }

    /// The hall as somebody would write it down. Zeros among the counts are taken as one.
    #[must_use]
    pub fn draft(&self) -> SiteDraft {
        draft::draw(self)
    }

    /// The hall, checked.
    ///
    /// # Errors
    /// When the shape is larger than a site may be.
    pub fn site(&self) -> Result<Site, Vec<SiteProblem>> {
        Site::new(self.draft())
    }
}

#[cfg(test)]
mod tests;
