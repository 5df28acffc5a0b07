//! Collectives over NCCL: a worker process for each attempt of a phase, started when the phase
//! is armed, so that library and GPUs are open when its instant comes.

use model::record::EventKind;
use proto::v1;
use proto::v1::worker_command::Kind as Command;

use super::Supervisor;
use super::run::TimedPhase;
use crate::clock::monotonic_ns;
use crate::hardware::Device;
use crate::lease::Heat;
use crate::worker::Slot;

/// An operation and the goodbye that are under way at a phase's end get so long.
const OVERTIME_NS: u64 = 45_000_000_000;
/// After a stop NCCL aborts, or its process is killed.
const ABORT_NS: u64 = 1_500_000_000;

/// Whether a phase's collective runs over NCCL.
pub(super) fn is_wanted(arm: &v1::Arm) -> bool {
    use v1::phase_traffic::Kind;
    let kind = arm.traffic.as_ref().and_then(|traffic| traffic.kind.as_ref());
    matches!(kind, Some(Kind::Collective(collective)) if collective.transport == "nccl")
}

impl Supervisor {
    /// Starts the worker of an armed phase; READY waits for its answer.
    pub(super) fn open_nccl(&mut self, arm: &v1::Arm) -> Result<(), String> {
        // Those of attempts that never got their GO.
        self.workers.retain(|slot, worker| !matches!(slot, Slot::Nccl(_)) || !worker.idle);
        let gpus = self.usable_gpus();
        let counted = arm.peers.iter().find(|peer| peer.node == self.parts.node);
        fits(gpus.len(), self.gpus().count(), counted.map_or(0, |peer| peer.gpus as usize))?;
        let cores: Vec<u32> =
            self.parts.devices.iter().flat_map(|d| d.cores.iter().copied()).collect();
        let slot = Slot::Nccl(arm.attempt);
        self.start_worker(slot, &gpus, &cores)
            .map_err(|error| format!("NCCL's worker can't be started: {error}"))?;
        let make = arm.peers.iter().any(|peer| peer.rank == 0 && peer.node == self.parts.node);
        self.tell(slot, Command::NewId(v1::WorkerNewId { attempt: arm.attempt, make }));
        if let Some(run) = self.run.as_mut() {
            run.nccl_owed = Some(arm.attempt);
        }
        Ok(())
    }

    fn gpus(&self) -> impl Iterator<Item = &Device> {
        self.parts.devices.iter().filter(|device| device.uuid.is_some())
    }

    /// UUIDs of the GPUs that can be ranks: a refused one is somebody else's, one that the guard
    /// dropped or whose driver gave up would hang all others.
    pub(super) fn usable_gpus(&self) -> Vec<String> {
        let out = |device: u32| match &self.run {
            Some(run) => run.is_out(device),
            None => self.parts.refusals.contains_key(&device),
        };
        let usable = self.gpus().filter(|device| !out(device.index));
        usable.filter_map(|device| device.uuid.clone()).collect()
    }

    /// A GPU is out of this run: a communicator that it is a rank of has no use any more. The
    /// coordinator counts anew with the next status, which goes out at once.
    pub(super) fn leave_nccl(&mut self, device: u32) {
        if !self.gpus().any(|gpu| gpu.index == device) {
            return;
        }
        self.status_at_ns = 0;
        if !self.workers.keys().any(|slot| matches!(slot, Slot::Nccl(_))) {
            return;
        }
        self.stop_nccl();
        let text = format!("device {device} is out: this node leaves the collective over NCCL");
        self.record_event(EventKind::Note, None, text.clone());
        // Its process will not answer any more, and the others wait for our READY.
        if self.run.as_mut().is_some_and(|run| run.nccl_owed.take().is_some()) {
            self.answer_pending_arm(Some(text));
        }
    }

