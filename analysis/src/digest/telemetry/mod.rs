//! Telemetry: what sensors said of each device, phase by phase and block by block.
//!
//! Tables of others and records of our own agents fold into the same cells.

mod bounds;
mod cell;
mod fold;
mod trace;

use std::collections::BTreeMap;

pub use cell::{Cell, REASON_BITS, Reasons};
pub(super) use fold::Fold;
pub use trace::{Curve, HEAD_BINS, Point, WHOLE_BINS};

/// Which device. Rows that name the same three are one device.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceKey {
    /// Empty when the location is unknown.
    pub node: String,
    /// Index in the node, as the table says; some profilers always say 0.
    pub device: u32,
    /// Empty where the table has none.
    pub uuid: String,
}

/// Which part of a device's time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CellKey {
    /// Empty when the table has no phases: the whole of it is one sustained phase.
    pub phase: String,
    /// A job or repetition; empty without.
    pub block: String,
}

/// Every device's cells.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Telemetry {
    devices: BTreeMap<DeviceKey, BTreeMap<CellKey, Cell>>,
}

impl Telemetry {
    /// Every device with its cells, in the order of their keys.
    pub fn devices(&self) -> impl Iterator<Item = (&DeviceKey, &BTreeMap<CellKey, Cell>)> {
        self.devices.iter()
    }

    /// Whether no row was counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.devices.is_empty()
    }
}
