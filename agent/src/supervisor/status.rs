//! What the operator's screen shows of this agent. Not evidence.

use proto::v1;

use super::power::Powers;
use super::run::Run;
use super::{STATUS_NS, Supervisor};
use crate::worker::Slot;

/// What a device's load did last.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct LastWork {
    pub(super) to_ns: u64,
    pub(super) gflops: f64,
    pub(super) gb_per_s: f64,
    pub(super) errors: u64,
}

/// Work older than this is not what the device does now.
const FRESH_NS: u64 = 2_500_000_000;

/// Points of a level's mean: sensors say means over about a second, and a level that is set
/// beside them must be one as well.
const MEAN_POINTS: u64 = 20;

/// The mean level commanded over the last second.
fn mean_level(run: &Run, power: &Powers, now_ns: u64) -> f64 {
    let at = |i| now_ns.saturating_sub(STATUS_NS * (2 * i + 1) / (2 * MEAN_POINTS));
    (0..MEAN_POINTS).map(|i| run.level_at(at(i), power.scale_at(at(i)))).sum::<f64>()
        / MEAN_POINTS as f64
}

impl Supervisor {
    pub(super) fn say_status(&mut self, now_ns: u64) {
        let power = self.power.scale_at(now_ns);
        if let Some(run) = &mut self.run {
            run.ceiling = run.ceiling.sink(run.level_at(now_ns, power), now_ns);
        }
        let run_id = self.run.as_ref().map(|run| run.id().to_owned()).unwrap_or_default();
        let phase = self.run.as_ref().and_then(|run| run.phase_at(now_ns)).cloned();
        let level = self.run.as_ref().map_or(0.0, |run| mean_level(run, &self.power, now_ns));
        let fresh: Vec<_> =
            self.last_work.values().filter(|work| now_ns < work.to_ns + FRESH_NS).collect();
        let heating = self
            .workers
            .iter()
            .filter(|(slot, worker)| matches!(slot, Slot::Device(_)) && !worker.idle)
            .count();
        let skew = phase.as_ref().and_then(|phase| phase.skew);
        let status = v1::Status {
            run_id,
            phase_skew_ns: skew.map(|skew| skew.last_ns),
            phase_skew_error_ns: skew.map_or(0, |skew| skew.error_ns),
            phase: phase.map(|phase| phase.name).unwrap_or_default(),
            level,
            power_w: self.total_power(),
            temp_c_max: self
                .sensed
                .values()
                .filter_map(|sensed| sensed.temp_c.value())
                .max_by(f64::total_cmp),
            gflops: fresh.iter().map(|work| work.gflops).sum(),
            gb_per_s: fresh.iter().map(|work| work.gb_per_s).sum(),
            unacked_batches: self.parts.spooler.unacked_batches(),
            records_lost: self.parts.spooler.records_lost(),
            errors: self.last_work.values().map(|work| work.errors).sum(),
            devices_heating: heating as u32,
            scale: self.run.as_ref().map(|run| run.scale.target()),
            usable_gpus: self.run.as_ref().map(|_| self.usable_gpus().len() as u32),
            readings: self.readings(),
            no_rise: self.run.as_ref().is_some_and(|run| run.ceiling.holds()),
            mix_per_mille: self.run.as_ref().and_then(|run| run.mix_per_mille).unwrap_or(0),
        };
        if let Ok(mut board) = self.parts.board.try_lock() {
            *board = Some((self.parts.clock.tell(now_ns), status.clone()));
        }
        self.say(v1::agent_message::Kind::Status(status));
    }

    /// Watts over all devices; nothing when any of them can't be read.
    fn total_power(&self) -> Option<f64> {
        if self.sensed.is_empty() {
            return None;
        }
        self.sensed.values().map(|sensed| sensed.power_w.value()).sum()
    }
}
