//! A first site file from records.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::Inventory;

impl Inventory {
    /// `site.toml` with all that the records say. Ratings, which power domains need before they
    /// may be heated, are no part of them.
    #[must_use]
    pub fn site_toml(&self, name: &str) -> String {
        let mut text = format!("schema = 1\nname = {}\n", quoted(name));
        for (id, domain) in &self.domains {
            let kind = domain.kind.word();
            let _ = write!(text, "\n[[domain]]\nkind = \"{kind}\"\nid = {}\n", quoted(id));
            if !domain.within.is_empty() {
                let _ = writeln!(text, "within = [{}]", list(domain.within.iter()));
            }
            if let Some(side) = domain.side {
                let _ = writeln!(text, "side = \"{side}\"");
            }
            for (key, value) in [("volts", domain.volts), ("amps", domain.amps)] {
                if let Some(value) = value {
                    let _ = writeln!(text, "{key} = {value}");
                }
            }
            if let Some(phases) = domain.phases {
                let _ = writeln!(text, "phases = {phases}");
            }
        }
        let mut alike: BTreeMap<Vec<&str>, Vec<&str>> = BTreeMap::new();
        for (node, domains) in &self.nodes {
            let domains = domains.iter().map(String::as_str).collect();
            alike.entry(domains).or_default().push(node);
        }
        for (domains, nodes) in alike {
            let names = crate::hostlist::fold(&nodes);
            let _ = write!(text, "\n[[nodes]]\nnames = {}\n", quoted(&names));
            let _ = writeln!(text, "domains = [{}]", list(domains.into_iter()));
        }
        text
    }
}

fn list<T: AsRef<str>>(ids: impl Iterator<Item = T>) -> String {
    ids.map(|id| quoted(id.as_ref())).collect::<Vec<_>>().join(", ")
}

/// A TOML basic string.
fn quoted(text: &str) -> String {
    let escaped = text.chars().map(|letter| match letter {
        '"' => "\\\"".to_owned(),
        '\\' => "\\\\".to_owned(),
        letter if letter.is_control() => format!("\\u{:04X}", u32::from(letter)),
        letter => letter.to_string(),
    });
    format!("\"{}\"", escaped.collect::<String>())
}
