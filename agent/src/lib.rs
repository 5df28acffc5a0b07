//! The agent: a supervisor that must not die, with workers that may.

pub mod fabric;
