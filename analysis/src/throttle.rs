//! Seconds with a lowered clock, by reason: from the driver's own counters where there are
//! some, which miss nothing, and from rows with the reason's bit otherwise.

use std::collections::BTreeMap;

use model::Metric;

use crate::digest::telemetry::{Cell, CellKey};

/// A row that stands alone stands for so long, in seconds.
const LONE_ROW_S: f64 = 1.0;

/// Why a clock was lowered, and by whom that is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reason {
    /// At the power limit: the normal state of a burn.
    SwPowerCap,
    SwThermal,
    HwThermal,
    /// An external signal: the supply asks for less.
    PowerBrake,
    /// The umbrella over hardware's reasons, which flickers with changes of state.
    HwSlowdown,
}

impl Reason {
    /// Those that a report tells in seconds.
    pub(crate) const COUNTED: [Self; 4] =
        [Self::SwPowerCap, Self::SwThermal, Self::HwThermal, Self::PowerBrake];

    /// Bit of NVML's mask (nvml.h, nvmlClocksEventReasons).
    fn mask(self) -> u64 {
        match self {
            Self::SwPowerCap => 0x04,
            Self::HwSlowdown => 0x08,
            Self::SwThermal => 0x20,
            Self::HwThermal => 0x40,
            Self::PowerBrake => 0x80,
        }
    }

    fn counter(self) -> Option<Metric> {
        match self {
            Self::SwPowerCap => Some(Metric::SwPowerCapS),
            Self::SwThermal => Some(Metric::SwThermalS),
            Self::HwThermal => Some(Metric::HwThermalS),
            Self::PowerBrake => Some(Metric::PowerBrakeS),
            Self::HwSlowdown => None,
        }
    }

    /// Name of its seconds in a report.
    pub(crate) fn what(self) -> &'static str {
        match self {
            Self::SwPowerCap => "throttle_sw_power_cap_seconds",
            Self::SwThermal => "throttle_sw_thermal_seconds",
            Self::HwThermal => "throttle_hw_thermal_seconds",
            Self::PowerBrake => "throttle_power_brake_seconds",
            Self::HwSlowdown => "throttle_hw_slowdown_seconds",
        }
    }
}

/// Seconds of a device with this reason, over all of its cells. A counter also saw what
/// lay between two cells.
pub(crate) fn seconds(cells: &BTreeMap<CellKey, Cell>, reason: Reason) -> Option<f64> {
    counted(cells.values(), reason).or_else(|| {
        let each = cells.values().filter_map(|cell| by_rows(cell, reason));
        each.reduce(|a, b| a + b)
    })
}

/// Seconds of one cell with this reason.
pub(crate) fn seconds_of(cell: &Cell, reason: Reason) -> Option<f64> {
    counted([cell].into_iter(), reason).or_else(|| by_rows(cell, reason))
}

/// By the driver's counter alone.
pub(crate) fn counted<'a>(cells: impl Iterator<Item = &'a Cell>, reason: Reason) -> Option<f64> {
    let metric = reason.counter()?;
    let ranges = cells.filter_map(|cell| cell.range(metric));
    let whole = ranges.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))?;
    Some(whole.1 - whole.0)
}

/// Rows that had it, each as long as rows are apart.
fn by_rows(cell: &Cell, reason: Reason) -> Option<f64> {
    let share = cell.reason_share(reason.mask())?;
    let rows = cell.reasons().rows as f64;
    let span = cell
        .span_ns()
        .map_or(0.0, |(first, last)| (i128::from(last) - i128::from(first)) as f64 / 1e9);
    let row_s = if rows > 1.0 && span > 0.0 { span / (rows - 1.0) } else { LONE_ROW_S };
    Some(share * rows * row_s)
}
