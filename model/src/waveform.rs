//! The level of a load over time, as a pure function of the time since its start: the same
//! after an hour as after a second, for nothing is summed up on the way.

use serde::{Deserialize, Serialize};

/// The level of a load over time: 0 is idle, 1 is all that the device can do.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Waveform {
    /// One level throughout.
    Hold { level: f64 },
    /// Straight from one level to another over `over_ns`, then the last level.
    Ramp { from: f64, to: f64, over_ns: u64 },
    /// `high` for the first half of each period, `low` for the second.
    Square { low: f64, high: f64, period_ns: u64 },
    /// A sine between two levels, from the lower one.
    Sine { low: f64, high: f64, period_ns: u64 },
    /// Low; from `up_ns` on to high and from `down_ns` on back, each over `over_ns`.
    Pulse { low: f64, high: f64, up_ns: u64, down_ns: u64, over_ns: u64 },
    /// From low to high in equal steps: the first at the start, the last to high.
    Stairs { low: f64, high: f64, steps: u32, step_ns: u64 },
    /// Compute and all-reduce in turn for `every_ns`, then a checkpoint, and again.
    Training {
        compute: f64,
        reduce: f64,
        checkpoint: f64,
        compute_ns: u64,
        reduce_ns: u64,
        every_ns: u64,
        checkpoint_ns: u64,
    },
}

impl Waveform {
    /// The level at `t_ns` after the start, in 0..=1.
    #[must_use]
    pub fn level_at(self, t_ns: u64) -> f64 {
        let level = match self {
            Self::Hold { level } => level,
            Self::Ramp { from, to, over_ns } => from + (to - from) * share(t_ns, over_ns),
            Self::Square { low, high, period_ns } => {
                let first_half = period_ns == 0 || (t_ns % period_ns) * 2 < period_ns;
                if first_half { high } else { low }
            }
            Self::Sine { low, high, period_ns } => {
                let turn = (t_ns % period_ns.max(1)) as f64 / period_ns.max(1) as f64;
                low + (high - low) * 0.5 * (1.0 - (std::f64::consts::TAU * turn).cos())
            }
            Self::Pulse { low, high, up_ns, down_ns, over_ns } => {
                let up = t_ns.checked_sub(up_ns).map_or(0.0, |since| share(since, over_ns));
                let down = t_ns.checked_sub(down_ns).map_or(0.0, |since| share(since, over_ns));
                low + (high - low) * (up - down).max(0.0)
            }
            Self::Stairs { low, high, steps, step_ns } => {
                let step = (t_ns / step_ns.max(1)).min(u64::from(steps.max(1)) - 1) + 1;
                low + (high - low) * step as f64 / f64::from(steps.max(1))
            }
            Self::Training { compute, reduce, checkpoint, compute_ns, every_ns, .. } => {
                match self.within_training(t_ns) {
                    within if within >= every_ns => checkpoint,
                    within if within % self.iteration_ns() < compute_ns => compute,
                    _ => reduce,
                }
            }
        };
        if level.is_finite() { level.clamp(0.0, 1.0) } else { 0.0 }
    }

    /// The mean level between two instants after the start, in seconds.
    #[must_use]
    pub fn mean(self, from_s: f64, to_s: f64) -> f64 {
        if to_s - from_s <= 0.0 {
            return self.level_at((from_s.max(0.0) * 1e9) as u64);
        }
        let (low, high) = self.range();
        ((self.until(to_s) - self.until(from_s)) / (to_s - from_s)).clamp(low, high)
    }

