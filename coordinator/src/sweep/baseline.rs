//! What earlier runs of a sweep measured, as a run to come is held against it. Pure.

use std::collections::BTreeMap;

use model::Verdict;
use model::facts::{Baseline, BaselineValue};
use model::report::Report;
use serde::{Deserialize, Serialize};

/// Clean runs that the median is of, at most.
const RUNS_MAX: usize = 10;
/// Values that are kept of a run: twenty of each of ten thousand devices.
const VALUES_MAX: usize = 200_000;
/// What is kept: what a run can drift in (`analysis/src/drift.rs`).
const KEPT: [&str; 7] = ["gflops_", "bandwidth_", "busbw_", "rtt_", "power_", "temp_", "r_th_"];

/// What one run of a sweep measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Measures {
    /// Nothing was confirmed against it, and it ran to its end.
    pub(crate) clean: bool,
    values: Vec<(Key, i64)>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Key {
    what: String,
    kind: String,
    id: String,
    phase: Option<String>,
}

impl Measures {
    /// What a report says.
    pub(crate) fn of(report: &Report) -> Self {
        let kept = |what: &str| KEPT.iter().any(|start| what.starts_with(start));
        let values = report.measured.iter().filter(|m| m.value.is_finite() && kept(&m.what));
        let value = |m: &model::report::Measured| {
            let (kind, id) = (m.at.kind.clone(), m.at.id.clone());
            let key = Key { what: m.what.clone(), kind, id, phase: m.phase.clone() };
            (key, (m.value * 1e6).round() as i64)
        };
        let clean = report.verdict == Verdict::Ready
            || (report.verdict == Verdict::Inconclusive
                && !report.findings.iter().any(model::finding::Finding::condemns));
        Self { clean, values: values.take(VALUES_MAX).map(value).collect() }
    }
}

/// The baseline of a run to come; `None` before the first clean one. `earlier`: oldest first.
pub(crate) fn baseline(sweep: &str, earlier: &[Measures]) -> Option<Baseline> {
    let clean: Vec<&Measures> = earlier.iter().filter(|run| run.clean).collect();
    let clean = &clean[clean.len().saturating_sub(RUNS_MAX)..];
    let last: BTreeMap<&Key, i64> =
        earlier.last()?.values.iter().map(|(key, value)| (key, *value)).collect();
    let mut all: BTreeMap<&Key, Vec<i64>> = BTreeMap::new();
    for (key, value) in clean.iter().flat_map(|run| &run.values) {
        all.entry(key).or_default().push(*value);
    }
    let runs = u32::try_from(clean.len()).ok().filter(|runs| *runs > 0)?;
    let value = |(key, mut values): (&Key, Vec<i64>)| {
        values.sort_unstable();
        let middle = values.len() / 2;
        let median = match values.len() % 2 {
            0 => values[middle - 1].midpoint(values[middle]),
            _ => values[middle],
        };
        BaselineValue {
            what: key.what.clone(),
            kind: key.kind.clone(),
            id: key.id.clone(),
            phase: key.phase.clone(),
            median_millionths: median,
            // The first run is no witness against itself.
            last_millionths: last.get(key).copied().filter(|_| earlier.len() > 1),
        }
    };
    Some(Baseline { sweep: sweep.to_owned(), runs, values: all.into_iter().map(value).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(clean: bool, value: i64) -> Measures {
        let key = Key {
            what: "gflops_fp64".to_owned(),
            kind: "device".to_owned(),
            id: "n1/0".to_owned(),
            phase: Some("hold".to_owned()),
        };
        Measures { clean, values: vec![(key, value)] }
    }

    #[test]
    fn there_is_none_before_the_first_clean_run() {
        assert_eq!(baseline("s", &[]), None);
        assert_eq!(baseline("s", &[run(false, 5)]), None);
    }

    #[test]
    fn it_is_the_median_of_the_last_ten_clean_runs_beside_the_last_of_all() {
        let first = baseline("s", &[run(true, 5)]).unwrap();
        assert_eq!((first.runs, first.values[0].median_millionths), (1, 5));
        assert_eq!(first.values[0].last_millionths, None);
        let mut runs: Vec<Measures> = (0..12).map(|value| run(true, value)).collect();
        runs.push(run(false, 99));
        let later = baseline("s", &runs).unwrap();
        // 2 to 11, whose middle lies between 6 and 7.
        assert_eq!((later.runs, later.values[0].median_millionths), (10, 6));
        assert_eq!(later.values[0].last_millionths, Some(99));
    }
}
