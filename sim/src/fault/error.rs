//! Why a fault was refused, with what would be right.

use super::kind::{FaultKind, Unit};

/// A fault that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FaultError {
    /// The text has no colon, or nothing before or after it.
    #[error("fault \"{0}\": write KIND:DOMAIN[=SIZE][@ONSET], such as pdu_limit:pdu-a1=12%@600")]
    Shape(String),
    /// No fault is called so.
    #[error("no fault is called \"{word}\"; the kinds are {}", FaultKind::words())]
    Kind { word: String },
    /// The size is no number of the kind's unit, or out of its range.
    #[error("{kind}: \"{text}\" is no size; write {}, such as {kind}:...={}", .unit.range(*.most_thousandths), .unit.example())]
    Size { kind: &'static str, text: String, unit: Unit, most_thousandths: u64 },
    /// The kind has no size.
    #[error("{kind} takes no size; leave \"={text}\" out")]
    NoSize { kind: &'static str, text: String },
    /// The onset is no number of seconds.
    #[error("\"@{0}\" is no onset; write seconds from the start of the run, such as @600")]
    Onset(String),
    /// The flapping is no share and period.
    #[error(
        "\"~{0}\" is no flapping; write DUTY/PERIOD, such as ~25%/120 (a quarter of every 120 s)"
    )]
    Flap(String),
    /// The target has not the form that the kind needs.
    #[error("{kind} works on {wants}; \"{text}\" is none")]
    Target { kind: &'static str, wants: String, text: String },
    /// The site has nothing of that name, or something of another kind.
    #[error("{kind}: {what}; {mend}")]
    Site { kind: &'static str, what: String, mend: String },
}
