//! Stiffness: by how many volts a supply sags for a kilowatt, against its siblings.
//!
//! With both feeds up a weak feed shows nowhere else: power supplies draw constant watts
//! and take what one side lacks from the other. What lies further up sags for all siblings
//! alike; it is taken out by the siblings' median voltage at the same time.

use std::collections::BTreeMap;

use model::site::{Domain, DomainIx, Family};

use super::Board;
use super::slope::{POINTS, Slope, theil_sen};
use crate::diagnose::cohort::{LEAST_MEMBERS, limits};
use crate::digest::meters::{Line, Quantity, Trace, in_bins, meeting_width};
use crate::middle::{median, sigma};

/// Without a load step of this share of the highest power nothing is said about stiffness.
const LEAST_STEP: f64 = 0.1;
/// Impedances of healthy siblings differ at least so much, as a share: cable lengths
/// (proposal; keeps a handful of nearly equal siblings from accusing one another).
const LEAST_SCATTER: f64 = 0.05;
/// An excess below this share of the voltage, over the load range that was seen, is not
/// worth an electrician (proposal: a thirtieth of the 3 % that a supply may sag).
const FLOOR_OF_VOLTAGE: f64 = 0.001;
/// An excess below this share of the siblings' own sag is a longer cable (proposal).
const FLOOR_OF_SAG: f64 = 0.3;

/// One line of one supply.
#[derive(Debug, Clone)]
pub(crate) struct Feeder {
    pub(crate) domain: DomainIx,
    pub(crate) line: Line,
    /// Volts per kilowatt, all that lies upstream included; negative.
    pub(super) raw: Slope,
    /// Middle voltage.
    pub(crate) volts: f64,
    /// Against siblings, where there are at least three.
    pub(crate) excess: Option<Excess>,
}

/// How a feeder's own sag differs from its siblings'.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Excess {
    /// V/kW beyond the siblings' middle; negative is weaker.
    pub(crate) v_per_kw: f64,
    /// Siblings' middle of the whole sag, V/kW.
    pub(crate) usual: f64,
    pub(crate) z: f64,
    /// Feeders of the same sort in the whole site.
    pub(crate) cohort: usize,
    /// Large enough to matter.
    pub(crate) matters: bool,
}

impl Excess {
    /// `Some(true)` for believed, `Some(false)` for doubted, `None` for healthy.
    pub(crate) fn weak(&self) -> Option<bool> {
        let (doubted, believed) = limits(self.cohort);
        (self.matters && self.z > doubted).then_some(self.z > believed)
    }
}

impl Feeder {
    /// V/kW, all that lies upstream included.
    pub(crate) fn v_per_kw(&self) -> f64 {
        self.raw.slope
    }

    /// Sag over the load range that was seen, in percent of the voltage.
    pub(crate) fn sag_percent(&self) -> f64 {
        (-self.raw.slope * self.raw.span / self.volts * 100.0).max(0.0)
    }

    /// The load range that was seen, in kW.
    pub(crate) fn span_kw(&self) -> f64 {
        self.raw.span
    }
}

/// What makes feeders siblings: kind, line, side and what they hang from.
type Siblings = (String, Line, Option<String>, Vec<String>);

/// A voltage and the power of the same line, with what scales power to kilowatts.
struct Pair<'a> {
    volts: &'a Trace,
    load: &'a Trace,
    /// The load is a current; kW = A x V / 1000 x this (1 for a phase).
    current: bool,
}

impl Pair<'_> {
    fn rows(&self, width_s: u64) -> BTreeMap<i64, (f64, f64)> {
        let rows = in_bins([self.load, self.volts], width_s).into_iter();
        let kw = |[load, volts]: [f64; 2]| {
            (if self.current { load * volts / 1000.0 } else { load }, volts)
        };
        rows.map(|(at, row)| (at, kw(row))).collect()
    }
}

/// Every feeder whose voltage and power were both seen to move.
pub(super) fn feeders(board: &Board) -> Vec<Feeder> {
    let mut groups: BTreeMap<Siblings, Vec<(DomainIx, Pair)>> = BTreeMap::new();
    for (ix, domain) in board.metered(Family::Power) {
        for line in [Line::Whole, Line::L1, Line::L2, Line::L3] {
            if let Some(pair) = pair(board, domain, line) {
                groups.entry(siblings(board, domain, line)).or_default().push((ix, pair));
            }
        }
    }
    let mut feeders: Vec<(String, Feeder, Option<Slope>)> = Vec::new();
    for ((kind, line, _, _), members) in &groups {
        let found = group(members, *line);
        feeders.extend(found.into_iter().map(|(feeder, own)| (kind.clone(), feeder, own)));
    }
    place(feeders)
}

