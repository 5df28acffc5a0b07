//! A facility made of physics, seeded, with a catalogue of faults. Nothing lives here yet:
//! rehearsals come with the judge's next step. It will never import `analysis`: an estimator
//! tuned on data made with its own formulas proves nothing.

pub mod fabric;
