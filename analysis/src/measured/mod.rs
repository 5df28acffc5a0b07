//! What was measured: evidence as numbers with a name, a place and a unit.
//!
//! Owns the names (`gflops_fp64`, `rtt_idle_p99`, ...). Nothing here judges, and what has
//! no value has no line.

mod devices;
mod fabric;
mod gpus;
mod leaves;
mod marks;
mod ports;
pub(crate) mod power;
pub(crate) mod skew;
pub(crate) mod stops;
mod supplies;
mod tables;
mod thermal;

use model::finding::Suspect;
use model::report::Measured;

use crate::case::Case;

/// Every measured value, sorted by name, place and phase.
pub(crate) fn measured(case: &Case) -> Vec<Measured> {
    let mut lines = devices::measured(case);
    lines.extend(fabric::measured(case));
    lines.extend(leaves::measured(case));
    lines.extend(gpus::measured(case));
    lines.extend(power::measured(case));
    lines.extend(power::mixes(case));
    lines.extend(marks::measured(case));
    lines.extend(ports::measured(case));
    lines.extend(skew::measured(case));
    lines.extend(stops::measured(case));
    lines.extend(supplies::measured(case));
    lines.extend(tables::measured(case));
    lines.extend(thermal::measured(case));
    lines.extend(crate::meters::measured(case));
    lines.extend(crate::experiments::measured(case));
    // No number that JSON can't say: a rate of nothing over nothing is no measurement.
    lines.retain(|line| line.value.is_finite());
    lines.sort_by(|a, b| {
        (&a.what, &a.at, &a.phase, &a.when)
            .cmp(&(&b.what, &b.at, &b.phase, &b.when))
            .then(a.value.total_cmp(&b.value))
    });
    lines
}

pub(crate) fn line(
    what: &str,
    at: &Suspect,
    phase: Option<&str>,
    value: f64,
    unit: &str,
) -> Measured {
    Measured {
        what: what.to_owned(),
        at: at.clone(),
        phase: phase.filter(|phase| !phase.is_empty()).map(str::to_owned),
        value,
        unit: unit.to_owned(),
        when: None,
    }
}

pub(crate) fn fleet() -> Suspect {
    Suspect::new("fleet", "all")
}
