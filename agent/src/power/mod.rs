//! Holds the watts that a load asks for: readings in, the scale of its levels out. Pure.
//!
//! Like a cook who tastes, then salts: after each change it waits until the sensor can show
//! it, tastes for long enough that noise does not count, and then adds only a part of what
//! seems to be missing; too much is taken back at once. A device's duty follows its level, so
//! its heat grows with a power of the level not far from one, and so the next level is found
//! from the last by the ratio of heat wanted to heat felt. Nothing is summed up over time:
//! a limit that passes leaves no debt behind.
//!
//! What it promises of a plant whose power above idle grows as level^a, 0.8 <= a <= 1.15, is
//! held by simulation in `tests`: never above target by more than [`OVERSHOOT`] (and the noise
//! of the sensor), settled within [`SETTLES_NS`] by a
//! sensor with a window of a second where the idle power was read before the load began.

mod taste;

use model::load::Waveform;

use crate::hardware::Scale;
use taste::Taste;

/// Most that a load may exceed its target on the way, as a share of it.
pub const OVERSHOOT: f64 = 0.05;
/// Time from the start of a hold until its power stays within [`NEAR`].
pub const SETTLES_NS: u64 = 20_000_000_000;
/// Of the target: what counts as held.
pub const NEAR: f64 = 0.02;

/// Closer is left alone: the accuracy of sensors is percents, their noise tenths.
const BAND: f64 = 0.0075;
/// A device whose levels are coarse jumps over its target: once that was seen, what lies
/// below by no more than the jump is left alone. Coarser than this is no level.
const COARSE_MAX: f64 = 0.06;
/// Part of a rise that is done in one step, as a power of the ratio.
const GAIN: f64 = 0.85;
/// Most that one step multiplies a level by while the way is unknown.
const STRIDE: f64 = 2.5;
/// And once it holds: drift of leakage and clocks is percents a minute.
const STRIDE_HELD: f64 = 1.02;
/// Above the level at which it held it rises no further than this: what draws less at the
/// same level is held down by something, and would jump up when that lets go.
const RISE_HELD: f64 = 1.15;
/// A change is spread over this: no edge of its own.
const SPREAD_NS: u64 = 500_000_000;
/// Without a reading for so long the level comes down.
const BLIND_NS: u64 = 3_000_000_000;
/// By this factor a second.
const BLIND_FALL: f64 = 0.9;
const SECOND_NS: u64 = 1_000_000_000;
/// The first level where idle power or limit of a device are not known.
const FIRST: f64 = 0.05;
/// The first level is this share of what a straight line to the power limit suggests.
const CAUTION: f64 = 0.5;
/// And this share of the level that drew so much before.
const CAUTION_KNOWN: f64 = 0.95;
/// Of the idle power that was measured, what is believed: a device that still cooled down
/// idles at less, and too much belief would overshoot.
const IDLE_BELIEVED: f64 = 0.9;
/// Idle is at most this share of a target.
const IDLE_SHARE_MAX: f64 = 0.9;
/// Power follows levels at least so steeply, as a power of them, when it comes down.
const STEEP_LEAST: f64 = 0.3;
/// Levels must differ by this factor to tell how steep.
const APART: f64 = 1.1;
/// Judgements in a row that make it held.
const HELD_JUDGEMENTS: u32 = 3;
/// This far above the target is too much at the second look, before the sensor has settled.
const FAR_ABOVE: f64 = 1.04;
/// At the top of its range a level is as high as it goes.
const TOP: f64 = 0.999;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Order {
    /// Watts at level 1 of the waveform.
    pub target_w: f64,
    pub waveform: Waveform,
    /// The waveform's time 0 (CLOCK_MONOTONIC).
    pub start_ns: u64,
    /// From a change of level until a reading shows nothing else: window and delay.
    pub sensor_ns: u64,
}

/// What is known of a device before.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Known {
    /// Lowest reading without load.
    pub idle_w: Option<f64>,
    /// The limit in force.
    pub limit_w: Option<f64>,
    /// A level, and the watts that the same kernel drew at it.
    pub point: Option<(f64, f64)>,
}

