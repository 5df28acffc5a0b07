//! A device that answers for itself, and the domain of the site that it speaks of.

use std::collections::BTreeSet;

use crate::document::Table;

/// Most targets of one source.
const TARGETS_MAX: usize = 10_000;

/// One device of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// `HOST:PORT`, or a URL where the kind says so.
    pub address: String,
    /// Id of the domain in the site whose points it measures.
    pub domain: String,
    pub line: usize,
}

/// Reads `[[source.target]]`: address and domain, and whatever `own` keys the kind adds.
/// The tables come with them, for those keys.
pub(super) fn read<'d, 't>(
    table: &Table<'d, 't>,
    example: &str,
    own: &[&str],
) -> Vec<(Target, Table<'d, 't>)> {
    table.need("target", "[[source.target]] with address and domain");
    let tables = table.tables("target", "[[source.target]]").unwrap_or_default();
    if tables.len() > TARGETS_MAX {
        let what = format!("{} targets", tables.len());
        table.wrong("target", what, format!("use at most {TARGETS_MAX} a source"));
    }
    let known: Vec<&str> = ["address", "domain"].iter().chain(own).copied().collect();
    let mut seen = BTreeSet::new();
    let mut targets = Vec::new();
    for inner in tables {
        inner.only(&known);
        inner.need("address", &format!("address = \"{example}\""));
        inner.need("domain", "domain = \"pdu-a1\"");
        let (Some(address), Some(domain)) = (inner.text("address"), inner.text("domain")) else {
            continue;
        };
        if !seen.insert((address.clone(), domain.clone())) {
            let what = format!("a second target {address} of {domain}");
            inner.wrong("address", what, "remove one of the two");
        }
        let line = inner.line_of("address");
        targets.push((Target { address, domain, line }, inner));
    }
    targets
}

impl AsRef<Target> for Target {
    fn as_ref(&self) -> &Target {
        self
    }
}
