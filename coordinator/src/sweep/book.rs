//! The book of sweeps: which there are, when each is due, and which one runs.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::conduct::RUNNING;
use super::schedule::{Due, Schedule};
use super::window::Window;
use super::{Outcome, Sweep};
use crate::store::{Catalogue, StoreError};

/// Names are part of messages and variables of hooks.
const NAME_BYTES_MAX: usize = 64;
/// More sweeps than anybody can look after.
const SWEEPS_MAX: usize = 256;
/// A hook may drain a hall; no longer than an hour.
const HOOK_SECONDS_MAX: u32 = 3600;

/// One sweep with its schedule and what became of it last.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) sweep: Sweep,
    pub(crate) schedule: Schedule,
    pub(crate) last: Option<Outcome>,
}

/// All sweeps of a coordinator.
#[derive(Debug, Default)]
pub(crate) struct Book {
    entries: BTreeMap<String, Entry>,
    /// The sweep whose hooks or run go on.
    running: Option<String>,
}

/// A sweep that is to begin, or what became of one that does not.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    Begin { sweep: Box<Sweep>, due: Timestamp, ends: Option<Timestamp> },
    Not(Outcome),
}

/// Why a sweep that a person wants now does not begin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotNow {
    /// It could, later.
    #[error("{0}")]
    Busy(String),
    /// What was asked for can't be.
    #[error("{0}")]
    Wrong(String),
}

impl Book {
    /// What an earlier process left. What was due meanwhile is found late, and missed.
    ///
    /// # Errors
    /// When the catalogue is damaged.
    pub(crate) fn open(catalogue: &Catalogue, now: Timestamp) -> Result<Self, StoreError> {
        let mut book = Self::default();
        let outcomes = catalogue.outcomes()?;
        for sweep in catalogue.sweeps()? {
            let own = outcomes.iter().filter(|outcome| outcome.sweep == sweep.name);
            let last = own.max_by_key(|outcome| outcome.due_ns).cloned();
            let known_ns = last.as_ref().map_or(sweep.added_ns, |last| last.due_ns);
            let name = sweep.name.clone();
            let dealt = Timestamp::from_nanosecond(i128::from(known_ns)).unwrap_or(now);
            if let Err(why) = book.add(sweep, dealt) {
                tracing::error!(sweep = %name, "left out: {why}");
                continue;
            }
            book.entries.entry(name).and_modify(|entry| entry.last = last);
        }
        Ok(book)
    }

    /// Sweeps that an earlier process left in the middle.
    pub(crate) fn left(&self) -> Vec<(Sweep, Outcome)> {
        let left = |entry: &Entry| {
            let last = entry.last.clone().filter(|last| last.what == RUNNING)?;
            Some((entry.sweep.clone(), last))
        };
        self.entries.values().filter_map(left).collect()
    }

    /// Adds or replaces a sweep; what was due by `now` is dealt with.
    ///
    /// # Errors
    /// A sentence about what makes no sense.
    pub(crate) fn add(&mut self, sweep: Sweep, now: Timestamp) -> Result<(), String> {
        let name = &sweep.name;
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.chars().all(plain) {
            return Err(format!(
                "{name:?} is no name of a sweep: write letters, digits, - _ . and at most \
                 {NAME_BYTES_MAX} of them"
            ));
        }
        if sweep.hook_seconds == 0 || sweep.hook_seconds > HOOK_SECONDS_MAX {
            return Err(format!("hooks may take 1 to {HOOK_SECONDS_MAX} seconds"));
        }
        if !self.entries.contains_key(name) && self.entries.len() >= SWEEPS_MAX {
            return Err(format!("there are {SWEEPS_MAX} sweeps already: remove some first"));
        }
        if self.running.as_ref() == Some(name) {
            return Err(format!("the sweep {name} runs just now: stop its run first"));
        }
        let window = match sweep.window.as_str() {
            "" => None,
            text => Some(Window::parse(text)?),
        };
        let schedule = Schedule::new(&sweep.at, &sweep.zone, window, now)?;
        let last = self.entries.remove(name).and_then(|entry| entry.last);
        self.entries.insert(name.clone(), Entry { sweep, schedule, last });
        Ok(())
    }

