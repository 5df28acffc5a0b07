//! One kernel made ready on one GPU: how long its launches are and what they must compute.
//!
//! The steps are launches themselves, so that they go in between those of a running load.
//! First the operands; then an anchor, a short launch whose results the CPU computed by
//! itself; then launches of growing or shrinking length until one fits; its results are what
//! every later one is compared with, on the GPU; and one more confirms them.

use std::thread::JoinHandle;

use model::load::Kernel;

use super::Failure;
use super::driver::{DeviceMemory, Event, Function, HostMemory};
use super::image::{CHUNK_BYTES, Fill, Image, KernelShape, Launch, reference};
use super::rig::{Rig, SEED};
use super::slot::{Layout, Outcome};

/// Launches in flight and one more, whose results are still read.
const SLOTS: usize = 4;
/// Aim and band of a launch's length. Sharp edges want short ones, small overhead long ones.
/// Wide, and left in steps of four only: GPUs of one model must end with the same length, or
/// their results can't be compared.
const AIM_NS: f64 = 1_600_000.0;
const BAND_NS: std::ops::RangeInclusive<u64> = 400_000..=6_400_000;
const STEP: u32 = 4;
/// From one iteration to 4^16.
const TRIES_MAX: u32 = 16;
/// An anchor has one iteration, of so many tiles at most and of no more operations than a CPU
/// does in a fraction of a second.
const ANCHOR_ITERATIONS: u32 = 1;
const ANCHOR_TILES_MAX: u32 = 16;
const ANCHOR_OPERATIONS_MAX: u64 = 300_000_000;
/// Tensor work of `mix`, per mille, until the coordinator says what draws more.
pub(super) const MIX_SHARE: u32 = 700;

/// Why a launch goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Fill(Fill),
    Anchor,
    Calibrate,
    Confirm,
    Load,
}

/// Where preparation stands.
enum Stage {
    Fill,
    /// The CPU computes what the anchor must show.
    Expect(Option<JoinHandle<Vec<(u32, u64)>>>),
    Anchor,
    Calibrate {
        tries: u32,
    },
    /// As much work as before, in other shares: what it must compute is learnt anew.
    Relearn,
    Confirm,
    Ready,
}

/// Results of one launch, on the device and where they are copied to.
pub(super) struct Slot {
    pub(super) device: DeviceMemory,
    pub(super) host: HostMemory,
    pub(super) computed: Event,
    pub(super) copied: Event,
}

/// A tile that did not compute what the CPU did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AnchorMiss {
    pub(super) tile: u32,
    pub(super) expected: u64,
    pub(super) got: u64,
}

pub(super) struct Prepared {
    pub(super) kernel: Kernel,
    pub(super) image: &'static Image,
    pub(super) shape: KernelShape,
    pub(super) function: Function,
    pub(super) tiles: u32,
    pub(super) iterations: u32,
    /// Running mean of a launch's length.
    pub(super) quantum_ns: u64,
    pub(super) layout: Layout,
    /// What a slot holds before a launch.
    pub(super) blank: HostMemory,
    pub(super) free: Vec<Slot>,
    pub(super) golden: DeviceMemory,
    golden_staging: HostMemory,
    /// What the first full launch computed; empty before it and for memory patterns.
    pub(super) right: Vec<u64>,
    /// Tiles that the CPU knows, with their hashes; empty where it can't.
    anchor: Vec<(u32, u64)>,
    stage: Stage,
    pub(super) pass: u32,
    /// Of `mix`, the tensor work, per mille.
    pub(super) share: u32,
}

