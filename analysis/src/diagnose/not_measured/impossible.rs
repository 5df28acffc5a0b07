//! Readings that no device can show: not used, and said so.

use model::Metric;

use super::{Concern, Gap};
use crate::case::{Case, list, plural};
use crate::panel::suspect;

/// One gap for each metric with such readings.
pub(super) fn impossible(case: &Case) -> Vec<Gap> {
    Metric::ALL.into_iter().filter_map(|metric| of_metric(case, metric)).collect()
}

fn of_metric(case: &Case, metric: Metric) -> Option<Gap> {
    let (mut count, mut names) = (0, Vec::new());
    for (key, cells) in case.seen.telemetry.devices() {
        let here: u64 = cells.values().map(|cell| cell.impossible(metric)).sum();
        if here > 0 {
            count += here;
            names.push(suspect(key, true).id);
        }
    }
    (count > 0).then(|| {
        let readings = plural(count, "reading");
        let why =
            format!("{readings} beyond anything a device can show, not used: {}", list(&names));
        Gap::new(metric.word(), why, Concern::Nobody)
    })
}
