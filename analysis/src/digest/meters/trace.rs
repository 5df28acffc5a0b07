//! A trace: what one point said over time, in bins whose width follows the length of the
//! run, so that points can be paired in time in bounded memory.
//!
//! Order does not show: bins hold integer sums, and the width is the least power of two
//! seconds at which all that was seen fits, which no order of arrival changes.

use std::collections::BTreeMap;

/// Most bins of one trace. An hour and a half has bins of 16 s, an acceptance of 72 h of 17
/// minutes; a site of 1,000 PDUs with nine points each stays below 300 MB.
pub const BINS_MAX: usize = 512;
/// Millionths keep a sum exact: no meter of a building resolves a microvolt.
const MICRO: f64 = 1e6;
const SECOND_NS: i64 = 1_000_000_000;
/// Share of the sparser trace's bins that must find their partners: bins are widened until
/// they do, because meters are not read at the same instant.
const PAIRED_LEAST: f64 = 0.8;
/// Widest bins, as a power of two seconds: longer than any run.
const LEVEL_MAX: u32 = 40;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Bin {
    count: u64,
    micros: i128,
}

impl Bin {
    fn add(&mut self, other: Self) {
        self.count += other.count;
        self.micros += other.micros;
    }

    fn mean(self) -> f64 {
        self.micros as f64 / self.count as f64 / MICRO
    }
}

/// Means of one point over time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Trace {
    /// A bin is 2^level seconds wide.
    level: u32,
    bins: BTreeMap<i64, Bin>,
}

impl Trace {
    /// `value` is finite and below 1e9 in magnitude.
    pub(crate) fn add(&mut self, time_ns: i64, value: f64) {
        let at = time_ns.div_euclid(SECOND_NS) >> self.level;
        let bin = Bin { count: 1, micros: (value * MICRO).round() as i128 };
        self.bins.entry(at).or_default().add(bin);
        self.fit();
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.widen(other.level);
        let shift = self.level - other.level.min(self.level);
        for (at, bin) in &other.bins {
            self.bins.entry(at >> shift).or_default().add(*bin);
        }
        self.fit();
    }

    fn fit(&mut self) {
        while self.bins.len() > BINS_MAX && self.level < LEVEL_MAX {
            self.widen(self.level + 1);
        }
    }

    fn widen(&mut self, level: u32) {
        if level > self.level {
            self.bins = self.at_level(level);
            self.level = level;
        }
    }

    fn at_level(&self, level: u32) -> BTreeMap<i64, Bin> {
        let shift = level - level.min(self.level);
        let mut wide: BTreeMap<i64, Bin> = BTreeMap::new();
        for (at, bin) in &self.bins {
            wide.entry(at >> shift).or_default().add(*bin);
        }
        wide
    }

    /// Readings that were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.bins.values().map(|bin| bin.count).sum()
    }

    /// Mean of all readings; `None` without any.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        let mut all = Bin::default();
        self.bins.values().for_each(|bin| all.add(*bin));
        (all.count > 0).then(|| all.mean())
    }

    /// Mean of the bins that lie wholly between two instants; `None` when there is none.
    #[must_use]
    pub fn mean_between(&self, from_ns: i64, to_ns: i64) -> Option<f64> {
        let (from, to) = (from_ns.div_euclid(SECOND_NS), to_ns.div_euclid(SECOND_NS));
        let first = if from_ns % SECOND_NS == 0 { from } else { from + 1 };
        let mut all = Bin::default();
        for (at, bin) in &self.bins {
            let starts = at << self.level;
            if starts >= first && starts + (1 << self.level) <= to + 1 {
                all.add(*bin);
            }
        }
        (all.count > 0).then(|| all.mean())
    }

    /// Means by time, in bins at least so wide (seconds, rounded up to a power of two).
    #[must_use]
    pub fn means(&self, width_s: u64) -> Vec<f64> {
        let [means] = &paired_levels([self], self.level.max(level_of(width_s)));
        means.clone()
    }

    /// Width of a bin in seconds.
    #[must_use]
    pub fn width_s(&self) -> f64 {
        (1_u64 << self.level) as f64
    }

    /// Each bin's middle, in seconds since the Unix epoch, and its mean.
    pub fn bins_s(&self) -> impl Iterator<Item = (f64, f64)> {
        let middle = |at: i64| (at << self.level) as f64 + self.width_s() / 2.0;
        self.bins.iter().map(move |(at, bin)| (middle(*at), bin.mean()))
    }

    /// Seconds from the first bin's start to the last bin's end.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        match (self.bins.keys().next(), self.bins.keys().next_back()) {
            (Some(first), Some(last)) => ((last - first + 1) << self.level) as f64,
            _ => 0.0,
        }
    }
}

fn level_of(width_s: u64) -> u32 {
    width_s.max(1).next_power_of_two().trailing_zeros().min(LEVEL_MAX)
}

/// Means of several traces in the bins that all of them have: one list a trace, all of one
/// length, in the order of time. Bins are at least `width_s` wide, and widened until the
/// sparsest trace finds its partners; empty lists where they never meet.
#[must_use]
pub fn paired<const N: usize>(traces: [&Trace; N], width_s: u64) -> [Vec<f64>; N] {
    paired_levels(traces, meeting_level(traces, level_of(width_s)))
}

/// The least width, in seconds, at which [`paired`] pairs these traces.
#[must_use]
pub fn meeting_width<const N: usize>(traces: [&Trace; N], width_s: u64) -> u64 {
    1 << meeting_level(traces, level_of(width_s))
}

/// Means of several traces by the number of their bin, at least `width_s` wide.
#[must_use]
pub fn in_bins<const N: usize>(traces: [&Trace; N], width_s: u64) -> BTreeMap<i64, [f64; N]> {
    let least = traces.iter().map(|trace| trace.level).max().unwrap_or(0);
    let wide = traces.map(|trace| trace.at_level(least.max(level_of(width_s))));
    let mean = |bins: &BTreeMap<i64, Bin>, at| bins.get(at).map_or(f64::NAN, |bin| bin.mean());
    together(&wide).map(|at| (*at, std::array::from_fn(|i| mean(&wide[i], at)))).collect()
}

fn meeting_level<const N: usize>(traces: [&Trace; N], least: u32) -> u32 {
    let level = traces.iter().map(|trace| trace.level).max().unwrap_or(0).max(least);
    let meets = |level: &u32| {
        let wide = traces.map(|trace| trace.at_level(*level));
        let sparsest = wide.iter().map(BTreeMap::len).min().unwrap_or(0);
        together(&wide).count() as f64 >= PAIRED_LEAST * sparsest as f64
    };
    (level..=LEVEL_MAX).find(meets).unwrap_or(level)
}

fn paired_levels<const N: usize>(traces: [&Trace; N], level: u32) -> [Vec<f64>; N] {
    let wide = traces.map(|trace| trace.at_level(level));
    let mut lists = [const { Vec::new() }; N];
    for at in together(&wide) {
        for (list, bins) in lists.iter_mut().zip(&wide) {
            list.extend(bins.get(at).map(|bin| bin.mean()));
        }
    }
    lists
}

fn together<const N: usize>(wide: &[BTreeMap<i64, Bin>; N]) -> impl Iterator<Item = &i64> {
    let first = wide.first().into_iter().flat_map(BTreeMap::keys);
    first.filter(|at| wide.iter().all(|bins| bins.contains_key(at)))
}
