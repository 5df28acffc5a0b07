//! A plan: what to run, in which order, for how long. It leaves nothing to decide at run time.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::collective::{CollectiveOp, Transport};
use crate::experiment::{EXPANDED_PHASES_MAX, Experiment};
use crate::load::Kernel;
use crate::site::{DomainKind, Site};
use crate::target::PowerTarget;

/// What a plan needs to have been measured before the verdict may be READY.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Requirement {
    Compute,
    DataPlane,
    Power,
    Temperature,
    Meters,
    Collective,
}

impl Requirement {
    /// Every requirement.
    pub const ALL: [Self; 6] = [
        Self::Compute,
        Self::DataPlane,
        Self::Power,
        Self::Temperature,
        Self::Meters,
        Self::Collective,
    ];

    /// The word in plans and reports.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Compute => "compute",
            Self::DataPlane => "data_plane",
            Self::Power => "power",
            Self::Temperature => "temperature",
            Self::Meters => "meters",
            Self::Collective => "collective",
        }
    }

    /// The requirement of a word, if it is one.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|requirement| requirement.word() == word)
    }
}

/// A whole plan, checked: `formats` builds no other.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    pub name: String,
    /// What READY is ready for.
    pub requires: BTreeSet<Requirement>,
    /// Seed of every random choice in the plan.
    pub seed: u64,
    pub limits: Limits,
    /// READY needs at least this much time under load, in seconds.
    pub least_seconds: f64,
    /// Acceptance: each loaded domain must reach this percentage of its rating.
    pub least_rating_percent: Option<f64>,
    /// In the order in which they run; at least one.
    pub phases: Vec<Phase>,
    /// In the order in which they run. Their phases are among [`Self::phases`] once the plan
    /// was [expanded](Self::expanded).
    pub experiments: Vec<Experiment>,
}

/// Limits that end the run for a device when they are passed.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Limits {
    /// The guard drops a device at this temperature, in degrees Celsius.
    pub device_temp_c: Option<f64>,
}

/// One phase of a plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Phase {
    /// Unique in its plan.
    pub name: String,
    pub kind: PhaseKind,
    pub seconds: f64,
    pub on: Selector,
    /// Heat; `None` for phases without.
    pub load: Option<PhaseLoad>,
    /// Traffic beside the load; `None` for phases without.
    pub traffic: Option<Traffic>,
    /// What a person does during it, such as opening a breaker, and marks when it is done.
    pub act: Option<String>,
}

/// The shape of a phase.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum PhaseKind {
    /// No load: baselines of sensors and latency.
    Idle,
    /// From one percentage to another over the whole phase.
    Ramp { from_percent: f64, to_percent: f64 },
    /// One percentage throughout.
    Hold,
    /// Low, then at once high, then at once back.
    Step { low_percent: f64, high_percent: f64, up_at_seconds: f64, down_at_seconds: f64 },
    /// High for the first half of each period, low for the second.
    Square { low_percent: f64, high_percent: f64, period_seconds: f64 },
    /// A sine between two levels, from the lower one.
    Sine { low_percent: f64, high_percent: f64, period_seconds: f64 },
    /// Up in steps: all nodes together by a part of the way, or with `by` one share of the
    /// groups after another by the whole way. Without a number of steps each group is one.
    Staircase {
        low_percent: f64,
        high_percent: f64,
        by: Option<By>,
        steps: Option<u32>,
        step_seconds: Option<f64>,
    },
    /// Each group begins its ramp up a delay after the one before, and so down again, the
    /// last one done at the end of the phase.
    Stagger {
        low_percent: f64,
        high_percent: f64,
        by: By,
        delay_seconds: f64,
        /// 0 is a step.
        ramp_seconds: f64,
    },
    /// The shape of a training job: compute and all-reduce in turn, with checkpoints.
    Training(Training),
    /// A collective alone.
    Collective,
    /// Every pair of nodes in turn, one transfer a node at a time.
    Pairs,
    /// Round-trip probes alone.
    Rtt,
}

impl PhaseKind {
    /// The word in plans and reports.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Ramp { .. } => "ramp",
            Self::Hold => "hold",
            Self::Step { .. } => "step",
            Self::Square { .. } => "square",
            Self::Sine { .. } => "sine",
            Self::Staircase { .. } => "staircase",
            Self::Stagger { .. } => "stagger",
            Self::Training(_) => "training",
            Self::Collective => "collective",
            Self::Pairs => "pairs",
            Self::Rtt => "rtt",
        }
    }

    /// Every word of a phase kind.
    pub const WORDS: [&'static str; 12] = [
        "idle",
        "ramp",
        "hold",
        "step",
        "square",
        "sine",
        "staircase",
        "stagger",
        "training",
        "collective",
        "pairs",
        "rtt",
    ];

    /// Whether the kind itself commands heat from devices.
    #[must_use]
    pub fn heats(self) -> bool {
        !matches!(self, Self::Idle | Self::Collective | Self::Pairs | Self::Rtt)
    }
}

