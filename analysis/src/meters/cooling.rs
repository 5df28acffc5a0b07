//! Cooling loops: supply, return, flow, the heat that they carry off, and whether that fits
//! the electricity that goes in.

use std::collections::BTreeMap;

use model::Metric;
use model::site::{DomainIx, Family};

use super::Board;
use crate::diagnose::cohort::{LEAST_MEMBERS, limits};
use crate::digest::meters::{Line, Quantity, in_bins, meeting_width};
use crate::digest::telemetry::Telemetry;
use crate::middle::{median, sigma};

/// kW = L/min x K / this, for water near 30 C: 60 s / (0.995 kg/L x 4.18 kJ/(kg K)).
/// A quarter of propylene glycol (PG25) takes about 14.8, so it reads 3 % too high here.
pub(crate) const LITRE_KELVIN_PER_KW: f64 = 14.4;
/// Heat is smoothed over so long: coolant needs about a minute around its loop.
const SETTLED_S: u64 = 64;
/// Instants with at least this share of the highest heat are "under load".
const HEAVY: f64 = 0.8;
/// Flow meters of plants agree to about 2 %.
const FLOW_SCATTER: f64 = 0.02;
/// A flow that is less below its siblings' than this is a setting, not a fault (proposal).
const FLOW_FLOOR: f64 = 0.15;
/// Loops with less than this share of their siblings' middle heat are not compared by flow.
const LEAST_HEAT: f64 = 0.5;
/// Temperature sensors of plants agree to about 0.3 K.
const TEMP_SCATTER_K: f64 = 0.3;

/// What one loop did.
#[derive(Debug, Clone)]
pub(crate) struct Loop {
    pub(crate) domain: DomainIx,
    pub(crate) supply_c: Option<f64>,
    pub(crate) return_c: Option<f64>,
    pub(crate) flow_lpm: Option<f64>,
    pub(crate) primary_c: Option<f64>,
    /// Lowest supply less dew point at one time, in kelvin.
    pub(crate) dew_margin_k: Option<f64>,
    /// Under load, in kW.
    pub(crate) heat_kw: Option<f64>,
    /// Heat over the electricity of what hangs on it, over the whole time.
    pub(crate) capture: Option<f64>,
    /// L/min for each kW of electricity.
    pub(crate) flow_per_kw: Option<f64>,
    /// Device over supply, by its own power: the middle of the loop's devices, in K/W.
    pub(crate) r_th_k_per_w: Option<f64>,
    /// Against siblings.
    pub(crate) supply_excess: Option<Apart>,
    pub(crate) flow_lack: Option<Apart>,
}

/// How far a value lies from its siblings' middle, towards the worse.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Apart {
    /// In the value's unit; for flow a share.
    pub(crate) by: f64,
    pub(crate) usual: f64,
    pub(crate) z: f64,
    pub(crate) cohort: usize,
}

impl Apart {
    /// `Some(true)` for believed, `Some(false)` for doubted.
    pub(crate) fn beyond(&self, floor: f64) -> Option<bool> {
        let (doubted, believed) = limits(self.cohort);
        (self.by >= floor && self.z > doubted).then_some(self.z > believed)
    }
}

impl Loop {
    /// Return less supply, in kelvin.
    pub(crate) fn rise_k(&self) -> Option<f64> {
        Some(self.return_c? - self.supply_c?)
    }

    /// Whether the loop gets too little flow: `Some(true)` believed. Too little flow for
    /// the same heat shows in the return as well; without that the flow meter lies.
    pub(crate) fn starved(&self) -> Option<bool> {
        self.flow_lack?.beyond(FLOW_FLOOR)
    }
}

/// Heat carried off, in kW.
#[must_use]
pub(super) fn heat_kw(flow_lpm: f64, rise_k: f64) -> f64 {
    flow_lpm * rise_k / LITRE_KELVIN_PER_KW
}

pub(super) fn loops(telemetry: &Telemetry, board: &Board) -> Vec<Loop> {
    let mut loops: Vec<Loop> =
        board.metered(Family::Cooling).filter_map(|(ix, _)| measure(board, ix)).collect();
    let hottest = hottest(telemetry);
    for cooled in &mut loops {
        cooled.r_th_k_per_w = r_th(board, cooled, &hottest);
    }
    let mut kinds: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (position, cooled) in loops.iter().enumerate() {
        kinds.entry(board.site.domain(cooled.domain).kind.word()).or_default().push(position);
    }
    for positions in kinds.values() {
        let supplies = apart(&loops, positions, |l| l.supply_c, |_| TEMP_SCATTER_K, |v, m| v - m);
        let heats: Vec<f64> = positions.iter().filter_map(|p| loops[*p].heat_kw).collect();
        // Flow for each kW says nothing of a loop whose load was shed.
        let busy = LEAST_HEAT * median(&heats).unwrap_or(f64::NAN);
        let flows = apart(
            &loops,
            positions,
            |l| l.flow_per_kw.filter(|_| l.heat_kw.is_some_and(|heat| heat >= busy)),
            |usual| FLOW_SCATTER * usual,
            |v, m| (m - v) / m,
        );
        for (position, (supply, flow)) in positions.iter().zip(supplies.into_iter().zip(flows)) {
            loops[*position].supply_excess = supply;
            loops[*position].flow_lack = flow;
        }
    }
    loops
}

/// Of each node the temperature and power of its devices where they drew most.
fn hottest(telemetry: &Telemetry) -> BTreeMap<String, Vec<(f64, f64)>> {
    let mut nodes: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
    for (device, cells) in telemetry.devices() {
        let values = cells
            .values()
            .filter_map(|cell| Some((cell.median(Metric::TempC)?, cell.median(Metric::PowerW)?)));
        if let Some(most) = values.max_by(|a, b| a.1.total_cmp(&b.1)).filter(|(_, w)| *w > 0.0) {
            nodes.entry(device.node.clone()).or_default().push(most);
        }
    }
    nodes
}

