//! Facts of a run: what the coordinator knows and no agent can say. The judge takes them
//! beside the records; it never asks a clock or a socket itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::{NodeName, RunId};

/// Everything the coordinator knows about one run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RunFacts {
    pub run: RunId,
    pub site: Option<String>,
    pub source: Source,
    /// Rehearsed evidence: marked everywhere, accepts nothing.
    pub simulated: bool,
    /// An injection switch was on (an injected event in the records says so as well).
    pub injected: bool,
    /// Where the run file lies, on the coordinator's machine.
    pub folder: Option<String>,
    pub started_unix_ns: i64,
    pub ended_unix_ns: Option<i64>,
    pub end: RunEnd,
    /// Names of the phases that ran to their end.
    pub phases_completed: Vec<String>,
    /// Every node that the plan selects, present or not.
    pub nodes: BTreeMap<NodeName, NodeFacts>,
    /// What the coordinator commanded, per phase and node.
    pub starts: Vec<StartFact>,
    /// What ended heat before the plan did, in the order in which it happened.
    pub stops: Vec<StopFact>,
    /// Each node's clock where it was compared: instants on the coordinator's, and by how
    /// much the coordinator's is ahead, in nanoseconds.
    pub clocks: BTreeMap<NodeName, Vec<(i64, i64)>>,
    /// Of phases that were long enough to be corrected.
    pub times: Vec<TimeFact>,
    /// What held the load below the plan, or let it up, a line each.
    pub restraints: Vec<String>,
    /// Percent of the load that nobody released by the end, where it had to be.
    pub unreleased_percent: Option<u8>,
    /// Shares of the kernel `mix` that were chosen by measuring.
    pub mixes: Vec<MixFact>,
    /// What earlier runs of the same sweep measured; `None` for what no sweep began.
    pub baseline: Option<Baseline>,
    /// What persons marked, in order.
    pub marks: Vec<MarkFact>,
    /// Meters that were silent or not to be believed, in order.
    pub meter_gaps: Vec<MeterGap>,
}

/// What a person saw at an instant, on the coordinator's clock.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MarkFact {
    pub at_unix_ns: i64,
    pub who: String,
    pub text: String,
    /// The phase that ran then; empty between phases.
    pub phase: String,
    /// That phase was cut and began anew later: what was done in it is to be done again.
    pub cut: bool,
}

/// A meter of the building that was silent, or said what is no reading.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct MeterGap {
    /// Its source in the document of meters.
    pub source: String,
    pub address: String,
    /// Id of the domain that it measures.
    pub domain: String,
    /// True: nothing came from it. False: what came was in part no reading, or of a clock that is
    /// off.
    pub silent: bool,
    pub why: String,
    /// For how long, in nanoseconds, where that is known.
    pub for_ns: Option<i64>,
}

/// What earlier clean runs of a sweep measured: kept with the run that is held against it, so
/// that its report does not change when newer runs come.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Baseline {
    pub sweep: String,
    /// How many runs the medians are of.
    pub runs: u32,
    pub values: Vec<BaselineValue>,
}

/// One measured value of earlier runs, in millionths of its unit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BaselineValue {
    /// As in a report: `gflops_fp64`, ...
    pub what: String,
    pub kind: String,
    pub id: String,
    pub phase: Option<String>,
    /// Of up to ten runs.
    pub median_millionths: i64,
    /// Of the last run, clean or not: what drifted there as well is no chance.
    pub last_millionths: Option<i64>,
}

/// How much of `mix` is tensor work on the GPUs of a model, and what that is chosen by.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MixFact {
    /// The GPUs' model.
    pub model: String,
    /// Tensor work, per mille of the iterations.
    pub per_mille: u32,
    /// Watts of all GPUs of the model together, by share.
    pub tried_w: Vec<(u32, u32)>,
}

/// Who recorded the evidence: what can be missing from it depends on that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Source {
    /// Our own agents, led by a coordinator.
    #[default]
    Agents,
    /// Tables that somebody else recorded: nobody of ours commanded the load.
    Tables,
    /// A simulated hall: tables as well, of a load that the plan commanded.
    Rehearsal,
}

