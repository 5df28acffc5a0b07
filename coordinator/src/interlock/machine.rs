//! The rule machine: readings, losses and `now` in, trips out. Pure.
//!
//! Think of a row of old relays with red flags: a limit, a silence or a loss drops its flag,
//! and only a hand puts it up again. Each relay watches one source of one rule; a source that
//! falls silent drops its flag as well, because nobody knows what it would have said.

use std::collections::BTreeMap;

use model::interlock::{Action, DeviceReading, Interlocks as Document, Rule, Watches};
use model::site::Site;
use proto::v1;

use super::reading::{Heard, Source};
use super::scope::{Devices, series_of};
use super::series::{Cause, Series};

/// The interlocks of one run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Interlocks {
    file: String,
    rules: Vec<Rule>,
    /// Each with the position of its rule.
    series: Vec<(usize, Series)>,
    by_source: BTreeMap<Source, Vec<usize>>,
    /// Before this instant time alone trips nothing.
    due_ns: i64,
}

/// A rule that tripped.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Trip {
    pub(crate) rule: String,
    /// `interlocks.toml:12`.
    pub(crate) at: String,
    pub(crate) action: Action,
    /// What was read, in words.
    pub(crate) why: String,
    /// `loop loop-1 supply_c`.
    pub(crate) source: String,
    pub(crate) value: Option<f64>,
    pub(crate) limit: Option<f64>,
    /// The instant that the reaction counts from, and when the coordinator knew.
    pub(crate) read_ns: i64,
    pub(crate) heard_ns: i64,
    /// Of a shed: the domain, and its nodes in this run.
    pub(crate) domain: String,
    pub(crate) nodes: Vec<String>,
}

impl Interlocks {
    /// Every rule with its sources in a run.
    ///
    /// # Errors
    /// Rules that can't be watched here, a line each.
    pub(crate) fn new(
        document: &Document,
        site: Option<&Site>,
        nodes: &Devices,
    ) -> Result<Self, Vec<String>> {
        let mut interlocks = Self {
            file: document.file.clone(),
            rules: document.rules.clone(),
            due_ns: i64::MIN,
            ..Self::default()
        };
        let mut wrong = Vec::new();
        for (at, rule) in document.rules.iter().enumerate() {
            match series_of(rule, site, nodes) {
                Ok(found) => {
                    found.into_iter().for_each(|(source, s)| interlocks.add(at, source, s))
                }
                Err(why) => wrong.push(format!("{}: {why}", interlocks.words(rule))),
            }
        }
        if wrong.is_empty() { Ok(interlocks) } else { Err(wrong) }
    }

    fn add(&mut self, rule: usize, source: Option<Source>, series: Series) {
        if let Some(source) = source {
            self.by_source.entry(source).or_default().push(self.series.len());
        }
        self.series.push((rule, series));
    }

    /// Takes a reading in, and trips at once what it trips.
    pub(crate) fn hear(&mut self, now_ns: i64, heard: &Heard) -> Vec<Trip> {
        let places = self.note(now_ns, heard);
        places.into_iter().filter_map(|place| self.trip(now_ns, place)).collect()
    }

    /// As [`Self::hear`], while nothing heats: it trips nothing.
    pub(crate) fn note(&mut self, now_ns: i64, heard: &Heard) -> Vec<usize> {
        let places = self.by_source.get(&heard.source).cloned().unwrap_or_default();
        for place in &places {
            let (rule, series) = &mut self.series[*place];
            let rule = &self.rules[*rule];
            series.hear(rule, now_ns, heard.value, heard.read_ns, heard.trusted);
            self.due_ns = self.due_ns.min(series.due_ns(rule).unwrap_or(i64::MAX));
        }
        places
    }

    /// An agent was lost: its devices' readings are not missed any more. `counts`: it did not
    /// leave on purpose.
    pub(crate) fn lose(&mut self, now_ns: i64, node: &str, counts: bool) -> Vec<Trip> {
        for (source, places) in &self.by_source {
            if matches!(source, Source::Device { node: of, .. } if of == node) {
                for place in places {
                    self.series[*place].1.gone = true;
                }
            }
        }
        let mut trips = Vec::new();
        for place in 0..self.series.len() {
            let (rule, series) = &mut self.series[place];
            if counts && series.nodes.iter().any(|of| of == node) {
                series.lose(&self.rules[*rule], now_ns);
                trips.extend(self.trip(now_ns, place));
            }
        }
        trips
    }

