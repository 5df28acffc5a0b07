//! Chaos: schedules of disturbances from seeds, what they do to a run, and what must be true
//! afterwards. Refuses to draw anything but a schedule from a seed: how processes then
//! interleave is the machine's business.

mod evidence;
mod heat;
mod schedule;
mod trial;

pub use heat::{Allowed, Span, breach_ns};
pub use schedule::{Act, Disturbance, Schedule, Who};
pub use trial::run;
