//! Why a device was dropped, and what that means for the rest.

use std::fmt;

use model::xid::Xid;

use super::NS_PER_S;

/// Which of a device's sensors the guard watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sensor {
    Temperature,
    Power,
}

/// Why a device was dropped.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Trip {
    TooHot {
        temp_c: f64,
        limit_c: f64,
    },
    SensorLost {
        sensor: Sensor,
        how: Loss,
    },
    SamplerHung {
        silent_ns: u64,
    },
    UncorrectableErrors {
        before: u64,
        now: u64,
    },
    /// An external signal held the clock down: the supply asks for less.
    PowerBrake {
        held_ns: u64,
    },
    /// The hardware held the clock down against heat.
    HwThermal {
        held_ns: u64,
    },
    /// The driver reported an error that no load may go on with.
    Xid(Xid),
    /// The driver gave the device up.
    Gone {
        how: &'static str,
    },
    /// The limit itself is no number that could ever be reached.
    LimitAbsurd {
        limit_c: f64,
    },
}

/// How a sensor was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// Bad readings in a row.
    Bad { readings: u32 },
    /// No value for so long.
    Silent { silent_ns: u64 },
}

impl Trip {
    /// Whether only our eyes failed: nothing is known of the device itself.
    #[must_use]
    pub fn is_blindness(&self) -> bool {
        matches!(self, Self::SensorLost { .. } | Self::SamplerHung { .. })
    }

    /// Whether the building or the whole run is in danger. A single device that broke, or
    /// that we can't see any more, is out; the rest goes on.
    #[must_use]
    pub fn ends_the_run(&self) -> bool {
        match self {
            Self::TooHot { .. }
            | Self::PowerBrake { .. }
            | Self::HwThermal { .. }
            | Self::LimitAbsurd { .. } => true,
            Self::SensorLost { .. }
            | Self::SamplerHung { .. }
            | Self::UncorrectableErrors { .. }
            | Self::Xid(_)
            | Self::Gone { .. } => false,
        }
    }
}

impl fmt::Display for Sensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Temperature => "temperature",
            Self::Power => "power",
        })
    }
}

impl fmt::Display for Trip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |ns: u64| ns as f64 / NS_PER_S as f64;
        match *self {
            Self::TooHot { temp_c, limit_c } => {
                write!(f, "{temp_c:.1} °C reached the limit of {limit_c:.1} °C")
            }
            Self::SensorLost { sensor, how: Loss::Bad { readings } } => {
                write!(f, "the {sensor} sensor gave {readings} bad readings in a row")
            }
            Self::SensorLost { sensor, how: Loss::Silent { silent_ns } } => {
                write!(f, "the {sensor} sensor gave no value for {:.1} s", seconds(silent_ns))
            }
            Self::SamplerHung { silent_ns } => {
                write!(f, "reading the sensors hung for {:.1} s", seconds(silent_ns))
            }
            Self::UncorrectableErrors { before, now } => {
                write!(f, "uncorrectable memory errors rose from {before} to {now}")
            }
            Self::PowerBrake { held_ns } => {
                write!(
                    f,
                    "an external power brake held the clock down for {:.1} s",
                    seconds(held_ns)
                )
            }
            Self::HwThermal { held_ns } => {
                write!(f, "hardware thermal slowdown held for {:.1} s", seconds(held_ns))
            }
            Self::Xid(xid) => write!(f, "{xid}"),
            Self::Gone { how } => f.write_str(how),
            Self::LimitAbsurd { limit_c } => {
                write!(f, "a temperature limit of {limit_c} °C guards nothing")
            }
        }
    }
}