impl Source {
    /// The word in reports.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Agents => "agents",
            Self::Tables => "tables",
            Self::Rehearsal => "rehearsal",
        }
    }
}

/// How the run's record ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum RunEnd {
    /// The record has no end yet.
    #[default]
    Running,
    /// Every phase was driven.
    Finished,
    /// A person ended it; `now` when load was dropped instead of ramped.
    Stopped { now: bool },
    /// A safety limit ended it.
    Aborted { why: String },
    /// The coordinator died and nobody has resumed it.
    Suspended,
    /// The infrastructure failed.
    Failed { why: String },
}

impl RunEnd {
    /// The word in reports.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Stopped { .. } => "stopped",
            Self::Aborted { .. } => "aborted",
            Self::Suspended => "suspended",
            Self::Failed { .. } => "failed",
        }
    }
}

/// One planned node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NodeFacts {
    /// Index of each planned device and its model, where known.
    pub devices: BTreeMap<u32, Option<String>>,
    /// The agent was admitted to the run.
    pub joined: bool,
    pub lost: Option<NodeLoss>,
    /// Last batch that each agent instance says it made, where it said so.
    pub batches_made: BTreeMap<String, u64>,
    /// Who else used the node, one line each.
    pub busy: Vec<String>,
    /// Its clock was never compared with the coordinator's: nobody knows when its samples
    /// were taken on anybody else's clock.
    pub clock_unknown: bool,
}

/// A node fell silent during the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeLoss {
    pub at_unix_ns: i64,
    /// The phase in which it happened, empty outside of phases.
    pub phase: String,
    pub reason: LossReason,
    /// What the agent or the coordinator said of it, for a person; empty where nobody did.
    pub why: String,
    /// Boot id of the kernel before, and after the node came back.
    pub boot_id_before: Option<String>,
    pub boot_id_after: Option<String>,
    /// The node came back before the run ended.
    pub returned: bool,
}

/// What the coordinator saw when a node was lost. Written into journals: reasons are added,
/// never renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LossReason {
    /// Lease renewals stopped coming.
    LeaseExpired,
    /// The session's connection broke and was not made again in time.
    SessionLost,
    /// The agent said goodbye.
    AgentLeft,
    /// Another process came in the agent's place.
    AgentRestarted,
    /// It was not ready in time. In records of before there was `Refused`, that as well.
    NotReady,
    /// It said that it can't do what it was asked to.
    Refused,
    /// Its clock could not be compared with the coordinator's.
    ClockUnknown,
}

impl LossReason {
    /// The reason in words for a report.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::LeaseExpired => "its lease ran out unrenewed",
            Self::SessionLost => "its session broke and was not made again in time",
            Self::AgentLeft => "its agent ended its session",
            Self::AgentRestarted => "its agent was started again",
            Self::NotReady => "it was not ready to begin",
            Self::Refused => "it refused what it was asked to do",
            Self::ClockUnknown => "its clock could not be compared with the coordinator's",
        }
    }
}

/// Heat was ended, of some nodes or of all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StopFact {
    /// `interlock` or `person`.
    pub kind: String,
    /// The rule's name, or who asked.
    pub by: String,
    /// Why, in words.
    pub why: String,
    /// At once, instead of over a ramp.
    pub drop: bool,
    /// The domain that was shed; `None` where everything was stopped.
    pub shed: Option<String>,
    /// The reading that it counts from, on the coordinator's clock.
    pub read_unix_ns: i64,
    /// When the coordinator knew.
    pub heard_unix_ns: i64,
    /// Nodes that were told.
    pub nodes: Vec<NodeName>,
}

/// How well the agents kept the time of a phase: the distance of each from the coordinator's
/// time at its last correction before the phase's end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeFact {
    pub phase: String,
    /// Of each agent that was corrected, ascending.
    pub skews_ns: Vec<u64>,
    /// The widest claim among the corrections.
    pub claimed_error_ns: u64,
}

/// What one node was told about one phase, on both clocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartFact {
    pub phase: String,
    pub node: NodeName,
    /// The instant of GO on the coordinator's clock.
    pub commanded_unix_ns: i64,
    /// The agent's clock minus the coordinator's.
    pub offset_ns: i64,
    /// Half-width of that claim.
    pub claimed_error_ns: u64,
}
