//! The floor at one instant, for those who only look.

use model::course::waveform;
use model::waveform::Waveform;
use proto::v1;

use super::{Active, Hall};
use crate::store::RunRow;

/// Points in which a phase's waveform is drawn.
const SHAPE_POINTS: u32 = 120;
/// A period with fewer points than this would be drawn as another wave than it is: then only its
/// range is told.
const PERIOD_POINTS_MIN: u64 = 6;

/// What there is to see.
#[derive(Debug, Clone, Default)]
pub(crate) struct Floor {
    /// On the coordinator's clock, in nanoseconds since 1970.
    pub(crate) now_ns: i64,
    pub(crate) agents: Vec<AgentSeen>,
    /// The active run's status, or the last one's.
    pub(crate) run: Option<v1::RunStatus>,
    pub(crate) row: Option<RunRow>,
    /// Whether it is active, and so can be stopped.
    pub(crate) active: bool,
    pub(crate) phases: Vec<PhaseShape>,
}

/// An agent that is or was here.
#[derive(Debug, Clone)]
pub(crate) struct AgentSeen {
    pub(crate) node: String,
    pub(crate) connected: bool,
    pub(crate) last_seen_ns: i64,
}

/// A phase as a line to draw.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PhaseShape {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) seconds: f64,
    /// Levels, 0 to 1, evenly over the phase; empty without heat. Where groups of nodes move one
    /// after the other it is the first group's.
    pub(crate) levels: Vec<f64>,
    /// Lowest and highest level and the frequency in Hz, of a wave too fast to be drawn.
    pub(crate) band: Option<(f64, f64, f64)>,
}

impl Hall {
    /// The floor as it is now.
    pub(crate) fn floor(&self) -> Floor {
        let run = self.status("");
        let now_ns = self.clock.now_ns();
        let inner = self.lock();
        let agents = inner.agents.values().map(|agent| AgentSeen {
            node: agent.hello.node.clone(),
            connected: agent.outbox.as_ref().is_some_and(|outbox| !outbox.is_closed()),
            last_seen_ns: agent.last_seen_ns,
        });
        // Between the two locks the run may have ended: then there is none that is active.
        let active =
            inner.active.as_ref().filter(|a| run.as_ref().is_some_and(|r| r.run_id == a.run));
        Floor {
            now_ns,
            agents: agents.collect(),
            row: run.as_ref().and_then(|run| inner.runs.get(&run.run_id).cloned()),
            active: active.is_some(),
            phases: active.map(shapes).unwrap_or_default(),
            run,
        }
    }
}

fn shapes(active: &Active) -> Vec<PhaseShape> {
    let one = |spec: &crate::run::PhaseSpec| {
        let planned = active.plan.phases.iter().find(|phase| phase.name == spec.name);
        let wave = planned.and_then(|phase| waveform(phase, 0, 1)).filter(|_| spec.heats());
        let shape = PhaseShape {
            name: spec.name.clone(),
            kind: spec.kind.clone(),
            seconds: spec.duration_ns as f64 / 1e9,
            levels: Vec::new(),
            band: None,
        };
        wave.map_or(shape.clone(), |wave| drawn(shape, wave, spec.duration_ns))
    };
    active.specs.iter().map(one).collect()
}

fn drawn(shape: PhaseShape, wave: Waveform, duration_ns: u64) -> PhaseShape {
    let step_ns = duration_ns / u64::from(SHAPE_POINTS - 1);
    if let (Some(period_ns), Some(hz)) = (wave.period_ns(), wave.hz())
        && period_ns < step_ns * PERIOD_POINTS_MIN
    {
        let (low, high) = wave.range();
        return PhaseShape { band: Some((low, high, hz)), ..shape };
    }
    let levels = (0..SHAPE_POINTS).map(|point| wave.level_at(u64::from(point) * step_ns));
    PhaseShape { levels: levels.collect(), ..shape }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn square(period_ns: u64) -> PhaseShape {
        let wave = Waveform::Square { low: 0.2, high: 0.9, period_ns };
        let shape = PhaseShape {
            name: "wave".to_owned(),
            kind: "square".to_owned(),
            seconds: 60.0,
            levels: Vec::new(),
            band: None,
        };
        drawn(shape, wave, 60_000_000_000)
    }

    #[test]
    fn a_wave_is_drawn_where_its_periods_have_points_and_told_where_not() {
        let slow = square(8_000_000_000);
        assert_eq!((slow.levels.len(), slow.band), (120, None));
        let fast = square(100_000_000);
        assert_eq!((fast.levels.len(), fast.band), (0, Some((0.2, 0.9, 10.0))));
    }
}