    /// Level times seconds from the start to an instant.
    fn until(self, t_s: f64) -> f64 {
        let s = |ns: u64| ns as f64 / 1e9;
        match self {
            Self::Hold { level } => level * t_s,
            Self::Ramp { from, to, over_ns } => from * t_s + (to - from) * risen(t_s, s(over_ns)),
            Self::Square { low, high, period_ns } => {
                let period_s = s(period_ns.max(1));
                let high_s = (t_s / period_s).floor() * period_s / 2.0
                    + t_s.rem_euclid(period_s).min(period_s / 2.0);
                low * t_s + (high - low) * high_s
            }
            Self::Sine { low, high, period_ns } => {
                let turn = std::f64::consts::TAU / s(period_ns.max(1));
                low * t_s + (high - low) * 0.5 * (t_s - (turn * t_s).sin() / turn)
            }
            Self::Pulse { low, high, up_ns, down_ns, over_ns } => {
                let over_s = s(over_ns);
                let high_s = risen(t_s - s(up_ns), over_s) - risen(t_s - s(down_ns), over_s);
                low * t_s + (high - low) * high_s
            }
            Self::Stairs { low, high, steps, step_ns } => {
                let (steps, step_s) = (steps.max(1), s(step_ns.max(1)));
                let done = (t_s / step_s).floor().min(f64::from(steps - 1));
                let inside =
                    (done * (done + 1.0) / 2.0) * step_s + (done + 1.0) * (t_s - done * step_s);
                low * t_s + (high - low) * inside / f64::from(steps)
            }
            Self::Training {
                compute,
                reduce,
                checkpoint,
                compute_ns,
                reduce_ns,
                every_ns,
                checkpoint_ns,
            } => {
                let iterations = |t_s: f64| {
                    let iteration_s = s(compute_ns + reduce_ns).max(1e-9);
                    let compute_s = (t_s / iteration_s).floor() * s(compute_ns)
                        + t_s.rem_euclid(iteration_s).min(s(compute_ns));
                    reduce * t_s + (compute - reduce) * compute_s
                };
                let (every_s, pause_s) = (s(every_ns), s(checkpoint_ns));
                let round_s = (every_s + pause_s).max(1e-9);
                let within = t_s.rem_euclid(round_s);
                (t_s / round_s).floor() * (iterations(every_s) + checkpoint * pause_s)
                    + iterations(within.min(every_s))
                    + checkpoint * (within - every_s).max(0.0)
            }
        }
    }

    /// When the level jumps next after `t_ns`, where the levels between two jumps last at
    /// least `least_ns`: edges closer together are met by no frame.
    #[must_use]
    pub fn edge_after(self, t_ns: u64, least_ns: u64) -> Option<u64> {
        let beyond = |edges: &[u64]| edges.iter().copied().find(|edge| *edge > t_ns);
        match self {
            Self::Hold { .. } | Self::Ramp { .. } | Self::Sine { .. } => None,
            Self::Square { period_ns, .. } => {
                let half = period_ns.div_ceil(2);
                let began = t_ns - t_ns.checked_rem(period_ns)?;
                let far = period_ns >= least_ns.saturating_mul(2);
                if far { beyond(&[began + half, began + period_ns]) } else { None }
            }
            Self::Pulse { up_ns, down_ns, over_ns, .. } => {
                if over_ns == 0 {
                    beyond(&[up_ns, down_ns])
                } else {
                    None
                }
            }
            Self::Stairs { steps, step_ns, .. } => {
                let next = t_ns / step_ns.max(1) + 1;
                (step_ns >= least_ns && next < u64::from(steps)).then(|| next * step_ns)
            }
            Self::Training { compute_ns, reduce_ns, every_ns, checkpoint_ns, .. } => {
                if compute_ns.min(reduce_ns) < least_ns {
                    return None;
                }
                let began = t_ns - self.within_training(t_ns);
                let within = t_ns - began;
                let iteration = within - within % self.iteration_ns();
                let inner = [iteration + compute_ns, iteration + self.iteration_ns()];
                let inner = inner.into_iter().filter(|edge| *edge > within && *edge < every_ns);
                let outer = [every_ns, every_ns + checkpoint_ns];
                let outer = outer.into_iter().filter(|edge| *edge > within);
                inner.chain(outer).min().map(|edge| began + edge)
            }
        }
    }

    /// The lowest and the highest level that it ever has.
    #[must_use]
    pub fn range(self) -> (f64, f64) {
        let (low, high) = match self {
            Self::Hold { level } => (level, level),
            Self::Ramp { from, to, .. } => (from.min(to), from.max(to)),
            Self::Square { low, high, .. }
            | Self::Sine { low, high, .. }
            | Self::Pulse { low, high, .. }
            | Self::Stairs { low, high, .. } => (low, high),
            Self::Training { compute, reduce, checkpoint, .. } => {
                (compute.min(reduce).min(checkpoint), compute.max(reduce).max(checkpoint))
            }
        };
        (low.clamp(0.0, 1.0), high.clamp(0.0, 1.0))
    }

