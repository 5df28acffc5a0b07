//! Which share of `mix` is tensor work: the one that draws most, found by measuring. Pure.
//!
//! One share for all GPUs of a model: their work could not be compared otherwise. Each share
//! is held until the sensors follow, then measured; the search walks from the usual share to
//! where it is better, and halves its steps when no neighbour is.

use std::collections::BTreeMap;

/// What agents begin with (`MIX_SHARE` of the agent's GPU kernels), per mille.
const USUAL: u32 = 700;
/// Beyond these one of the two kinds of work is hardly there.
const SHARES: std::ops::RangeInclusive<u32> = 400..=1000;
const STEP_FIRST: u32 = 150;
const STEP_LEAST: u32 = 50;
/// A GPU's power is a mean of up to a second (gpu.md §3.3), comes with a status a second later,
/// and the status after that is the first that holds nothing of the share before.
const SETTLE_NS: i64 = 3_500_000_000;
const MEASURE_NS: i64 = 4_000_000_000;
/// Readings in that time, one a second, of which one may be missing. Their middle counts: a host
/// that was busy for a moment launches late, and a single low reading says nothing of the share.
const READINGS_LEAST: usize = 3;
/// Another share must draw so much more: a card that warms up draws a little more by itself.
const BETTER: f64 = 1.005;
/// The search ends after so many shares at the latest: about a minute.
const TRIALS_MAX: usize = 8;

/// The search of one model of GPU.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct MixTuner {
    /// The share that runs.
    now: u32,
    /// Watts of all its GPUs at each share.
    tried: BTreeMap<u32, f64>,
    step: u32,
    since_ns: Option<i64>,
    readings_w: Vec<f64>,
    /// The phase and how many nodes run it: what was measured in another is not comparable.
    setting: (usize, usize),
    done: bool,
}

impl Default for MixTuner {
    fn default() -> Self {
        let tried = BTreeMap::new();
        Self {
            now: USUAL,
            tried,
            step: STEP_FIRST,
            since_ns: None,
            readings_w: Vec::new(),
            setting: (0, 0),
            done: false,
        }
    }
}

impl MixTuner {
    /// The share to be told, per mille.
    pub(crate) fn share(&self) -> u32 {
        self.now
    }

    /// What was measured, by share.
    pub(crate) fn tried(&self) -> &BTreeMap<u32, f64> {
        &self.tried
    }

    /// A second passed. `watts`: of all GPUs of the model together, while each of them runs
    /// `mix` at a steady level that nothing else moves; `None` otherwise, and what was begun is
    /// measured again. `setting`: the phase and how many nodes run it; in another one the search
    /// begins anew. True when it has just ended.
    pub(crate) fn look(
        &mut self,
        now_ns: i64,
        setting: (usize, usize),
        watts: Option<f64>,
    ) -> bool {
        if self.done {
            return false;
        }
        if setting != self.setting {
            *self = Self { setting, ..Self::default() };
        }
        let Some(watts) = watts else {
            self.begin(None);
            return false;
        };
        let Some(since_ns) = self.since_ns else {
            self.begin(Some(now_ns));
            return false;
        };
        let passed_ns = now_ns - since_ns;
        if passed_ns < SETTLE_NS {
            return false;
        }
        self.readings_w.push(watts);
        if passed_ns < SETTLE_NS + MEASURE_NS {
            return false;
        }
        if self.readings_w.len() < READINGS_LEAST {
            self.begin(Some(now_ns));
            return false;
        }
        self.tried.insert(self.now, middle(&mut self.readings_w));
        let next = self.next();
        self.done = next.is_none();
        self.now = next.unwrap_or_else(|| self.best());
        self.begin(Some(now_ns));
        self.done
    }

    fn begin(&mut self, since_ns: Option<i64>) {
        self.since_ns = since_ns;
        self.readings_w.clear();
    }

