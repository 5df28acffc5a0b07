//! Interlocks of the active run: readings in, orders out at once, and who may lift a trip.
//!
//! A reading is looked at in the very call that brings it, and the orders that follow leave
//! before anything is written: nothing here waits for a timer or a disk.

use std::collections::BTreeMap;

use model::facts::LossReason;
use model::interlock::Action;
use model::site::Site;
use model::table::MeterRow;
use proto::v1;

use super::agent::send;
use super::{Hall, Inner, SubmitError};
use crate::interlock::{Heard, Interlocks, Source, Trip, Value, of_meter, of_status};
use crate::run::Event;
use crate::store::{JournalEntry, Latch, Planned};

/// Points of meters that are kept: ten for each of ten thousand domains. More are passed over.
const METERS_MAX: usize = 100_000;
/// A level that was held comes up again over this: no edge of its own.
const LIFT_MS: u32 = 10_000;

/// What stands between runs.
pub(crate) struct Standing {
    /// The last reading of each meter, with the instant at which it came.
    meters: BTreeMap<Source, (i64, Heard)>,
    /// Trips that nobody resumed yet, of this process' life and of those before.
    latched: Vec<Latch>,
}

impl Standing {
    /// Rules that tripped and that nobody resumed.
    pub(crate) fn tripped(&self) -> impl Iterator<Item = &str> {
        self.latched.iter().map(|latch| latch.rule.as_str())
    }

    /// What an earlier process left.
    pub(super) fn with(latched: Vec<Latch>) -> Self {
        Self { meters: BTreeMap::new(), latched }
    }
}

/// A rule machine, and the document that it was made of: file and text.
type Guarded = (Interlocks, Option<(String, String)>);

