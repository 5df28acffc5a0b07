//! The fleet at a glance: of each figure the spread over devices, and who has the extremes.

use std::collections::BTreeMap;

use model::report::Measured;

use super::line::number;
use super::table::Table;

/// Ends the name of a device's middle value.
const MIDDLE: &str = "_p50";
/// The figure that says which phase was the hungriest.
const POWER: &str = "power_w";
/// Shares of the devices that lie below the columns.
const SHARES: [(f64, &str); 5] =
    [(0.0, "least"), (0.05, "p5"), (0.5, "median"), (0.95, "p95"), (1.0, "most")];

/// One row for each figure of the phase that took the most power.
pub(super) fn table(lines: &[Measured]) -> Table {
    let mut phases: BTreeMap<&str, BTreeMap<&str, Vec<f64>>> = BTreeMap::new();
    for line in lines.iter().filter(|line| line.at.kind == "device") {
        if let Some(name) = line.what.strip_suffix(MIDDLE) {
            let phase = phases.entry(line.phase.as_deref().unwrap_or("")).or_default();
            phase.entry(name).or_default().push(line.value);
        }
    }
    let watts = |figures: &BTreeMap<&str, Vec<f64>>| {
        figures.get(POWER).map_or(0.0, |watts| watts.iter().sum::<f64>() / watts.len() as f64)
    };
    let hungriest = phases.into_iter().max_by(|(_, a), (_, b)| watts(a).total_cmp(&watts(b)));
    let (phase, figures) = hungriest.unwrap_or_default();
    let rows = figures.into_iter().map(|(name, mut values)| {
        values.sort_by(f64::total_cmp);
        let mut cells = vec![Some(values.len().to_string())];
        cells.extend(SHARES.iter().map(|(share, _)| quantile(&values, *share).map(number)));
        (name.to_owned(), cells)
    });
    let mut columns = vec![("devices".to_owned(), String::new())];
    columns.extend(SHARES.iter().map(|(_, heading)| ((*heading).to_owned(), String::new())));
    Table {
        title: match phase {
            "" => "devices' medians, over the fleet".to_owned(),
            phase => format!("devices' medians in phase {phase}, over the fleet"),
        },
        columns,
        rows: rows.collect(),
        of: "figures",
    }
}

/// The value that stands at a share of the sorted values.
fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let at = (sorted.len().checked_sub(1)? as f64 * share).round();
    sorted.get(at as usize).copied()
}
