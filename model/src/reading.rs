//! A reading is a value or a reason why not. Missing is never zero.

use serde::{Deserialize, Serialize};

/// Why a reading has no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Absence {
    /// This machine has no such sensor.
    NotPresent,
    /// The sensor exists and we may not read it.
    NotPermitted,
    /// The sensor exists and answered with an error.
    Failed,
    /// The sensor did not answer in time.
    TimedOut,
    /// The first reading of a counter: a rate needs two.
    NotYet,
}

impl Absence {
    /// The reason in words for a report.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::NotPresent => "no such sensor on this machine",
            Self::NotPermitted => "the sensor may not be read by this user",
            Self::Failed => "the sensor answered with an error",
            Self::TimedOut => "the sensor did not answer in time",
            Self::NotYet => "a rate needs two readings",
        }
    }
}

/// A measured value, or the reason why there is none.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reading<T> {
    /// What was measured.
    Value(T),
    /// Why nothing was.
    Absent(Absence),
}

impl<T> Reading<T> {
    /// The value, if there is one.
    #[must_use]
    pub fn value(self) -> Option<T> {
        match self {
            Self::Value(v) => Some(v),
            Self::Absent(_) => None,
        }
    }

    /// The reason, if there is no value.
    #[must_use]
    pub fn absence(&self) -> Option<Absence> {
        match self {
            Self::Value(_) => None,
            Self::Absent(why) => Some(*why),
        }
    }

    /// Applies `f` to a value, keeps an absence.
    #[must_use]
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Reading<U> {
        match self {
            Self::Value(v) => Reading::Value(f(v)),
            Self::Absent(why) => Reading::Absent(why),
        }
    }
}

impl<T> Default for Reading<T> {
    fn default() -> Self {
        Self::Absent(Absence::NotPresent)
    }
}
