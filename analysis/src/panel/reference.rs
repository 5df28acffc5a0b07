//! What a thermal resistance is taken against: the reference is chosen once for the fleet
//! and named in the report, because values against different references don't compare.

use model::Metric;

use crate::digest::telemetry::Cell;

/// Least power, in watts, over which a temperature rise is divided: below, a degree of
/// sensor step is a large share of the rise.
const LEAST_W: f64 = 20.0;

/// The cold side of a thermal resistance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reference {
    /// Coolant supply, measured in the same rows.
    CoolantSupply,
    /// Inlet air, measured in the same rows.
    InletAir,
    /// The device's own idle phase: rise over rise of power.
    Idle,
}

impl Reference {
    /// The reference in words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::CoolantSupply => "coolant supply",
            Self::InletAir => "inlet air",
            Self::Idle => "the device's own idle phase",
        }
    }

    /// Thermal resistance of a device, in K/W; `idle` is its idle (temperature, power).
    pub(super) fn r_th(self, cell: &Cell, idle: Option<(f64, f64)>) -> Option<f64> {
        let (temp, power) = (cell.median(Metric::TempC)?, cell.median(Metric::PowerW)?);
        let (cold, base) = match self {
            Self::CoolantSupply => (cell.median(Metric::CoolantSupplyC)?, 0.0),
            Self::InletAir => (cell.median(Metric::InletAirC)?, 0.0),
            Self::Idle => idle?,
        };
        (power - base >= LEAST_W).then(|| (temp - cold) / (power - base))
    }
}
