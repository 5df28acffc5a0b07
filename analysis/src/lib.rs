//! The judge: records are digested into evidence, evidence is diagnosed into findings, and
//! a rule turns findings and gaps into a verdict.
//!
//! Pure: no I/O, no clock, no entropy, no hash order. The same evidence gives the same
//! bytes. Missing is neither zero nor pass; it is listed with its reason, and where the
//! plan requires it the verdict is INCONCLUSIVE.

pub mod digest;

pub use digest::{Digest, Evidence, Overlap};
