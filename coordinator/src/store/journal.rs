//! What the coordinator did and knew during a run, in order: the facts beside the records.

use model::facts::{Baseline, LossReason};
use serde::{Deserialize, Serialize};

/// Of a run that a sweep began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Swept {
    pub sweep: String,
    pub due_ns: i64,
    /// Nodes that the hook before it left out.
    pub left_out: Vec<SweptNode>,
    /// What it is held against: later runs change nothing in its report.
    pub baseline: Option<Baseline>,
}

/// A node that was left out, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweptNode {
    pub node: String,
    pub why: String,
}

/// What happened to a device of the building.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MeterEvent {
    /// It does not answer any more, or does not let us in.
    Lost,
    Back,
    /// Its clock is off by more than any meter is slow.
    ClockOff,
    ClockRight,
    /// Something that it says is no reading.
    Wrong,
}

/// One entry. Variants and fields are added, never changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "snake_case")]
pub enum JournalEntry {
    Created {
        run: String,
        plan_name: String,
        plan_toml: String,
        site_name: Option<String>,
        site_toml: Option<String>,
        nodes: Vec<Planned>,
        inject: Vec<String>,
        allow_unrated: bool,
        #[serde(default)]
        on: String,
    },
    /// What the plan's experiments became on the site, before anything was admitted.
    Expanded {
        phases: Vec<ExpandedPhase>,
    },
    /// A sweep began this run.
    Swept(Swept),
    /// Heat returned after a crash because this person said so.
    Resumed {
        who: String,
        phase: usize,
    },
    PhaseStarts {
        phase: usize,
        name: String,
        start_ns: i64,
        clocks: Vec<NodeClock>,
    },
    PhaseCompleted {
        phase: usize,
        name: String,
    },
    /// How far the agents' time of a phase lay from ours at their last corrections.
    PhaseTime {
        name: String,
        /// Ascending.
        skews_ns: Vec<u64>,
        /// The widest claim.
        error_ns: u64,
    },
    Lost {
        node: String,
        instance: String,
        /// In words, for a person.
        why: String,
        /// Runs that were recorded before there were reasons have none.
        #[serde(default)]
        reason: Option<LossReason>,
    },
    /// The node was heard again: what its kernel says of itself.
    Returned {
        node: String,
        instance: String,
        boot_id: String,
    },
    /// The agent ended its part: how many batches it made for this run.
    Closed {
        node: String,
        instance: String,
        last_seq: u64,
    },
    /// Who else used the node, and the like.
    Warning {
        node: String,
        text: String,
    },
    /// An agent's clock against the coordinator's, kept so that records can be aligned.
    Clock {
        clock: NodeClock,
    },
    StopAsked {
        who: String,
        drop: bool,
    },
    LimitTripped {
        why: String,
    },
    /// Who allowed this heat, and what the operator affirmed of the building.
    Permitted {
        by: String,
        issued_by: String,
        /// The permit as it was read; nothing where none was needed.
        permit_toml: Option<String>,
        affirmed: Vec<String>,
        who: String,
    },
    /// A person let the load come up to this share of the plan's levels, or lowered it.
    Released {
        step: u8,
        who: String,
        asked_by: String,
    },
    /// Live control changed the scale of a domain's nodes.
    Capped {
        phase: String,
        domain: String,
        /// Whole percent of the plan's levels.
        percent: u8,
        most_kw: f64,
        measured_kw: f64,
        /// Nodes of the domain whose power was not measured just then.
        silent: usize,
    },
    /// A person saw something at this instant.
    Mark {
        who: String,
        text: String,
        /// The phase that ran; empty between phases.
        #[serde(default)]
        phase: String,
    },
    /// A device of the building stopped answering, came back, or says what is no reading.
    Meter {
        source: String,
        address: String,
        /// Id of the domain that it measures.
        domain: String,
        event: MeterEvent,
        why: String,
    },
    /// Shares of `mix` were tried on the GPUs of a model, and one was chosen.
    Mixed {
        model: String,
        /// Tensor work, per mille.
        per_mille: u32,
        /// Watts of all its GPUs by share.
        tried: Vec<(u32, f64)>,
    },
    /// The interlocks that guard this run, as they were read.
    Interlocks {
        file: String,
        toml: String,
    },
    /// A rule tripped. Times are the coordinator's clock.
    Interlock {
        rule: String,
        /// File and line of the rule.
        at: String,
        /// A word of `model::interlock::Action`.
        action: String,
        why: String,
        source: String,
        value: Option<f64>,
        limit: Option<f64>,
        /// The instant that the reaction counts from, and when the coordinator knew.
        read_ns: i64,
        heard_ns: i64,
        /// Of a shed.
        domain: String,
        nodes: Vec<String>,
    },
    /// A person ended an interlock's trip.
    InterlockResumed {
        rule: String,
        who: String,
    },
    /// The coordinator was started again and found this run unfinished.
    Suspended {
        phase: usize,
    },
    Ended {
        how: String,
        why: String,
    },
}

/// One phase of an expanded experiment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExpandedPhase {
    pub experiment: String,
    pub phase: String,
    pub seconds: f64,
    /// Nodes under load; the others take part idle.
    pub loaded: Vec<String>,
}

impl ExpandedPhase {
    /// Every phase that a plan's experiments became.
    #[must_use]
    pub fn all(plan: &model::Plan) -> Vec<Self> {
        let seconds = |phase: &str| {
            let known = plan.phases.iter().find(|known| known.name == phase);
            known.map_or(0.0, |known| known.seconds)
        };
        let of = |experiment: &model::experiment::Experiment| -> Vec<Self> {
            let each = experiment.steps.iter().map(|step| Self {
                experiment: experiment.name.clone(),
                phase: step.phase.clone(),
                seconds: seconds(&step.phase),
                loaded: step.nodes.clone(),
            });
            each.collect()
        };
        plan.experiments.iter().flat_map(of).collect()
    }
}

/// A node that was planned for, as it was when the run began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    pub node: String,
    pub instance: String,
    pub boot_id: String,
    pub devices: Vec<PlannedDevice>,
    /// Sensors that the node said it does not have: what, and the reason's words.
    pub missing: Vec<(String, String)>,
}

/// A device of a planned node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedDevice {
    pub index: u32,
    pub kind: String,
    pub model: String,
    pub cores: Vec<u32>,
    /// The limit in force when it joined; of runs of earlier releases not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power_limit_mw: Option<u64>,
}

/// Coordinator's clock minus agent's at an instant, with the claimed half-width.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeClock {
    pub node: String,
    pub at_ns: i64,
    pub offset_ns: i64,
    pub error_ns: u64,
}
