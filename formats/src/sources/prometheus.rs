//! Whatever a Prometheus already gathers.

use std::path::Path;

use super::{Target, only, target};
use crate::document::Table;

/// Keys of `kind = "prometheus"`.
#[derive(Debug, Clone, PartialEq)]
pub struct PrometheusSource {
    pub targets: Vec<Target>,
}

pub(super) fn read(table: &Table<'_, '_>, _folder: &Path) -> Option<PrometheusSource> {
    only(table, &[]);
    let targets = target::read(table, "http://10.0.0.5:9090", &[]);
    Some(PrometheusSource { targets: targets.into_iter().map(|(target, _)| target).collect() })
}
