//! Which points of a building's system are ours, learnt from their metadata.

use std::collections::{BTreeMap, BTreeSet};

use formats::sources::{MqttSource, PointMap};

use super::payload::{self, Metadata};
use super::point;
use super::topic::{Topic, fits};
use crate::meter::named_point::NamedPoint;
use crate::meter::port::{Reading, Round};

/// Points of one system; a site of 100,000 GPUs has about half as many.
const POINTS_MAX: usize = 50_000;
/// Different things that are said of one system; the rest is silence.
const TOLD_MAX: usize = 100;
const WORDS_MAX: usize = 200;

/// What is known of a system's points.
pub(super) struct Points {
    domain_from: Vec<String>,
    maps: Vec<PointMap>,
    /// By the tail of their topics; `None`: not ours.
    known: BTreeMap<String, Option<At>>,
    /// Who says a point of a domain.
    owners: BTreeMap<(String, String), String>,
    /// What each part of a domain's alarm says last; `None`: it is not sure.
    alarms: BTreeMap<String, BTreeMap<String, Option<bool>>>,
    told: BTreeSet<String>,
}

#[derive(Clone)]
struct At {
    domain: String,
    meaning: NamedPoint,
}

impl Points {
    pub(super) fn new(source: &MqttSource) -> Self {
        Self {
            domain_from: source.domain_from.clone(),
            maps: source.maps.clone(),
            known: BTreeMap::new(),
            owners: BTreeMap::new(),
            alarms: BTreeMap::new(),
            told: BTreeSet::new(),
        }
    }

    /// Forgets everything: a fresh session tells it anew.
    pub(super) fn forget(&mut self) {
        self.known.clear();
        self.owners.clear();
        self.alarms.clear();
    }

    /// Takes in what is known of a point.
    pub(super) fn learn(&mut self, topic: Topic<'_>, said: &[u8], round: &mut Round) {
        if self.known.len() >= POINTS_MAX && !self.known.contains_key(topic.tail) {
            self.tell(format!("more than {POINTS_MAX} points: the rest is not heard"), round);
            return;
        }
        let at = payload::metadata(said).and_then(|metadata| self.place(topic, &metadata));
        let at = at.unwrap_or_else(|why| {
            self.tell(format!("{}: {why}", topic.tail), round);
            None
        });
        if let Some(at) = &at {
            self.claim(topic, at, round);
        }
        self.known.insert(topic.tail.to_owned(), at);
    }

    /// Takes in a value.
    pub(super) fn hear(&mut self, topic: Topic<'_>, said: &[u8], round: &mut Round) {
        let Some(known) = self.known.get(topic.tail) else {
            if self.maps.is_empty() || self.map(topic).is_some() {
                self.tell(format!("{}: a value before its metadata", topic.tail), round);
            }
            return;
        };
        let Some(at) = known.clone() else { return };
        let key = (at.domain.clone(), at.meaning.point.clone());
        let is_alarm = at.meaning.point == "alarm";
        if !is_alarm && self.owners.get(&key).is_none_or(|owner| owner != topic.tail) {
            return;
        }
        let said = match payload::value(said) {
            Ok(said) => said,
            Err(why) => {
                self.doubt(topic, &at);
                self.tell(format!("{}: {why}", topic.tail), round);
                return;
            }
        };
        if let Some(field) = &said.unknown {
            self.tell(format!("{}: a field {field:?} that no value has", topic.tail), round);
        }
        let Some(value) = said.value.and_then(|value| at.meaning.value(value)) else {
            self.doubt(topic, &at);
            self.tell(format!("{}: no value at present", topic.tail), round);
            return;
        };
        let value = if is_alarm {
            match self.alarm(topic, &at, said.good.then_some(value != 0.0)) {
                Some(raised) => f64::from(u8::from(raised)),
                None => return,
            }
        } else {
            value
        };
        let mut reading = Reading::new(&at.domain, at.meaning.point.clone(), value);
        reading.stamp_ns = said.stamp_ns;
        // An alarm of many is as good as the part that raises it.
        reading.good = said.good || is_alarm;
        round.readings.push(reading);
    }

    fn doubt(&mut self, topic: Topic<'_>, at: &At) {
        if at.meaning.point == "alarm" {
            self.alarm(topic, at, None);
        }
    }

    /// One alarm for all of a domain's: denied only when every part denies it.
    fn alarm(&mut self, topic: Topic<'_>, at: &At, said: Option<bool>) -> Option<bool> {
        let parts = self.alarms.entry(at.domain.clone()).or_default();
        parts.insert(topic.tail.to_owned(), said);
        crate::meter::alarm::worst(parts.values().copied())
    }

    /// A part of an alarm counts from when it is known; any other point is said by one alone.
    fn claim(&mut self, topic: Topic<'_>, at: &At, round: &mut Round) {
        if at.meaning.point == "alarm" {
            let parts = self.alarms.entry(at.domain.clone()).or_default();
            parts.entry(topic.tail.to_owned()).or_insert(None);
            return;
        }
        let key = (at.domain.clone(), at.meaning.point.clone());
        let owner = self.owners.entry(key).or_insert_with(|| topic.tail.to_owned());
        if owner != topic.tail {
            let what = format!(
                "{} and {owner} are both {} of {}",
                topic.tail, at.meaning.point, at.domain
            );
            self.tell(what, round);
        }
    }

    fn map(&self, topic: Topic<'_>) -> Option<&PointMap> {
        self.maps.iter().find(|map| {
            let object = map.object.as_ref().is_none_or(|object| object == topic.object);
            object && fits(&map.tag, topic.tag)
        })
    }

    /// Where a point belongs; `None` for one that nobody asked for.
    fn place(&self, topic: Topic<'_>, metadata: &Metadata) -> Result<Option<At>, String> {
        let map = self.map(topic);
        if metadata.is_setpoint() || (map.is_none() && !self.maps.is_empty()) {
            return Ok(None);
        }
        let named = map.and_then(|map| map.domain.clone());
        let by_metadata = || self.domain_from.iter().find_map(|key| metadata.text(key));
        let Some(domain) = named.or_else(|| by_metadata().map(str::to_owned)) else {
            return match map {
                Some(_) => Err("no domain: name it in its map".to_owned()),
                None => Ok(None),
            };
        };
        let word = match map.and_then(|map| map.point.clone()) {
            Some(word) => word,
            None => point::word(topic, metadata)?,
        };
        Ok(Some(At { domain, meaning: point::meaning(&word, metadata)? }))
    }

    /// Something that is said once.
    pub(super) fn tell(&mut self, what: String, round: &mut Round) {
        let what: String = what.chars().take(WORDS_MAX).collect();
        if self.told.len() < TOLD_MAX && self.told.insert(what.clone()) {
            round.wrong.push(what);
        }
    }
}
