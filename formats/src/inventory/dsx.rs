//! Metadata of the DSX Exchange BMS schema, as `mosquitto_sub -v -t 'BMS/v1/PUB/Metadata/#'`
//! prints them: a topic, a space, and its payload.

use std::collections::{BTreeMap, BTreeSet};

use model::site::DomainKind;
use serde_json::Value;

use super::Inventory;

/// Objects of the schema that are domains of ours.
const KINDS: [(&str, DomainKind); 6] = [
    ("Rack", DomainKind::Rack),
    ("PowerMeter", DomainKind::Pdu),
    ("UPS", DomainKind::Ups),
    ("Breaker", DomainKind::Breaker),
    ("Generator", DomainKind::Generator),
    ("CDU", DomainKind::Cdu),
];

impl Inventory {
    /// Adds the objects that metadata name, and what they serve.
    ///
    /// # Errors
    /// When a line is no metadata, in words.
    pub fn add_dsx(&mut self, file: &str, text: &str) -> Result<(), String> {
        let mut serves: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let place = format!("{file}:{}", at + 1);
            let (topic, payload) = line.split_once(" {").ok_or_else(|| {
                format!("{place}: no topic and payload; mosquitto_sub -v prints both")
            })?;
            let payload: Value = serde_json::from_str(&format!("{{{payload}"))
                .map_err(|why| format!("{place}: {why}"))?;
            let object = topic
                .split_once("/Metadata/")
                .and_then(|(_, tail)| tail.split('/').next())
                .ok_or_else(|| format!("{place}: \"{topic}\" is no topic of metadata"))?;
            self.add_object(object, &payload, &mut serves);
        }
        for (server, served) in serves {
            for id in served {
                match self.domains.get_mut(&id) {
                    Some(domain) => {
                        domain.within.insert(server.clone());
                    }
                    None => self.note(format!("{server} serves {id}, which no metadata tell of")),
                }
            }
        }
        Ok(())
    }

    fn add_object(
        &mut self,
        object: &str,
        payload: &Value,
        serves: &mut BTreeMap<String, BTreeSet<String>>,
    ) {
        let Some((_, kind)) = KINDS.into_iter().find(|(word, _)| *word == object) else {
            return self.note(format!("objects of type {object} are no domains: not used"));
        };
        let id_key = if kind == DomainKind::Rack { "rackLocationId" } else { "objectId" };
        let Some(id) = payload[id_key].as_str().map(str::trim).filter(|id| !id.is_empty()) else {
            return self.note(format!("a {object} without {id_key}: not used"));
        };
        // A part of another object would be counted twice.
        if payload["associateId"].as_str().is_some_and(|whole| !whole.is_empty() && whole != id) {
            return self.note(format!("{id} is a part of another object: not used"));
        }
        let _ = self.domain(id, kind);
        let served = match &payload["servesId"] {
            Value::String(one) => vec![one.as_str()],
            Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let served = served.into_iter().filter(|other| !other.is_empty() && *other != id);
        serves.entry(id.to_owned()).or_default().extend(served.map(str::to_owned));
    }
}
