//! Devices of the building that tests play, over the protocols that real ones speak.

pub mod broker;
pub mod course;
pub mod http;
pub mod stage;