    /// Lets time pass: what is silent, or passed for long enough, trips.
    pub(crate) fn tick(&mut self, now_ns: i64) -> Vec<Trip> {
        if now_ns < self.due_ns {
            return Vec::new();
        }
        let trips = (0..self.series.len()).filter_map(|place| self.trip(now_ns, place)).collect();
        let due = |(rule, series): &(usize, Series)| series.due_ns(&self.rules[*rule]);
        self.due_ns = self.series.iter().filter_map(due).min().unwrap_or(i64::MAX);
        trips
    }

    /// Why heat may not begin: what was never read, is passed, is silent.
    pub(crate) fn refusals(&self, now_ns: i64) -> Vec<String> {
        let mut lines = Vec::new();
        for (rule, series) in &self.series {
            let rule = &self.rules[*rule];
            // What only warns lets heat begin; that it was never read is told all the same.
            let stops = rule.action != Action::Warn;
            let words = self.words(rule);
            if series.unread(rule) {
                lines.push(format!("{words} has no reading of {}: no heat", series.label));
            } else if stops && let Some(cause) = series.cause(rule, now_ns) {
                lines.push(format!("{words}: {}: no heat", cause.words));
            } else if stops && series.passes() {
                lines.push(format!("{words}: {} is beyond its limit: no heat", series.label));
            }
        }
        lines
    }

    /// Whether any rule holds the levels down.
    pub(crate) fn holds(&self) -> bool {
        let held = |(rule, series): &(usize, Series)| {
            series.tripped && self.rules[*rule].action == Action::Hold
        };
        self.series.iter().any(held)
    }

    /// What agents say at once, and not with the next second.
    pub(crate) fn watches(&self) -> Vec<v1::ReadingWatch> {
        self.rules.iter().filter_map(watch_of).collect()
    }

    /// Puts a rule's flags up again.
    ///
    /// # Errors
    /// Why that can't be now.
    pub(crate) fn reset(&mut self, now_ns: i64, name: &str) -> Result<(), String> {
        for (rule, series) in &self.series {
            let rule = &self.rules[*rule];
            if rule.name == name && series.tripped && !series.is_back(rule, now_ns) {
                let words = self.words(rule);
                return Err(format!("{words}: {} is not back yet", series.label));
            }
        }
        for (rule, series) in &mut self.series {
            if self.rules[*rule].name == name {
                series.reset();
            }
        }
        self.due_ns = i64::MIN;
        Ok(())
    }

    /// Drops the flag of one series, once.
    fn trip(&mut self, now_ns: i64, place: usize) -> Option<Trip> {
        let (rule, series) = &mut self.series[place];
        let rule = &self.rules[*rule];
        if series.tripped {
            return None;
        }
        let Cause { words, value, limit, read_ns, heard_ns } = series.cause(rule, now_ns)?;
        series.tripped = true;
        Some(Trip {
            rule: rule.name.clone(),
            at: format!("{}:{}", self.file, rule.line),
            action: rule.action,
            why: words,
            source: series.label.clone(),
            value,
            limit,
            read_ns,
            heard_ns,
            domain: series.domain.clone(),
            nodes: series.nodes.clone(),
        })
    }

    fn words(&self, rule: &Rule) -> String {
        format!("{}:{}: the interlock {}", self.file, rule.line, rule.name)
    }
}

fn watch_of(rule: &Rule) -> Option<v1::ReadingWatch> {
    let Watches::Device { reading, .. } = &rule.watches else { return None };
    let limit = rule.limit?;
    let reasons = match reading {
        DeviceReading::Throttle(bits) => *bits,
        _ => 0,
    };
    let reading = reading.word().to_owned();
    Some(v1::ReadingWatch { reading, above: limit.above, below: limit.below, reasons })
}

impl Trip {
    /// Rule, place and cause in one line.
    pub(crate) fn words(&self) -> String {
        format!("interlock {} ({}): {}", self.rule, self.at, self.why)
    }
}

#[cfg(test)]
mod tests;
