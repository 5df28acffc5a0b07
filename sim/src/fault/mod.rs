//! What may be wrong with a facility: `KIND:DOMAIN[=SIZE][@ONSET][~DUTY/PERIOD]`.
//!
//! `pdu_limit:pdu-a1=12%@600~25%/120` is a PDU that delivers 12 % less than its nodes want,
//! from 600 s after the start of the run, for the first quarter of every 120 s.

mod error;
mod kind;
mod parse;
mod target;
mod truth;

pub use error::FaultError;
pub use kind::{FaultKind, SeenIn, TargetSort, Unit};
pub use target::Target;
pub use truth::{Truth, truth_of};

/// One fault of a facility.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    pub kind: FaultKind,
    pub target: Target,
    /// In the kind's [`Unit`]; a percentage is kept as a share, 0.12 for 12 %.
    pub size: f64,
    /// Seconds from the start of the run.
    pub onset_s: f64,
    /// `None`: from the onset to the end without a pause.
    pub flap: Option<Flap>,
}

/// A fault that comes and goes, beginning at its onset.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Flap {
    /// Share of each period in which the fault is there, over 0 up to 1.
    pub duty: f64,
    pub period_s: f64,
}

impl Fault {
    /// Share of the interval in which the fault is there; an empty interval is an instant.
    #[must_use]
    pub fn share(&self, from_s: f64, to_s: f64) -> f64 {
        let length = to_s - from_s;
        if length <= 0.0 {
            return if self.on_at(from_s) { 1.0 } else { 0.0 };
        }
        ((self.seconds_on(to_s) - self.seconds_on(from_s)) / length).clamp(0.0, 1.0)
    }

    /// Whether the fault is there at an instant.
    #[must_use]
    pub fn on_at(&self, at_s: f64) -> bool {
        let since = at_s - self.onset_s;
        since >= 0.0
            && self
                .flap
                .is_none_or(|flap| since.rem_euclid(flap.period_s) < flap.duty * flap.period_s)
    }

    /// Seconds with the fault from the start of the run until `until_s`.
    fn seconds_on(&self, until_s: f64) -> f64 {
        let since = (until_s - self.onset_s).max(0.0);
        let Some(flap) = self.flap else { return since };
        let on = flap.duty * flap.period_s;
        (since / flap.period_s).floor() * on + since.rem_euclid(flap.period_s).min(on)
    }
}

#[cfg(test)]
mod tests;
