//! Keeps every domain under its kW while a run heats. Pure: readings and `now` in, the scale
//! of each domain out.
//!
//! Like a driver who comes down a hill in fog: as fast as the road that can be seen. A level
//! is allowed only as far as what is known vouches for the draw that it would make. Known is,
//! first, what the site file (or an earlier run) says, with a margin for being wrong; then
//! what the nodes themselves measure at the level at which they run. A node draws at most in
//! proportion above the level at which it was measured, and at least its idle share below:
//! so a rise that is allowed by this can't pass the budget, whatever the node idles at.

use std::collections::BTreeMap;

/// Readings of this age are still the present: three status messages.
const FRESH_NS: i64 = 3_000_000_000;
/// A node may draw this much more than the site file says before it has been measured.
const DOUBT: f64 = 1.25;
/// With every second of silence beyond [`FRESH_NS`] a node is believed less.
const DOUBT_PER_S: f64 = 1.05;
/// And not less than this.
const DOUBT_MAX: f64 = 4.0;
/// Share of its draw that a node keeps at idle, as far as reductions count on it: servers
/// with eight GPUs idle at a fifth to a third of their most.
const IDLE_SHARE: f64 = 0.3;
/// After a domain measured too much its scale does not rise for so long: time for steady
/// readings at the lower level.
const CALM_NS: i64 = 5_000_000_000;
/// Of the budget, so that noise of the sensors stays below it.
const TARGET: f64 = 0.97;
/// Most that a scale rises in a step of a second.
const RISE: f64 = 0.05;
/// A level is steady while it changes by less than this share over [`STEADY_READINGS`]: only
/// then do its mean and the mean of the power belong together.
const STEADY: f64 = 0.03;
/// Sensors and messages may each be a second late.
const STEADY_READINGS: usize = 3;
/// Below this level idle power says nothing about load.
const LEVEL_LEAST: f64 = 0.05;
/// Halvings: the scale is found to a millionth.
const HALVINGS: u32 = 20;

/// What shares a budget.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Domain {
    /// `pdu pdu-a1`, or `all nodes`.
    pub(crate) name: String,
    pub(crate) most_kw: f64,
    pub(crate) nodes: Vec<String>,
}

/// What a node said of itself.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Reading {
    pub(crate) at_ns: i64,
    pub(crate) watts: f64,
    /// Mean level over the same second, scale included.
    pub(crate) level: f64,
}

/// A node of the run now.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct NodeNow {
    /// At full level: by the site file, earlier runs, or what it is made of.
    pub(crate) expected_kw: f64,
    /// Highest level that the plan commands now or next, 0..=1.
    pub(crate) peak: f64,
    pub(crate) kernel: String,
    /// The last status with a power; `None` before the first.
    pub(crate) reading: Option<Reading>,
    /// Out of the run: its lease is gone, and its heat.
    pub(crate) lost: bool,
}

/// One domain after a step.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Scaled {
    pub(crate) domain: String,
    pub(crate) scale: f64,
    pub(crate) most_kw: f64,
    /// Sum of what was measured, and how many nodes did not measure.
    pub(crate) measured_kw: f64,
    pub(crate) silent: usize,
}

/// A point on a node's line from level to kW.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Point {
    level: f64,
    kw: f64,
}

impl Point {
    /// The most that the node draws at a level, as far as this point tells.
    fn at(self, level: f64) -> f64 {
        let share = level / self.level;
        if share >= 1.0 {
            self.kw * share
        } else {
            self.kw * (IDLE_SHARE + (1.0 - IDLE_SHARE) * share)
        }
    }
}

/// What one node is expected to draw.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Guess {
    /// Whatever the scale: it does not heat.
    Fixed(f64),
    /// At a scale of 1 its level is `peak`.
    Line { point: Point, peak: f64 },
}

/// The scales of all domains.
#[derive(Debug, Clone, Default)]
pub(crate) struct Control {
    domains: Vec<Domain>,
    scales: Vec<Option<f64>>,
    /// Of each domain, from when on it may rise.
    calm_ns: Vec<i64>,
    /// The last steady reading of a node with a kernel.
    seen: BTreeMap<(String, String), Point>,
    /// The last readings of each node, the newest at the end.
    history: BTreeMap<String, Vec<Reading>>,
}

impl Control {
    pub(crate) fn new(domains: Vec<Domain>) -> Self {
        let scales = vec![None; domains.len()];
        let calm_ns = vec![i64::MIN; domains.len()];
        Self { domains, scales, calm_ns, ..Self::default() }
    }

    /// Every domain with its scale; none before the first step.
    pub(crate) fn domains(&self) -> impl Iterator<Item = (&Domain, Option<f64>)> {
        self.domains.iter().zip(self.scales.iter().copied())
    }

    /// The scale of every node: that of its tightest domain.
    pub(crate) fn by_node(&self) -> BTreeMap<String, f64> {
        let mut scales: BTreeMap<String, f64> = BTreeMap::new();
        for (domain, scale) in self.domains.iter().zip(&self.scales) {
            for node in &domain.nodes {
                let ours = scales.entry(node.clone()).or_insert(1.0);
                *ours = ours.min(scale.unwrap_or(1.0));
            }
        }
        scales
    }

