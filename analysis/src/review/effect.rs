//! How large an effect must be to be seen.
//!
//! A group's effect is the difference of two medians of nodes, inside and outside. Its
//! standard error is sigma x 1.2533 x sqrt(1/n_in + 1/n_out): 1.2533 = sqrt(pi / 2) is what
//! a median loses against a mean. With one-sided limits z_alpha for the false alarms and
//! z_beta for the misses, an effect of (z_alpha + z_beta) standard errors is found with the
//! chance that z_beta stands for.

use serde::Serialize;

use model::policy::Floors;

/// sqrt(pi / 2): the standard error of a median beside that of a mean.
const MEDIAN_LOSS: f64 = 1.253_314_137_315_500_3;
/// An effect that is called detectable is found nine times in ten.
const POWER: f64 = 0.9;

/// Robust standard deviation (1.4826 MAD) of healthy nodes of one model about their
/// middle, once slots are taken out. Assumed until a fleet's own spread is known.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Sigmas {
    pub temp_k: f64,
    pub power_percent: f64,
    pub clock_percent: f64,
    pub r_th_percent: f64,
}

/// The spreads that are assumed: of the order that published fleets show (V100: between
/// devices 2 % of work per second, 2 K over nodes once the slot is taken out).
pub const SIGMAS: Sigmas =
    Sigmas { temp_k: 2.0, power_percent: 2.0, clock_percent: 1.0, r_th_percent: 5.0 };

/// Smallest effects that a group test sees nine times in ten; never below the policy's
/// floors, because smaller ones are no findings.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Detectable {
    /// Nodes inside and outside, of the smallest group that can be tested.
    pub nodes_in: u32,
    pub nodes_out: u32,
    pub temp_k: f64,
    pub power_percent: f64,
    pub clock_percent: f64,
    pub r_th_percent: f64,
}

/// The smallest effects of a group of nodes among others, when so many groups are tested
/// that a false alarm in any of them has the policy's share.
pub(super) fn detectable(
    floors: &Floors,
    (nodes_in, nodes_out): (u32, u32),
    groups: usize,
) -> Detectable {
    let alpha = floors.q_value_most / groups.max(1) as f64;
    let z = normal_quantile(1.0 - alpha) + normal_quantile(POWER);
    let (inside, outside) = (f64::from(nodes_in), f64::from(nodes_out));
    let errors = z * MEDIAN_LOSS * (1.0 / inside + 1.0 / outside).sqrt();
    Detectable {
        nodes_in,
        nodes_out,
        temp_k: (errors * SIGMAS.temp_k).max(floors.temp_k),
        power_percent: (errors * SIGMAS.power_percent).max(floors.power_percent),
        clock_percent: (errors * SIGMAS.clock_percent).max(floors.clock_percent),
        r_th_percent: (errors * SIGMAS.r_th_percent).max(floors.r_th_percent),
    }
}

/// The value below which a standard normal variable stays with chance `p`; bisection on
/// the tail, because nothing here is in a hurry. Ends of the range stand for 0 and 1.
fn normal_quantile(p: f64) -> f64 {
    const FURTHEST: f64 = 9.0;
    const HALVINGS: u32 = 60;
    let (mut low, mut high) = (-FURTHEST, FURTHEST);
    for _ in 0..HALVINGS {
        let middle = 0.5 * (low + high);
        if normal_below(middle) < p { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

/// Chance that a standard normal variable stays below z. Zelen and Severo, Abramowitz and
/// Stegun 26.2.17: absolute error below 7.5e-8.
fn normal_below(z: f64) -> f64 {
    const P: f64 = 0.231_641_9;
    const B: [f64; 5] =
        [0.319_381_530, -0.356_563_782, 1.781_477_937, -1.821_255_978, 1.330_274_429];
    let t = 1.0 / (1.0 + P * z.abs());
    let series = B.iter().rev().fold(0.0, |sum, b| (sum + b) * t);
    let density = (-0.5 * z * z).exp() / (2.0 * std::f64::consts::PI).sqrt();
    let above = density * series;
    if z >= 0.0 { 1.0 - above } else { above }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_printed_tables() {
        for (p, z) in [(0.5, 0.0), (0.9, 1.281_55), (0.975, 1.959_96), (0.999, 3.090_23)] {
            assert!((normal_quantile(p) - z).abs() < 1e-4, "{p}");
        }
    }

    #[test]
    fn larger_groups_show_smaller_effects_down_to_the_floor() {
        let floors = Floors::default();
        let small = detectable(&floors, (3, 29), 8);
        let large = detectable(&floors, (500, 500), 8);
        // (2.4977 + 1.2816) x 2 K x 1.2533 x sqrt(1/3 + 1/29)
        assert!((small.temp_k - 5.745).abs() < 0.01, "{}", small.temp_k);
        assert_eq!(large.temp_k, floors.temp_k);
    }
}
