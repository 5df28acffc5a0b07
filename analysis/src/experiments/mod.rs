//! Experiments: what steps that load some nodes and not others say of causes.
//!
//! A hold shows who is weak; steps show what the weakness depends on. A limit that several
//! nodes share is not reached while few of them work, so it goes when they are alone; what a
//! node has by itself stays. The unit is the node, and each node is compared with itself.

pub(crate) mod advice;
mod company;
mod coupling;
mod narrow;
mod shared;
mod study;
pub(crate) mod wiring;

use model::finding::Finding;
use model::report::Measured;

use crate::case::Case;

pub(crate) use company::LITTLE;
pub(crate) use study::{Study, studies};

/// Adds what experiments found, and takes from findings the suspects that they exclude.
pub(crate) fn testify(case: &Case, findings: &mut Vec<Finding>) {
    narrow::narrow(case, findings);
    let mut found = shared::testify(case, findings);
    findings.append(&mut found);
    findings.extend(coupling::testify(case));
    findings.extend(wiring::testify(case));
}

/// What experiments measured.
pub(crate) fn measured(case: &Case) -> Vec<Measured> {
    let mut lines = coupling::measured(case);
    lines.extend(wiring::measured(case));
    lines
}