    /// Takes readings in, once a second. `ceiling`: what else holds every level down.
    pub(crate) fn step(
        &mut self,
        now_ns: i64,
        ceiling: f64,
        nodes: &BTreeMap<String, NodeNow>,
    ) -> Vec<Scaled> {
        self.remember(nodes);
        let guesses: BTreeMap<&str, Guess> = nodes
            .iter()
            .map(|(name, node)| (name.as_str(), self.guess(now_ns, name, node)))
            .collect();
        let mut scaled = Vec::new();
        let states = self.scales.iter_mut().zip(&mut self.calm_ns);
        for (domain, (scale, calm_ns)) in self.domains.iter().zip(states) {
            let members = || domain.nodes.iter().filter_map(|name| guesses.get(name.as_str()));
            let fresh = |name: &&String| {
                let reading = nodes.get(*name).and_then(|node| node.reading);
                reading.is_some_and(|reading| now_ns - reading.at_ns <= FRESH_NS)
            };
            let measured_kw: f64 = domain
                .nodes
                .iter()
                .filter(fresh)
                .filter_map(|name| Some(nodes.get(name)?.reading?.watts / 1e3))
                .fold(0.0, |sum, kw| sum + kw);
            let target_kw = TARGET * domain.most_kw;
            let mut allowed = allowed(target_kw, members);
            if measured_kw > target_kw {
                // Whatever the lines say: it is too much now.
                *calm_ns = now_ns + CALM_NS;
                let now = scale.unwrap_or(1.0).min(ceiling);
                allowed = allowed.min(now * target_kw / measured_kw);
            }
            *scale = Some(match *scale {
                Some(before) if allowed > before && now_ns < *calm_ns => before,
                Some(before) if allowed > before => allowed.min(before + RISE),
                _ => allowed,
            });
            scaled.push(Scaled {
                domain: domain.name.clone(),
                scale: scale.unwrap_or(1.0),
                most_kw: domain.most_kw,
                measured_kw,
                silent: domain.nodes.iter().filter(|name| !fresh(name)).count(),
            });
        }
        scaled
    }

    fn guess(&mut self, now_ns: i64, name: &str, node: &NodeNow) -> Guess {
        let fresh = node.reading.filter(|reading| now_ns - reading.at_ns <= FRESH_NS);
        if node.lost || node.peak <= 0.0 {
            // Without a reading it idles at what idle nodes draw, not at nothing.
            let idle_kw = node.expected_kw * IDLE_SHARE;
            return Guess::Fixed(fresh.map_or(idle_kw, |reading| reading.watts / 1e3));
        }
        let line = |point| Guess::Line { point, peak: node.peak };
        let site = Point { level: 1.0, kw: node.expected_kw * DOUBT };
        let key = (name.to_owned(), node.kernel.clone());
        let steady = fresh.filter(|reading| self.is_steady(name, reading));
        if let Some(reading) = steady {
            // The most of its steady readings: one that is low by noise vouches for nothing.
            let watts = self.history.get(name).into_iter().flatten().map(|then| then.watts);
            let point = Point { level: reading.level, kw: watts.fold(0.0, f64::max) / 1e3 };
            // Far below the peak idle power makes the line steeper than it is; the site's word
            // is better there, unless the node draws more than that word allows already.
            let weak = reading.level < node.peak / 2.0;
            let credible = point.kw <= site.at(point.level);
            if weak && credible && site.at(node.peak) < point.at(node.peak) {
                return line(site);
            }
            self.seen.insert(key, point);
            return line(point);
        }
        let best = self.seen.get(&key).copied().unwrap_or(site);
        match node.reading {
            Some(reading) if fresh.is_none() => {
                let silent_s = (now_ns - reading.at_ns - FRESH_NS) as f64 / 1e9;
                let doubt = (DOUBT * DOUBT_PER_S.powf(silent_s)).min(DOUBT_MAX);
                let worst = if site.at(1.0) > best.at(1.0) { site } else { best };
                line(Point { kw: worst.kw * doubt, ..worst })
            }
            _ => line(best),
        }
    }

    fn remember(&mut self, nodes: &BTreeMap<String, NodeNow>) {
        for (name, node) in nodes {
            let Some(reading) = node.reading else { continue };
            let history = self.history.entry(name.clone()).or_default();
            if history.last().is_none_or(|last| last.at_ns < reading.at_ns) {
                history.push(reading);
                history.drain(..history.len().saturating_sub(STEADY_READINGS));
            }
        }
    }

    fn is_steady(&self, name: &str, now: &Reading) -> bool {
        let history = self.history.get(name).map_or(&[][..], Vec::as_slice);
        let near = |then: &Reading| (then.level - now.level).abs() <= STEADY * now.level;
        now.level >= LEVEL_LEAST && history.len() == STEADY_READINGS && history.iter().all(near)
    }
}

/// The largest scale at which the guesses together stay within a target.
fn allowed<'a, I: Iterator<Item = &'a Guess>>(target_kw: f64, members: impl Fn() -> I) -> f64 {
    let kw = |scale: f64| -> f64 {
        members()
            .map(|guess| match guess {
                Guess::Fixed(kw) => *kw,
                Guess::Line { point, peak } => point.at(peak * scale),
            })
            .sum()
    };
    if kw(1.0) <= target_kw {
        return 1.0;
    }
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..HALVINGS {
        let middle = (low + high) / 2.0;
        if kw(middle) <= target_kw {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

#[cfg(test)]
mod tests;
