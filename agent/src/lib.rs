//! The agent: a supervisor that must not die, with workers that may.

pub mod guard;
pub mod hardware;
pub mod lease;
pub mod node_facts;
pub mod sensors;
pub mod spool;
