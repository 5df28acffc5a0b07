//! A facility made of physics, seeded, with a catalogue of faults.
//!
//! [`hall`] draws up sites, [`fault`] is what may be wrong with them, [`world`] runs a plan on
//! a site and says what sensors and meters would have shown, and what the truth was. Refuses
//! to know the judge: an estimator tuned on data made with its own formulas proves nothing.

pub mod fabric;
pub mod fault;
pub mod hall;
pub mod noise;
pub mod physics;
pub mod world;