    /// Takes a sweep out.
    ///
    /// # Errors
    /// When there is none of that name, or it runs.
    pub(crate) fn remove(&mut self, name: &str) -> Result<(), String> {
        if self.running.as_deref() == Some(name) {
            return Err(format!("the sweep {name} runs just now: stop its run first"));
        }
        self.entries.remove(name).map(drop).ok_or_else(|| self.unknown(name))
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// Lets time pass. `busy`: why no run may begin now. At most one begins.
    pub(crate) fn look(&mut self, now: Timestamp, busy: Option<String>) -> Vec<Turn> {
        let mut turns = Vec::new();
        for entry in self.entries.values_mut() {
            let ours = self.running.as_ref().map(|other| format!("the sweep {other} runs"));
            let busy = ours.or_else(|| busy.clone());
            let Some((due, what)) = entry.schedule.look(now, busy.as_deref()) else { continue };
            let not = |word: &str, why: &str| Outcome {
                sweep: entry.sweep.name.clone(),
                due_ns: due.as_nanosecond() as i64,
                run: String::new(),
                what: format!("{word}: {why}"),
            };
            let outcome = match what {
                Due::Begin => {
                    self.running = Some(entry.sweep.name.clone());
                    let (sweep, ends) = (Box::new(entry.sweep.clone()), entry.schedule.ends(now));
                    turns.push(Turn::Begin { sweep, due, ends });
                    continue;
                }
                Due::Missed(why) => not("missed", &why),
                Due::Skipped(why) => not("skipped", &why),
            };
            entry.last = Some(outcome.clone());
            turns.push(Turn::Not(outcome));
        }
        turns
    }

    /// A person wants a sweep now: within its window, and alone.
    ///
    /// # Errors
    /// Why it may not begin.
    pub(crate) fn begin_now(&mut self, name: &str, now: Timestamp) -> Result<Turn, NotNow> {
        let entry = self.entries.get(name).ok_or_else(|| NotNow::Wrong(self.unknown(name)))?;
        if let Some(other) = &self.running {
            return Err(NotNow::Busy(format!("the sweep {other} runs just now")));
        }
        if let Some(why) = entry.schedule.outside(now) {
            let mend = "wait for it, or add the sweep again with another --window";
            return Err(NotNow::Wrong(format!("sweep {name}: {why}: {mend}")));
        }
        self.running = Some(name.to_owned());
        let (sweep, ends) = (Box::new(entry.sweep.clone()), entry.schedule.ends(now));
        Ok(Turn::Begin { sweep, due: now, ends })
    }

    /// Keeps what became of a due instant.
    pub(crate) fn note(&mut self, outcome: Outcome) {
        if let Some(entry) = self.entries.get_mut(&outcome.sweep) {
            entry.last = Some(outcome);
        }
    }

    /// The sweep that ran is over.
    pub(crate) fn end(&mut self, outcome: Outcome) {
        self.running = None;
        self.note(outcome);
    }

    fn unknown(&self, name: &str) -> String {
        let names: Vec<&str> = self.entries.keys().map(String::as_str).collect();
        match names.as_slice() {
            [] => format!("there is no sweep {name}: none was added"),
            names => format!("there is no sweep {name}: there are {}", names.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn sweep(name: &str, at: &str) -> Sweep {
        Sweep {
            name: name.to_owned(),
            at: at.to_owned(),
            zone: "UTC".to_owned(),
            plan_file: "p.toml".to_owned(),
            plan_toml: String::new(),
            site_file: String::new(),
            site_toml: String::new(),
            on: String::new(),
            allow_unrated: false,
            window: String::new(),
            before: String::new(),
            after: String::new(),
            hook_seconds: 60,
            affirmed: Vec::new(),
            who: "us".to_owned(),
            added_ns: 0,
        }
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn two_sweeps_never_overlap() {
        let mut book = Book::default();
        let midnight = at("2026-11-20T00:00:00Z");
        book.add(sweep("a", "30 2 * * *"), midnight).unwrap();
        book.add(sweep("b", "30 2 * * *"), midnight).unwrap();
        let turns = book.look(at("2026-11-20T02:30:00Z"), None);
        assert!(matches!(&turns[0], Turn::Begin { sweep, .. } if sweep.name == "a"), "{turns:?}");
        assert!(matches!(&turns[1], Turn::Not(o) if o.what == "skipped: the sweep a runs"));
        let busy = NotNow::Busy("the sweep a runs just now".to_owned());
        assert_eq!(book.begin_now("b", midnight).unwrap_err(), busy);
        assert!(book.remove("a").unwrap_err().contains("runs just now"));
        let over = Outcome { sweep: "a".into(), due_ns: 0, run: "r".into(), what: "READY".into() };
        book.end(over.clone());
        assert_eq!(book.entries().next().unwrap().last, Some(over));
        assert!(matches!(book.begin_now("b", midnight), Ok(Turn::Begin { .. })));
    }

    #[test]
    fn an_operators_run_comes_first() {
        let mut book = Book::default();
        book.add(sweep("a", "30 2 * * *"), at("2026-11-20T00:00:00Z")).unwrap();
        let turns = book.look(at("2026-11-20T02:30:00Z"), Some("run r is active".to_owned()));
        assert!(matches!(&turns[..], [Turn::Not(o)] if o.what == "skipped: run r is active"));
        assert_eq!(book.running, None);
    }

    #[test]
    fn what_makes_no_sense_is_refused_and_an_unknown_name_is_told_with_the_known() {
        let mut book = Book::default();
        let now = Timestamp::UNIX_EPOCH;
        assert!(book.add(sweep("a b", "0 0 * * *"), now).unwrap_err().contains("no name"));
        assert!(book.add(sweep("a", "0 0 * *"), now).unwrap_err().contains("4 fields"));
        let odd = Sweep { window: "2-5".to_owned(), ..sweep("a", "0 0 * * *") };
        assert!(book.add(odd, now).unwrap_err().contains("no window"));
        assert!(book.remove("x").unwrap_err().contains("none was added"));
        book.add(sweep("a", "0 0 * * *"), now).unwrap();
        let unknown = book.begin_now("x", now).unwrap_err();
        assert!(matches!(&unknown, NotNow::Wrong(why) if why.contains("there are a")));
    }
}
