//! meters.toml: where the building's own meters are read, and how often.
//!
//! One `[[source]]` a protocol and its credentials, one `[[source.target]]` a device that
//! answers for itself. Keys of one kind stand in that kind's file.

mod dial;
mod mapped;
mod modbus;
mod mqtt;
mod prometheus;
mod redfish;
mod secret;
mod snmp;
mod table;
mod target;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

pub use dial::{Login, Trust};
pub use mapped::{Mapped, UNITS};
pub use modbus::{Function, ModbusMap, ModbusSource, Register, RegisterKind};
pub use mqtt::{MqttSource, PointMap};
pub use prometheus::{PrometheusSource, Series, SeriesDomain};
pub use redfish::RedfishSource;
pub use secret::Secret;
pub use snmp::{
    Auth, Credentials, Device, Privacy, SnmpMap, SnmpPoint, SnmpSource, SnmpTarget, User,
};
pub use table::TableSource;
pub use target::Target;

use crate::document::{Document, Table, text_of};
use crate::document_error::DocumentErrors;
use crate::nearest::nearest;

/// Most sources of one document.
const SOURCES_MAX: usize = 1_000;
/// Meters of buildings refresh every second to every ten: reference data of 20 large sites had
/// 11 at a second or less, 6 at 10 to 12 s.
const EVERY_S: f64 = 1.0;
/// No reading is of use less often than once an hour, and none comes faster than this.
const EVERY_MOST_S: f64 = 3_600.0;
const EVERY_LEAST_S: f64 = 0.1;
/// A device that has not answered by then is passed over until its next turn.
const DEADLINE_S: f64 = 3.0;
const NAME_CHARS_MAX: usize = 64;

const KINDS: [&str; 6] = ["table", "snmp", "redfish", "prometheus", "mqtt", "modbus"];
const OF_ALL: [&str; 5] = ["name", "kind", "every_seconds", "deadline_seconds", "target"];

/// All sources of a building.
#[derive(Debug, Clone, PartialEq)]
pub struct Sources {
    pub file: String,
    pub sources: Vec<Source>,
}

/// Meters that are reached by one protocol with one set of credentials.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// What gaps, warnings and heartbeats call it.
    pub name: String,
    pub line: usize,
    /// Distance of questions; sources that speak by themselves are not asked.
    pub every: Duration,
    /// A round that takes longer has failed.
    pub deadline: Duration,
    pub kind: SourceKind,
}

/// What is particular to a protocol.
#[derive(Debug, Clone, PartialEq)]
pub enum SourceKind {
    Table(TableSource),
    Snmp(SnmpSource),
    Redfish(RedfishSource),
    Prometheus(PrometheusSource),
    Mqtt(MqttSource),
    Modbus(ModbusSource),
}

impl SourceKind {
    /// The word in documents.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Table(_) => "table",
            Self::Snmp(_) => "snmp",
            Self::Redfish(_) => "redfish",
            Self::Prometheus(_) => "prometheus",
            Self::Mqtt(_) => "mqtt",
            Self::Modbus(_) => "modbus",
        }
    }

    /// Seconds until a round has failed, unless the document says otherwise.
    fn deadline_s(&self) -> f64 {
        match self {
            // It is not asked: it is silent when more than its heartbeat's three periods pass.
            Self::Mqtt(mqtt) => 4.0 * mqtt.heartbeat.as_secs_f64(),
            _ => DEADLINE_S,
        }
    }
}

/// Reads a file of sources.
///
/// # Errors
/// Every problem of the document, with file, line and mend.
pub fn read(path: &Path) -> Result<Sources, DocumentErrors> {
    let (file, text) = text_of(path)?;
    parse(&file, &text)
}

/// Reads sources from their text; `file` is what messages call it, and what paths in it are
/// relative to.
///
/// # Errors
/// Every problem of the document, with file, line and mend.
pub fn parse(file: &str, text: &str) -> Result<Sources, DocumentErrors> {
    let document = Document::new(file, text);
    let tree = document.tree()?;
    let root = Table::root(&document, &tree);
    root.only(&["schema", "source"]);
    root.schema();
    root.need("source", "[[source]] with name and kind");
    let tables = root.tables("source", "[[source]]").unwrap_or_default();
    if tables.len() > SOURCES_MAX {
        let what = format!("{} sources", tables.len());
        root.wrong("source", what, format!("use at most {SOURCES_MAX}, with many targets each"));
    }
    check_names(&tables);
    let folder = Path::new(file).parent().unwrap_or(Path::new(""));
    let sources = tables.iter().filter_map(|table| source(table, folder)).collect();
    document.finish(Some(Sources { file: file.to_owned(), sources }))
}

fn check_names(tables: &[Table<'_, '_>]) {
    let mut seen = BTreeSet::new();
    for table in tables {
        let Some(name) = table.text("name") else { continue };
        let fits = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        if name.is_empty() || name.len() > NAME_CHARS_MAX || !name.chars().all(fits) {
            let what = format!("\"{}\" is no name", name.escape_debug());
            table.wrong("name", what, "use letters, digits, _, - and .");
        }
        if !seen.insert(name.clone()) {
            let what = format!("a second source \"{}\"", name.escape_debug());
            table.wrong("name", what, "give every source a name of its own");
        }
    }
}

fn source(table: &Table<'_, '_>, folder: &Path) -> Option<Source> {
    table.need("name", "name = \"pdus\"");
    table.need("kind", "kind = \"snmp\"");
    let at = table.text_at("kind")?;
    let kind = match at.value.as_str() {
        "table" => table::read(table, folder).map(SourceKind::Table),
        "snmp" => snmp::read(table, folder).map(SourceKind::Snmp),
        "redfish" => redfish::read(table, folder).map(SourceKind::Redfish),
        "prometheus" => prometheus::read(table, folder).map(SourceKind::Prometheus),
        "mqtt" => mqtt::read(table, folder).map(SourceKind::Mqtt),
        "modbus" => modbus::read(table, folder).map(SourceKind::Modbus),
        unknown => {
            let mend = match nearest(unknown, &KINDS) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => format!("use one of {}", KINDS.join(", ")),
            };
            let what = format!("unknown kind \"{}\"", unknown.escape_debug());
            table.document.add(&at.span, what, mend);
            None
        }
    };
    let seconds = |key: &str, least: f64, usual: f64| {
        let read = table.number(key, least..=EVERY_MOST_S, "seconds").unwrap_or(usual);
        Duration::from_secs_f64(read)
    };
    let every = seconds("every_seconds", EVERY_LEAST_S, EVERY_S);
    let usual = kind.as_ref().map_or(DEADLINE_S, SourceKind::deadline_s);
    let deadline = seconds("deadline_seconds", EVERY_LEAST_S, usual);
    Some(Source {
        name: table.text("name")?,
        line: table.line_of("name"),
        every,
        deadline,
        kind: kind?,
    })
}

/// The keys of a kind; everything else is unknown.
fn only(table: &Table<'_, '_>, own: &[&str]) {
    let known: Vec<&str> = OF_ALL.iter().chain(own).copied().collect();
    table.only(&known);
}

#[cfg(test)]
mod tests;
