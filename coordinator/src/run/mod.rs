//! A run: the pure machine that orders it, and what it needs to know of its plan.

mod machine;
mod phase;

pub(crate) use machine::GO_LEAD_NS;
pub use machine::{Action, End, Event, RunMachine, State};
pub(crate) use phase::ask_power;
pub use phase::{PhaseSpec, members_of, phase_specs, unknown_domain};