impl Prepared {
    pub(super) fn new(rig: &mut Rig, kernel: Kernel, share: u32) -> Result<Self, Failure> {
        let (image, shape, function) = rig.kernel(kernel)?;
        rig.take_memory(kernel, shape.fills)?;
        let tiles = (rig.gpu.multiprocessors * shape.tiles_per_sm).max(1);
        let layout = Layout::new(tiles);
        let context = &rig.context;
        let blank = context.host_memory(layout.bytes())?;
        blank.write(0, &layout.blank());
        let slot = || -> Result<Slot, Failure> {
            let slot = Slot {
                device: context.device_memory(layout.bytes())?,
                host: context.host_memory(layout.bytes())?,
                computed: context.event()?,
                copied: context.event()?,
            };
            // Before the first launch in the same stream.
            context.copy_in(&rig.compute, &blank, &slot.device, layout.bytes())?;
            Ok(slot)
        };
        Ok(Self {
            kernel,
            image,
            shape,
            function,
            tiles,
            iterations: match kernel {
                Kernel::Memory => iterations_over(&shape, rig.buffer(kernel).1, tiles),
                _ => nominal_iterations(kernel, &shape, rig.gpu.clock_khz),
            },
            quantum_ns: AIM_NS as u64,
            layout,
            free: (0..SLOTS).map(|_| slot()).collect::<Result<_, _>>()?,
            blank,
            golden: context.device_memory(8 * tiles as usize)?,
            golden_staging: context.host_memory(8 * tiles as usize)?,
            right: Vec::new(),
            anchor: Vec::new(),
            stage: Stage::Fill,
            pass: 0,
            share,
        })
    }

    pub(super) fn is_ready(&self) -> bool {
        matches!(self.stage, Stage::Ready)
    }

    /// Whether launches of this purpose are compared with the first one's results on the GPU.
    pub(super) fn is_compared(&self, purpose: Purpose) -> bool {
        !self.right.is_empty() && matches!(purpose, Purpose::Load | Purpose::Confirm)
    }

    /// Whether the CPU knows what an anchor must show.
    pub(super) fn has_anchor(&self) -> bool {
        !self.anchor.is_empty()
    }

    /// Tiles and iterations of a launch.
    pub(super) fn work_for(&self, purpose: Purpose) -> (u32, u32) {
        match purpose {
            Purpose::Anchor => (anchor_tiles(&self.shape, self.tiles), ANCHOR_ITERATIONS),
            _ => (self.tiles, self.iterations),
        }
    }

    /// Operations and bytes of one iteration of one tile.
    pub(super) fn worth(&self) -> (u64, u64) {
        let (flops, bytes) =
            (self.shape.flops_per_iteration_per_tile, self.shape.bytes_per_iteration_per_tile);
        let share = u64::from(self.share);
        match self.kernel {
            Kernel::Mix => (flops * share / 1000, bytes * (1000 - share) / 1000),
            _ => (flops, bytes),
        }
    }

    /// Whether its launches have other shares than those asked for.
    pub(super) fn has_other_share(&self, share: u32) -> bool {
        self.kernel == Kernel::Mix && self.share != share
    }

    /// Takes another share. Nothing of it may be in flight: the GPU compares with what this
    /// replaces.
    pub(super) fn set_share(&mut self, share: u32) {
        self.share = share;
        self.right.clear();
        self.stage = Stage::Relearn;
    }

    /// A launch was cut short: what memory patterns left is not what the next pass expects.
    pub(super) fn cut(&mut self) {
        self.pass = 0;
    }

    /// The launch that preparation wants next; none while it waits for the CPU, or is done.
    pub(super) fn wants(&mut self, rig: &Rig) -> Option<Purpose> {
        if matches!(self.stage, Stage::Fill) {
            let missing = self.shape.fills.iter().find(|fill| !rig.filled.contains(fill));
            if let Some(fill) = missing {
                return Some(Purpose::Fill(*fill));
            }
            self.stage = Stage::Expect(self.expect(rig));
        }
        if let Stage::Expect(computing) = &mut self.stage {
            if computing.as_ref().is_some_and(|thread| !thread.is_finished()) {
                return None;
            }
            self.anchor =
                computing.take().and_then(|thread| thread.join().ok()).unwrap_or_default();
            let calibrate = Stage::Calibrate { tries: 0 };
            self.stage = if self.anchor.is_empty() { calibrate } else { Stage::Anchor };
        }
        match self.stage {
            Stage::Anchor => Some(Purpose::Anchor),
            Stage::Calibrate { .. } | Stage::Relearn => Some(Purpose::Calibrate),
            Stage::Confirm => Some(Purpose::Confirm),
            Stage::Fill | Stage::Expect(_) | Stage::Ready => None,
        }
    }

