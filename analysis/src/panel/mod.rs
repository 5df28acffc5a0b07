//! The panel: every device under load beside its likes, and every node beside the others.
//!
//! Cells of the digest become residuals: how far a device lies from devices of the same
//! model and slot in the same phase (and block, where a block holds enough nodes). The unit
//! of a group test is the node: a node's residual is the middle of its devices'.

mod build;
mod device;
mod load;
mod node;
pub(crate) mod reference;
pub mod signal;

pub(crate) use build::{Located, in_phases, located, slots_hold, suspect};
pub use device::{CellResidual, PanelDevice};
pub use node::PanelNode;
pub use signal::{Physics, Signal};

use std::collections::BTreeSet;

use model::plan::Plan;
use model::site::Site;

use crate::digest::telemetry::Telemetry;

/// One value a signal; `None` is not measured.
pub type Values = [Option<f64>; Signal::COUNT];

/// What residuals are made from and how alike the load was.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Panel {
    pub devices: Vec<PanelDevice>,
    /// Every node of the site and every node that reported, in the order of their names.
    pub nodes: Vec<PanelNode>,
    /// What thermal resistance was taken against, where it could be.
    pub reference: Option<reference::Reference>,
    /// Robust spread of power among like devices, as a share; large when nobody commanded
    /// the same load everywhere.
    pub power_spread: Option<f64>,
    /// Whether most nodes were measured at the same time, phase by phase.
    pub concurrent: bool,
    /// Phases of steady load: residuals are made from these.
    pub loaded: BTreeSet<String>,
    /// Rows of nodes that the site does not know.
    pub strangers: Vec<String>,
}

/// Spread of power among like devices beyond which the load was not the same: healthy
/// devices under one load spread by 2 to 5 % (their sensors' gain error included).
const UNEQUAL_LOAD: f64 = 0.10;

impl Panel {
    /// Builds the panel of everything that was sampled.
    #[must_use]
    pub fn new(plan: &Plan, site: Option<&Site>, telemetry: &Telemetry) -> Self {
        build::build(plan, site, telemetry)
    }

    /// Whether like devices drew like power.
    #[must_use]
    pub fn is_load_equal(&self) -> bool {
        self.power_spread.is_none_or(|spread| spread <= UNEQUAL_LOAD)
    }
}
