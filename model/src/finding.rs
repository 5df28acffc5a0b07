//! Finding and verdict words. The JSON spelling of each is the contract of reports.

use serde::{Deserialize, Serialize};

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    WeakPower,
    WeakCooling,
    SlowUplink,
    NetworkIsland,
    FlakyLink,
    DeviceHot,
    DeviceSlow,
    PowerShort,
    Sdc,
    MemoryError,
    DeviceError,
    SlowNic,
    HostIo,
    NodeLost,
    FleetShift,
    Instrument,
}

impl FindingKind {
    /// The word in reports.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::WeakPower => "weak_power",
            Self::WeakCooling => "weak_cooling",
            Self::SlowUplink => "slow_uplink",
            Self::NetworkIsland => "network_island",
            Self::FlakyLink => "flaky_link",
            Self::DeviceHot => "device_hot",
            Self::DeviceSlow => "device_slow",
            Self::PowerShort => "power_short",
            Self::Sdc => "sdc",
            Self::MemoryError => "memory_error",
            Self::DeviceError => "device_error",
            Self::SlowNic => "slow_nic",
            Self::HostIo => "host_io",
            Self::NodeLost => "node_lost",
            Self::FleetShift => "fleet_shift",
            Self::Instrument => "instrument",
        }
    }
}

/// Whose fault: never mixed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Blame {
    Device,
    Host,
    Facility,
    /// Our own failure; never booked on hardware.
    Instrument,
    None,
}

impl Blame {
    /// The word in reports.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::Host => "host",
            Self::Facility => "facility",
            Self::Instrument => "instrument",
            Self::None => "none",
        }
    }
}

/// Whether something is wrong at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    Confirmed,
    /// Significant, but effect, coverage or size leave doubt.
    Watch,
}

impl Standing {
    /// The word in reports.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Watch => "watch",
        }
    }
}

/// How bad. Only confirmed `critical` and `major` findings make NOT_READY.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    Critical,
    Major,
    Minor,
}

impl Severity {
    /// The word in reports.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Major => "major",
            Self::Minor => "minor",
        }
    }
}

/// The answer of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Verdict {
    Ready,
    NotReady,
    Inconclusive,
    /// A safety limit ended the run.
    Aborted,
    /// A person ended the run; the ramp-down was done.
    Interrupted,
}

impl Verdict {
    /// The exit code of the command that prints the verdict.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Ready => 0,
            Self::NotReady => 1,
            Self::Inconclusive => 3,
            Self::Aborted => 5,
            Self::Interrupted => 130,
        }
    }

    /// The word as reports print it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Ready => "READY",
            Self::NotReady => "NOT_READY",
            Self::Inconclusive => "INCONCLUSIVE",
            Self::Aborted => "ABORTED",
            Self::Interrupted => "INTERRUPTED",
        }
    }
}

/// A thing that may be blamed: a domain kind, or node, device, link, cut, nic, fleet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Suspect {
    pub kind: String,
    pub id: String,
    /// The core within a device, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub core: Option<u32>,
}

impl Suspect {
    /// A suspect without a core.
    #[must_use]
    pub fn new(kind: &str, id: impl Into<String>) -> Self {
        Self { kind: kind.to_owned(), id: id.into(), core: None }
    }
}

/// How large the effect is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Effect {
    pub metric: String,
    /// Share of the reference value; -0.06 is six percent below.
    pub relative: Option<f64>,
    pub absolute: Option<f64>,
    pub unit: String,
}

/// How many members of the suspect show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Members {
    pub hit: u32,
    pub reporting: u32,
    pub total: u32,
}

/// One finding, as DESIGN's report carries it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// `F1`, `F2`, ... in the order of the report.
    pub id: String,
    pub kind: FindingKind,
    pub blame: Blame,
    pub standing: Standing,
    pub severity: Severity,
    pub suspect: Suspect,
    pub cannot_exclude: Vec<Suspect>,
    /// Share of calibration cases with such a score that were true; `None` without calibration.
    pub confidence: Option<f64>,
    pub p_value: Option<f64>,
    pub q_value: Option<f64>,
    pub effect: Option<Effect>,
    pub members: Option<Members>,
    /// Provoked by an injection switch: proves the check, not the hardware.
    pub injected: bool,
    pub evidence: Vec<String>,
    pub action: String,
    pub next_experiment: Option<String>,
}

impl Finding {
    /// Whether this finding alone forbids READY.
    #[must_use]
    pub fn condemns(&self) -> bool {
        self.standing == Standing::Confirmed && self.severity != Severity::Minor
    }
}
