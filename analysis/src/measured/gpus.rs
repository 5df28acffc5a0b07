//! What the drivers of GPUs counted: mean power, limits, sustained heat, seconds of throttle.
//! Sustained figures only; a single maximum says little of a card.

use model::Metric;
use model::facts::Source;
use model::report::Measured;

use super::line;
use crate::case::Case;
use crate::panel::{located, slots_hold, suspect};
use crate::throttle::{self, Reason};

/// A share of the time so high that one wild reading does not show.
const SUSTAINED: f64 = 0.99;

pub(super) fn measured(case: &Case) -> Vec<Measured> {
    let mut lines = Vec::new();
    let slots_hold = slots_hold(&case.seen.telemetry);
    for (device, cells) in located(&case.seen.telemetry) {
        let at = suspect(device, slots_hold);
        // Only a driver counts joules or seconds, or says a limit.
        let counts = |metric: &Metric| cells.values().any(|cell| cell.count(*metric) > 0);
        if !Metric::ALL.into_iter().filter(|metric| metric.is_counter()).any(|m| counts(&m)) {
            continue;
        }
        // What lies between the phases of our own runs is no state of load.
        let agents = case.facts.source == Source::Agents;
        for (key, cell) in cells.iter().filter(|(key, _)| !(agents && key.phase.is_empty())) {
            let mut tell = |what: &str, value: Option<f64>, unit: &str| {
                lines.extend(value.map(|value| line(what, &at, Some(&key.phase), value, unit)));
            };
            tell("power_mean_w", cell.mean_power_w(), "W");
            tell("power_limit_w", cell.median(Metric::PowerLimitW), "W");
            tell("temp_c_p99", cell.quantile(Metric::TempC, SUSTAINED), "C");
            tell("temp_memory_c_p99", cell.quantile(Metric::MemTempC, SUSTAINED), "C");
            tell("temp_margin_k_p01", cell.quantile(Metric::MarginC, 1.0 - SUSTAINED), "K");
            for reason in Reason::COUNTED {
                tell(reason.what(), throttle::seconds_of(cell, reason), "s");
            }
        }
    }
    lines
}
