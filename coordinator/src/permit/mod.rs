//! Who allowed this heat: the permit of the building's owner, or the small load that needs
//! none. The permit belongs to the coordinator; who submits a plan can't bring another.

mod check;
mod ramps;
mod source;
mod swing;

pub(crate) use check::{Ask, refusals};
pub(crate) use ramps::site_edges;
pub use source::Permission;