fn siblings(board: &Board, domain: &Domain, line: Line) -> Siblings {
    let is_power = |id: &&String| {
        let ix = board.site.domain_ix(id);
        ix.is_some_and(|ix| board.site.domain(ix).kind.family() == Family::Power)
    };
    let mut above: Vec<String> = domain.within.iter().filter(is_power).cloned().collect();
    above.sort();
    (domain.kind.word().to_owned(), line, domain.side.clone(), above)
}

fn pair<'a>(board: &Board<'a>, domain: &Domain, line: Line) -> Option<Pair<'a>> {
    let trace = |quantity, line| board.meters.trace(&domain.id, quantity, line);
    let volts = trace(Quantity::VoltageV, line)?;
    let power = trace(Quantity::PowerKw, line).map(|load| (load, false));
    let current = || trace(Quantity::CurrentA, line).map(|load| (load, true));
    // A line's voltage beside the whole's power still says how the line sags.
    let whole = || trace(Quantity::PowerKw, Line::Whole).map(|load| (load, false));
    let (load, current) = power.or_else(current).or_else(whole)?;
    Some(Pair { volts, load, current })
}

/// The feeders of one group of siblings, each with its slope against the siblings' voltage.
fn group(members: &[(DomainIx, Pair)], line: Line) -> Vec<(Feeder, Option<Slope>)> {
    let width = members.iter().map(|(_, pair)| {
        let points = (pair.load.seconds() / POINTS as f64).ceil() as u64;
        meeting_width([pair.load, pair.volts], points)
    });
    let width = width.max().unwrap_or(1);
    let rows: Vec<_> = members.iter().map(|(_, pair)| pair.rows(width)).collect();
    // Each against its own middle: an offset of one meter must not show when another is
    // silent for a while.
    let offset = |rows: &BTreeMap<i64, (f64, f64)>| {
        median(&rows.values().map(|(_, volts)| *volts).collect::<Vec<_>>()).unwrap_or(0.0)
    };
    let mut voltages: BTreeMap<i64, Vec<f64>> = BTreeMap::new();
    for rows in &rows {
        let own = offset(rows);
        for (at, (_, volts)) in rows {
            voltages.entry(*at).or_default().push(volts - own);
        }
    }
    voltages.retain(|_, volts| volts.len() * 4 >= members.len() * 3);
    let middle: BTreeMap<i64, f64> =
        voltages.iter().filter_map(|(at, volts)| Some((*at, median(volts)?))).collect();
    let found = members.iter().zip(&rows).filter_map(|((domain, _), rows)| {
        let own: Vec<(f64, f64)> = rows.values().copied().collect();
        let raw = theil_sen(&own)?;
        let most_kw = own.iter().map(|(kw, _)| *kw).fold(f64::NEG_INFINITY, f64::max);
        let volts = median(&own.iter().map(|(_, volts)| *volts).collect::<Vec<_>>())?;
        let usable = raw.span >= LEAST_STEP * most_kw && volts > 0.0;
        let apart: Vec<(f64, f64)> = rows
            .iter()
            .filter_map(|(at, (kw, volts))| Some((*kw, volts - middle.get(at)?)))
            .collect();
        let own = if members.len() >= LEAST_MEMBERS { theil_sen(&apart) } else { None };
        let feeder = Feeder { domain: *domain, line, raw, volts, excess: None };
        usable.then_some((feeder, own))
    });
    found.collect()
}

/// Places every feeder among all of its kind in the site: one cohort, one limit.
fn place(mut feeders: Vec<(String, Feeder, Option<Slope>)>) -> Vec<Feeder> {
    let mut kinds: BTreeMap<String, (Vec<f64>, Vec<f64>)> = BTreeMap::new();
    for (kind, feeder, own) in &feeders {
        if let Some(own) = own {
            let (excess, whole) = kinds.entry(kind.clone()).or_default();
            excess.push(own.slope);
            whole.push(feeder.raw.slope);
        }
    }
    for (kind, feeder, own) in &mut feeders {
        let (Some(own), Some((excess, whole))) = (own, kinds.get(kind)) else { continue };
        let (Some(centre), Some(usual)) = (median(excess), median(whole)) else { continue };
        let scatter = sigma(excess, centre).unwrap_or(0.0);
        let sigma = scatter.max(LEAST_SCATTER * usual.abs()).hypot(own.error);
        let v_per_kw = own.slope - centre;
        let matters = -v_per_kw * feeder.raw.span >= FLOOR_OF_VOLTAGE * feeder.volts
            && -v_per_kw >= FLOOR_OF_SAG * usual.abs();
        let z = if sigma > 0.0 { -v_per_kw / sigma } else { 0.0 };
        feeder.excess = Some(Excess { v_per_kw, usual, z, cohort: excess.len(), matters });
    }
    feeders.into_iter().map(|(_, feeder, _)| feeder).collect()
}
