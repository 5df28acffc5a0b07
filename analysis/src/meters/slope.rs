//! Theil-Sen: the median of the slopes between points, which a quarter of wild points does
//! not move (Theil 1950, Sen 1968).

use crate::middle::{median, sigma};

/// Points that are compared pair by pair: more would cost time and add nothing.
pub(super) const POINTS: usize = 64;
/// Points nearer to each other than this share of the whole span say more about noise than
/// about the slope.
const LEAST_STEP: f64 = 0.2;
/// Fewer pairs than this have no median to speak of.
const LEAST_PAIRS: usize = 6;

/// A slope and how well it is known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Slope {
    pub(super) slope: f64,
    /// Standard error, from the scatter about the line.
    pub(super) error: f64,
    /// Highest less lowest x.
    pub(super) span: f64,
}

/// The slope of y over x; `None` without enough points that lie apart.
pub(super) fn theil_sen(points: &[(f64, f64)]) -> Option<Slope> {
    let points: Vec<(f64, f64)> =
        points.iter().copied().filter(|(x, y)| x.is_finite() && y.is_finite()).collect();
    let low = points.iter().map(|p| p.0).fold(f64::INFINITY, f64::min);
    let high = points.iter().map(|p| p.0).fold(f64::NEG_INFINITY, f64::max);
    let span = high - low;
    if !(span.is_finite() && span > 0.0) {
        return None;
    }
    let mut slopes = Vec::new();
    for (i, a) in points.iter().enumerate() {
        for b in &points[i + 1..] {
            if (b.0 - a.0).abs() >= LEAST_STEP * span {
                slopes.push((b.1 - a.1) / (b.0 - a.0));
            }
        }
    }
    if slopes.len() < LEAST_PAIRS {
        return None;
    }
    let slope = median(&slopes)?;
    let rest: Vec<f64> = points.iter().map(|(x, y)| y - slope * x).collect();
    let scatter = sigma(&rest, median(&rest)?)?;
    let n = points.len() as f64;
    let mean = points.iter().map(|p| p.0).sum::<f64>() / n;
    let squares: f64 = points.iter().map(|p| (p.0 - mean) * (p.0 - mean)).sum();
    Some(Slope { slope, error: scatter / squares.sqrt(), span })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// 10 milliohm at 240 V: a kilowatt is 4.17 A, which drop 0.042 V.
    #[test]
    fn ten_milliohm_at_240_volt_sag_by_42_millivolt_a_kilowatt() {
        let volts = |kw: f64| 240.0 - 0.010 * kw * 1000.0 / 240.0;
        let mut points: Vec<_> = (0..20).map(|i| (f64::from(i), volts(f64::from(i)))).collect();
        points[3].1 = 0.0;
        points[11].1 = 500.0;
        let found = theil_sen(&points).unwrap();
        assert!((found.slope + 0.042).abs() < 0.0005, "{found:?}");
        assert_eq!(found.span, 19.0);
    }

    #[test]
    fn one_load_level_has_no_slope() {
        assert_eq!(theil_sen(&[(5.0, 240.0); 40]), None);
        assert_eq!(theil_sen(&[(5.0, 240.0), (6.0, 239.0)]), None);
        assert_eq!(theil_sen(&[]), None);
    }

    proptest! {
        #[test]
        fn no_point_panics(points in prop::collection::vec((any::<f64>(), any::<f64>()), 0..30)) {
            let _ = theil_sen(&points);
        }
    }
}
