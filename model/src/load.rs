//! What a load is: a kernel and the shape of its level over time.

use serde::{Deserialize, Serialize};

/// The arithmetic that makes heat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kernel {
    /// Fused multiply-add on 64-bit floats, operands in registers.
    FmaF64,
    /// Fused multiply-add on 32-bit floats, operands in registers.
    FmaF32,
    /// Streaming through a buffer larger than the last cache: main memory of a CPU, the
    /// device memory of a GPU.
    Stream,
    /// Arithmetic and memory traffic together: the most heat.
    Mix,
    /// Matrix products of bf16 operands in tensor cores, sums in 32-bit floats. GPU only.
    Bf16,
    /// Matrix products of 8-bit integers in tensor cores: exact, so that the right result is
    /// known without a vote. GPU only.
    Int8,
    /// Traffic that stays in the second cache. GPU only.
    L2,
    /// Copies between host and device, both ways. GPU only.
    Copy,
    /// Patterns over nearly all of the device memory, written and read back. GPU only.
    Memory,
}

impl Kernel {
    /// Every kernel, in the order in which reports list them.
    pub const ALL: [Self; 9] = [
        Self::FmaF64,
        Self::FmaF32,
        Self::Stream,
        Self::Mix,
        Self::Bf16,
        Self::Int8,
        Self::L2,
        Self::Copy,
        Self::Memory,
    ];

    /// The word in plans and reports.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::FmaF64 => "fp64",
            Self::FmaF32 => "fp32",
            Self::Stream => "stream",
            Self::Mix => "mix",
            Self::Bf16 => "bf16",
            Self::Int8 => "int8",
            Self::L2 => "l2",
            Self::Copy => "copy",
            Self::Memory => "memory",
        }
    }

    /// Whether a CPU can run it; a GPU runs all of them.
    #[must_use]
    pub fn runs_on_cpu(self) -> bool {
        matches!(self, Self::FmaF64 | Self::FmaF32 | Self::Stream | Self::Mix)
    }

    /// Whether its rate is bytes a second, not operations.
    #[must_use]
    pub fn moves_bytes(self) -> bool {
        matches!(self, Self::Stream | Self::L2 | Self::Copy | Self::Memory)
    }

    /// The kernel of a word, if it is one.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kernel| kernel.word() == word)
    }
}

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
}

impl Waveform {
    /// Time after which it repeats; `None` for what does not.
    #[must_use]
    pub fn period_ns(self) -> Option<u64> {
        match self {
            Self::Square { period_ns, .. } => Some(period_ns).filter(|period_ns| *period_ns > 0),
            Self::Hold { .. } | Self::Ramp { .. } => None,
        }
    }

    /// The level at `t_ns` after the start, in 0..=1.
    #[must_use]
    pub fn level_at(self, t_ns: u64) -> f64 {
        let level = match self {
            Self::Hold { level } => level,
            Self::Ramp { from, to, over_ns } => {
                let share =
                    if over_ns == 0 { 1.0 } else { (t_ns as f64 / over_ns as f64).min(1.0) };
                from + (to - from) * share
            }
            Self::Square { low, high, period_ns } => {
                let first_half = period_ns == 0 || (t_ns % period_ns) * 2 < period_ns;
                if first_half { high } else { low }
            }
        };
        level.clamp(0.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn words_round_trip() {
        for kernel in Kernel::ALL {
            assert_eq!(Kernel::from_word(kernel.word()), Some(kernel));
        }
    }
}
