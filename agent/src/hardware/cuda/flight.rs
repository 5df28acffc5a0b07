//! A launch on its way: submission, and the look whether it is back. Never waits.

use model::load::Kernel;

use super::Failure;
use super::image::{Inject, Launch, NO_TILE};
use super::prepared::{Prepared, Purpose, Slot};
use super::rig::{Rig, SEED};
use super::slot::Outcome;
use crate::clock::monotonic_ns;

/// A launch of some milliseconds that takes this long will not come back: three hundred times
/// the longest that calibration allows, and well below what stops a phase's clock.
const LAUNCH_DEADLINE_NS: u64 = 2_000_000_000;
/// One launch in flight.
pub(super) struct Flight {
    pub(super) purpose: Purpose,
    /// Of the order that it works for; 0 in preparation.
    pub(super) serial: u64,
    /// The tile whose result was corrupted on purpose.
    pub(super) injected: Option<u32>,
    pub(super) submitted_ns: u64,
    pub(super) expected_ns: u64,
    pub(super) compared: bool,
    slot: Slot,
}

/// A launch that came back.
pub(super) struct Landed {
    pub(super) flight: FlightFacts,
    pub(super) outcome: Outcome,
    pub(super) seen_ns: u64,
}

/// What is left of a flight once its slot is free again.
#[derive(Debug, Clone, Copy)]
pub(super) struct FlightFacts {
    pub(super) purpose: Purpose,
    pub(super) serial: u64,
    pub(super) injected: Option<u32>,
    pub(super) submitted_ns: u64,
    pub(super) expected_ns: u64,
    pub(super) compared: bool,
}

impl Flight {
    /// Sends a launch off. `None` when every slot is in flight.
    pub(super) fn submit(
        rig: &Rig,
        kernel: &mut Prepared,
        purpose: Purpose,
        serial: u64,
        inject: Option<u32>,
    ) -> Result<Option<Self>, Failure> {
        let Some(slot) = kernel.free.pop() else { return Ok(None) };
        let compared = kernel.is_compared(purpose);
        let launch = launch(rig, kernel, purpose, &slot, inject);
        let (shape, function) = match purpose {
            Purpose::Fill(_) => {
                let (_, shape, function) = rig.fill_kernel()?;
                (shape, function)
            }
            _ => (kernel.shape, kernel.function),
        };
        let submitted_ns = monotonic_ns();
        let grid = (launch.tiles, shape.block_threads, shape.shared_bytes);
        // SAFETY: `Launch` is the parameter of every kernel of our images; operands, buffer,
        // golden results, slot and stop word outlive the flight, which the event behind the
        // launch tells the end of.
        unsafe { rig.context.launch(&rig.compute, function, grid, &launch)? };
        rig.context.record(&slot.computed, &rig.compute)?;
        rig.context.wait_for(&rig.copies, &slot.computed)?;
        rig.context.copy_out(&rig.copies, &slot.device, &slot.host)?;
        rig.context.copy_in(&rig.copies, &kernel.blank, &slot.device, kernel.layout.bytes())?;
        rig.context.record(&slot.copied, &rig.copies)?;
        if kernel.kernel == Kernel::Memory {
            kernel.pass = kernel.pass.wrapping_add(1);
        }
        let expected_ns = match purpose {
            Purpose::Load | Purpose::Confirm | Purpose::Calibrate => kernel.quantum_ns,
            Purpose::Fill(_) | Purpose::Anchor => 0,
        };
        Ok(Some(Self {
            purpose,
            serial,
            injected: inject,
            submitted_ns,
            expected_ns,
            compared,
            slot,
        }))
    }

    /// Whether it is back.
    ///
    /// # Errors
    /// The GPU's error, or our own when it is overdue.
    pub(super) fn is_back(
        &self,
        rig: &Rig,
        kernel: &Prepared,
        ahead_ns: u64,
    ) -> Result<bool, Failure> {
        if rig.context.is_done(&self.slot.copied)? {
            return Ok(true);
        }
        let waited = monotonic_ns().saturating_sub(self.submitted_ns.max(ahead_ns));
        if waited > LAUNCH_DEADLINE_NS {
            let (word, seconds) = (kernel.kernel.word(), LAUNCH_DEADLINE_NS / 1_000_000_000);
            let text = format!("a launch of {word} did not come back in {seconds} s");
            return Err(Failure::late(text));
        }
        Ok(false)
    }

    /// Takes the results out of a launch that is back; its slot is free again.
    pub(super) fn land(self, kernel: &mut Prepared) -> Landed {
        let seen_ns = monotonic_ns();
        let outcome = kernel.layout.read(&self.slot.host.read(0, kernel.layout.bytes()));
        kernel.free.push(self.slot);
        let Self { purpose, serial, injected, submitted_ns, expected_ns, compared, .. } = self;
        let flight = FlightFacts { purpose, serial, injected, submitted_ns, expected_ns, compared };
        Landed { flight, outcome, seen_ns }
    }
}

fn launch(
    rig: &Rig,
    kernel: &Prepared,
    purpose: Purpose,
    slot: &Slot,
    inject: Option<u32>,
) -> Launch {
    let (layout, base) = (kernel.layout, slot.device.address);
    let at = |offset: usize| base + offset as u64;
    let (tiles, iterations) = kernel.work_for(purpose);
    let (fills, pass) = match &purpose {
        Purpose::Fill(fill) => (std::slice::from_ref(fill), *fill as u32),
        _ => (kernel.shape.fills, kernel.pass),
    };
    let (operands, operand_bytes) = rig.operands(fills);
    let (buffer, buffer_bytes) = match purpose {
        Purpose::Fill(_) => rig.buffer(Kernel::Stream),
        _ => rig.buffer(kernel.kernel),
    };
    Launch {
        operands,
        operand_bytes,
        buffer,
        buffer_bytes,
        golden: if kernel.is_compared(purpose) { kernel.golden.address } else { 0 },
        hashes: at(layout.hashes()),
        flaws: at(layout.flaws()),
        stamps: at(layout.stamps()),
        stop: rig.stop.address,
        iterations,
        tiles,
        seed: SEED,
        share: kernel.share,
        inject_tile: inject.unwrap_or(NO_TILE),
        inject_kind: if inject.is_some() { Inject::Flip as u32 } else { 0 },
        inject_iteration: 0,
        pass,
    }
}
