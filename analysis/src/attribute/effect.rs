//! Effects: by how much the middle of a group lies from the middle of the others.

use std::collections::BTreeSet;

use crate::middle::{median, sigma};
use crate::panel::{Signal, Values};

use super::class::Class;

/// Standard error of a median beside that of a mean, for Gaussian values: sqrt(pi / 2).
const MEDIAN_ERROR: f64 = 1.2533;
/// An effect in any direction beyond this many standard errors is explained away with the
/// rest: what a fault does to other figures is no second fault.
const EXPLAINED_Z: f64 = 2.5;

/// How a group differs in one signal. Differences are in the residual's unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct GroupEffect {
    pub(crate) signal: Signal,
    /// Middle inside minus middle outside; its sign is the sensor's.
    pub(crate) difference: f64,
    /// Robust z in the bad direction.
    pub(crate) z: f64,
    /// Robust standard deviation of nodes outside.
    pub(crate) sigma: f64,
    /// Middle outside, in the residual's unit.
    pub(crate) outside: f64,
}

/// The effect of a class in one signal; `left_out` are rows of other groups.
pub(super) fn effect(
    signal: Signal,
    residuals: &[Values],
    class: &Class,
    left_out: &BTreeSet<usize>,
) -> Option<GroupEffect> {
    let members: BTreeSet<usize> = class.nodes.iter().copied().collect();
    let value = |row: usize| residuals[row][signal.index()];
    let inside: Vec<f64> = class.nodes.iter().filter_map(|row| value(*row)).collect();
    let others =
        (0..residuals.len()).filter(|row| !members.contains(row) && !left_out.contains(row));
    let outside: Vec<f64> = others.filter_map(value).collect();
    let (middle_in, middle_out) = (middle(signal, &inside)?, middle(signal, &outside)?);
    let sigma = sigma(&outside, middle_out)?.max(signal.least_sigma());
    let difference = middle_in - middle_out;
    let error = MEDIAN_ERROR * (1.0 / inside.len() as f64 + 1.0 / outside.len() as f64).sqrt();
    let z = signal.bad() * difference / (sigma * error);
    Some(GroupEffect { signal, difference, z, sigma, outside: middle_out })
}

/// Shares of time and of nodes are mostly zero: their mean says how much there is.
fn middle(signal: Signal, values: &[f64]) -> Option<f64> {
    if signal.is_share() && !values.is_empty() {
        return Some(values.iter().sum::<f64>() / values.len() as f64);
    }
    median(values)
}

/// Takes a group's effect out of its members' residuals.
pub(super) fn explain_away(residuals: &mut [Values], class: &Class) {
    for signal in Signal::ALL {
        let Some(effect) = effect(signal, residuals, class, &BTreeSet::new()) else { continue };
        if effect.z.abs() < EXPLAINED_Z {
            continue;
        }
        for row in &class.nodes {
            if let Some(value) = &mut residuals[*row][signal.index()] {
                let shifted = *value - effect.difference;
                // A share can't be less than none: members that have none keep that.
                *value = if signal.is_share() { value.min(effect.outside) } else { shifted };
            }
        }
    }
}
