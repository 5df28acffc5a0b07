//! What NVML answers: a plain number. New numbers arrive with failing hardware, so that none
//! is ever taken for one of an enum.

use std::fmt;

use model::reading::{Absence, Reading};

/// A return code (nvml.h, `nvmlReturn_t`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Status(pub(super) u32);

impl Status {
    pub(super) const SUCCESS: Self = Self(0);
    pub(super) const INSUFFICIENT_SIZE: Self = Self(7);
    pub(super) const TIMEOUT: Self = Self(10);
    /// The library has no such function; a driver that is too old.
    pub(super) const NO_FUNCTION: Self = Self(13);
    const GPU_IS_LOST: Self = Self(15);
    const RESET_REQUIRED: Self = Self(16);

    /// Whether the card is gone for this driver, and how that reads.
    pub(super) fn gone(self) -> Option<&'static str> {
        match self {
            Self::GPU_IS_LOST => Some("the GPU is lost: it fell off the bus or its driver gave up"),
            Self::RESET_REQUIRED => Some("the GPU answers nothing before it is reset"),
            _ => None,
        }
    }

    /// Why there is no value.
    pub(super) fn absence(self) -> Absence {
        match self.0 {
            // NOT_SUPPORTED, NOT_FOUND, FUNCTION_NOT_FOUND, ARGUMENT_VERSION_MISMATCH, DEPRECATED
            3 | 6 | 13 | 25 | 26 => Absence::NotPresent,
            4 => Absence::NotPermitted,
            10 => Absence::TimedOut,
            // NO_DATA, NOT_READY
            21 | 27 => Absence::NotYet,
            _ => Absence::Failed,
        }
    }

    /// The value where the call succeeded.
    pub(super) fn reading<T>(self, value: T) -> Reading<T> {
        match self {
            Self::SUCCESS => Reading::Value(value),
            status => Reading::Absent(status.absence()),
        }
    }

    pub(super) fn check(self) -> Result<(), Self> {
        if self == Self::SUCCESS { Ok(()) } else { Err(self) }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = match self.0 {
            0 => "success",
            1 => "not initialised",
            2 => "invalid argument",
            3 => "not supported",
            4 => "no permission",
            9 => "the driver is not loaded",
            10 => "no answer in time",
            12 => "library not found",
            13 => "the driver's library lacks this function",
            15 => "the GPU is lost",
            16 => "the GPU must be reset",
            18 => "driver and library have different versions: reload the driver",
            23 => "insufficient resources",
            999 => "unknown error",
            _ => "an error that this version has no words for",
        };
        write!(f, "{words} (NVML code {})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_of_tomorrow_is_a_failure_with_its_number() {
        assert_eq!(Status(9_991).absence(), Absence::Failed);
        assert!(Status(9_991).to_string().contains("9991"));
        assert_eq!(Status(9_991).gone(), None);
        assert!(Status(15).gone().is_some());
        assert_eq!(Status(3).reading(1.0), Reading::Absent(Absence::NotPresent));
    }
}
