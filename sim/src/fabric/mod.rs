//! A leaf-spine fabric made of directed capacities: who gets how many Gbit/s in a round.
//!
//! Every flow is hashed by its five-tuple onto one path (ECMP), and the flows of a round
//! share what lies on their paths max-min fairly, as long-lived flows do under congestion
//! control that works. There are no queues, no losses and no start-up here: rates are
//! those of a settled round. [`Run`] makes fabrics of equal leaves; [`Wiring`] and [`Meeting`]
//! take any site's. Owns paths, sharing, schedules and faults of the fabric;
//! refuses to know how anybody judges what it makes.

mod dice;
mod fair;
mod fault;
mod harm;
mod meeting;
mod path;
mod round;
mod schedule;
mod shape;
mod wiring;

pub use fair::fair_rates;
pub use fault::{Direction, FabricFault, Place};
pub use harm::Harm;
pub use meeting::{Meeting, When};
pub use round::{Paths, Run};
pub use schedule::{Schedule, Transfer};
pub use shape::Shape;
pub use wiring::{NoFabric, Wiring};
