//! The building's management system over MQTT.

use std::path::Path;

use super::{Target, only, target};
use crate::document::Table;

/// Keys of `kind = "mqtt"`.
#[derive(Debug, Clone, PartialEq)]
pub struct MqttSource {
    pub targets: Vec<Target>,
}

pub(super) fn read(table: &Table<'_, '_>, _folder: &Path) -> Option<MqttSource> {
    only(table, &[]);
    let targets = target::read(table, "10.0.0.5:8883", &[]);
    Some(MqttSource { targets: targets.into_iter().map(|(target, _)| target).collect() })
}
