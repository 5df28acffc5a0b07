//! The port: what every kind of meter can do, and what it says.

use std::future::Future;

/// One device of the building that answers for itself.
///
/// Whoever drives it bounds the time of a read and drops it when that is over: the next read
/// must begin anew, with a fresh connection where the old one may be in the middle of an answer.
/// Nothing is ever written to the plant.
pub(crate) trait Meter: Send + 'static {
    /// True for one that speaks by itself: it is read again at once, and a read that runs into
    /// its deadline means that it was silent.
    const SPEAKS: bool = false;

    /// Asks once for every point, or waits for what comes by itself.
    ///
    /// # Errors
    /// Why there is no reading. Points that alone have no value are left out, or said in
    /// [`Round::wrong`].
    fn read(&mut self) -> impl Future<Output = Result<Round, MeterError>> + Send;
}

/// What one read brought.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Round {
    pub(crate) readings: Vec<Reading>,
    /// What was said and is no reading, in words that name it: told once, counted always.
    pub(crate) wrong: Vec<String>,
    /// The source vouches for all its points, changed or not.
    pub(crate) heartbeat: bool,
}

/// One value of one point.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reading {
    /// When it was read by the source's own clock, nanoseconds since the Unix epoch; `None`
    /// when the source does not say: the middle of question and answer counts then.
    pub(crate) stamp_ns: Option<i64>,
    /// Id of the domain in the site.
    pub(crate) domain: String,
    /// A word of the meters' table: `power_kw`, `current_a.l2`, ...
    pub(crate) point: String,
    pub(crate) value: f64,
    /// Empty: the point's own.
    pub(crate) unit: &'static str,
    /// False: its source doubts it.
    pub(crate) good: bool,
}

impl Reading {
    /// A good reading, at the instant of the answer, in its point's own unit.
    pub(crate) fn new(domain: &str, point: impl Into<String>, value: f64) -> Self {
        let (domain, point) = (domain.to_owned(), point.into());
        Self { stamp_ns: None, domain, point, value, unit: "", good: true }
    }
}

/// Why a device gave no reading.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MeterError {
    /// A community, password or certificate that it does not take. Asked again rarely, so that
    /// no account is locked.
    #[error("refused: {0}")]
    Refused(String),
    /// It does not answer, or not in time.
    #[error("silent: {0}")]
    Silent(String),
    /// What came is not what its kind says.
    #[error("not understood: {0}")]
    Nonsense(String),
}
