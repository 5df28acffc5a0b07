//! Telemetry: what sensors said of each device, phase by phase and block by block.
//!
//! Tables of others and records of our own agents fold into the same cells.

mod cell;

use std::collections::BTreeMap;

use model::SampleColumns;

pub use cell::{Cell, REASON_BITS, Reasons};

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
    /// Counts every row.
    pub fn add_columns(&mut self, columns: &SampleColumns) {
        for row in 0..columns.rows() {
            let text = |names: &Option<model::sample_columns::Names>| {
                names.as_ref().map_or(String::new(), |names| names.get(row).to_owned())
            };
            let device = DeviceKey {
                node: columns.node.get(row).to_owned(),
                device: columns.device[row],
                uuid: text(&columns.uuid),
            };
            let key = CellKey { phase: text(&columns.phase), block: text(&columns.block) };
            let cells = self.devices.entry(device).or_default();
            cells.entry(key).or_default().add(columns, row);
        }
    }

    /// Adds another's counts.
    pub fn merge(&mut self, other: Self) {
        for (device, cells) in other.devices {
            let ours = self.devices.entry(device).or_default();
            for (key, cell) in cells {
                ours.entry(key).or_default().merge(&cell);
            }
        }
    }

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
