//! What happened lately in a run that a person should know of: the journal's latest entries, in
//! words. What stands here is in the record as well; nothing is judged by it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use model::interlock::Action;

use super::{JournalEntry, MeterEvent};

/// As many as a screen can show; the record has them all.
const KEPT: usize = 64;

/// How much a person must care.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weight {
    /// It ended heat, or the run.
    Trip,
    Warning,
    Note,
}

impl Weight {
    /// As it is said to those who look.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Trip => "trip",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// One of them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Notice {
    pub(crate) at_ns: i64,
    pub(crate) weight: Weight,
    pub(crate) words: String,
}

/// The latest of the run that was written of last.
#[derive(Debug, Clone, Default)]
pub(crate) struct Notices(Arc<Mutex<Latest>>);

#[derive(Debug, Default)]
struct Latest {
    run: String,
    kept: VecDeque<Notice>,
}

impl Notices {
    /// Takes an entry of the journal in, where it says something to a person.
    pub(super) fn journalled(&self, run: &str, at_ns: i64, entry: &JournalEntry) {
        if let Some((weight, words)) = words(entry) {
            self.add(run, Notice { at_ns, weight, words });
        }
    }

    /// Adds one that is in no journal.
    pub(crate) fn add(&self, run: &str, notice: Notice) {
        let mut latest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if latest.run != run {
            *latest = Latest { run: run.to_owned(), kept: VecDeque::new() };
        }
        if latest.kept.len() == KEPT {
            latest.kept.pop_front();
        }
        latest.kept.push_back(notice);
    }

    /// Those of a run, oldest first.
    pub(crate) fn of(&self, run: &str) -> Vec<Notice> {
        let latest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if latest.run == run { latest.kept.iter().cloned().collect() } else { Vec::new() }
    }
}

/// Weight and words of an entry; nothing of what only the judge needs.
fn words(entry: &JournalEntry) -> Option<(Weight, String)> {
    use JournalEntry as Entry;
    let (trip, warning, note) = (Weight::Trip, Weight::Warning, Weight::Note);
    Some(match entry {
        Entry::Resumed { who, .. } => (note, format!("heat returned: resumed by {who}")),
        Entry::PhaseStarts { name, .. } => (note, format!("phase {name} begins")),
        Entry::Lost { node, why, .. } => (warning, format!("lost {node}: {why}")),
        Entry::Returned { node, .. } => (note, format!("{node} was heard again")),
        Entry::Warning { node, text } => (warning, format!("{node}: {text}")),
        Entry::StopAsked { who, drop: true } => (trip, format!("dropped at once by {who}")),
        Entry::StopAsked { who, drop: false } => (trip, format!("stopped by {who}: ramping down")),
        Entry::LimitTripped { why } => (trip, format!("limit: {why}")),
        Entry::Released { step, who, .. } => (note, format!("released to {step} % by {who}")),
        Entry::Capped { domain, percent, most_kw, measured_kw, .. } => (
            note,
            format!("{domain} held at {percent} %: {measured_kw:.2} of {most_kw:.1} kW measured"),
        ),
        Entry::Mark { who, text, .. } => (note, format!("marked by {who}: {text}")),
        Entry::Meter { domain, event, why, .. } => match event {
            MeterEvent::Lost => (warning, format!("the meter of {domain} is lost: {why}")),
            MeterEvent::Back => (note, format!("the meter of {domain} is back")),
            MeterEvent::ClockOff | MeterEvent::Wrong => {
                (warning, format!("the meter of {domain}: {why}"))
            }
            MeterEvent::ClockRight => return None,
        },
        Entry::Interlock { rule, action, why, .. } => {
            let warns = action == Action::Warn.word();
            let weight = if warns { warning } else { trip };
            (weight, format!("interlock {rule} ({action}): {why}"))
        }
        Entry::InterlockResumed { rule, who } => {
            (note, format!("interlock {rule} resumed by {who}"))
        }
        Entry::Suspended { .. } => (trip, "the coordinator was restarted: suspended".to_owned()),
        Entry::Ended { how, why } if why.is_empty() => (note, format!("the run is {how}")),
        Entry::Ended { how, why } => (trip, format!("the run is {how}: {why}")),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost(node: &str) -> JournalEntry {
        let (node, why) = (node.to_owned(), "its lease ended".to_owned());
        JournalEntry::Lost { node, instance: String::new(), why, reason: None }
    }

    #[test]
    fn the_latest_of_one_run_are_kept_in_words() {
        let notices = Notices::default();
        notices.journalled("r1", 1, &lost("n1"));
        notices.journalled("r1", 2, &JournalEntry::PhaseCompleted { phase: 0, name: "p".into() });
        let kept = notices.of("r1");
        let words = "lost n1: its lease ended".to_owned();
        assert_eq!(kept, [Notice { at_ns: 1, weight: Weight::Warning, words }]);
        notices.journalled(
            "r1",
            3,
            &JournalEntry::Ended { how: "aborted".into(), why: "hot".into() },
        );
        assert_eq!(notices.of("r1")[1].weight, Weight::Trip);
        notices.journalled("r2", 4, &lost("n9"));
        assert_eq!((notices.of("r1").len(), notices.of("r2").len()), (0, 1));
    }

    #[test]
    fn a_hall_that_falls_apart_does_not_fill_the_memory() {
        let notices = Notices::default();
        (0..1000).for_each(|at| notices.journalled("r", at, &lost("n")));
        let kept = notices.of("r");
        assert_eq!((kept.len(), kept[KEPT - 1].at_ns), (KEPT, 999));
    }
}
