//! Who else it could be: parts that the rows can't tell from a suspect.

use std::collections::BTreeMap;

use super::nnls::Fit;
use super::table::Table;

/// Columns with at least this cosine are one column to a fit with noise (a proposal: no
/// published figure).
const COSINE_LEAST: f64 = 0.95;
/// A part that explains the rows alone less than a hundred times worse is not excluded:
/// natural logarithm of the likelihood ratio.
const LOG_LIKELIHOOD_DISTANCE: f64 = 4.6;

/// Parts that may stand for `suspect`, ascending, without itself.
pub(super) fn rivals(table: &Table, fit: &Fit, suspect: usize) -> Vec<usize> {
    let rows = table.columns.rows(suspect);
    let mut shared: BTreeMap<usize, usize> = BTreeMap::new();
    for row in rows {
        for part in &table.rows[*row as usize].path {
            *shared.entry(*part as usize).or_default() += 1;
        }
    }
    shared.remove(&suspect);
    let noise = variance(&fit.residual);
    let mut rivals = Vec::new();
    for (part, shared) in shared {
        let others = table.columns.rows(part).len();
        let cosine = shared as f64 / (rows.len() as f64 * others as f64).sqrt();
        if cosine >= COSINE_LEAST
            || distance(table, fit, (suspect, part), noise) < LOG_LIKELIHOOD_DISTANCE
        {
            rivals.push(part);
        }
    }
    rivals
}

/// By how much the log likelihood falls when `rival` alone stands where both may stand.
fn distance(table: &Table, fit: &Fit, (suspect, rival): (usize, usize), noise: f64) -> f64 {
    let mut freed: BTreeMap<u32, f64> = BTreeMap::new();
    for part in [suspect, rival] {
        for row in table.columns.rows(part) {
            *freed.entry(*row).or_insert(fit.residual[*row as usize]) += fit.x[part];
        }
    }
    let gain = |part: usize| {
        let rows = table.columns.rows(part);
        let sum: f64 = rows.iter().map(|row| freed[row]).sum();
        sum.max(0.0).powi(2) / rows.len().max(1) as f64
    };
    let lost = gain(suspect) - gain(rival);
    if noise > 0.0 {
        lost / (2.0 * noise)
    } else if lost > 0.0 {
        f64::INFINITY
    } else {
        0.0
    }
}

fn variance(residual: &[f64]) -> f64 {
    residual.iter().map(|r| r * r).sum::<f64>() / residual.len().max(1) as f64
}
