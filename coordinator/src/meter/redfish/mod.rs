//! PSUs, PDUs and CDUs over Redfish: walked once, then only what has readings is asked.

mod say;
mod tree;
mod walk;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use formats::sources::{RedfishSource, Target};
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use super::alarm::worst;
use super::http::Http;
use super::port::{Meter, MeterError, Reading, Round};
use say::{Said, say};
use tree::{READINGS_MAX, Step, Tree};

/// Questions of one round: a BMC answers one in 10 to 100 ms, and has other work.
const REQUESTS_MAX: usize = 64;
/// A tree that lost a part is walked anew, at most so often.
const WALK_EVERY: Duration = Duration::from_secs(60);
/// After so many rounds without a reading a device that answers says nothing: one round alone may
/// have asked for the parts that have none.
const BARREN_ROUNDS: u32 = 3;
/// Where a walk begins when the address names no resource.
const ROOT: &str = "/redfish/v1/";

/// One device.
pub(crate) struct Redfish {
    http: Http,
    domain: String,
    round: Duration,
    tree: Tree,
    walked: Instant,
    /// Latest alarm of each resource that has one; `None` where it should say and doesn't.
    alarms: BTreeMap<String, Option<bool>>,
    /// What was said once and is not said each round.
    told: BTreeSet<String>,
    /// Rounds in a row, since all of it was found, that brought no reading.
    barren: u32,
}

impl Redfish {
    pub(crate) fn new(source: &RedfishSource, target: &Target) -> Result<Self, String> {
        let http = Http::new(&target.address, &source.trust, &source.login)?;
        let root = if http.base().is_empty() { ROOT } else { http.base() }.to_owned();
        Ok(Self {
            http,
            domain: target.domain.clone(),
            round: source.round,
            tree: Tree::new(root, source.sensors),
            walked: Instant::now(),
            alarms: BTreeMap::new(),
            told: BTreeSet::new(),
            barren: 0,
        })
    }

    /// Adds what a resource said of points that are its own.
    fn take(&mut self, step: &Step, said: Said, round: &mut Round) {
        let path = &step.link.path;
        if let Some(alarm) = said.alarm {
            if alarm.is_none() {
                round.wrong.push(format!("{path} does not say whether it is an alarm"));
            }
            self.alarms.insert(path.clone(), alarm);
        } else if let Some(known) = self.alarms.get_mut(path) {
            // It is there and says nothing, as one that is switched off: its last word is old.
            *known = None;
        }
        // Who else says it is known after the walk.
        if step.link.role.is_spare && !self.tree.is_walked() {
            return;
        }
        for spoken in said.readings {
            if round.readings.len() >= READINGS_MAX {
                round.wrong.push(format!("{path}: more than {READINGS_MAX} readings at once"));
                return;
            }
            if self.tree.owns(&spoken.point, step) {
                let mut reading = Reading::new(&self.domain, spoken.point, spoken.value);
                reading.stamp_ns = spoken.stamp_ns;
                round.readings.push(reading);
            } else if !step.link.role.is_spare {
                let mend = "write its address with this path to read it alone";
                let what = format!("{path} says {} a second time: {mend}", spoken.point);
                if self.told.insert(what.clone()) {
                    round.wrong.push(what);
                }
            }
        }
    }

    /// The alarm of the whole device: denied only when every part was found and denies it.
    fn alarm(&self, round: &mut Round) {
        let raised = worst(self.alarms.values().copied());
        let is_whole = self.tree.is_walked() && !self.tree.is_partial() && !self.alarms.is_empty();
        match raised {
            Some(true) => round.readings.push(Reading::new(&self.domain, "alarm", 1.0)),
            Some(false) if is_whole => {
                round.readings.push(Reading::new(&self.domain, "alarm", 0.0));
            }
            _ => {}
        }
    }

    /// One question, which leaves time for what was read before to be told.
    async fn ask(&mut self, path: &str, ends: Instant) -> Result<Option<Value>, MeterError> {
        timeout_at(ends, self.http.json(path))
            .await
            .unwrap_or_else(|_| Err(MeterError::Silent(format!("{path} did not answer in time"))))
    }

    /// A resource that gave no answer. The others are read all the same, unless it was the
    /// first of its round, or credentials are the reason: those are not tried again and again.
    fn fail(
        &mut self,
        step: &Step,
        error: MeterError,
        is_first: bool,
        round: &mut Round,
    ) -> Result<(), MeterError> {
        if let Some(alarm) = self.alarms.get_mut(&step.link.path) {
            *alarm = None;
        }
        if is_first || matches!(error, MeterError::Refused(_)) {
            return Err(error);
        }
        round.wrong.push(error.to_string());
        Ok(())
    }

    /// A part that was there is gone: a supply that was pulled, or a new firmware.
    fn lose(&mut self, step: &Step, round: &mut Round) {
        round.wrong.push(format!("{} is not there any more", step.link.path));
        if let Some(alarm) = self.alarms.get_mut(&step.link.path) {
            *alarm = None;
        }
        self.walk_again();
    }

    fn walk_again(&mut self) {
        if self.walked.elapsed() >= WALK_EVERY {
            self.walked = Instant::now();
            // Who once said something and is not found again leaves the alarm unknown.
            self.alarms.values_mut().for_each(|alarm| *alarm = None);
            self.tree.again();
        }
    }
}

impl Meter for Redfish {
    async fn read(&mut self) -> Result<Round, MeterError> {
        let mut round = Round::default();
        let begins = Instant::now();
        if self.tree.is_partial() {
            self.walk_again();
        }
        self.tree.begin();
        let mut is_first = true;
        for _ in 0..REQUESTS_MAX {
            // At least one question a round, however slow the answers are.
            if !is_first && begins.elapsed() >= self.round {
                break;
            }
            let Some(step) = self.tree.next() else { break };
            match self.ask(&step.link.path, begins + self.round * 3 / 2).await {
                Ok(Some(resource)) => {
                    let said = say(&resource, &step.link.role);
                    self.tree.found(&step, &resource, &said);
                    self.take(&step, said, &mut round);
                }
                Ok(None) if step.is_known => self.lose(&step, &mut round),
                Ok(None) => self.tree.missing(&step),
                Err(error) => self.fail(&step, error, is_first, &mut round)?,
            }
            is_first = false;
        }
        if self.tree.is_walked() && self.tree.is_empty() {
            self.tree.again();
            let what = "no resource with readings was found where the address leads";
            return Err(MeterError::Nonsense(what.to_owned()));
        }
        self.alarm(&mut round);
        let brought = !round.readings.is_empty() || !self.tree.is_walked();
        self.barren = if brought { 0 } else { self.barren + 1 };
        if self.barren >= BARREN_ROUNDS {
            let what = "it answers, and none of its readings has a value";
            return Err(MeterError::Nonsense(what.to_owned()));
        }
        Ok(round)
    }
}

#[cfg(test)]
mod tests;
