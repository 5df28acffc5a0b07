//! The building's management system over MQTT, by NVIDIA's DSX Exchange schema.

use std::path::Path;
use std::time::Duration;

use super::dial::{self, Login, Trust};
use super::{Target, only, target};
use crate::document::Table;
use crate::nearest::nearest;

/// The schema's own.
const PREFIX: &str = "BMS/v1/PUB";
/// The schema's heartbeat comes every 10 s.
const HEARTBEAT_S: f64 = 10.0;
const MAPS_MAX: usize = 10_000;
/// Texts of metadata that can name a domain.
const IDENTITIES: [&str; 4] = ["rackLocationId", "objectId", "associateId", "servesId"];

/// Keys of `kind = "mqtt"`.
#[derive(Debug, Clone, PartialEq)]
pub struct MqttSource {
    pub trust: Trust,
    pub login: Login,
    /// Before `/Value/` and `/Metadata/` in topics.
    pub prefix: String,
    /// `None`: a name of its own at each connection.
    pub client_id: Option<String>,
    /// Distance of the system's heartbeats.
    pub heartbeat: Duration,
    /// Which texts of metadata name the domain: the first that is there.
    pub domain_from: Vec<String>,
    /// Empty: every point whose metadata name a domain is taken.
    pub maps: Vec<PointMap>,
    pub targets: Vec<Target>,
}

/// Points that are taken, and their domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PointMap {
    /// `Rack`, `PowerMeter`, ...; `None`: any.
    pub object: Option<String>,
    /// Pattern of the topic's tag path; `*` stands for any characters.
    pub tag: String,
    /// `None`: as metadata say.
    pub domain: Option<String>,
    /// The word of the point; `None`: by its type.
    pub point: Option<String>,
    pub line: usize,
}

pub(super) fn read(table: &Table<'_, '_>, folder: &Path) -> Option<MqttSource> {
    let mine = ["prefix", "client_id", "heartbeat_seconds", "domain_from", "map"];
    let own: Vec<&str> = dial::KEYS.into_iter().chain(mine).collect();
    only(table, &own);
    let trust = dial::trust(table, folder);
    let login = dial::login(table, folder);
    if let Login::Token(_) = login {
        let key = if table.has("token_file") { "token_file" } else { "token_env" };
        table.wrong(key, "MQTT has no tokens", "use user and password_file");
    }
    let prefix = table.text("prefix").unwrap_or_else(|| PREFIX.to_owned());
    if prefix.is_empty() || prefix.contains(['+', '#', '\0']) || prefix.ends_with('/') {
        let what = format!("\"{}\" is no beginning of topics", prefix.escape_debug());
        table.wrong("prefix", what, format!("write it as in \"{PREFIX}\""));
    }
    let heartbeat = table.number("heartbeat_seconds", 1.0..=600.0, "seconds");
    let maps = table.tables("map", "[[source.map]]").unwrap_or_default();
    if maps.len() > MAPS_MAX {
        let what = format!("{} maps", maps.len());
        table.wrong("map", what, format!("use at most {MAPS_MAX}, with * in their tags"));
    }
    let targets = target::read(table, "10.0.0.5:8883", &[]);
    for (target, inner) in &targets {
        check_address(inner, &target.address);
    }
    Some(MqttSource {
        login,
        trust: trust?,
        prefix,
        client_id: table.text("client_id"),
        heartbeat: Duration::from_secs_f64(heartbeat.unwrap_or(HEARTBEAT_S)),
        domain_from: domain_from(table),
        maps: maps.iter().filter_map(map).collect(),
        targets: targets.into_iter().map(|(target, _)| target).collect(),
    })
}

fn domain_from(table: &Table<'_, '_>) -> Vec<String> {
    let Some(texts) = table.texts("domain_from") else {
        return IDENTITIES[..2].iter().map(|&text| text.to_owned()).collect();
    };
    for text in texts.iter().filter(|text| !IDENTITIES.contains(&text.value.as_str())) {
        let what = format!("\"{}\" names no domain", text.value.escape_debug());
        let mend = match nearest(&text.value, &IDENTITIES) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => format!("use some of {}", IDENTITIES.join(", ")),
        };
        table.document.add(&text.span, what, mend);
    }
    texts.into_iter().map(|text| text.value).collect()
}

fn map(table: &Table<'_, '_>) -> Option<PointMap> {
    table.only(&["object", "tag", "domain", "point"]);
    table.need("tag", "tag = \"Hall1/PDU-A1/*\"");
    Some(PointMap {
        object: table.text("object"),
        tag: table.text("tag")?,
        domain: table.text("domain"),
        point: table.text("point"),
        line: table.line_of("tag"),
    })
}

fn check_address(table: &Table<'_, '_>, address: &str) {
    let split = address.rsplit_once(':');
    let fits = split.is_some_and(|(host, port)| {
        let port: Option<u16> = port.parse().ok();
        !host.is_empty() && !host.contains(['/', '@', ' ']) && port.is_some_and(|port| port > 0)
    });
    if !fits {
        let what = format!("\"{}\" is no HOST:PORT", address.escape_debug());
        table.wrong("address", what, "write it as in \"10.0.0.5:8883\"");
    }
}