/// What keeps a load below its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Short {
    /// Its hardware slows it down: power brake, thermal slowdown.
    Slowed,
    /// The coordinator's scale.
    Capped,
    /// It runs at full level and draws no more.
    Full,
    /// No reading: it came down.
    Blind,
    /// It draws less than it did at the same level, and is not driven further.
    Sagged,
}

impl Short {
    /// For people.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Slowed => "the hardware slows it down",
            Self::Capped => "the coordinator's scale is lower",
            Self::Full => "it draws no more at full level",
            Self::Blind => "its power can't be read",
            Self::Sagged => "it draws less than before at the same level",
        }
    }
}

/// A new scale for the worker.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Move {
    pub to: f64,
    pub over_ns: u64,
}

/// One look at a device.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Look {
    pub at_ns: u64,
    /// `None` where nothing new was read.
    pub watts: Option<f64>,
    /// The coordinator's scale.
    pub cap: f64,
    /// The hardware slows the device down, by its own word.
    pub slowed: bool,
}

/// The loop of one device and phase.
#[derive(Debug, Clone)]
pub struct Control {
    order: Order,
    idle_w: f64,
    scale: Scale,
    taste: Taste,
    /// When the last change is whole.
    changed_ns: u64,
    read_ns: u64,
    fell_ns: u64,
    /// Judgements in a row near the target, and when the first of them was.
    near: u32,
    near_ns: u64,
    /// The level at which it held, once it did.
    held_at: Option<f64>,
    settled_ns: Option<u64>,
    /// How far below the target is left alone.
    coarse: f64,
    /// How far below it was before the last rise.
    rose_from: Option<f64>,
    short: Option<Short>,
    /// The last level and the watts that belong to it.
    point: Option<(f64, f64)>,
}

impl Control {
    /// Before the load begins.
    #[must_use]
    pub fn new(order: Order, known: Known) -> Self {
        let idle_w = known.idle_w.unwrap_or(0.0).max(0.0) * IDLE_BELIEVED;
        let idle_w = idle_w.min(order.target_w * IDLE_SHARE_MAX);
        let first = first_scale(order.target_w, idle_w, known);
        Self {
            order,
            idle_w,
            scale: Scale::default().towards(first, order.start_ns, 0),
            taste: Taste::default(),
            changed_ns: order.start_ns,
            read_ns: order.start_ns,
            fell_ns: order.start_ns,
            near: 0,
            near_ns: 0,
            held_at: None,
            settled_ns: None,
            coarse: BAND,
            rose_from: None,
            short: None,
            point: None,
        }
    }

    /// Its scale at an instant; the coordinator's may be lower.
    #[must_use]
    pub fn scale_at(&self, at_ns: u64) -> f64 {
        self.scale.at(at_ns)
    }

    /// Time from the start until it held, if it did.
    #[must_use]
    pub fn settled_ns(&self) -> Option<u64> {
        Some(self.settled_ns?.saturating_sub(self.order.start_ns))
    }

    /// Why it does not reach its target, if so.
    #[must_use]
    pub fn short(&self) -> Option<Short> {
        self.short
    }

    /// A level of this load and the watts that it drew, once it was tasted.
    #[must_use]
    pub fn point(&self) -> Option<(f64, f64)> {
        self.point
    }

