//! A plan on a time axis: who is asked for how much heat between two instants.

use model::load::Kernel;
use model::plan::{Phase, PhaseKind, Plan, Traffic};
use model::site::{SelectError, Site};

/// One phase on the run's time axis.
#[derive(Debug, Clone)]
pub(super) struct Segment {
    pub(super) name: String,
    /// Seconds from the start of the run.
    pub(super) start_s: f64,
    pub(super) seconds: f64,
    shape: Shape,
    /// Of each node: whether it takes part.
    pub(super) on: Vec<bool>,
    /// What the kernel draws at the highest clock, as a share of the hottest kernel.
    pub(super) intensity: f64,
    /// Transfers between pairs, where the phase has them.
    pub(super) exchange: Option<Exchange>,
}

/// How nodes meet in pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Exchange {
    pub(super) streams: usize,
    pub(super) both_ways: bool,
    /// Whether devices work meanwhile.
    pub(super) loaded: bool,
}

#[derive(Debug, Clone, Copy)]
enum Shape {
    Level(f64),
    Ramp { from: f64, to: f64 },
    Square { low: f64, high: f64, period_s: f64 },
}

impl Segment {
    /// Mean level between two instants of this phase, in seconds from its start.
    pub(super) fn level(&self, from_s: f64, to_s: f64) -> f64 {
        let (from_s, to_s) = (from_s.clamp(0.0, self.seconds), to_s.clamp(0.0, self.seconds));
        match self.shape {
            Shape::Level(level) => level,
            Shape::Ramp { from, to } => {
                let middle = (from_s + to_s) / 2.0 / self.seconds.max(f64::MIN_POSITIVE);
                from + (to - from) * middle
            }
            Shape::Square { low, high, period_s } => {
                let length = to_s - from_s;
                if length <= 0.0 {
                    return if from_s.rem_euclid(period_s) * 2.0 < period_s { high } else { low };
                }
                let high_s = seconds_high(to_s, period_s) - seconds_high(from_s, period_s);
                low + (high - low) * (high_s / length).clamp(0.0, 1.0)
            }
        }
    }
}

/// Seconds in the high half of a square wave until an instant.
fn seconds_high(until_s: f64, period_s: f64) -> f64 {
    (until_s / period_s).floor() * period_s / 2.0 + until_s.rem_euclid(period_s).min(period_s / 2.0)
}

/// The phases of a plan on a site, end to end.
///
/// # Errors
/// When a phase's selector does not fit the site.
pub(super) fn segments(plan: &Plan, site: &Site) -> Result<Vec<Segment>, SelectError> {
    let mut start_s = 0.0;
    let mut segments = Vec::with_capacity(plan.phases.len());
    for phase in &plan.phases {
        let mut on = vec![false; site.nodes().len()];
        for node in site.selected(&phase.on)? {
            on[node.index()] = true;
        }
        let seconds = if phase.seconds.is_finite() { phase.seconds.max(0.0) } else { 0.0 };
        segments.push(Segment {
            name: phase.name.clone(),
            start_s,
            seconds,
            shape: shape(phase),
            on,
            intensity: intensity(phase),
            exchange: exchange(phase),
        });
        start_s += seconds;
    }
    Ok(segments)
}

fn exchange(phase: &Phase) -> Option<Exchange> {
    let Some(Traffic::Pairs { streams, both_ways, .. }) = phase.traffic else { return None };
    let loaded = phase.load.is_some();
    Some(Exchange { streams: (streams as usize).max(1), both_ways, loaded })
}

fn shape(phase: &Phase) -> Shape {
    let share = |percent: f64| (percent / 100.0).clamp(0.0, 1.0);
    match (phase.kind, phase.load) {
        (_, None) => Shape::Level(0.0),
        (PhaseKind::Hold, Some(load)) => Shape::Level(share(load.percent)),
        (PhaseKind::Ramp { from_percent, to_percent }, Some(_)) => {
            Shape::Ramp { from: share(from_percent), to: share(to_percent) }
        }
        (PhaseKind::Square { low_percent, high_percent, period_seconds }, Some(_)) => {
            let period_s = if period_seconds > 0.0 { period_seconds } else { phase.seconds };
            Shape::Square { low: share(low_percent), high: share(high_percent), period_s }
        }
        // What moves data leaves the devices cool.
        (PhaseKind::Idle | PhaseKind::Rtt | PhaseKind::Collective | PhaseKind::Pairs, _) => {
            Shape::Level(0.0)
        }
    }
}

/// Arithmetic and memory traffic together draw the most; one of them alone draws less
/// (choices: they only decide whether a kernel reaches the cap).
fn intensity(phase: &Phase) -> f64 {
    match phase.load.map(|load| load.kernel) {
        Some(Kernel::FmaF64) => 0.95,
        Some(Kernel::FmaF32) => 0.9,
        Some(Kernel::Stream | Kernel::L2 | Kernel::Memory) => 0.6,
        Some(Kernel::Copy) => 0.3,
        Some(Kernel::Int8) => 0.9,
        Some(Kernel::Mix | Kernel::Bf16) | None => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(shape: Shape) -> Segment {
        Segment {
            name: "p".to_owned(),
            start_s: 0.0,
            seconds: 100.0,
            shape,
            on: Vec::new(),
            intensity: 1.0,
            exchange: None,
        }
    }

    #[test]
    fn levels_are_means_over_their_interval() {
        let ramp = segment(Shape::Ramp { from: 0.0, to: 1.0 });
        assert!((ramp.level(20.0, 40.0) - 0.3).abs() < 1e-12);
        let square = segment(Shape::Square { low: 0.2, high: 1.0, period_s: 10.0 });
        assert!((square.level(0.0, 5.0) - 1.0).abs() < 1e-12);
        assert!((square.level(5.0, 10.0) - 0.2).abs() < 1e-12);
        assert!((square.level(0.0, 100.0) - 0.6).abs() < 1e-12);
        assert!((square.level(3.0, 7.0) - 0.6).abs() < 1e-12);
    }
}