fn r_th(board: &Board, cooled: &Loop, hottest: &BTreeMap<String, Vec<(f64, f64)>>) -> Option<f64> {
    let supply = cooled.supply_c?;
    let members = board.site.members(cooled.domain).iter();
    let devices = members.filter_map(|node| hottest.get(&board.site.node(*node).name)).flatten();
    median(&devices.map(|(temp, watts)| (temp - supply) / watts).collect::<Vec<_>>())
}

/// Places each loop among its siblings; `by` is positive towards the worse.
fn apart(
    loops: &[Loop],
    positions: &[usize],
    value: impl Fn(&Loop) -> Option<f64>,
    least_sigma: impl Fn(f64) -> f64,
    by: impl Fn(f64, f64) -> f64,
) -> Vec<Option<Apart>> {
    let values: Vec<f64> = positions.iter().filter_map(|p| value(&loops[*p])).collect();
    let place = |own: f64| {
        let usual = median(&values).filter(|_| values.len() >= LEAST_MEMBERS)?;
        let sigma = sigma(&values, usual)?.max(least_sigma(usual.abs()));
        let by = by(own, usual);
        let z = (own - usual).abs() / sigma * by.signum();
        (by.is_finite() && z.is_finite()).then_some(Apart { by, usual, z, cohort: values.len() })
    };
    positions.iter().map(|p| value(&loops[*p]).and_then(place)).collect()
}

fn measure(board: &Board, ix: DomainIx) -> Option<Loop> {
    let id = &board.site.domain(ix).id;
    let trace = |quantity| board.meters.trace(id, quantity, Line::Whole);
    let mut cooled = Loop {
        domain: ix,
        supply_c: trace(Quantity::SupplyC).and_then(|t| median(&t.means(SETTLED_S))),
        return_c: trace(Quantity::ReturnC).and_then(|t| median(&t.means(SETTLED_S))),
        flow_lpm: trace(Quantity::FlowLpm).and_then(|t| median(&t.means(SETTLED_S))),
        primary_c: trace(Quantity::PrimarySupplyC).and_then(|t| median(&t.means(SETTLED_S))),
        dew_margin_k: dew_margin(board, id),
        heat_kw: None,
        capture: None,
        flow_per_kw: None,
        r_th_k_per_w: None,
        supply_excess: None,
        flow_lack: None,
    };
    let any = cooled.supply_c.or(cooled.return_c).or(cooled.flow_lpm);
    let (Some(supply), Some(back), Some(flow)) =
        (trace(Quantity::SupplyC), trace(Quantity::ReturnC), trace(Quantity::FlowLpm))
    else {
        return any.map(|_| cooled);
    };
    let width = meeting_width([supply, back, flow], SETTLED_S);
    let rows = in_bins([supply, back, flow], width);
    let heat = |row: &[f64; 3]| heat_kw(row[2], row[1] - row[0]);
    let most = rows.values().map(heat).fold(f64::NEG_INFINITY, f64::max);
    let heavy: Vec<&[f64; 3]> = rows.values().filter(|row| heat(row) >= HEAVY * most).collect();
    let of = |value: &dyn Fn(&[f64; 3]) -> f64| {
        median(&heavy.iter().map(|row| value(row)).collect::<Vec<_>>())
    };
    if most > 0.0 {
        // Under load, where it matters.
        cooled.supply_c = of(&|row| row[0]);
        cooled.return_c = of(&|row| row[1]);
        cooled.flow_lpm = of(&|row| row[2]);
        cooled.heat_kw = of(&heat);
    }
    let mean = rows.values().map(heat).sum::<f64>() / rows.len() as f64;
    let span = rows.keys().next().zip(rows.keys().next_back());
    if let Some(kw) = span.and_then(|(first, last)| {
        let ns = |bin: i64| bin.saturating_mul(width as i64).saturating_mul(1_000_000_000);
        board.electrical_kw(ix, ns(*first), ns(*last + 1).saturating_sub(1))
    }) {
        cooled.capture = Some(mean / kw).filter(|capture| capture.is_finite());
        // The electricity under load is the heat under load over what the water takes of it.
        let heavy_kw = cooled.heat_kw.zip(cooled.capture).map(|(heat, capture)| heat / capture);
        let flow_per_kw = cooled.flow_lpm.zip(heavy_kw).map(|(flow, kw)| flow / kw);
        cooled.flow_per_kw = flow_per_kw.filter(|x| x.is_finite() && *x > 0.0);
    }
    any.map(|_| cooled)
}

/// Lowest supply less dew point, in kelvin.
fn dew_margin(board: &Board, id: &str) -> Option<f64> {
    let supply = board.meters.trace(id, Quantity::SupplyC, Line::Whole)?;
    let dew = board.meters.trace(id, Quantity::DewPointC, Line::Whole)?;
    let rows = in_bins([supply, dew], meeting_width([supply, dew], SETTLED_S));
    rows.values().map(|[supply, dew]| supply - dew).reduce(f64::min)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The published table: at 1.2 L/min a kW and all heat in the water the rise is 12 K.
    #[test]
    fn heat_is_flow_times_rise_over_14_4() {
        assert!((heat_kw(1.2, 12.0) - 1.0).abs() < 1e-12);
        assert!((heat_kw(144.0, 9.6) - 96.0).abs() < 1e-9);
        // PG25 carries less: 14.8 instead of 14.4 reads 2.8 % too high.
        assert!((heat_kw(14.8, 1.0) - 1.028).abs() < 1e-3);
    }
}
