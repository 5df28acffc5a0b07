//! Work: what a device's load did in one phase with one kernel.
//!
//! Totals are integers, because a sum of floats shows the order in which it was made.

use model::record::Work;

use super::sketch::Sketch;

/// A window whose commanded mean level is at least this ran at full level: the ramp's last
/// step and rounding of the level are below half a percent, the sketch's own error.
const FULL_LEVEL: f64 = 0.995;

/// Everything one device did with one kernel in one phase.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct WorkEvidence {
    pub windows: u64,
    /// Windows that make no sense: no duration, no number, less than nothing.
    pub refused: u64,
    /// Rates of the windows at full level in hold phases: arithmetic in GFLOP/s and memory
    /// traffic in GB/s, each over the window's wall time.
    pub gflops: Sketch,
    pub gb_per_s: Sketch,
    /// The most cores that worked in one window.
    pub cores: u32,
    /// Wall time of all windows, and of those with a commanded level above zero.
    pub wall_ns: u128,
    pub loaded_ns: u128,
    /// Wall time times cores; the share of it that was busy, and that was commanded.
    pub core_ns: u128,
    pub busy_core_ns: u128,
    pub commanded_core_ns: u128,
    pub flops: u128,
    pub bytes: u128,
    pub blocks: u64,
    pub verified: u64,
    pub mismatches: u64,
}

impl WorkEvidence {
    /// Counts one window; `steady` when its phase holds one level.
    pub(super) fn add(&mut self, work: &Work, steady: bool) {
        self.blocks = self.blocks.saturating_add(work.blocks);
        self.verified = self.verified.saturating_add(work.verified);
        self.mismatches = self.mismatches.saturating_add(work.mismatches);
        let wall_ns =
            u128::try_from(i128::from(work.to_ns) - i128::from(work.from_ns)).unwrap_or(0);
        let sound = [work.level, work.flops, work.bytes].iter().all(|x| x.is_finite() && *x >= 0.0);
        if wall_ns == 0 || !sound {
            self.refused += 1;
            return;
        }
        self.windows += 1;
        self.wall_ns += wall_ns;
        if work.level > 0.0 {
            self.loaded_ns += wall_ns;
        }
        self.cores = self.cores.max(work.cores);
        let core_ns = wall_ns * u128::from(work.cores);
        self.core_ns += core_ns;
        self.busy_core_ns += u128::from(work.busy_ns);
        // Parts per million keep the level's weight an integer.
        self.commanded_core_ns +=
            core_ns * ((work.level.min(1.0) * 1e6).round() as u128) / 1_000_000;
        self.flops = self.flops.saturating_add(work.flops as u128);
        self.bytes = self.bytes.saturating_add(work.bytes as u128);
        if steady && work.level >= FULL_LEVEL {
            self.gflops.add(work.flops / wall_ns as f64);
            self.gb_per_s.add(work.bytes / wall_ns as f64);
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.windows += other.windows;
        self.refused += other.refused;
        self.gflops.merge(&other.gflops);
        self.gb_per_s.merge(&other.gb_per_s);
        self.wall_ns += other.wall_ns;
        self.cores = self.cores.max(other.cores);
        self.loaded_ns += other.loaded_ns;
        self.core_ns += other.core_ns;
        self.busy_core_ns += other.busy_core_ns;
        self.commanded_core_ns += other.commanded_core_ns;
        self.flops = self.flops.saturating_add(other.flops);
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.blocks = self.blocks.saturating_add(other.blocks);
        self.verified = self.verified.saturating_add(other.verified);
        self.mismatches = self.mismatches.saturating_add(other.mismatches);
    }

    /// Seconds with a commanded level above zero.
    #[must_use]
    pub fn loaded_seconds(&self) -> f64 {
        self.loaded_ns as f64 / 1e9
    }

    /// Share of its cores' time that was busy, and that was commanded; `None` without time.
    #[must_use]
    pub fn duty(&self) -> Option<(f64, f64)> {
        let all = self.core_ns as f64;
        (self.core_ns > 0)
            .then(|| (self.busy_core_ns as f64 / all, self.commanded_core_ns as f64 / all))
    }
}