    /// Takes the outcome of a launch that [`Self::wants`] asked for.
    pub(super) fn learn(
        &mut self,
        rig: &mut Rig,
        purpose: Purpose,
        outcome: &Outcome,
    ) -> Result<(), Failure> {
        match (&self.stage, purpose) {
            (_, Purpose::Fill(fill)) => rig.filled.push(fill),
            (Stage::Anchor, Purpose::Anchor) => self.stage = Stage::Calibrate { tries: 0 },
            (Stage::Calibrate { tries }, Purpose::Calibrate) => {
                let tries = *tries + 1;
                return self.calibrate(rig, tries, outcome);
            }
            // Another length would cost GPUs of one model their common results.
            (Stage::Relearn, Purpose::Calibrate) => {
                return self.calibrate(rig, TRIES_MAX, outcome);
            }
            (Stage::Confirm, Purpose::Confirm) => self.stage = Stage::Ready,
            _ => {}
        }
        Ok(())
    }

    fn calibrate(&mut self, rig: &Rig, tries: u32, outcome: &Outcome) -> Result<(), Failure> {
        let Some((begin, end)) =
            outcome.span.filter(|_| outcome.tiles_done() == u64::from(self.tiles))
        else {
            let (word, done, tiles) = (self.kernel.word(), outcome.tiles_done(), self.tiles);
            return Err(Failure {
                code: 0,
                text: format!("kernel {word} left results of {done} of {tiles} tiles"),
                refused: false,
            });
        };
        self.quantum_ns = (end - begin).max(1);
        let next = match self.quantum_ns {
            // One launch is one pass over all of the memory, however long.
            _ if self.kernel == Kernel::Memory => None,
            short if short < *BAND_NS.start() => self.iterations.checked_mul(STEP),
            long if long > *BAND_NS.end() && self.iterations > 1 => {
                Some((self.iterations / STEP).max(1))
            }
            _ => None,
        };
        if let Some(iterations) = next.filter(|_| tries < TRIES_MAX) {
            self.iterations = iterations;
            self.stage = Stage::Calibrate { tries };
            return Ok(());
        }
        if self.kernel != Kernel::Memory {
            self.right.clone_from(&outcome.hashes);
            let bytes: Vec<u8> = self.right.iter().flat_map(|hash| hash.to_le_bytes()).collect();
            self.golden_staging.write(0, &bytes);
            // Before the next launch in the same stream.
            rig.context.copy_in(&rig.compute, &self.golden_staging, &self.golden, bytes.len())?;
        }
        self.stage = Stage::Confirm;
        Ok(())
    }

    /// Computes on a thread of its own what an anchor must show. Memory patterns need none:
    /// they know every word.
    fn expect(&self, rig: &Rig) -> Option<JoinHandle<Vec<(u32, u64)>>> {
        let (tiles, iterations) = self.work_for(Purpose::Anchor);
        let (kernel, fills) = (self.kernel, self.shape.fills);
        let launch = Launch {
            operand_bytes: rig.operands(fills).1,
            buffer_bytes: rig.buffer(kernel).1,
            tiles,
            iterations,
            seed: SEED,
            ..Launch::default()
        };
        let compute = move || {
            let hashes = reference::golden(kernel, &launch).unwrap_or_default();
            (0..).zip(hashes).collect()
        };
        let known = kernel != Kernel::Memory;
        known.then(|| std::thread::Builder::new().name("anchor".into()).spawn(compute).ok())?
    }

