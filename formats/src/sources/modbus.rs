//! CDUs and plant over Modbus TCP, by a map of registers.

use std::path::Path;

use super::{Target, only, target};
use crate::document::Table;

/// Keys of `kind = "modbus"`.
#[derive(Debug, Clone, PartialEq)]
pub struct ModbusSource {
    pub targets: Vec<Target>,
}

pub(super) fn read(table: &Table<'_, '_>, _folder: &Path) -> Option<ModbusSource> {
    only(table, &[]);
    let targets = target::read(table, "10.0.0.5:502", &[]);
    Some(ModbusSource { targets: targets.into_iter().map(|(target, _)| target).collect() })
}
