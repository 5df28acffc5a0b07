//! The one multiplicity gate: max-T permutation over every class and every signal
//! (Westfall and Young 1993). Nodes change seats within their stratum, so that the
//! correlation of signals and of nested domains is kept.

use crate::panel::Signal;

use super::class::Class;
use super::scores::Scores;
use super::shuffle::Shuffle;

/// Most shuffles: the least adjusted p is then 1 / 2,000.
const MOST: u32 = 1_999;
/// Shuffles before an early end: enough for the 95 % point of the largest contrast.
const LEAST: u32 = 199;
/// Largest contrasts at or above the observed one that end the count early: the p is then
/// known to a quarter of itself (Besag and Clifford 1991).
const ENOUGH: u32 = 16;

/// Answer of the shuffles for one observed contrast.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Chance {
    /// Share of shuffles whose largest contrast of any class and signal is at least the
    /// observed one.
    pub(super) adjusted: f64,
    /// Share of shuffles in which this class and signal alone reach it.
    pub(super) raw: f64,
    /// The 95 % point of the largest contrast.
    pub(super) limit: f64,
}

/// Shuffles nodes within strata; `observed` belongs to `classes[class]` in `signal`.
pub(super) fn chance(
    scores: &Scores,
    classes: &[Class],
    strata: &[Vec<usize>],
    (class, signal, observed): (usize, Signal, f64),
    seed: u64,
) -> Chance {
    let mut shuffle = Shuffle::new(seed);
    let mut seat: Vec<usize> = (0..scores.len()).collect();
    let (mut largest, mut beyond, mut alone) = (Vec::new(), 0_u32, 0_u32);
    // A shuffle that gives the observed sum again differs from it by rounding only.
    let least = observed * (1.0 - 1e-9);
    for done in 1..=MOST {
        for stratum in strata {
            let mut order = stratum.clone();
            shuffle.shuffle(&mut order);
            for (position, node) in stratum.iter().zip(order) {
                seat[*position] = node;
            }
        }
        let mut most = f64::NEG_INFINITY;
        for (at, candidate) in classes.iter().enumerate() {
            let contrast = scores.contrast(candidate, &seat);
            most = contrast.iter().copied().fold(most, f64::max);
            alone += u32::from(at == class && contrast[signal.index()] >= least);
        }
        largest.push(most);
        beyond += u32::from(most >= least);
        if beyond >= ENOUGH && done >= LEAST {
            break;
        }
    }
    largest.sort_by(f64::total_cmp);
    let done = largest.len();
    let share = |count: u32| f64::from(1 + count) / (1 + done) as f64;
    Chance {
        adjusted: share(beyond),
        raw: share(alone),
        limit: largest[(done * 95).div_ceil(100).clamp(1, done) - 1],
    }
}