    /// Takes a look in; a move where one is due.
    pub fn look(&mut self, look: Look) -> Option<Move> {
        if look.at_ns < self.order.start_ns {
            return None;
        }
        let Some(watts) = look.watts.filter(|watts| watts.is_finite() && *watts >= 0.0) else {
            return self.fall_blind(look.at_ns);
        };
        self.read_ns = look.at_ns;
        if self.short == Some(Short::Blind) {
            self.short = None;
            self.taste.clear();
        }
        let from_ns = look.at_ns.saturating_sub(self.order.sensor_ns);
        let effective = look.cap.min(self.scale.at(look.at_ns));
        let wave = self.wave(from_ns, look.at_ns);
        if self.is_far_above(&wave, watts, effective) {
            self.taste.alarm(watts);
            if self.taste.alarmed() {
                let (heat, level) = (self.taste.alarm_mean() - self.idle_w, wave.mean * effective);
                return self.judge(look, heat, level, effective);
            }
        } else {
            self.taste.calm();
        }
        if from_ns < self.changed_ns {
            self.taste.clear();
            return None;
        }
        let period_ns = self.order.waveform.period_ns().filter(|ns| *ns < 3 * self.order.sensor_ns);
        if period_ns.is_none() && !wave.is_steady() {
            self.taste.clear();
            return None;
        }
        self.taste.add(look.at_ns, watts, wave.mean * effective);
        let span = period_ns.map(|period_ns| self.whole_periods(look.at_ns, period_ns, effective));
        let (watts, level) = match span {
            Some(span) => {
                let (span_ns, level) = span?;
                self.taste.over(look.at_ns, span_ns).map(|watts| (watts, level))
            }
            None => self.taste.enough(self.order.target_w, self.held_at.is_some()),
        }?;
        self.judge(look, watts - self.idle_w, level, effective)
    }

    /// Whole periods that end now and began after the last change: their length and mean level.
    fn whole_periods(&self, at_ns: u64, period_ns: u64, effective: f64) -> Option<(u64, f64)> {
        let span_ns = period_ns * Taste::SPAN_NS.div_ceil(period_ns);
        let begin_ns = at_ns.checked_sub(span_ns)?;
        (begin_ns >= self.changed_ns + self.order.sensor_ns)
            .then(|| (span_ns, self.wave(begin_ns, at_ns).mean * effective))
    }

    fn is_far_above(&self, wave: &Wave, watts: f64, effective: f64) -> bool {
        // After a fall the sensor still shows what was.
        wave.is_steady()
            && wave.low >= TOP
            && watts > self.order.target_w * FAR_ABOVE
            && (effective - self.scale.target()).abs() < 1e-6
            && !self.scale.falls()
    }

    /// The waveform over a span.
    fn wave(&self, from_ns: u64, to_ns: u64) -> Wave {
        const POINTS: u64 = 64;
        let (mut low, mut high, mut sum) = (f64::INFINITY, 0.0_f64, 0.0);
        for i in 0..POINTS {
            let at = from_ns + (to_ns - from_ns) * (2 * i + 1) / (2 * POINTS);
            let level = self.order.waveform.level_at(at.saturating_sub(self.order.start_ns));
            (low, high, sum) = (low.min(level), high.max(level), sum + level);
        }
        Wave { low, high, mean: sum / POINTS as f64 }
    }

    /// Holds the felt heat against the wanted one.
    fn judge(&mut self, look: Look, heat_w: f64, level: f64, effective: f64) -> Option<Move> {
        self.taste.clear();
        let wanted_w = self.order.target_w - self.idle_w;
        // What it would draw where the waveform is at its top.
        let top_w = self.idle_w + heat_w * effective / level.max(1e-9);
        let error = top_w / self.order.target_w - 1.0;
        let steep = self.steepness((effective, top_w));
        self.point = Some((effective, top_w));
        self.note_near(look.at_ns, error, effective);
        let ratio = wanted_w * level / (heat_w.max(1e-3 * wanted_w) * effective.max(1e-9));
        self.short = None;
        if error > BAND {
            if let Some(below) = self.rose_from.take().filter(|below| *below <= COARSE_MAX) {
                self.coarse = self.coarse.max(below + 0.002).min(COARSE_MAX);
            }
            return self.go(look.at_ns, effective * ratio.min(1.0).powf(1.0 / steep));
        }
        if -error <= self.coarse {
            return None;
        }
        self.rise(look, error, ratio, effective)
    }

