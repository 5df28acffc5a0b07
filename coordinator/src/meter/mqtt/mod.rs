//! The building's management system over MQTT, by NVIDIA's DSX Exchange schema.
//!
//! It speaks by itself: values when they change, and a heartbeat that vouches for all of them.
//! Nothing is published here; [`wire`] could not write it.

mod payload;
mod point;
mod points;
mod session;
mod topic;
mod wire;

use std::time::Duration;

use formats::sources::{MqttSource, Target};
use tokio::time::Instant;

use super::dial::Dialer;
use super::port::{Meter, MeterError, Round};
use points::Points;
use session::Session;
use topic::Topic;
use wire::Message;

/// Heartbeats that may fail to come before the system is taken for silent.
const BEATS_MISSED: u32 = 3;
/// Messages come in bursts: one read takes what comes within this.
const BURST: Duration = Duration::from_millis(100);
const BURST_MESSAGES_MAX: usize = 10_000;
/// Kept metadata come at once after the subscription: they are whole when none came for this.
const METADATA_PAUSE: Duration = Duration::from_millis(300);
/// And at the latest then: values are not kept from us by metadata without end.
const METADATA_MOST: Duration = Duration::from_secs(5);

/// One broker.
pub(crate) struct Mqtt {
    source: MqttSource,
    dialer: Dialer,
    points: Points,
    session: Option<Session>,
    /// What came before the broker's consent to a subscription.
    early: Vec<Message>,
    /// Whether values count: they don't from a lost heartbeat to the next one.
    is_vouched: bool,
    beat: Instant,
    /// What the last heartbeat said.
    beat_stamp_ns: Option<i64>,
}

impl Mqtt {
    pub(crate) fn new(source: &MqttSource, target: &Target) -> Result<Self, String> {
        let wrong = || format!("\"{}\" is no HOST:PORT", target.address.escape_debug());
        let (host, port) = target.address.rsplit_once(':').ok_or_else(wrong)?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let dialer = Dialer::new(host, port.parse().map_err(|_| wrong())?, &source.trust)?;
        for map in &source.maps {
            if let Some(point) = &map.point {
                super::named_point::NamedPoint::new(point, "", 1.0)
                    .map_err(|why| format!("line {}: {why}", map.line))?;
            }
        }
        Ok(Self {
            points: Points::new(source),
            source: source.clone(),
            dialer,
            session: None,
            early: Vec::new(),
            is_vouched: true,
            beat: Instant::now(),
            beat_stamp_ns: None,
        })
    }

    /// A session that knows what points are, before their values come.
    async fn open(&mut self, round: &mut Round) -> Result<Session, MeterError> {
        let mut session = Session::open(&self.source, &self.dialer).await?;
        self.points.forget();
        let prefix = self.source.prefix.clone();
        let early = session.subscribe(&format!("{prefix}/Metadata/#")).await?;
        early.iter().for_each(|message| self.take(message, round));
        let ends = Instant::now() + METADATA_MOST;
        loop {
            let until = (Instant::now() + METADATA_PAUSE).min(ends);
            let Some(message) = session.message(until).await? else { break };
            self.take(&message, round);
        }
        self.early = session.subscribe(&format!("{prefix}/Value/#")).await?;
        self.beat = Instant::now();
        Ok(session)
    }

    fn take(&mut self, message: &Message, round: &mut Round) {
        let prefix = self.source.prefix.clone();
        let Some(topic) = Topic::of(&prefix, &message.topic) else { return };
        if topic.is_heartbeat() {
            if !topic.is_metadata {
                self.take_beat(message, round);
            }
        } else if topic.is_metadata {
            self.points.learn(topic, &message.payload, round);
        } else if self.is_vouched {
            self.points.hear(topic, &message.payload, round);
        }
    }

    /// A heartbeat is one that the broker has not kept from before, of an instant that is new:
    /// a clock that was set back beats on.
    fn take_beat(&mut self, message: &Message, round: &mut Round) {
        if message.retained {
            return;
        }
        match payload::value(&message.payload) {
            Ok(said) if said.good && said.stamp_ns != self.beat_stamp_ns => {
                self.beat_stamp_ns = said.stamp_ns;
                self.beat = Instant::now();
                self.is_vouched = true;
                round.heartbeat = true;
            }
            Ok(_) => {}
            Err(why) => self.points.tell(format!("heartbeat: {why}"), round),
        }
    }

    /// Takes what comes until a burst is over, or the heartbeat is due.
    async fn burst(&mut self, session: &mut Session, round: &mut Round) -> Result<(), MeterError> {
        let mut until = None;
        for message in std::mem::take(&mut self.early) {
            self.take(&message, round);
            until = Some(Instant::now() + BURST);
        }
        let mut of_use = 0;
        while of_use < BURST_MESSAGES_MAX {
            let silent = self.beat + self.source.heartbeat * BEATS_MISSED;
            let ends = until.unwrap_or(silent).min(silent);
            let Some(message) = session.message(ends).await? else {
                if ends < silent {
                    return Ok(());
                }
                self.is_vouched = false;
                let seconds = (self.source.heartbeat * BEATS_MISSED).as_secs_f64();
                let what = format!("no heartbeat of its system for {seconds} s");
                return Err(MeterError::Silent(what));
            };
            let before = (round.readings.len(), round.wrong.len(), round.heartbeat);
            self.take(&message, round);
            let after = (round.readings.len(), round.wrong.len(), round.heartbeat);
            // What says nothing to us, such as values that nobody vouches for, ends no silence.
            if before != after {
                of_use += 1;
                until = until.or(Some(Instant::now() + BURST));
            }
        }
        Ok(())
    }
}

impl Meter for Mqtt {
    const SPEAKS: bool = true;

    async fn read(&mut self) -> Result<Round, MeterError> {
        let mut round = Round::default();
        // A read that fails or is dropped takes its session with it.
        let mut session = match self.session.take() {
            Some(session) => session,
            None => self.open(&mut round).await?,
        };
        self.burst(&mut session, &mut round).await?;
        self.session = Some(session);
        Ok(round)
    }
}

#[cfg(test)]
mod tests;
