//! PDUs and UPSes over SNMP.

use std::path::Path;

use super::{Target, only, target};
use crate::document::Table;

/// Keys of `kind = "snmp"`.
#[derive(Debug, Clone, PartialEq)]
pub struct SnmpSource {
    pub targets: Vec<Target>,
}

pub(super) fn read(table: &Table<'_, '_>, _folder: &Path) -> Option<SnmpSource> {
    only(table, &[]);
    let targets = target::read(table, "10.0.0.5:161", &[]);
    Some(SnmpSource { targets: targets.into_iter().map(|(target, _)| target).collect() })
}
