//! The run that this agent takes part in, and its phases.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use model::load::Waveform;
use proto::convert::load_from_wire;
use proto::v1;

use crate::hardware::{Ceiling, Scale};
use crate::time_base::TimeBase;

/// Phases whose reports may still come.
const PHASES_KEPT: usize = 8;

/// A phase that was given its instant. Instants are CLOCK_MONOTONIC.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct TimedPhase {
    pub(super) name: String,
    pub(super) start_ns: u64,
    pub(super) end_ns: u64,
    pub(super) duration_ns: u64,
    /// The start on the coordinator's clock; 0 when it did not say.
    pub(super) coordinator_start_ns: i64,
    /// Its time on our clock.
    pub(super) base: TimeBase,
    /// How far it lay from the coordinator's time, at the last correction and at its worst.
    pub(super) skew: Option<PhaseSkew>,
    pub(super) waveform: Option<Waveform>,
    pub(super) loaded: bool,
    /// Half-width of the coordinator's claim about our clock.
    pub(super) claimed_error_ns: u64,
    /// The loads of this phase were brought down, or handed over.
    pub(super) ended: bool,
}

/// What corrections said of a phase's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PhaseSkew {
    pub(super) last_ns: i64,
    pub(super) worst_ns: u64,
    /// The widest claim among them.
    pub(super) error_ns: u64,
    pub(super) corrections: u64,
}

/// The run.
pub(super) struct Run {
    pub(super) prepare: v1::Prepare,
    /// Armed and waiting for its instant.
    pub(super) armed: Option<v1::Arm>,
    /// Armed before the lease was granted: READY is owed.
    pub(super) ready_owed: bool,
    /// READY of this attempt waits until NCCL is open.
    pub(super) nccl_owed: Option<u32>,
    /// The id that this node made for the armed attempt, where it is rank 0's.
    pub(super) nccl_id: Vec<u8>,
    pub(super) phases: VecDeque<TimedPhase>,
    /// Devices that the guard dropped: they do not heat again in this run.
    pub(super) tripped: BTreeSet<u32>,
    /// Devices that are not loaded in this run, and why.
    pub(super) refused: BTreeMap<u32, String>,
    /// Devices whose own process gave them up: their driver failed, or would not have them.
    pub(super) given_up: BTreeSet<u32>,
    /// Why a stop was asked for; Idle is owed until it is said.
    pub(super) stopping: Option<String>,
    pub(super) idle_said: bool,
    /// It ends as soon as its heat is down.
    pub(super) finishing: bool,
    pub(super) prepared_said: bool,
    pub(super) data_address: String,
    pub(super) injected: bool,
    /// Without a lease the record goes on until here (CLOCK_MONOTONIC), and no further.
    pub(super) record_until_ns: Option<u64>,
    /// What the coordinator lowered every level to.
    pub(super) scale: Scale,
    /// What no level rises above, by the coordinator's word.
    pub(super) ceiling: Ceiling,
    /// Tensor work of `mix` on GPUs, per mille; none as long as nobody said.
    pub(super) mix_per_mille: Option<u32>,
    /// The latest instant at which a worker of a stopped load was idle.
    pub(super) idle_ns: Option<u64>,
}

impl Run {
    pub(super) fn new(prepare: v1::Prepare) -> Self {
        Self {
            prepare,
            armed: None,
            ready_owed: false,
            nccl_owed: None,
            nccl_id: Vec::new(),
            phases: VecDeque::new(),
            tripped: BTreeSet::new(),
            refused: BTreeMap::new(),
            given_up: BTreeSet::new(),
            stopping: None,
            idle_said: false,
            finishing: false,
            prepared_said: false,
            data_address: String::new(),
            injected: false,
            record_until_ns: None,
            scale: Scale::default(),
            ceiling: Ceiling::default(),
            mix_per_mille: None,
            idle_ns: None,
        }
    }

    pub(super) fn id(&self) -> &str {
        &self.prepare.run_id
    }

    /// Whether a device takes no part any more, for whatever reason.
    pub(super) fn is_out(&self, device: u32) -> bool {
        self.tripped.contains(&device)
            || self.given_up.contains(&device)
            || self.refused.contains_key(&device)
    }

    /// What comes after this instant belongs to no phase: the ramp down of a node that was
    /// shed is no load that others could be compared with.
    pub(super) fn stop_asked(&mut self, now_ns: u64, why: String) {
        self.stopping = Some(why);
        self.armed = None;
        self.ready_owed = false;
        for phase in &mut self.phases {
            phase.ended = true;
            phase.end_ns = phase.end_ns.min(now_ns);
        }
    }

    pub(super) fn push(&mut self, phase: TimedPhase) {
        self.phases.push_back(phase);
        while self.phases.len() > PHASES_KEPT {
            self.phases.pop_front();
        }
    }

    /// The phase that an instant lies in.
    pub(super) fn phase_at(&self, at_ns: u64) -> Option<&TimedPhase> {
        self.phases.iter().rev().find(|phase| (phase.start_ns..phase.end_ns).contains(&at_ns))
    }

    /// The phase that was to start at this instant.
    pub(super) fn phase_starting(&self, start_ns: u64) -> Option<&TimedPhase> {
        self.phases.iter().rev().find(|phase| phase.start_ns == start_ns)
    }

    /// The name of the phase that an instant lies in; of the last one for what comes after
    /// it (a ramp down belongs to the load that it ends).
    pub(super) fn phase_name(&self, at_ns: u64) -> String {
        let last = || self.phases.iter().rev().find(|phase| phase.start_ns <= at_ns);
        self.phase_at(at_ns).or_else(last).map(|phase| phase.name.clone()).unwrap_or_default()
    }

    /// The phase whose load ran at an instant; empty for a ramp down behind its end, which
    /// belongs to no phase.
    pub(super) fn load_phase_name(&self, at_ns: u64) -> String {
        let heated = |phase: &&TimedPhase| phase.waveform.is_some() && phase.start_ns <= at_ns;
        let phase = self.phases.iter().rev().find(heated);
        phase.filter(|phase| at_ns < phase.end_ns).map(|p| p.name.clone()).unwrap_or_default()
    }

    /// The level commanded at an instant, under the coordinator's scale and that of watts.
    pub(super) fn level_at(&self, at_ns: u64, power: f64) -> f64 {
        let phase = self.phase_at(at_ns);
        let level =
            phase.and_then(|phase| Some(phase.waveform?.level_at(phase.base.phase_ns(at_ns))));
        let scale = self.scale.at(at_ns).min(power);
        level.map_or(0.0, |level| level * scale).min(self.ceiling.at(at_ns))
    }

    /// When a phase ends whose loads must be brought down.
    pub(super) fn next_deadline(&self) -> Option<u64> {
        self.phases.iter().filter(|phase| !phase.ended).map(|phase| phase.end_ns).min()
    }
}

/// The waveform of an arm, if it heats.
pub(super) fn waveform_of(arm: &v1::Arm) -> Option<Waveform> {
    let load = arm.load.as_ref()?;
    load_from_wire(load).ok().map(|(_, waveform)| waveform)
}
