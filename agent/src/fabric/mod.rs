//! The `Fabric` port: traffic between nodes, and how long an answer takes.

pub mod clock;
pub mod endpoint;
pub mod error;
pub mod hello;
pub mod layout;
pub mod listener;
pub mod operand;
pub mod patience;
pub mod ring;
pub mod socket;
pub mod sums;
