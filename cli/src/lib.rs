//! What the `loadbank` binary is made of: options, verbs, progress, reports. No logic of the
//! house itself: that is `coordinator`'s and `analysis`'s.

pub mod client;
mod failure;
pub mod follow;
pub mod options;
pub mod output;
mod plan_source;
pub mod progress;
pub mod report;
pub mod screen;
pub mod site_text;
mod tables;
pub mod verb;

pub use failure::Failure;
