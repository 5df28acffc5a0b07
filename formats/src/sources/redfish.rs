//! PSUs, PDUs and CDUs over Redfish.

use std::path::Path;

use super::{Target, only, target};
use crate::document::Table;

/// Keys of `kind = "redfish"`.
#[derive(Debug, Clone, PartialEq)]
pub struct RedfishSource {
    pub targets: Vec<Target>,
}

pub(super) fn read(table: &Table<'_, '_>, _folder: &Path) -> Option<RedfishSource> {
    only(table, &[]);
    let targets = target::read(table, "https://10.0.0.5", &[]);
    Some(RedfishSource { targets: targets.into_iter().map(|(target, _)| target).collect() })
}