impl Hall {
    /// The interlocks of a run that is asked for.
    ///
    /// # Errors
    /// Every reason why it may not heat now, a line each.
    pub(super) fn interlocks(
        &self,
        inner: &Inner,
        site: Option<&Site>,
        planned: &[Planned],
        now_ns: i64,
    ) -> Result<Guarded, Vec<String>> {
        let latched: Vec<String> = inner.interlocks.latched.iter().map(refusal).collect();
        if !latched.is_empty() {
            return Err(latched);
        }
        let Some(path) = &self.config.interlocks else { return Ok((Interlocks::default(), None)) };
        let file = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|error| vec![format!("{file}: cannot be read: {error}")])?;
        let document =
            formats::interlocks::parse(&file, &text).map_err(|errors| vec![errors.to_string()])?;
        let present = planned.iter().filter(|planned| !planned.instance.is_empty());
        let devices = present
            .map(|p| (p.node.clone(), p.devices.iter().map(|device| device.index).collect()))
            .collect();
        let mut interlocks = Interlocks::new(&document, site, &devices)?;
        self.seed(inner, &mut interlocks);
        let refusals = interlocks.refusals(now_ns);
        if refusals.is_empty() { Ok((interlocks, Some((file, text)))) } else { Err(refusals) }
    }

    /// What was read before, each at the instant at which it came.
    fn seed(&self, inner: &Inner, interlocks: &mut Interlocks) {
        for (at_ns, heard) in inner.interlocks.meters.values() {
            interlocks.note(*at_ns, heard);
        }
        for (node, agent) in &inner.agents {
            let Some(status) = &agent.status else { continue };
            let offset = agent.clock.rough_ns();
            for heard in of_status(node, status, offset.unwrap_or_default()) {
                interlocks.note(agent.status_ns, &heard);
            }
        }
    }

    /// A run begins: what came while its record was written counts from here on.
    pub(super) fn begin_watching(&self, inner: &mut Inner, now_ns: i64) {
        let Some(active) = inner.active.as_mut() else { return };
        let mut interlocks = std::mem::take(&mut active.heat.interlocks);
        self.seed(inner, &mut interlocks);
        if let Some(active) = inner.active.as_mut() {
            active.heat.interlocks = interlocks;
        }
        self.watch(inner, now_ns, |interlocks| interlocks.tick(now_ns));
    }

    /// What the building's meters said. `from` names a source that is alive.
    pub(super) fn watch_meters(
        &self,
        inner: &mut Inner,
        now_ns: i64,
        rows: &[MeterRow],
        from: Option<&str>,
    ) {
        let mut heard: Vec<Heard> = rows.iter().filter_map(of_meter).collect();
        // Rows that were read of any meter show that somebody is there; a source of its own is
        // vouched for by whoever knows its protocol.
        let any = heard.iter().filter(|heard| heard.trusted).map(|heard| heard.read_ns).max();
        let beat = |source, read_ns| Heard {
            source: Source::Beat(source),
            value: Value::Number(0.0),
            read_ns,
            trusted: true,
        };
        heard.extend(any.map(|read_ns| beat(None, read_ns)));
        heard.extend(from.map(|from| beat(Some(from.to_owned()), now_ns)));
        for heard in heard {
            self.watch(inner, now_ns, |interlocks| interlocks.hear(now_ns, &heard));
            keep(&mut inner.interlocks.meters, now_ns, heard);
        }
    }

    /// An agent was lost from the active run.
    pub(super) fn watch_loss(
        &self,
        inner: &mut Inner,
        now_ns: i64,
        node: &str,
        reason: LossReason,
    ) {
        // Who leaves on purpose, or never was ready, is no sign of a feed that is gone.
        let counts = matches!(
            reason,
            LossReason::LeaseExpired | LossReason::SessionLost | LossReason::AgentRestarted
        );
        self.watch(inner, now_ns, |interlocks| interlocks.lose(now_ns, node, counts));
    }

    /// Lets the interlocks of the active run look at something, and does what they say.
    pub(super) fn watch(
        &self,
        inner: &mut Inner,
        now_ns: i64,
        look: impl FnOnce(&mut Interlocks) -> Vec<Trip>,
    ) {
        let hot = inner.active.as_mut().filter(|active| active.machine.may_be_hot());
        let Some(active) = hot else { return };
        for trip in look(&mut active.heat.interlocks) {
            self.act_on_trip(inner, now_ns, trip);
        }
    }

    fn act_on_trip(&self, inner: &mut Inner, now_ns: i64, trip: Trip) {
        let Some(active) = inner.active.as_mut() else { return };
        let (run, words) = (active.run.clone(), trip.words());
        active.message.clone_from(&words);
        let why = words.clone();
        match trip.action {
            Action::Warn => {}
            Action::Hold => self.say_levels(inner, 0, &why),
            Action::Shed => {
                self.step(inner, now_ns, Event::Shed { nodes: trip.nodes.clone(), why });
            }
            Action::StopRamp => self.step(inner, now_ns, Event::Interlocked { drop: false, why }),
            Action::StopDrop => self.step(inner, now_ns, Event::Interlocked { drop: true, why }),
        }
        tracing::error!(%run, action = trip.action.word(), "{words}");
        if trip.action != Action::Warn {
            let rule = trip.rule.clone();
            let latch = Latch { rule, words, run: run.clone() };
            inner.interlocks.latched.push(latch.clone());
            self.writer.change("a trip", move |catalogue| catalogue.latch(&latch));
        }
        self.writer.journal(&run, now_ns, entry(trip));
    }

    /// Tells every node its scale, and whether levels may rise.
    fn say_levels(&self, inner: &mut Inner, over_ms: u32, why: &str) {
        let Inner { agents, active, .. } = inner;
        let Some(run) = active.as_ref() else { return };
        let no_rise = run.heat.interlocks.holds();
        for planned in &run.planned {
            let Some(agent) = agents.get_mut(&planned.node) else { continue };
            let scale = run.heat.held.scale_of(&planned.node);
            let (run_id, why) = (run.run.clone(), why.to_owned());
            let mix_per_mille = run.heat.mix_of(&agent.hello);
            let level = v1::Level { run_id, scale, over_ms, why, no_rise, mix_per_mille };
            send(agent, v1::coordinator_message::Kind::Level(level));
        }
    }

    /// A person ends the trip of an interlock; the run that it was of.
    ///
    /// # Errors
    /// When it did not trip, or its reading is not back.
    pub(crate) fn resume_interlock(&self, rule: &str, who: &str) -> Result<String, SubmitError> {
        let now_ns = self.clock.now_ns();
        let mut inner = self.lock();
        let latched = inner.interlocks.latched.iter().rev().find(|latched| latched.rule == rule);
        let Some(run) = latched.map(|latched| latched.run.clone()) else {
            let why = format!("the interlock {rule} has not tripped: nothing is to be resumed");
            return Err(SubmitError::Refused(why));
        };
        if let Some(active) = inner.active.as_mut() {
            let reset = active.heat.interlocks.reset(now_ns, rule);
            reset.map_err(SubmitError::Refused)?;
        }
        inner.interlocks.latched.retain(|latched| latched.rule != rule);
        let lifted = rule.to_owned();
        self.writer.change("the end of a trip", move |catalogue| catalogue.unlatch(&lifted));
        let words = format!("{who} resumed the interlock {rule}");
        tracing::warn!(%run, "{words}");
        let (rule, who) = (rule.to_owned(), who.to_owned());
        self.writer.journal(&run, now_ns, JournalEntry::InterlockResumed { rule, who });
        self.say_levels(&mut inner, LIFT_MS, &words);
        Ok(run)
    }
}

fn refusal(Latch { rule, words, run }: &Latch) -> String {
    format!("{words} (run {run}): nobody resumed it: `loadbank resume --interlock {rule}`")
}

/// Keeps the newest reading of a meter; old news does not replace it.
fn keep(meters: &mut BTreeMap<Source, (i64, Heard)>, now_ns: i64, heard: Heard) {
    let newer = meters.get(&heard.source).is_none_or(|(_, kept)| kept.read_ns < heard.read_ns);
    let room = meters.len() < METERS_MAX || meters.contains_key(&heard.source);
    if newer && room {
        meters.insert(heard.source.clone(), (now_ns, heard));
    }
}

fn entry(trip: Trip) -> JournalEntry {
    JournalEntry::Interlock {
        rule: trip.rule,
        at: trip.at,
        action: trip.action.word().to_owned(),
        why: trip.why,
        source: trip.source,
        value: trip.value,
        limit: trip.limit,
        read_ns: trip.read_ns,
        heard_ns: trip.heard_ns,
        domain: if trip.action == Action::Shed { trip.domain } else { String::new() },
        nodes: if trip.action == Action::Shed { trip.nodes } else { Vec::new() },
    }
}
