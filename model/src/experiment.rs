//! Experiments: phases of a plan that separate causes by loading some nodes and not others.
//!
//! An experiment is written as one phase. With the site it becomes ordinary phases (hold and
//! idle), each with its own selector, before anything is admitted: permits, budgets and ramps
//! are then checked on what will really run, and nothing is left to decide meanwhile. The
//! same plan, site and seed give the same phases.

mod expand;
mod hadamard;

use serde::Serialize;

use crate::plan::{By, Phase, PhaseLoad, Selector};
use crate::site::Site;

pub use hadamard::Codes;

/// Most steps of one experiment: each node of a large hall alone is no experiment any more
/// but a day of heating. Halves and wiring codes need no more than twice their groups.
pub const STEPS_MAX: usize = 512;
/// Most phases of a plan once its experiments are expanded: every table of a run keeps one
/// entry a phase, and what is judged has one cell a device and phase.
pub const EXPANDED_PHASES_MAX: usize = 1_200;
/// Cooling between steps when the plan does not say: as long as the step itself, up to this.
/// Five of the minute that a loop's coolant takes to settle.
pub const REST_SECONDS_MOST: f64 = 300.0;

/// What an experiment loads in turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ExperimentKind {
    /// Each group alone, then all together.
    Isolated,
    /// Half of the groups at a time, each pair together in half of the steps, then all.
    Halves,
    /// Each group alone; what happens to the idle others is what counts.
    Coupling,
    /// Each group follows a code of its own; the building's meters must follow the same.
    Wiring,
    /// All together, only where each feed alone could carry it.
    FeedCheck,
}

impl ExperimentKind {
    /// Every kind.
    pub const ALL: [Self; 5] =
        [Self::Isolated, Self::Halves, Self::Coupling, Self::Wiring, Self::FeedCheck];

    /// The word in plans and reports.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Isolated => "isolated",
            Self::Halves => "halves",
            Self::Coupling => "coupling",
            Self::Wiring => "wiring",
            Self::FeedCheck => "feed_check",
        }
    }

    /// The kind of a word, if it is one.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

/// An experiment as the plan says it, and its steps once the site is known.
#[derive(Debug, Clone, PartialEq)]
pub struct Experiment {
    /// Unique in its plan; its phases' names begin with it.
    pub name: String,
    pub kind: ExperimentKind,
    /// What makes the groups; halves may name two kinds of domains, all others have one.
    pub by: Vec<By>,
    /// Of each step.
    pub step_seconds: f64,
    /// Of the cooling before each step.
    pub rest_seconds: f64,
    /// Who is loaded at all.
    pub on: Selector,
    pub load: PhaseLoad,
    /// How many of the plan's ordinary phases run before it.
    pub after_phases: usize,
    /// In the site's order, kind by kind; empty until the plan was expanded.
    pub groups: Vec<Group>,
    /// In the order in which they run; empty until the plan was expanded.
    pub steps: Vec<Step>,
}

/// Nodes that are always loaded alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Domains that hold just these nodes, the first of the site file first; or the node.
    pub ids: Vec<String>,
    /// In the site's order.
    pub nodes: Vec<String>,
}

/// One phase of an expanded experiment.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Name of the phase.
    pub phase: String,
    pub role: Role,
    /// Groups under load, by their ids.
    pub groups: Vec<String>,
    /// Nodes under load, in the site's order.
    pub nodes: Vec<String>,
}

/// What a step is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Nobody is loaded: cooling, and what idle looks like.
    Rest,
    /// Some groups are loaded.
    Some,
    /// All are loaded.
    Together,
}

impl Experiment {
    /// Whether a phase is one of its steps.
    #[must_use]
    pub fn has_phase(&self, phase: &str) -> bool {
        self.step(phase).is_some()
    }

    /// The step that a phase is.
    #[must_use]
    pub fn step(&self, phase: &str) -> Option<&Step> {
        self.steps.iter().find(|step| step.phase == phase)
    }

    /// The codes that its groups follow. Wiring has twice as many as groups: what the unused
    /// ones give is noise.
    #[must_use]
    pub fn codes(&self, groups: usize) -> Codes {
        let twice = self.kind == ExperimentKind::Wiring;
        Codes::of(if twice { 2 * groups } else { groups })
    }

    /// The same as a person would type it.
    #[must_use]
    pub fn words(&self) -> String {
        let by: Vec<&str> = self.by.iter().map(|by| by.word()).collect();
        format!("{} by {}", self.kind.word(), by.join(" and "))
    }

    /// Its phases on a site, and its steps filled in.
    ///
    /// # Errors
    /// When its groups can't be made, or are too many or too few, with the mend.
    pub(crate) fn expand(&mut self, site: &Site) -> Result<Vec<Phase>, String> {
        expand::expand(self, site)
    }
}

#[cfg(test)]
mod tests;
