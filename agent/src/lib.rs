//! The agent: a supervisor that must not die, with workers that may.

pub mod hardware;
pub mod node_facts;
pub mod sensors;
