//! A permit to heat: what the building's owner allows, for whom, when and how fast.
//!
//! Every clause remembers its line, so that a refusal can name it.

use crate::course::waveform;
use crate::plan::Phase;
use crate::site::DomainKind;

/// Steps in which a load may be released, in percent of the plan's levels.
pub const RELEASE_STEPS: [u8; 4] = [25, 50, 75, 100];

/// Kinds of phases that a permit may allow: all that command heat, those of a later version
/// included, so that a permit outlives a release.
pub const WAVEFORM_WORDS: [&str; 8] =
    ["hold", "ramp", "step", "square", "sine", "training", "staircase", "stagger"];

/// A whole permit, checked: `formats` builds no other from a document.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Permit {
    /// How refusals call it: the document's file name.
    pub file: String,
    pub issued_by: String,
    /// Name of the site that it is for; `None` where any will do.
    pub site: Option<Clause<String>>,
    /// Instants between which heat is allowed; empty allows any time.
    pub windows: Vec<Window>,
    /// What must be true of the building, in words that a person affirms.
    pub conditions: Vec<Clause<String>>,
    /// Most kW of all nodes together; `None` leaves it to the site's budgets.
    pub total_kw: Option<Clause<f64>>,
    pub domains: Vec<DomainClause>,
    /// Allowed shapes; `None` allows every one.
    pub waveforms: Option<Vec<WaveformClause>>,
    /// Who may release which step; empty leaves the load wholly released.
    pub releases: Vec<ReleaseClause>,
}

/// A value with the line of the permit that it stands in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clause<T> {
    pub value: T,
    pub line: usize,
}

/// A time in which heat is allowed, as nanoseconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    pub from_ns: i64,
    pub to_ns: i64,
    /// As written, with its time zone offset.
    pub words: String,
    pub line: usize,
}

/// What power and cooling domains may be given.
#[derive(Debug, Clone, PartialEq)]
pub struct DomainClause {
    pub pick: DomainPick,
    pub most_kw: Option<f64>,
    /// Most kW a second while load comes, and while it goes.
    pub kw_per_s_up: Option<f64>,
    pub kw_per_s_down: Option<f64>,
    pub line: usize,
}

/// Which domains a clause is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DomainPick {
    /// Every power and cooling domain by itself.
    Every,
    /// Every domain of a kind by itself.
    Kind(DomainKind),
    One(DomainKind, String),
}

impl DomainPick {
    /// Whether a domain is meant.
    #[must_use]
    pub fn picks(&self, kind: DomainKind, id: &str) -> bool {
        match self {
            Self::Every => true,
            Self::Kind(picked) => *picked == kind,
            Self::One(picked, name) => *picked == kind && name == id,
        }
    }
}

/// A shape that is allowed.
#[derive(Debug, Clone, PartialEq)]
pub struct WaveformClause {
    /// A word of [`WAVEFORM_WORDS`].
    pub kind: String,
    /// Of shapes that repeat, in Hz.
    pub hz_least: Option<f64>,
    pub hz_most: Option<f64>,
    /// Most distance between low and high, in percent of all that the devices can do.
    pub amplitude_percent_most: Option<f64>,
    /// The same in kW of all nodes together.
    pub amplitude_kw_most: Option<f64>,
    pub line: usize,
}

/// Who may release a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseClause {
    /// One of [`RELEASE_STEPS`].
    pub step: u8,
    pub who: Vec<String>,
    pub line: usize,
}

impl Permit {
    /// A clause's place, as a refusal names it.
    #[must_use]
    pub fn at(&self, line: usize) -> String {
        if line == 0 { self.file.clone() } else { format!("{}:{line}", self.file) }
    }

    /// The tightest limit of kW that clauses set for a domain, with its line.
    #[must_use]
    pub fn most_kw(&self, kind: DomainKind, id: &str) -> Option<(f64, usize)> {
        let clauses = self.domains.iter().filter(|clause| clause.pick.picks(kind, id));
        clauses
            .filter_map(|clause| Some((clause.most_kw?, clause.line)))
            .min_by(|a, b| a.0.total_cmp(&b.0))
    }

    /// Whether load must be released by a person, step by step.
    #[must_use]
    pub fn is_staged(&self) -> bool {
        !self.releases.is_empty()
    }

    /// The window that an instant lies in.
    #[must_use]
    pub fn window_at(&self, now_ns: i64) -> Option<&Window> {
        self.windows.iter().find(|window| (window.from_ns..window.to_ns).contains(&now_ns))
    }
}

/// The levels of a heating phase, in 0..=1: what a permit asks about its shape.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shape {
    pub low: f64,
    pub high: f64,
    /// Repetitions a second, of shapes that repeat.
    pub hz: Option<f64>,
}

impl Shape {
    /// The shape of a phase; `None` for one without heat.
    #[must_use]
    pub fn of(phase: &Phase) -> Option<Self> {
        // Groups of a phase differ in time only.
        let waveform = waveform(phase, 0, 1)?;
        let (low, high) = waveform.range();
        Some(Self { low, high, hz: waveform.hz() })
    }
}