    /// The power of the level with which heat falls, from the last two levels: on the way down
    /// it only gets smaller, so that what it says never goes too far.
    fn steepness(&self, (level, top_w): (f64, f64)) -> f64 {
        let Some((before, before_w)) = self.point else { return 1.0 };
        let (heat_w, heat_before_w) = (top_w - self.idle_w, before_w - self.idle_w);
        if before < level * APART || heat_w <= 0.0 || heat_before_w <= heat_w {
            return 1.0;
        }
        ((heat_before_w / heat_w).ln() / (before / level).ln()).clamp(STEEP_LEAST, 1.0)
    }

    fn rise(&mut self, look: Look, error: f64, ratio: f64, effective: f64) -> Option<Move> {
        let held = self.held_at;
        let (stride, most) = match held {
            None => (STRIDE, 1.0),
            // Back, after blindness or a cap, to where it held.
            Some(at) if effective < at * CAUTION_KNOWN => (STRIDE, at),
            Some(at) => (STRIDE_HELD, (at * RISE_HELD).min(1.0)),
        };
        let to = (effective * ratio.max(1.0).powf(GAIN).min(stride)).min(most);
        self.short = if look.slowed {
            Some(Short::Slowed)
        } else if look.cap < self.scale.target() && -error > NEAR {
            Some(Short::Capped)
        } else if effective >= TOP {
            Some(Short::Full)
        } else if held.is_some_and(|at| effective >= at * RISE_HELD * TOP) {
            Some(Short::Sagged)
        } else {
            None
        };
        if self.short.is_some() {
            return None;
        }
        self.rose_from = Some(-error);
        self.go(look.at_ns, to)
    }

    fn go(&mut self, at_ns: u64, to: f64) -> Option<Move> {
        self.scale = self.scale.towards(to, at_ns, SPREAD_NS);
        self.changed_ns = at_ns + SPREAD_NS;
        Some(Move { to: self.scale.target(), over_ns: SPREAD_NS })
    }

    fn note_near(&mut self, at_ns: u64, error: f64, effective: f64) {
        if error.abs() > NEAR.max(self.coarse) {
            self.near = 0;
            return;
        }
        if self.near == 0 {
            self.near_ns = at_ns;
        }
        self.near += 1;
        if self.near >= HELD_JUDGEMENTS {
            self.held_at.get_or_insert(effective);
            self.settled_ns.get_or_insert(self.near_ns);
        }
    }

    /// Nothing to read: hold, then come down. Never rise blind.
    fn fall_blind(&mut self, at_ns: u64) -> Option<Move> {
        let blind = at_ns.saturating_sub(self.read_ns) >= BLIND_NS;
        if !blind || at_ns < self.fell_ns + SECOND_NS {
            return None;
        }
        self.fell_ns = at_ns;
        self.short = Some(Short::Blind);
        self.near = 0;
        self.go(at_ns, self.scale.target() * BLIND_FALL)
    }
}

/// The waveform over a span.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Wave {
    low: f64,
    high: f64,
    mean: f64,
}

impl Wave {
    /// Flat enough that a reading belongs to one level, and high enough to tell of the top.
    fn is_steady(&self) -> bool {
        self.high >= 0.3 && self.high - self.low <= 0.1 * self.high
    }
}

fn first_scale(target_w: f64, idle_w: f64, known: Known) -> f64 {
    let wanted_w = target_w - idle_w;
    if let Some((level, watts)) = known.point.filter(|(_, watts)| *watts > idle_w * 1.1) {
        let ratio = wanted_w / (watts - idle_w);
        // Below a level that was measured a straight line from idle is above the truth only
        // where power grows faster than the level.
        return (level * ratio * CAUTION_KNOWN).clamp(0.0, 1.0);
    }
    let limit = known.limit_w.filter(|limit| *limit > idle_w * 1.1 && known.idle_w.is_some());
    match limit {
        Some(limit) => (CAUTION * wanted_w / (limit - idle_w)).clamp(0.0, 1.0),
        None => FIRST,
    }
}

#[cfg(test)]
mod tests;
