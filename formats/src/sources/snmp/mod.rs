//! PDUs and UPSes over SNMP.

mod credentials;
mod map;

use std::path::Path;

pub use credentials::{Auth, Credentials, Privacy, User};
pub use map::{SnmpMap, SnmpPoint};

use super::{Target, only, target};
use crate::document::Table;
use crate::nearest::nearest;

/// PDUs in one chain, and cords of one PDU: no product has more.
const UNITS_MAX: u64 = 64;

/// Keys of `kind = "snmp"`.
#[derive(Debug, Clone, PartialEq)]
pub struct SnmpSource {
    pub credentials: Credentials,
    /// What its devices are: all of one source are alike.
    pub device: Device,
    pub targets: Vec<SnmpTarget>,
}

/// Which table a device is read by.
#[derive(Debug, Clone, PartialEq)]
pub enum Device {
    ApcRpdu2,
    RaritanPdu2,
    Sentry4,
    UpsMib,
    /// Another, by a map.
    Mapped(SnmpMap),
}

impl Device {
    const WORDS: [&'static str; 4] = ["apc_rpdu2", "raritan_pdu2", "sentry4", "ups_mib"];

    /// Keys of a target that say which part of a device is meant, where it has parts.
    fn parts(&self) -> &'static [&'static str] {
        match self {
            Self::ApcRpdu2 => &["unit"],
            Self::RaritanPdu2 | Self::Sentry4 => &["unit", "inlet"],
            Self::UpsMib | Self::Mapped(_) => &[],
        }
    }

    fn of(word: &str) -> Option<Self> {
        match word {
            "apc_rpdu2" => Some(Self::ApcRpdu2),
            "raritan_pdu2" => Some(Self::RaritanPdu2),
            "sentry4" => Some(Self::Sentry4),
            "ups_mib" => Some(Self::UpsMib),
            _ => None,
        }
    }
}

/// One device, or one PDU or cord of a chain that answers at one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnmpTarget {
    pub target: Target,
    /// Which PDU of a chain, from 1.
    pub unit: u32,
    /// Which inlet or cord of that PDU, from 1.
    pub inlet: u32,
}

impl AsRef<Target> for SnmpTarget {
    fn as_ref(&self) -> &Target {
        &self.target
    }
}

pub(super) fn read(table: &Table<'_, '_>, folder: &Path) -> Option<SnmpSource> {
    let own: Vec<&str> = credentials::KEYS.iter().chain(&["device", "map"]).copied().collect();
    only(table, &own);
    let credentials = credentials::read(table, folder);
    let device = device(table, folder);
    let targets = target::read(table, "10.0.0.5:161", &["unit", "inlet"]);
    let parts = device.as_ref().map_or(&["unit", "inlet"][..], Device::parts);
    let targets = targets.into_iter().map(|(target, table)| of_part(target, &table, parts));
    let targets = targets.collect();
    Some(SnmpSource { credentials: credentials?, device: device?, targets })
}

fn of_part(target: Target, table: &Table<'_, '_>, parts: &[&str]) -> SnmpTarget {
    let number = |key| {
        if table.has(key) && !parts.contains(&key) {
            let what = format!("{key}: such a device is read as a whole");
            table.wrong(key, what, format!("remove {key}"));
        }
        table.whole(key, 1..=UNITS_MAX).map_or(1, |number| number as u32)
    };
    SnmpTarget { target, unit: number("unit"), inlet: number("inlet") }
}

fn device(table: &Table<'_, '_>, folder: &Path) -> Option<Device> {
    if table.has("device") && table.has("map") {
        table.wrong("map", "both device and map are given", "keep one of them");
    }
    if let Some(path) = table.text("map") {
        return match SnmpMap::read(&folder.join(path)) {
            Ok(map) => Some(Device::Mapped(map)),
            Err(errors) => {
                table.document.take(errors);
                None
            }
        };
    }
    table.need("device", "device = \"apc_rpdu2\", or map = \"FILE\"");
    let at = table.text_at("device")?;
    let device = Device::of(&at.value);
    if device.is_none() {
        let mend = match nearest(&at.value, &Device::WORDS) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => format!("use one of {}, or map = \"FILE\"", Device::WORDS.join(", ")),
        };
        let what = format!("unknown device \"{}\"", at.value.escape_debug());
        table.document.add(&at.span, what, mend);
    }
    device
}

#[cfg(test)]
mod tests;
