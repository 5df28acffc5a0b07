//! A device on the panel.

use model::finding::Suspect;

use super::Values;

/// One device and how it compares.
#[derive(Debug, Clone, PartialEq)]
pub struct PanelDevice {
    /// Position in [`super::Panel::nodes`]; `None` when the location is unknown.
    pub node: Option<usize>,
    /// Node name, empty when unknown.
    pub node_name: String,
    /// What a finding calls it.
    pub suspect: Suspect,
    pub uuid: String,
    pub model: String,
    /// Index in the node where it can be trusted.
    pub slot: Option<u32>,
    /// Middle of the values over its cells.
    pub values: Values,
    /// Middle of the residuals over its cells.
    pub residuals: Values,
    /// Standard deviation of its likes' residuals, robust.
    pub sigmas: Values,
    /// How many likes it was compared with, itself included.
    pub cohort: usize,
    /// Least clock seen; and how deep it dips below the device's own usual clock, as a ratio
    /// to its likes' dip.
    pub clock_min: Option<(f64, f64)>,
    /// Greatest temperature seen, and how far above the likes' middle.
    pub temp_max: Option<(f64, f64)>,
    pub cells: Vec<CellResidual>,
}

/// One phase and block of a device.
#[derive(Debug, Clone, PartialEq)]
pub struct CellResidual {
    pub phase: String,
    pub block: String,
    /// Earliest and latest sample, in nanoseconds since the Unix epoch.
    pub span_ns: (i64, i64),
    pub values: Values,
    pub residuals: Values,
}

impl PanelDevice {
    /// Residual in the bad direction, in standard deviations of its likes.
    #[must_use]
    pub fn z(&self, signal: super::Signal) -> Option<f64> {
        let (residual, sigma) = (self.residuals[signal.index()]?, self.sigmas[signal.index()]?);
        Some(signal.bad() * residual / sigma.max(signal.least_sigma()))
    }
}
