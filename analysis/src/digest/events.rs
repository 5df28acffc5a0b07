//! Events, grouped: how often each thing happened where, with the first few texts.

use std::collections::{BTreeMap, BTreeSet};

use model::record::{Event, EventKind};

/// Texts kept of one group: enough to recognise it, few enough for a report.
const EXAMPLES_KEPT: usize = 3;
/// A text is cut here, in characters: some come with a whole stack trace.
const TEXT_CHARS: usize = 300;

/// All events of one node.
pub type EventLog = BTreeMap<EventKey, EventGroup>;

/// Where and what.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventKey {
    pub kind: EventKind,
    pub device: Option<u32>,
    pub core: Option<u32>,
    pub phase: String,
    pub injected: bool,
}

/// How often, when, and what it said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventGroup {
    pub count: u64,
    pub first_ns: i64,
    pub last_ns: i64,
    /// The earliest texts with their instants.
    pub examples: BTreeSet<(i64, String)>,
}

impl EventGroup {
    /// The kept texts in one line, each once, the earliest first.
    #[must_use]
    pub fn texts(&self) -> String {
        let mut texts: Vec<&str> = Vec::new();
        for (_, text) in &self.examples {
            if !texts.contains(&text.as_str()) {
                texts.push(text);
            }
        }
        texts.join("; ")
    }

    pub(super) fn of(event: &Event) -> Self {
        let text = event.text.chars().take(TEXT_CHARS).collect();
        Self {
            count: 1,
            first_ns: event.time_ns,
            last_ns: event.time_ns,
            examples: BTreeSet::from([(event.time_ns, text)]),
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.first_ns = self.first_ns.min(other.first_ns);
        self.last_ns = self.last_ns.max(other.last_ns);
        self.examples.extend(other.examples.iter().cloned());
        while self.examples.len() > EXAMPLES_KEPT {
            self.examples.pop_last();
        }
    }
}

/// Adds a group where its key belongs.
pub(super) fn put(log: &mut EventLog, key: EventKey, group: EventGroup) {
    match log.get_mut(&key) {
        Some(kept) => kept.merge(&group),
        None => {
            log.insert(key, group);
        }
    }
}
