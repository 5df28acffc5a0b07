//! The report: verdict, findings, what was measured, what was not. Its serde form is
//! `loadbank.report/1`: additive changes only, every key always present.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::finding::{Finding, Suspect, Verdict};
use crate::plan::Requirement;

/// The schema word of the JSON form.
pub const SCHEMA: &str = "loadbank.report/1";

/// One report. Rendered by `cli`, computed by `analysis`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub schema: String,
    pub verdict: Verdict,
    pub exit_code: u8,
    /// Why the verdict is what it is, one line each.
    pub reasons: Vec<String>,
    pub requires: Vec<Requirement>,
    pub run: RunHeader,
    pub findings: Vec<Finding>,
    pub measured: Vec<Measured>,
    pub coverage: Coverage,
    pub not_measured: Vec<NotMeasured>,
    /// Every limit of the policy that belongs to an acceptance check, none left out.
    #[serde(default)]
    pub gates: Vec<GateResult>,
}

/// Which run this is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct RunHeader {
    pub id: String,
    pub plan: String,
    pub site: Option<String>,
    /// Who recorded the evidence: a word of [`crate::facts::Source`].
    #[serde(default = "agents")]
    pub source: String,
    /// Rehearsed evidence can never accept hardware.
    pub simulated: bool,
    /// Something was injected to prove a check.
    pub injected: bool,
    /// RFC 3339, UTC.
    pub started: Option<String>,
    /// Whole seconds from start to end.
    pub seconds: Option<u64>,
    /// The state of the run's record: a word of [`crate::facts::RunEnd`].
    pub state: String,
    /// Folder that holds the run file, on the machine of the coordinator.
    pub folder: Option<String>,
}

/// Reports of before the word was written came from agents.
fn agents() -> String {
    crate::facts::Source::Agents.word().to_owned()
}

/// One measured value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Begins with `gflops_`, `bandwidth_`, `busbw_`, `rtt_idle_`, `rtt_loaded_`,
    /// `start_skew_`, `power_`, `temp_`, ...; a percentile is a suffix (`_p99`).
    pub what: String,
    #[serde(rename = "where")]
    pub at: Suspect,
    pub phase: Option<String>,
    pub value: f64,
    pub unit: String,
    /// RFC 3339, UTC: the instant of an extreme; null for what has no single instant.
    #[serde(default)]
    pub when: Option<String>,
}

/// What took part and how much of it reported.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct Coverage {
    pub nodes_planned: u32,
    pub nodes_reporting: u32,
    pub devices_planned: u32,
    pub devices_reporting: u32,
    /// Directed pairs that carried a transfer, of those planned.
    pub pairs_measured: u32,
    pub pairs_planned: u32,
    pub phases_planned: u32,
    pub phases_completed: u32,
    /// Batches that agents made, that arrived, and records lost with a loss record.
    pub batches_stored: u64,
    pub batches_missing: u64,
    pub records_lost: u64,
    /// Rows of tables of samples that were judged.
    #[serde(default)]
    pub rows: u64,
    /// Seconds of load per device, least and most.
    pub load_seconds_least: Option<f64>,
    pub load_seconds_most: Option<f64>,
    /// Domains by kind: how many there are, and from how many at least one node reported.
    pub domains: BTreeMap<String, DomainCoverage>,
}

/// Coverage of one kind of domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainCoverage {
    pub total: u32,
    pub loaded: u32,
}

/// Something that was not measured, and why.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NotMeasured {
    pub what: String,
    pub why: String,
    /// Which requirement it leaves open, where it is one's; the plan need not have it.
    #[serde(default)]
    pub requirement: Option<Requirement>,
    /// Whether it kept the plan from what it requires.
    #[serde(default)]
    pub needed: bool,
}

/// One limit held against the worst value that was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GateResult {
    /// Number of the acceptance check, 1 to 25; null for limits of our own.
    pub check: Option<u32>,
    /// What the check is about, in a few words.
    pub about: String,
    /// The gate's name in the policy; ends in `_most` or `_least`.
    pub gate: String,
    pub outcome: GateOutcome,
    /// Null when the policy has no such gate.
    pub limit: Option<f64>,
    pub unit: Option<String>,
    /// Where the limit comes from.
    pub source: Option<String>,
    /// The worst value; null when the gate was not evaluated.
    pub measured: Option<f64>,
    #[serde(rename = "where")]
    pub at: Option<Suspect>,
    /// How many places were held against the limit, and how many failed.
    pub evaluated: u32,
    pub failed: u32,
    /// Why it was not evaluated, or what the value does not say.
    pub why: Option<String>,
}

/// What came of a gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GateOutcome {
    Pass,
    Fail,
    /// Never a pass.
    NotEvaluated,
}

impl GateOutcome {
    /// The word in reports.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::NotEvaluated => "not_evaluated",
        }
    }
}