    /// What an anchor shows that the CPU computed otherwise.
    pub(super) fn anchor_misses(&self, outcome: &Outcome) -> Vec<AnchorMiss> {
        let miss = |(tile, expected): &(u32, u64)| {
            let got = *outcome.hashes.get(*tile as usize)?;
            let miss = AnchorMiss { tile: *tile, expected: *expected, got };
            (got != 0 && got != *expected).then_some(miss)
        };
        self.anchor.iter().filter_map(miss).collect()
    }

    /// The running mean follows a clock that falls as the GPU gets warm.
    pub(super) fn took(&mut self, span_ns: u64) {
        self.quantum_ns = (7 * self.quantum_ns + span_ns).div_ceil(8).max(1);
    }
}

/// Tiles of an anchor.
fn anchor_tiles(shape: &KernelShape, tiles: u32) -> u32 {
    let affordable = ANCHOR_OPERATIONS_MAX / shape.flops_per_iteration_per_tile.max(1);
    tiles.min(ANCHOR_TILES_MAX).min(affordable.max(1) as u32)
}

/// Iterations in which tiles walk through all of a region once. A launch walks no further.
fn iterations_over(shape: &KernelShape, bytes: u64, tiles: u32) -> u32 {
    let chunks = (bytes / CHUNK_BYTES).div_ceil(u64::from(tiles));
    // Every byte is read and written.
    chunks.div_ceil(shape.bytes_per_iteration_per_tile / (2 * CHUNK_BYTES)).max(1) as u32
}

/// A first guess at the work that takes [`AIM_NS`], the same on every GPU of a model: a power
/// of four from the peak clock and what an H100's multiprocessor does in a clock (gpu.md §1.3;
/// other cards lie within the band around it, or are brought there by calibration).
fn nominal_iterations(kernel: Kernel, shape: &KernelShape, clock_khz: u32) -> u32 {
    let (flops_per_clock, bytes_per_clock) = match kernel {
        Kernel::Bf16 | Kernel::Mix => (2048.0, 14.0),
        Kernel::Int8 => (4096.0, 14.0),
        Kernel::FmaF32 => (256.0, 14.0),
        Kernel::FmaF64 => (128.0, 14.0),
        Kernel::L2 => (256.0, 40.0),
        Kernel::Stream | Kernel::Copy | Kernel::Memory => (256.0, 14.0),
    };
    let clocks = (shape.flops_per_iteration_per_tile as f64 / flops_per_clock)
        .max(shape.bytes_per_iteration_per_tile as f64 / bytes_per_clock)
        .max(1.0);
    let ns = clocks * f64::from(shape.tiles_per_sm.max(1)) * 1e6 / f64::from(clock_khz.max(1));
    let power = ((AIM_NS / ns).max(1.0).ln() / f64::from(STEP).ln()).round();
    STEP.saturating_pow((power as u32).min(TRIES_MAX - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_guess_is_a_power_of_four_and_the_same_for_like_clocks() {
        let shape = KernelShape {
            entry: "lb_bf16",
            block_threads: 256,
            shared_bytes: 0,
            tiles_per_sm: 1,
            flops_per_iteration_per_tile: 1 << 22,
            bytes_per_iteration_per_tile: 0,
            fills: &[],
        };
        let guess = nominal_iterations(Kernel::Bf16, &shape, 1_980_000);
        assert_eq!(guess, nominal_iterations(Kernel::Bf16, &shape, 1_830_000));
        assert_eq!(guess.trailing_zeros() % 2, 0);
        assert!(guess.is_power_of_two(), "{guess}");
        // 2^22 operations at 2048 a clock and 1.98 GHz take 1.03 us: 1.6 ms hold 1547 of them.
        assert_eq!(guess, 1024);
    }
}
