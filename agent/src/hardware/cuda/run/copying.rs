//! Copies in the loop of a GPU's worker: their own lanes beside the kernels' launches.

use model::load::Kernel;

use super::super::super::LoadReport;
use super::super::Failure;
use super::super::copies::Copies;
use super::super::pace::Move;
use super::{Floor, LOOK_NS};
use crate::clock::monotonic_ns;

impl Floor {
    pub(super) fn copies_idle(&self) -> bool {
        self.copies.as_ref().is_none_or(Copies::is_idle)
    }

    pub(super) fn copies_fly_for(&self, serial: u64) -> bool {
        self.copies.as_ref().is_some_and(|copies| copies.flies_for(serial))
    }

    /// Buffers for an order of copies that is served or comes next.
    pub(super) fn prepare_copies(&mut self) -> Result<(), Failure> {
        let active = self.programme.active().map(|active| active.order.kernel);
        let next = self.programme.next().map(|order| order.kernel);
        let wanted = [active, next].contains(&Some(Kernel::Copy));
        if wanted && self.copies.is_none() {
            self.copies = Some(Copies::new(&self.rig.context)?);
        }
        Ok(())
    }

    /// Takes in every round that is back.
    pub(super) fn harvest_copies(&mut self) -> Result<(), Failure> {
        let Some(copies) = &mut self.copies else { return Ok(()) };
        while let Some(round) = copies.land(&self.rig.context)? {
            self.queue_end_ns = round.seen_ns + copies.ahead_ns();
            let shift = self.shifts.iter_mut().find(|s| s.active.serial == round.serial);
            let Some(shift) = shift else { continue };
            if !std::mem::replace(&mut shift.started, true) {
                let intended_ns = shift.active.order.start_ns;
                let actual_ns = round.submitted_ns;
                self.out.push(LoadReport::Started { intended_ns, actual_ns });
            }
            shift.count_copies(&round, &mut self.out);
        }
        Ok(())
    }

    /// Sends the rounds that the waveform asks for; when to look again.
    pub(super) fn load_copies(&mut self, now_ns: u64, soon_ns: u64) -> Result<u64, Failure> {
        let Some(active) = self.programme.active().cloned() else { return Ok(soon_ns) };
        let Some(copies) = &mut self.copies else { return Ok(soon_ns) };
        let until_ns = self.programme.until_ns().unwrap_or(u64::MAX);
        let end = (until_ns, self.programme.next_start_ns() == Some(until_ns));
        loop {
            let queue = (copies.quantum_ns, self.queue_end_ns);
            let Some(shift) = self.shifts.back_mut() else { return Ok(soon_ns) };
            match shift.pacer.next(monotonic_ns(), &active, queue, end) {
                Move::Wait(at_ns) => return Ok(at_ns.min(soon_ns).min(until_ns)),
                Move::Submit => {
                    let injected = shift.injection().is_some();
                    shift.launched += 1;
                    if !copies.submit(&self.rig.context, active.serial, injected)? {
                        return Ok(now_ns + LOOK_NS);
                    }
                    let from_ns = self.queue_end_ns.max(monotonic_ns());
                    self.queue_end_ns = from_ns + copies.quantum_ns;
                }
            }
        }
    }
}
