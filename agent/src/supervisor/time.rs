//! Corrections of a running phase's time.

use model::record::EventKind;
use proto::v1;
use proto::v1::worker_command::Kind as Command;

use super::Supervisor;
use super::run::{PhaseSkew, TimedPhase};
use crate::clock::{AgentClock, monotonic_ns};
use crate::time_base::Correction;
use crate::worker::Slot;

const SECOND_NS: i64 = 1_000_000_000;

impl Supervisor {
    /// The coordinator knows our clock better by now: the phase that runs follows.
    pub(super) fn keep_time(&mut self, clock: &v1::ClockCorrection) {
        let now_ns = monotonic_ns();
        let drift_ppb = drift_on_monotonic(&self.parts.clock, clock.agent_ns, clock.drift_ppb);
        let at_ns = self.parts.clock.monotonic(clock.agent_ns);
        let Some(run) = self.run.as_mut().filter(|run| run.id() == clock.run_id) else { return };
        let runs = |phase: &&mut TimedPhase| {
            let begun = phase.start_ns <= now_ns && now_ns < phase.end_ns;
            begun && !phase.ended && phase.coordinator_start_ns != 0
        };
        let Some(phase) = run.phases.iter_mut().rev().find(runs) else { return };
        let phase_ns = clock.coordinator_ns - phase.coordinator_start_ns;
        let correction = Correction { at_ns, phase_ns, drift_ppb, error_ns: clock.error_ns };
        let Some(skew_ns) = phase.base.correct(now_ns, &correction) else { return };
        phase.note_skew(skew_ns, clock.error_ns);
        phase.end_ns = phase.base.monotonic_ns(phase.duration_ns);
        let time = v1::WorkerTime {
            start_ns: phase.start_ns,
            at_ns: phase.base.at_ns,
            phase_ns: phase.base.phase_ns,
            drift_ppb: phase.base.drift_ppb,
            slew_ns: phase.base.slew_ns,
        };
        for device in self.parts.devices.iter().map(|device| device.index).collect::<Vec<_>>() {
            self.tell(Slot::Device(device), Command::Time(time));
        }
    }

    /// What corrections said of a phase that is over.
    pub(super) fn record_skew(&mut self, phase: &TimedPhase) {
        let Some(skew) = phase.skew else { return };
        let text = format!(
            "time of phase {}: {} corrections, at most {} ns from the coordinator's (known to {} ns)",
            phase.name, skew.corrections, skew.worst_ns, skew.error_ns
        );
        self.record_event(EventKind::Note, None, text);
    }
}

impl TimedPhase {
    fn note_skew(&mut self, skew_ns: i64, error_ns: u64) {
        let before = self.skew;
        self.skew = Some(PhaseSkew {
            last_ns: skew_ns,
            worst_ns: before.map_or(0, |b| b.worst_ns).max(skew_ns.unsigned_abs()),
            error_ns: before.map_or(0, |b| b.error_ns).max(error_ns),
            corrections: before.map_or(0, |b| b.corrections) + 1,
        });
    }
}

/// A drift against this agent's clock, as one against CLOCK_MONOTONIC: they differ where a
/// test has falsified the clock.
pub(super) fn drift_on_monotonic(clock: &AgentClock, agent_ns: i64, drift_ppb: i64) -> i64 {
    let (from, to) = (clock.monotonic(agent_ns), clock.monotonic(agent_ns + SECOND_NS));
    SECOND_NS + drift_ppb - (to as i64 - from as i64)
}
