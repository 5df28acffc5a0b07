//! A node on the panel: the unit of every group test.

use std::collections::BTreeMap;

use model::site::NodeIx;

use super::{Panel, Signal, Values};
use crate::middle::median;

/// A node that covers this share of a phase was there while it ran.
const PRESENT_SHARE: f64 = 0.8;
/// A node whose last sample lies this share of the record before the others' fell silent.
const SILENT_SHARE: f64 = 0.05;

/// One node and how it compares.
#[derive(Debug, Clone, PartialEq)]
pub struct PanelNode {
    pub name: String,
    /// Position in the site; `None` when the site does not know it.
    pub site: Option<NodeIx>,
    /// Nodes are exchanged with nodes of one model only.
    pub model: String,
    /// Positions in [`super::Panel::devices`].
    pub devices: Vec<usize>,
    /// Middle of its devices' values.
    pub values: Values,
    /// Middle of its devices' residuals; the mean for shares of time.
    pub residuals: Values,
    /// Earliest and latest sample under load; `None` when it never reported.
    pub span_ns: Option<(i64, i64)>,
    /// It reported, then fell silent while others went on.
    pub fell_silent: bool,
}

impl PanelNode {
    pub(super) fn new(name: &str, site: Option<NodeIx>, model: String) -> Self {
        Self {
            name: name.to_owned(),
            site,
            model,
            devices: Vec::new(),
            values: Values::default(),
            residuals: Values::default(),
            span_ns: None,
            fell_silent: false,
        }
    }

    /// Whether it was sampled under load at all.
    #[must_use]
    pub fn reports(&self) -> bool {
        !self.devices.is_empty()
    }
}

/// Folds devices into nodes, and says who fell silent.
pub(super) fn fold(panel: &mut Panel) {
    for node in &mut panel.nodes {
        let devices: Vec<_> = node.devices.iter().map(|at| &panel.devices[*at]).collect();
        for signal in Signal::ALL {
            let i = signal.index();
            let residuals: Vec<f64> = devices.iter().filter_map(|d| d.residuals[i]).collect();
            let values: Vec<f64> = devices.iter().filter_map(|d| d.values[i]).collect();
            let is_share = signal.is_share();
            node.residuals[i] = if is_share { mean(&residuals) } else { median(&residuals) };
            node.values[i] = median(&values);
        }
        let spans = devices.iter().flat_map(|device| &device.cells).map(|cell| cell.span_ns);
        node.span_ns = spans.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
    }
    panel.concurrent = concurrent(panel);
    if panel.concurrent {
        mark_silent(panel);
    }
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// Most nodes were there for most of each phase.
fn concurrent(panel: &Panel) -> bool {
    let mut phases: BTreeMap<&str, (i64, i64, Vec<f64>)> = BTreeMap::new();
    for (from, to, phase) in spans(panel) {
        let seen = phases.entry(phase).or_insert((from, to, Vec::new()));
        (seen.0, seen.1) = (seen.0.min(from), seen.1.max(to));
    }
    for (from, to, phase) in spans(panel) {
        if let Some(seen) = phases.get_mut(phase) {
            let whole = (seen.1.saturating_sub(seen.0)) as f64;
            let share = if whole > 0.0 { to.saturating_sub(from) as f64 / whole } else { 1.0 };
            seen.2.push(share);
        }
    }
    !phases.is_empty()
        && phases.values().all(|(_, _, shares)| {
            let present = shares.iter().filter(|share| **share >= PRESENT_SHARE).count();
            present as f64 >= PRESENT_SHARE * shares.len() as f64 - 1e-9
        })
}

fn spans(panel: &Panel) -> impl Iterator<Item = (i64, i64, &str)> {
    let cells = panel.devices.iter().flat_map(|device| &device.cells);
    cells.map(|cell| (cell.span_ns.0, cell.span_ns.1, cell.phase.as_str()))
}

fn mark_silent(panel: &mut Panel) {
    let spans: Vec<(i64, i64)> = panel.nodes.iter().filter_map(|node| node.span_ns).collect();
    let (Some(first), Some(last)) =
        (spans.iter().map(|span| span.0).min(), spans.iter().map(|span| span.1).max())
    else {
        return;
    };
    let allowed = (last.saturating_sub(first) as f64 * SILENT_SHARE) as i64;
    for node in &mut panel.nodes {
        let silent = node.span_ns.map(|span| last.saturating_sub(span.1) > allowed);
        node.fell_silent = silent == Some(true);
        node.residuals[Signal::Silent.index()] = silent.map(|silent| f64::from(u8::from(silent)));
    }
}
