//! Reconciliation: what devices say of their power, against what nodes and supplies say.
//!
//! A device's own watts are off by a gain of its own, five percent or more (Yang, Adámek
//! and Armour, "Part-time power measurements", SC24); a supply's meter is good to about
//! one. The ratio also holds what devices don't draw: fans, processors, losses.

use std::collections::BTreeMap;

use model::Metric;
use model::site::{DomainIx, DomainKind};

use super::Board;
use crate::digest::meters::{Line, Quantity};
use crate::digest::telemetry::{CellKey, Telemetry};
use crate::middle::{median, sigma};

/// Sums of one phase held against each other.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reconciliation {
    pub(crate) phase: String,
    /// Sum of the devices over the supply's meter, by supply.
    pub(crate) devices: Vec<(DomainIx, f64)>,
    /// Middle of those, and their scatter about it as a share: the stated gain error.
    pub(crate) gain: f64,
    pub(crate) gain_error: Option<f64>,
    /// Sum of the nodes' own meters over the supply's meter, by supply.
    pub(crate) nodes: Vec<(DomainIx, f64)>,
}

/// One phase: its span, and each node's devices' watts.
struct Load {
    phase: String,
    span: (i64, i64),
    watts: BTreeMap<String, f64>,
}

/// The phase with the most watts; `None` without power of devices or supplies.
pub(super) fn reconciliation(telemetry: &Telemetry, board: &Board) -> Option<Reconciliation> {
    let load = heaviest(telemetry)?;
    let (from, to) = load.span;
    let kind = [DomainKind::Pdu, DomainKind::PowerShelf, DomainKind::PsuGroup, DomainKind::Feed]
        .into_iter()
        .find(|kind| board.site.of_kind(*kind).any(|ix| board.power_of(ix).is_some()))?;
    let mut found = Reconciliation {
        phase: load.phase.clone(),
        devices: Vec::new(),
        gain: f64::NAN,
        gain_error: None,
        nodes: Vec::new(),
    };
    for ix in board.site.of_kind(kind) {
        let Some(kw) = board.power_of(ix).and_then(|t| t.mean_between(from, to)) else { continue };
        if kw <= 0.0 {
            continue;
        }
        let devices = share_of(board, ix, |node| load.watts.get(node).map(|w| w / 1000.0));
        found.devices.extend(devices.map(|sum| (ix, sum / kw)));
        let meter = |node: &str| {
            board.meters.trace(node, Quantity::PowerKw, Line::Whole)?.mean_between(from, to)
        };
        found.nodes.extend(share_of(board, ix, meter).map(|sum| (ix, sum / kw)));
    }
    let ratios: Vec<f64> = found.devices.iter().map(|(_, ratio)| *ratio).collect();
    if let Some(gain) = median(&ratios).filter(|gain| *gain > 0.0) {
        found.gain = gain;
        found.gain_error = (ratios.len() > 1).then(|| sigma(&ratios, gain)).flatten();
        found.gain_error = found.gain_error.map(|sigma| sigma / gain);
    }
    (!found.devices.is_empty() || !found.nodes.is_empty()).then_some(found)
}

/// A supply's share of its nodes' sum: a node with two cords draws half from each. `None`
/// unless every node said something.
fn share_of(board: &Board, ix: DomainIx, of: impl Fn(&str) -> Option<f64>) -> Option<f64> {
    let site = board.site;
    let members = site.members(ix);
    let mut sum = 0.0;
    for node in members {
        let cords = site.ancestors_of_kind(*node, site.domain(ix).kind).count().max(1);
        sum += of(&site.node(*node).name)? / cords as f64;
    }
    (!members.is_empty()).then_some(sum)
}

fn heaviest(telemetry: &Telemetry) -> Option<Load> {
    let mut phases: BTreeMap<&str, Load> = BTreeMap::new();
    for (device, cells) in telemetry.devices() {
        for (CellKey { phase, .. }, cell) in cells {
            let (Some(watts), Some(span)) = (cell.median(Metric::PowerW), cell.span_ns()) else {
                continue;
            };
            let load = phases.entry(phase).or_insert_with(|| Load {
                phase: phase.clone(),
                span,
                watts: BTreeMap::new(),
            });
            load.span = (load.span.0.min(span.0), load.span.1.max(span.1));
            *load.watts.entry(device.node.clone()).or_default() += watts;
        }
    }
    let total = |load: &Load| load.watts.values().sum::<f64>();
    phases.into_values().max_by(|a, b| total(a).total_cmp(&total(b)))
}
