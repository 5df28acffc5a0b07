//! What one rule knows of one source: the last reading, how long it is passed, who is lost.

use std::collections::VecDeque;

use model::interlock::{DeviceReading, Rule, Watches};

use super::reading::Value;

/// One source of one rule.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Series {
    /// `loop loop-1 supply_c`, `n1/0 temp_c`, `pdu pdu-a1`.
    pub(super) label: String,
    /// Whom `shed` is about, in words.
    pub(super) domain: String,
    /// Nodes of the run that a shed takes, or whose losses count.
    pub(super) nodes: Vec<String>,
    heard: Option<Last>,
    passed: Option<Passed>,
    /// Of agents: when they were lost.
    lost: VecDeque<i64>,
    /// Tripped, and nobody resumed it.
    pub(super) tripped: bool,
    /// Its node is lost: nothing of it heats.
    pub(super) gone: bool,
}

/// The last sign of life.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Last {
    read_ns: i64,
    at_ns: i64,
}

/// A limit is passed.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Passed {
    /// When the first reading beyond it came, and when it was read.
    since_ns: i64,
    read_ns: i64,
    /// The latest reading and the limit that it passes.
    value: f64,
    limit: f64,
}

/// Why a series trips.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Cause {
    pub(super) words: String,
    pub(super) value: Option<f64>,
    pub(super) limit: Option<f64>,
    /// The instant that it counts from.
    pub(super) read_ns: i64,
    /// When the coordinator knew.
    pub(super) heard_ns: i64,
}

impl Series {
    pub(super) fn new(label: String, domain: String, nodes: Vec<String>) -> Self {
        Self {
            label,
            domain,
            nodes,
            heard: None,
            passed: None,
            lost: VecDeque::new(),
            tripped: false,
            gone: false,
        }
    }

    /// Takes a reading in.
    pub(super) fn hear(
        &mut self,
        rule: &Rule,
        now_ns: i64,
        value: Value,
        read_ns: i64,
        life: bool,
    ) {
        // Old news, or news of tomorrow: neither says how it is now.
        if now_ns.abs_diff(read_ns) > rule.silent_ns.unsigned_abs() {
            return;
        }
        let newer = self.heard.is_none_or(|last| last.read_ns < read_ns);
        if life && newer {
            self.heard = Some(Last { read_ns, at_ns: now_ns });
        }
        let Some(limit) = &rule.limit else { return };
        let value = number(rule, value);
        let read_ns = read_ns.min(now_ns);
        match (limit.passed_by(value), &mut self.passed) {
            (Some(limit), Some(passed)) => (passed.value, passed.limit) = (value, limit),
            (Some(limit), None) => {
                self.passed = Some(Passed { since_ns: now_ns, read_ns, value, limit });
            }
            // What its meter doubts, or what is older than what is known, is no all-clear.
            (None, Some(_)) if life && newer && limit.is_cleared_by(value) => self.passed = None,
            (None, Some(passed)) => passed.value = value,
            (None, None) => {}
        }
    }

    /// One of its nodes was lost.
    pub(super) fn lose(&mut self, rule: &Rule, now_ns: i64) {
        let Watches::Agents { within_ns, .. } = rule.watches else { return };
        self.lost.push_back(now_ns);
        while self.lost.front().is_some_and(|at_ns| now_ns - at_ns > within_ns) {
            self.lost.pop_front();
        }
    }

    /// Why it trips now, if it does.
    pub(super) fn cause(&self, rule: &Rule, now_ns: i64) -> Option<Cause> {
        if self.gone {
            return None;
        }
        self.too_many_lost(rule, now_ns)
            .or_else(|| self.passed_for_too_long(rule, now_ns))
            .or_else(|| self.silent_for_too_long(rule, now_ns))
    }

    /// Why heat may not begin, apart from what trips.
    pub(super) fn unread(&self, rule: &Rule) -> bool {
        let reads = !matches!(rule.watches, Watches::Agents { .. });
        reads && !rule.allow_unread && !self.gone && self.heard.is_none()
    }

