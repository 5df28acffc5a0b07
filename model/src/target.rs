//! Power that a load is asked to draw, instead of a share of what a device can do.

use serde::{Deserialize, Serialize};

/// What a phase asks for when its load says `watts` or `kw`. The highest level of its
/// waveform is the one that draws so much.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PowerTarget {
    /// Watts of each loaded device.
    Watts(f64),
    /// kW of all loaded devices of the phase together, the same for each.
    Kw(f64),
}

impl PowerTarget {
    /// The share of one device, in watts, where `devices` are loaded; `None` where none is.
    #[must_use]
    pub fn device_watts(self, devices: usize) -> Option<f64> {
        match self {
            Self::Watts(watts) => Some(watts),
            Self::Kw(_) if devices == 0 => None,
            Self::Kw(kw) => Some(kw * 1e3 / devices as f64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kilowatts_are_divided_and_watts_are_not() {
        assert_eq!(PowerTarget::Watts(500.0).device_watts(8), Some(500.0));
        assert_eq!(PowerTarget::Kw(4.0).device_watts(8), Some(500.0));
        assert_eq!(PowerTarget::Kw(4.0).device_watts(0), None);
    }
}
