//! What the rows of tables measured: each device in each phase, over all of its blocks.

use std::collections::BTreeMap;

use model::Metric;
use model::facts::Source;
use model::finding::Suspect;
use model::report::Measured;

use super::line;
use crate::case::Case;
use crate::digest::telemetry::Cell;
use crate::middle::median;
use crate::panel::{located, slots_hold, suspect};

pub(super) fn measured(case: &Case) -> Vec<Measured> {
    let mut lines = Vec::new();
    if case.facts.source == Source::Agents {
        // What agents of ours felt is told from their records, by name and index.
        return lines;
    }
    let slots_hold = slots_hold(&case.seen.telemetry);
    for (device, cells) in located(&case.seen.telemetry) {
        let mut phases: BTreeMap<&str, Vec<&Cell>> = BTreeMap::new();
        for (key, cell) in cells.as_ref() {
            phases.entry(&key.phase).or_default().push(cell);
        }
        let at = suspect(device, slots_hold);
        for (phase, cells) in phases {
            // Of counters only differences mean anything: `gpus` tells those.
            for metric in Metric::ALL.into_iter().filter(|metric| !metric.is_counter()) {
                lines.extend(figures(&at, phase, metric, &cells));
            }
        }
    }
    lines
}

/// Middle of the blocks' middles, and the extremes of all rows.
fn figures(at: &Suspect, phase: &str, metric: Metric, cells: &[&Cell]) -> Vec<Measured> {
    let medians: Vec<f64> = cells.iter().filter_map(|cell| cell.median(metric)).collect();
    let Some(middle) = median(&medians) else { return Vec::new() };
    let ranges: Vec<(f64, f64)> = cells.iter().filter_map(|cell| cell.range(metric)).collect();
    let least = ranges.iter().map(|range| range.0).fold(f64::INFINITY, f64::min);
    let most = ranges.iter().map(|range| range.1).fold(f64::NEG_INFINITY, f64::max);
    [("p50", middle), ("min", least), ("max", most)]
        .into_iter()
        .map(|(suffix, value)| {
            line(&format!("{}_{suffix}", metric.word()), at, Some(phase), value, unit(metric))
        })
        .collect()
}

fn unit(metric: Metric) -> &'static str {
    match metric {
        Metric::PowerW | Metric::PowerLimitW => "W",
        Metric::MarginC => "K",
        Metric::EnergyJ => "J",
        Metric::SwPowerCapS | Metric::SwThermalS | Metric::HwThermalS | Metric::PowerBrakeS => "s",
        Metric::TempC
        | Metric::TempMaxC
        | Metric::MemTempC
        | Metric::InletAirC
        | Metric::CoolantSupplyC => "C",
        Metric::ClockMhz | Metric::ClockMinMhz => "MHz",
        Metric::Busy => "ratio",
        Metric::Perf => "1/s",
    }
}
