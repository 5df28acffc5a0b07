//! Loads: kernel words and waveforms.

use model::load::{Kernel, Waveform};

use super::ConvertError;
use crate::v1;

/// The kernel of a wire word.
///
/// # Errors
/// When no kernel has that word.
pub fn kernel_from_word(word: &str) -> Result<Kernel, ConvertError> {
    Kernel::from_word(word)
        .ok_or_else(|| ConvertError::Unknown { what: "kernel", word: word.to_owned() })
}

/// Wire form of a kernel and its waveform.
#[must_use]
pub fn load_to_wire(kernel: Kernel, waveform: Waveform) -> v1::PhaseLoad {
    use v1::phase_load::Waveform as Wire;
    let waveform = match waveform {
        Waveform::Hold { level } => Wire::Hold(v1::Hold { level }),
        Waveform::Ramp { from, to, over_ns } => Wire::Ramp(v1::Ramp { from, to, over_ns }),
        Waveform::Square { low, high, period_ns } => {
            Wire::Square(v1::Square { low, high, period_ns })
        }
        Waveform::Sine { low, high, period_ns } => Wire::Sine(v1::Sine { low, high, period_ns }),
        Waveform::Pulse { low, high, up_ns, down_ns, over_ns } => {
            Wire::Pulse(v1::Pulse { low, high, up_ns, down_ns, over_ns })
        }
        Waveform::Stairs { low, high, steps, step_ns } => {
            Wire::Stairs(v1::Stairs { low, high, steps, step_ns })
        }
        Waveform::Training {
            compute,
            reduce,
            checkpoint,
            compute_ns,
            reduce_ns,
            every_ns,
            checkpoint_ns,
        } => Wire::Training(v1::Training {
            compute,
            reduce,
            checkpoint,
            compute_ns,
            reduce_ns,
            every_ns,
            checkpoint_ns,
        }),
    };
    v1::PhaseLoad { kernel: kernel.word().to_owned(), waveform: Some(waveform), target_w: None }
}

/// A kernel and its waveform from the wire.
///
/// # Errors
/// When the kernel is unknown or the waveform is missing.
pub fn load_from_wire(load: &v1::PhaseLoad) -> Result<(Kernel, Waveform), ConvertError> {
    use v1::phase_load::Waveform as Wire;
    let kernel = kernel_from_word(&load.kernel)?;
    let waveform = match load.waveform.as_ref().ok_or(ConvertError::Missing("waveform"))? {
        Wire::Hold(hold) => Waveform::Hold { level: hold.level },
        Wire::Ramp(ramp) => Waveform::Ramp { from: ramp.from, to: ramp.to, over_ns: ramp.over_ns },
        Wire::Square(square) => {
            Waveform::Square { low: square.low, high: square.high, period_ns: square.period_ns }
        }
        Wire::Sine(sine) => {
            Waveform::Sine { low: sine.low, high: sine.high, period_ns: sine.period_ns }
        }
        Wire::Pulse(pulse) => Waveform::Pulse {
            low: pulse.low,
            high: pulse.high,
            up_ns: pulse.up_ns,
            down_ns: pulse.down_ns,
            over_ns: pulse.over_ns,
        },
        Wire::Stairs(stairs) => Waveform::Stairs {
            low: stairs.low,
            high: stairs.high,
            steps: stairs.steps,
            step_ns: stairs.step_ns,
        },
        Wire::Training(training) => Waveform::Training {
            compute: training.compute,
            reduce: training.reduce,
            checkpoint: training.checkpoint,
            compute_ns: training.compute_ns,
            reduce_ns: training.reduce_ns,
            every_ns: training.every_ns,
            checkpoint_ns: training.checkpoint_ns,
        },
    };
    Ok((kernel, waveform))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waveforms_round_trip() {
        let shapes = [
            Waveform::Hold { level: 0.5 },
            Waveform::Ramp { from: 0.0, to: 1.0, over_ns: 9 },
            Waveform::Square { low: 0.1, high: 0.9, period_ns: 7 },
            Waveform::Sine { low: 0.1, high: 0.9, period_ns: 7 },
            Waveform::Pulse { low: 0.1, high: 0.9, up_ns: 1, down_ns: 2, over_ns: 3 },
            Waveform::Stairs { low: 0.1, high: 0.9, steps: 4, step_ns: 5 },
            Waveform::Training {
                compute: 1.0,
                reduce: 0.5,
                checkpoint: 0.2,
                compute_ns: 1,
                reduce_ns: 2,
                every_ns: 3,
                checkpoint_ns: 4,
            },
        ];
        for shape in shapes {
            assert_eq!(load_from_wire(&load_to_wire(Kernel::Mix, shape)), Ok((Kernel::Mix, shape)));
        }
    }
}
