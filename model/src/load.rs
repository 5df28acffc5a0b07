//! What a load is: the arithmetic that makes heat.

use serde::{Deserialize, Serialize};

pub use crate::waveform::Waveform;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_round_trip() {
        for kernel in Kernel::ALL {
            assert_eq!(Kernel::from_word(kernel.word()), Some(kernel));
        }
    }
}