    /// Repetitions a second, of shapes that repeat.
    #[must_use]
    pub fn hz(self) -> Option<f64> {
        let period_ns = match self {
            Self::Square { period_ns, .. } | Self::Sine { period_ns, .. } => period_ns,
            Self::Training { .. } => self.iteration_ns(),
            _ => return None,
        };
        Some(1e9 / period_ns.max(1) as f64)
    }

    /// Time after which it repeats; `None` for what does not.
    #[must_use]
    pub fn period_ns(self) -> Option<u64> {
        match self {
            Self::Square { period_ns, .. } | Self::Sine { period_ns, .. } => {
                Some(period_ns).filter(|period_ns| *period_ns > 0)
            }
            Self::Training { .. } => Some(self.iteration_ns()),
            Self::Hold { .. } | Self::Ramp { .. } | Self::Pulse { .. } | Self::Stairs { .. } => {
                None
            }
        }
    }

    fn iteration_ns(self) -> u64 {
        match self {
            Self::Training { compute_ns, reduce_ns, .. } => {
                compute_ns.saturating_add(reduce_ns).max(1)
            }
            _ => 1,
        }
    }

    /// Time since the last checkpoint of a training ended.
    fn within_training(self, t_ns: u64) -> u64 {
        match self {
            Self::Training { every_ns, checkpoint_ns, .. } => {
                t_ns % every_ns.saturating_add(checkpoint_ns).max(1)
            }
            _ => t_ns,
        }
    }
}

/// How much of a change that takes `over_ns` is done after `since_ns`.
fn share(since_ns: u64, over_ns: u64) -> f64 {
    if over_ns == 0 { 1.0 } else { (since_ns as f64 / over_ns as f64).min(1.0) }
}