    /// NCCL and the GPUs are open, or never will be.
    pub(super) fn take_nccl_id(&mut self, answer: v1::WorkerId) {
        let Some(run) = self.run.as_mut() else { return };
        if run.nccl_owed != Some(answer.attempt) {
            return;
        }
        run.nccl_owed = None;
        run.nccl_id = answer.id;
        if !answer.error.is_empty() {
            self.answer_pending_arm(Some(answer.error));
            return;
        }
        let heats = run.armed.as_ref().is_some_and(|arm| arm.load.is_some() || arm.loaded);
        if !heats || matches!(self.lease.heat(monotonic_ns()), Heat::Full { .. }) {
            self.answer_pending_arm(None);
        }
    }

    /// A worker that ended before it answered will never answer: READY need not wait for it.
    pub(super) fn give_up_nccl(&mut self, slot: Slot) {
        let Some(run) = self.run.as_mut() else { return };
        if run.nccl_owed.is_some_and(|attempt| slot == Slot::Nccl(attempt)) {
            run.nccl_owed = None;
            let text = "NCCL's process ended before it answered".to_owned();
            self.answer_pending_arm(Some(text));
        }
    }

    /// GO: the id came with it. Probes go on over TCP beside the collective.
    pub(super) fn order_nccl(&mut self, arm: &v1::Arm, phase: &TimedPhase, nccl_id: Vec<u8>) {
        let Some(mine) = arm.peers.iter().find(|peer| peer.node == self.parts.node) else { return };
        if !matches!(self.lease.heat(monotonic_ns()), Heat::Full { .. }) {
            let text = "no lease at GO: no collective".to_owned();
            self.record_event(EventKind::LeaseLost, None, text);
            return;
        }
        let order = v1::WorkerTraffic {
            phase: phase.name.clone(),
            start_ns: phase.start_ns,
            end_ns: phase.end_ns,
            rank: mine.rank,
            world_size: arm.world_size,
            peers: arm.peers.clone(),
            traffic: arm.traffic.clone(),
            loaded: phase.loaded,
            epoch: arm.attempt,
            nccl_id,
            duration_ns: arm.duration_ns,
        };
        let slot = Slot::Nccl(arm.attempt);
        if !self.workers.contains_key(&slot) {
            let text = "NCCL's process ended before GO: no collective".to_owned();
            self.record_event(EventKind::Note, None, text);
        }
        self.tell(slot, Command::Traffic(order));
        if let Some(worker) = self.workers.get_mut(&slot) {
            worker.idle = false;
            worker.kill_at_ns = Some(phase.end_ns + OVERTIME_NS);
        }
        self.tell_lease();
    }

    pub(super) fn stop_nccl(&mut self) {
        let slots: Vec<Slot> =
            self.workers.keys().copied().filter(|slot| matches!(slot, Slot::Nccl(_))).collect();
        for slot in slots {
            self.tell(slot, Command::Drop(v1::WorkerDrop {}));
            if let Some(worker) = self.workers.get_mut(&slot) {
                let kill_at_ns = monotonic_ns() + ABORT_NS;
                worker.kill_at_ns =
                    Some(worker.kill_at_ns.map_or(kill_at_ns, |at| at.min(kill_at_ns)));
            }
        }
    }
}

/// Whether as many GPUs can be ranks as all ranks were told, of all that are here.
fn fits(usable: usize, all: usize, told: usize) -> Result<(), String> {
    match (usable, all) {
        (_, 0) => Err("the collective runs over NCCL, and this node has no GPU".to_owned()),
        (0, all) => Err(format!(
            "the collective runs over NCCL, and none of this node's {all} GPUs can be a rank: \
             see its warnings"
        )),
        (usable, _) if usable != told => Err(format!(
            "the ranks were told {told} GPUs of this node, and {usable} can be ranks: one fell \
             out meanwhile"
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_all_ranks_were_told_opens_a_communicator() {
        assert_eq!(fits(2, 3, 2), Ok(()));
        for ((usable, all, told), words) in
            [((0, 0, 0), "no GPU"), ((0, 2, 2), "none of this node's 2"), ((1, 2, 2), "fell out")]
        {
            assert!(fits(usable, all, told).is_err_and(|why| why.contains(words)), "{words}");
        }
    }
}
