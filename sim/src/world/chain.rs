//! The two-stage thermal chain, solved exactly over an interval of constant power: each
//! stage's rise x follows dx/dt = (R P - x) / t.

/// One stage over one interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Stage {
    /// K/W.
    pub(super) r: f64,
    /// Share of the old rise that is left at the end of the interval.
    pub(super) left: f64,
    /// Share of the old rise in the mean over the interval.
    pub(super) mean: f64,
}

impl Stage {
    /// The rise at the end.
    pub(super) fn end(&self, rise: f64, power_w: f64) -> f64 {
        let steady = self.r * power_w;
        steady + (rise - steady) * self.left
    }

    /// The mean rise.
    pub(super) fn mean(&self, rise: f64, power_w: f64) -> f64 {
        let steady = self.r * power_w;
        steady + (rise - steady) * self.mean
    }

    /// Kelvin at the end per W over the interval.
    pub(super) fn gain(&self) -> f64 {
        self.r * (1.0 - self.left)
    }
}

/// What is left of a first-order deviation after `dt_s`, and its mean until then.
pub(super) fn decay(t_s: f64, dt_s: f64) -> (f64, f64) {
    let steps = dt_s / t_s;
    if steps.is_nan() || steps <= 0.0 {
        return (1.0, 1.0);
    }
    let left = (-steps).exp();
    (left, (1.0 - left) / steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn over(r: f64, t_s: f64, dt_s: f64) -> Stage {
        let (left, mean) = decay(t_s, dt_s);
        Stage { r, left, mean }
    }

    #[test]
    fn a_stage_ends_at_resistance_times_power() {
        let stage = over(0.03, 40.0, 4_000.0);
        assert!((stage.end(0.0, 700.0) - 21.0).abs() < 1e-9);
    }

    #[test]
    fn after_one_time_constant_63_percent_are_done() {
        let stage = over(0.03, 40.0, 40.0);
        let share = stage.end(0.0, 700.0) / 21.0;
        assert!((share - (1.0 - (-1.0_f64).exp())).abs() < 1e-12);
    }

    #[test]
    fn many_small_intervals_make_the_same_as_a_large_one() {
        let (small, large) = (over(0.03, 40.0, 0.5), over(0.03, 40.0, 50.0));
        let (mut rise, mut mean) = (3.0, 0.0);
        for _ in 0..100 {
            mean += small.mean(rise, 500.0) / 100.0;
            rise = small.end(rise, 500.0);
        }
        assert!((rise - large.end(3.0, 500.0)).abs() < 1e-9);
        assert!((mean - large.mean(3.0, 500.0)).abs() < 1e-9);
    }
}