/// Seconds at the top, of a rise that begins at 0 and takes `over_s`; a slope counts half.
fn risen(t_s: f64, over_s: f64) -> f64 {
    match t_s {
        t_s if t_s <= 0.0 => 0.0,
        t_s if t_s < over_s => t_s * t_s / (2.0 * over_s),
        t_s => t_s - over_s / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const S: u64 = 1_000_000_000;

    #[test]
    fn a_ramp_is_straight_and_stays_at_its_end() {
        let ramp = Waveform::Ramp { from: 0.2, to: 1.0, over_ns: 100 };
        assert_eq!(ramp.level_at(0), 0.2);
        assert!((ramp.level_at(50) - 0.6).abs() < 1e-12);
        assert_eq!(ramp.level_at(1_000), 1.0);
    }

    #[test]
    fn a_square_is_high_first() {
        let square = Waveform::Square { low: 0.1, high: 0.9, period_ns: 10 };
        let levels: Vec<f64> = [0, 4, 5, 9, 10].map(|t| square.level_at(t)).to_vec();
        assert_eq!(levels, [0.9, 0.9, 0.1, 0.1, 0.9]);
    }

    #[test]
    fn a_sine_begins_low_and_is_high_in_the_middle() {
        let sine = Waveform::Sine { low: 0.2, high: 0.8, period_ns: 4 * S };
        for (t, level) in [(0, 0.2), (1, 0.5), (2, 0.8), (3, 0.5), (4, 0.2)] {
            assert!((sine.level_at(t * S) - level).abs() < 1e-12, "{t}");
        }
    }

    #[test]
    fn a_pulse_goes_up_and_comes_back() {
        let pulse =
            |over_ns| Waveform::Pulse { low: 0.1, high: 0.9, up_ns: 10, down_ns: 50, over_ns };
        let at = |over_ns, times: [u64; 4]| times.map(|t| pulse(over_ns).level_at(t)).to_vec();
        assert_eq!(at(0, [9, 10, 49, 50]), [0.1, 0.9, 0.9, 0.1]);
        let sloped = at(20, [10, 20, 60, 80]);
        for (seen, level) in sloped.iter().zip([0.1, 0.5, 0.5, 0.1]) {
            assert!((seen - level).abs() < 1e-12, "{sloped:?}");
        }
    }

    #[test]
    fn stairs_end_at_the_top() {
        let stairs = Waveform::Stairs { low: 0.0, high: 1.0, steps: 4, step_ns: 10 };
        let levels = [0, 9, 10, 20, 30, 500].map(|t| stairs.level_at(t));
        assert_eq!(levels, [0.25, 0.25, 0.5, 0.75, 1.0, 1.0]);
        let edges = [0, 10, 20, 30].map(|t| stairs.edge_after(t, 1));
        assert_eq!(edges, [Some(10), Some(20), Some(30), None]);
    }

    fn training() -> Waveform {
        Waveform::Training {
            compute: 1.0,
            reduce: 0.4,
            checkpoint: 0.1,
            compute_ns: 3 * S,
            reduce_ns: S,
            every_ns: 10 * S,
            checkpoint_ns: 5 * S,
        }
    }

    #[test]
    fn training_computes_reduces_and_pauses() {
        let levels = [0, 2, 3, 4, 8, 10, 14, 15, 18].map(|t| training().level_at(t * S));
        assert_eq!(levels, [1.0, 1.0, 0.4, 1.0, 1.0, 0.1, 0.1, 1.0, 0.4]);
        let edges = [0, 3, 8, 10, 14, 15].map(|t| training().edge_after(t * S, 1).unwrap() / S);
        assert_eq!(edges, [3, 4, 10, 15, 15, 18]);
    }

    fn any() -> impl Strategy<Value = Waveform> {
        let level = || 0.0f64..=1.0;
        let levels = || (level(), level()).prop_map(|(a, b)| (a.min(b), a.max(b)));
        let ns = || 1_000_000u64..10_000_000_000;
        prop_oneof![
            (level(), level(), ns()).prop_map(|(from, to, over_ns)| Waveform::Ramp {
                from,
                to,
                over_ns
            }),
            (levels(), ns()).prop_map(|((low, high), period_ns)| Waveform::Square {
                low,
                high,
                period_ns
            }),
            (levels(), ns()).prop_map(|((low, high), period_ns)| Waveform::Sine {
                low,
                high,
                period_ns
            }),
            (levels(), ns(), ns(), ns()).prop_map(|((low, high), up_ns, high_ns, over_ns)| {
                Waveform::Pulse { low, high, up_ns, down_ns: up_ns + over_ns + high_ns, over_ns }
            }),
            (levels(), 0u32..99, ns()).prop_map(|((low, high), steps, step_ns)| {
                Waveform::Stairs { low, high, steps, step_ns }
            }),
            ((level(), level(), level()), (ns(), ns(), ns(), ns())).prop_map(
                |((compute, reduce, checkpoint), (compute_ns, reduce_ns, every_ns, pause))| {
                    Waveform::Training {
                        compute,
                        reduce,
                        checkpoint,
                        compute_ns,
                        reduce_ns,
                        every_ns,
                        checkpoint_ns: pause,
                    }
                }
            ),
        ]
    }

    proptest! {
        #[test]
        fn levels_are_bounded_for_a_month(waveform in any(), t_ns in 0u64..2_678_400_000_000_000) {
            prop_assert!((0.0..=1.0).contains(&waveform.level_at(t_ns)));
        }

        #[test]
        fn the_phase_is_exact_after_hours(
            period_ns in 20_000_000u64..10_000_000_000, turns in 0u64..100_000, within in 0u64..10_000_000_000,
        ) {
            let within = within % period_ns;
            for waveform in [
                Waveform::Square { low: 0.1, high: 0.9, period_ns },
                Waveform::Sine { low: 0.1, high: 0.9, period_ns },
            ] {
                prop_assert_eq!(waveform.level_at(turns * period_ns + within), waveform.level_at(within));
            }
        }

        #[test]
        fn a_mean_is_the_mean_of_levels(waveform in any(), from_ms in 0u64..30_000, ms in 1_000u64..9_000) {
            const POINTS: u64 = 20_000;
            let at = |i| (from_ms * POINTS + ms * i) * 1_000_000 / POINTS;
            let summed: f64 = (0..POINTS).map(|i| waveform.level_at(at(i))).sum::<f64>() / POINTS as f64;
            let mean = waveform.mean(from_ms as f64 / 1e3, (from_ms + ms) as f64 / 1e3);
            // Points miss the shape of what is much shorter than their distance.
            let fine = waveform.hz().is_none_or(|hz| hz < 100.0);
            prop_assert!(!fine || (mean - summed).abs() < 0.02, "{mean} {summed}");
        }

        #[test]
        fn between_two_edges_nothing_jumps(waveform in any(), t_ns in 0u64..100_000_000_000) {
            let Some(edge) = waveform.edge_after(t_ns, 1_000) else { return Ok(()) };
            prop_assert!(edge > t_ns);
            prop_assert_eq!(waveform.level_at(t_ns), waveform.level_at(edge - 1));
        }
    }
}