/// A training job's levels in percent and its times in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Training {
    pub compute_percent: f64,
    pub reduce_percent: f64,
    pub checkpoint_percent: f64,
    pub compute_seconds: f64,
    pub reduce_seconds: f64,
    pub checkpoint_every_seconds: f64,
    pub checkpoint_seconds: f64,
}

/// What makes the groups of a staircase or a stagger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// Each node by itself.
    Node,
    /// The nodes of each domain of a kind.
    Domain(DomainKind),
}

impl By {
    /// The word in plans.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Domain(kind) => kind.word(),
        }
    }
}

/// What a heating phase asks of each selected device.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PhaseLoad {
    pub kernel: Kernel,
    /// The highest level, 0..=100; most kinds carry percentages of their own.
    pub percent: f64,
    /// Power that is held in closed loop; percentages are then shares of the level that
    /// draws it, and the highest is 100.
    pub target: Option<PowerTarget>,
}

impl PhaseLoad {
    /// A share of what each device can do.
    #[must_use]
    pub fn of(kernel: Kernel, percent: f64) -> Self {
        Self { kernel, percent, target: None }
    }
}

/// Traffic of a phase.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Traffic {
    /// A collective over all selected nodes, repeated for the whole phase. Without a word
    /// on what carries it: NCCL where all of them have it, else TCP.
    Collective { op: CollectiveOp, bytes: u64, over: Option<Transport> },
    /// Transfers between pairs in rounds: all nodes at once, or `quiet`, where no two flows
    /// share an uplink of a leaf.
    Pairs { bytes: u64, streams: u32, both_ways: bool, quiet: bool },
}

/// Which nodes take part.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Selector {
    #[default]
    All,
    /// Nodes by name, already expanded.
    Nodes(Vec<String>),
    /// Nodes that hang on a domain: (kind, id).
    Domain(String, String),
    /// The first share of the nodes in name order, 1..=100.
    Percent(u8),
    /// Whoever any of these takes.
    Any(Vec<Selector>),
    /// The first share, in name order, of what another selector takes.
    Share(u8, Box<Selector>),
}

impl Plan {
    /// The plan with the phases of its experiments on a site, each where it was written.
    ///
    /// # Errors
    /// When an experiment does not fit the site, with the mend.
    pub fn expanded(mut self, site: Option<&Site>) -> Result<Self, String> {
        let mut experiments = std::mem::take(&mut self.experiments);
        let mut inserted = 0;
        for experiment in &mut experiments {
            let name = &experiment.name;
            let Some(site) = site else {
                return Err(format!(
                    "phase {name}: an experiment takes its groups from a site: give --site"
                ));
            };
            let phases = experiment.expand(site)?;
            let at = (experiment.after_phases + inserted).min(self.phases.len());
            inserted += phases.len();
            self.phases.splice(at..at, phases);
        }
        let mut names = BTreeSet::new();
        if let Some(twice) = self.phases.iter().find(|phase| !names.insert(phase.name.as_str())) {
            let name = &twice.name;
            return Err(format!("phase {name}: an experiment has a step of that name: rename it"));
        }
        let (phases, seconds) = (self.phases.len(), self.heating_seconds());
        if phases > EXPANDED_PHASES_MAX {
            return Err(format!(
                "with its experiments the plan has {phases} phases: use at most \
                 {EXPANDED_PHASES_MAX}, in two plans or with fewer groups"
            ));
        }
        if self.least_seconds > seconds {
            let least = self.least_seconds;
            return Err(format!(
                "least_seconds = {least} can't be reached: the phases with load last {seconds} \
                 seconds: lower it or lengthen the phases"
            ));
        }
        self.experiments = experiments;
        Ok(self)
    }

    /// The experiment that a phase is a step of.
    #[must_use]
    pub fn experiment_of(&self, phase: &str) -> Option<&Experiment> {
        self.experiments.iter().find(|experiment| experiment.has_phase(phase))
    }

    /// Who takes part in a phase: whom it loads, and in a step of an experiment those as well
    /// that are idle meanwhile, because what they feel counts.
    #[must_use]
    pub fn attending<'a>(&'a self, phase: &'a Phase) -> &'a Selector {
        self.experiment_of(&phase.name).map_or(&phase.on, |experiment| &experiment.on)
    }

    /// Seconds of the whole plan.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.phases.iter().map(|phase| phase.seconds).sum()
    }

    /// Seconds in phases that heat.
    #[must_use]
    pub fn heating_seconds(&self) -> f64 {
        self.phases.iter().filter(|phase| phase.load.is_some()).map(|phase| phase.seconds).sum()
    }
}