    /// The share that drew most; the usual one unless another is clearly better.
    fn best(&self) -> u32 {
        let usual_w = self.tried.get(&USUAL).copied().unwrap_or(0.0);
        let most = self.tried.iter().max_by(|a, b| a.1.total_cmp(b.1));
        most.filter(|(_, watts)| **watts > usual_w * BETTER).map_or(USUAL, |(share, _)| *share)
    }

    /// A neighbour of the best one that was not tried.
    fn next(&mut self) -> Option<u32> {
        let best = self.best();
        while self.tried.len() < TRIALS_MAX && self.step >= STEP_LEAST {
            let sides = [best.saturating_add(self.step), best.saturating_sub(self.step)];
            let new = |share: &u32| SHARES.contains(share) && !self.tried.contains_key(share);
            if let Some(share) = sides.into_iter().find(new) {
                return Some(share);
            }
            self.step /= 2;
        }
        None
    }
}

/// The median; of an even number the upper one of the middle two, because disturbances only lower
/// what is drawn.
fn middle(watts: &mut [f64]) -> f64 {
    watts.sort_by(f64::total_cmp);
    watts.get(watts.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: i64 = 1_000_000_000;

    /// Cards whose power follows the share a second late; what they settle at, and when.
    fn settle(power: impl Fn(u32) -> f64) -> (u32, i64, usize) {
        let mut tuner = MixTuner::default();
        let mut before = tuner.share();
        for second in 0..200 {
            let watts = power(before);
            before = tuner.share();
            if tuner.look(second * S, (0, 1), Some(watts)) {
                return (tuner.share(), second, tuner.tried().len());
            }
        }
        panic!("it never ends");
    }

    #[test]
    fn it_finds_where_most_is_drawn_and_ends() {
        for peak in [420, 500, 620, 700, 790, 850, 910, 1000] {
            let power = |share: u32| 600.0 - (f64::from(share) - f64::from(peak)).powi(2) / 500.0;
            let (share, seconds, trials) = settle(power);
            let lost = power(peak) - power(share);
            assert!(lost < 0.02 * 600.0, "{peak}: {share} draws {lost:.1} W less");
            assert!(seconds <= 70 && trials <= TRIALS_MAX, "{seconds} s, {trials}");
        }
    }

    #[test]
    fn a_moment_in_which_the_host_was_busy_decides_nothing() {
        for busy in 0..5 {
            let mut tuner = MixTuner::default();
            let mut second = 0;
            let share = loop {
                let drawn = 600.0 - (f64::from(tuner.share()) - 850.0).powi(2) / 2000.0;
                let late = if second % 5 == busy { 0.8 } else { 1.0 };
                if tuner.look(second * S, (0, 1), Some(drawn * late)) {
                    break tuner.share();
                }
                second += 1;
            };
            assert!((800..=900).contains(&share), "{busy}: {share}");
        }
    }

    #[test]
    fn where_shares_hardly_differ_the_usual_one_stays() {
        let capped = settle(|_| 700.0);
        assert_eq!(capped.0, USUAL);
        let warming = settle(|share| 650.0 + f64::from(share) / 1000.0);
        assert_eq!(warming.0, USUAL);
    }

    #[test]
    fn what_was_disturbed_is_measured_again() {
        let mut tuner = MixTuner::default();
        for second in 0..100 {
            let steady = second % 6 != 0;
            assert!(!tuner.look(second * S, (0, 1), steady.then_some(500.0)));
        }
        assert_eq!((tuner.share(), tuner.tried().len()), (USUAL, 0));
    }

    #[test]
    fn what_was_measured_of_other_nodes_or_in_another_phase_is_forgotten() {
        let mut tuner = MixTuner::default();
        for second in 0..20 {
            tuner.look(second * S, (0, 2), Some(500.0));
        }
        assert!(!tuner.tried().is_empty());
        tuner.look(20 * S, (0, 1), Some(250.0));
        assert_eq!((tuner.share(), tuner.tried().len()), (USUAL, 0));
    }
}
