//! Interlocks: which reading of the building or of a device ends heat, and how.
//!
//! Every rule remembers its line, so that whoever is stopped in the night can be told which.

use crate::plan::Selector;
use crate::site::DomainKind;

/// A whole document of interlocks, checked: `formats` builds no other from a document.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Interlocks {
    /// How messages call it: the document's file name.
    pub file: String,
    pub rules: Vec<Rule>,
}

/// One rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Unique in its document.
    pub name: String,
    pub line: usize,
    pub watches: Watches,
    /// What must not be passed; `None` where only silence (or losses) trip the rule.
    pub limit: Option<Limit>,
    /// A limit trips once it is passed for so long, in nanoseconds.
    pub for_ns: i64,
    /// Silence for longer trips the rule, in nanoseconds.
    pub silent_ns: i64,
    /// Heat may begin although nothing was ever read.
    pub allow_unread: bool,
    pub action: Action,
}

/// What a rule looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Watches {
    /// A reading of every device of the picked nodes.
    Device {
        reading: DeviceReading,
        on: Selector,
        /// `shed` takes all nodes of the device's domain of this kind; without it the node.
        shed_by: Option<DomainKind>,
    },
    /// A point of the building's meters, of each picked domain.
    Meter { point: String, of: Scope },
    /// The meters themselves: that the named source is alive, or that any row comes at all.
    /// `of`: what is shed when it is not.
    Heartbeat { from: Option<String>, of: Option<Scope> },
    /// Agents of each picked domain that are lost within a time, in nanoseconds.
    Agents { lost: usize, within_ns: i64, of: Scope },
}

/// What a device says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DeviceReading {
    TempC,
    MemTempC,
    PowerW,
    /// Any of these bits of NVML's clock event reasons counts as 1, none as 0.
    Throttle(u64),
}

impl DeviceReading {
    /// The word in documents and messages.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::TempC => "temp_c",
            Self::MemTempC => "mem_temp_c",
            Self::PowerW => "power_w",
            Self::Throttle(_) => "throttle",
        }
    }
}

/// Clock event reasons that a rule may name, with their bits (nvml.h,
/// nvmlClocksEventReasons).
pub const REASON_BITS: [(&str, u64); 5] = [
    ("sw_power_cap", 0x04),
    ("hw_slowdown", 0x08),
    ("sw_thermal", 0x20),
    ("hw_thermal", 0x40),
    ("power_brake", 0x80),
];

/// Which domains a rule is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// All nodes of the run together.
    All,
    /// Every domain of a kind by itself.
    Kind(DomainKind),
    One(DomainKind, String),
}

/// What must not be passed. At least one of `above` and `below` is set.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Limit {
    pub above: Option<f64>,
    pub below: Option<f64>,
    /// Passed stays passed until the reading comes back to this.
    pub clear: Option<f64>,
}

impl Limit {
    /// The limit that a reading passes, if it does. What is no number passes every limit.
    #[must_use]
    pub fn passed_by(&self, value: f64) -> Option<f64> {
        // Written so that NaN is never within.
        let within_above = |most: &f64| value <= *most;
        let within_below = |least: &f64| value >= *least;
        let high = self.above.filter(|most| !within_above(most));
        high.or(self.below.filter(|least| !within_below(least)))
    }

    /// Whether a reading that had passed is back, hysteresis included.
    #[must_use]
    pub fn is_cleared_by(&self, value: f64) -> bool {
        let back = |limit: Option<f64>| self.clear.or(limit);
        let above = self.above.is_none() || back(self.above).is_some_and(|most| value <= most);
        let below = self.below.is_none() || back(self.below).is_some_and(|least| value >= least);
        above && below
    }
}

/// What a rule does when it trips.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Say it.
    Warn,
    /// No level rises any more.
    Hold,
    /// The domain's nodes ramp to idle; the rest goes on.
    Shed,
    /// Everything ramps to idle.
    StopRamp,
    /// Everything is idle at once.
    StopDrop,
}

impl Action {
    /// Every action with its word.
    pub const WORDS: [(&'static str, Self); 5] = [
        ("warn", Self::Warn),
        ("hold", Self::Hold),
        ("shed", Self::Shed),
        ("stop_ramp", Self::StopRamp),
        ("stop_drop", Self::StopDrop),
    ];

    /// The word in documents and messages.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Warn => "warn",
            Self::Hold => "hold",
            Self::Shed => "shed",
            Self::StopRamp => "stop_ramp",
            Self::StopDrop => "stop_drop",
        }
    }

    /// The action of a word, if it is one.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::WORDS.into_iter().find(|(known, _)| *known == word).map(|(_, action)| action)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_round_trip() {
        for (word, action) in Action::WORDS {
            assert_eq!((action.word(), Action::from_word(word)), (word, Some(action)));
        }
    }

    #[test]
    fn a_limit_is_passed_beyond_it_and_cleared_behind_its_hysteresis() {
        let warm = Limit { above: Some(45.0), clear: Some(43.0), below: None };
        assert_eq!((warm.passed_by(45.0), warm.passed_by(45.1)), (None, Some(45.0)));
        assert_eq!([44.0, 43.0].map(|value| warm.is_cleared_by(value)), [false, true]);
        let band = Limit { above: Some(60.0), below: Some(20.0), clear: None };
        assert_eq!((band.passed_by(19.0), band.passed_by(61.0)), (Some(20.0), Some(60.0)));
        assert_eq!([19.0, 20.0, 61.0].map(|v| band.is_cleared_by(v)), [false, true, false]);
    }

    #[test]
    fn what_is_no_number_is_over_every_limit() {
        let limit = Limit { above: Some(1.0), ..Limit::default() };
        assert_eq!((limit.passed_by(f64::NAN), limit.is_cleared_by(f64::NAN)), (Some(1.0), false));
    }
}
