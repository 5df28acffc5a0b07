//! What each domain may carry and what it would: kW before a run, and live while it runs.

mod asked;
mod control;
mod descent;
mod draw;
mod held;
mod mix;

pub(crate) use asked::Asked;
pub(crate) use control::{Domain, NodeNow, Reading};
pub(crate) use descent::Descent;
pub(crate) use draw::{Draws, budgets, check};
pub(crate) use held::Held;
pub(crate) use mix::MixTuner;
