//! CDUs and plant over Modbus TCP, by a map of registers.

mod map;

use std::path::Path;

pub use map::{Function, ModbusMap, Register, RegisterKind};

use super::{Target, only, target};
use crate::document::Table;

/// Keys of `kind = "modbus"`.
#[derive(Debug, Clone, PartialEq)]
pub struct ModbusSource {
    /// All devices of one source are alike.
    pub map: ModbusMap,
    pub targets: Vec<Target>,
}

pub(super) fn read(table: &Table<'_, '_>, folder: &Path) -> Option<ModbusSource> {
    only(table, &["map"]);
    table.need("map", "map = \"FILE\", registers of the device");
    let targets = target::read(table, "10.0.0.5:502", &[]);
    let map = match ModbusMap::read(&folder.join(table.text("map")?)) {
        Ok(map) => map,
        Err(errors) => {
            table.document.take(errors);
            return None;
        }
    };
    Some(ModbusSource { map, targets: targets.into_iter().map(|(target, _)| target).collect() })
}