    /// The limit is passed, for however short a time.
    pub(super) fn passes(&self) -> bool {
        self.passed.is_some()
    }

    /// When time alone may trip it.
    pub(super) fn due_ns(&self, rule: &Rule) -> Option<i64> {
        if self.gone || self.tripped {
            return None;
        }
        let passed = self.passed.map(|passed| passed.since_ns.saturating_add(rule.for_ns));
        let silent = self.heard.map(|last| last.at_ns.saturating_add(rule.silent_ns));
        passed.into_iter().chain(silent).min()
    }

    /// Whether its reading is within its limit again, and comes.
    pub(super) fn is_back(&self, rule: &Rule, now_ns: i64) -> bool {
        self.gone || (!self.passes() && self.silent_for_too_long(rule, now_ns).is_none())
    }

    /// Somebody resumed it: losses are forgotten, everything else is as it is.
    pub(super) fn reset(&mut self) {
        self.tripped = false;
        self.lost.clear();
    }

    fn too_many_lost(&self, rule: &Rule, now_ns: i64) -> Option<Cause> {
        let Watches::Agents { lost, within_ns, .. } = rule.watches else { return None };
        let last_ns = *self.lost.back()?;
        let fresh = self.lost.iter().filter(|at_ns| last_ns - **at_ns <= within_ns).count();
        (fresh >= lost).then(|| Cause {
            words: format!(
                "{fresh} agents of {} lost within {}, where {lost} trip it",
                self.label,
                seconds(within_ns)
            ),
            value: Some(fresh as f64),
            limit: Some(lost as f64),
            read_ns: last_ns,
            heard_ns: now_ns,
        })
    }

    fn passed_for_too_long(&self, rule: &Rule, now_ns: i64) -> Option<Cause> {
        let passed = self.passed?;
        if now_ns < passed.since_ns.saturating_add(rule.for_ns) {
            return None;
        }
        let words = match &rule.watches {
            Watches::Device { reading: DeviceReading::Throttle(_), .. } => {
                format!("{} holds its clock down", self.label)
            }
            _ => {
                let limit = rule.limit.unwrap_or_default();
                let high = limit.above.is_some_and(|above| above.total_cmp(&passed.limit).is_eq());
                let side = if high { "above" } else { "below" };
                format!("{} is {}, {side} {}", self.label, short(passed.value), short(passed.limit))
            }
        };
        let held = match rule.for_ns {
            0 => String::new(),
            for_ns => format!(" for {}", seconds(for_ns)),
        };
        Some(Cause {
            words: words + &held,
            value: Some(passed.value),
            limit: Some(passed.limit),
            read_ns: passed.read_ns.saturating_add(rule.for_ns).min(now_ns),
            heard_ns: passed.since_ns.saturating_add(rule.for_ns).min(now_ns),
        })
    }

    fn silent_for_too_long(&self, rule: &Rule, now_ns: i64) -> Option<Cause> {
        let last = self.heard?;
        let due_ns = last.at_ns.saturating_add(rule.silent_ns);
        (now_ns > due_ns).then(|| Cause {
            words: format!("{} is silent for more than {}", self.label, seconds(rule.silent_ns)),
            value: None,
            limit: None,
            read_ns: due_ns,
            heard_ns: due_ns,
        })
    }
}

/// The number that a rule's limit is held against.
fn number(rule: &Rule, value: Value) -> f64 {
    match (value, &rule.watches) {
        (Value::Bits(bits), Watches::Device { reading: DeviceReading::Throttle(wanted), .. }) => {
            f64::from(u8::from(bits & wanted != 0))
        }
        (Value::Number(number), _) => number,
        (Value::Bits(bits), _) => bits as f64,
    }
}

/// Up to three decimals, and none that say nothing.
fn short(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn seconds(ns: i64) -> String {
    format!("{} s", short(ns as f64 / 1e9))
}
