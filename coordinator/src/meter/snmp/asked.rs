//! What a device is asked in each round, and what its answers are worth: pure.

use std::collections::{BTreeMap, BTreeSet};

use async_snmp::{Oid, Value};
use formats::sources::SnmpMap;

use super::super::mapped::{Gathering, Meaning};
use super::super::port::Round;
use super::number::{Raw, raw};

/// Decimal digits of a value; a meter has no more.
const DIGITS: std::ops::RangeInclusive<i32> = 0..=9;

/// One value that is asked for.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Asked {
    pub(super) oid: Oid,
    pub(super) meaning: Meaning,
    /// Where the device says how many decimal digits the value has.
    pub(super) digits: Option<Oid>,
    /// The value counts for nothing while another is among these: its state.
    pub(super) unless: Option<(Oid, &'static [i64])>,
    /// What messages call it.
    pub(super) name: String,
}

/// Everything that a device is asked.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Question {
    pub(super) asked: Vec<Asked>,
    /// Points whose sum is the device's power, where it does not say it.
    pub(super) power_of: Vec<String>,
}

impl Question {
    /// What a map asks for.
    ///
    /// # Errors
    /// A unit that does not fit its point, by the map's line.
    pub(super) fn mapped(map: &SnmpMap) -> Result<Self, String> {
        let asked = map.points.iter().map(|point| {
            Ok(Asked {
                oid: Oid::from_slice(&point.oid),
                meaning: Meaning::of(&point.mapped, &map.file)?,
                digits: point.digits.as_deref().map(Oid::from_slice),
                unless: None,
                name: format!("{}:{}", map.file, point.mapped.line),
            })
        });
        Ok(Self { asked: asked.collect::<Result<_, String>>()?, power_of: Vec::new() })
    }

    /// Every OID once.
    pub(super) fn oids(&self) -> Vec<Oid> {
        let mut oids = BTreeSet::new();
        for asked in &self.asked {
            oids.insert(asked.oid.clone());
            oids.extend(asked.digits.clone());
            oids.extend(asked.unless.as_ref().map(|(oid, _)| oid.clone()));
        }
        oids.into_iter().collect()
    }

    /// The readings of a domain in a device's answers.
    pub(super) fn round(&self, domain: &str, answers: &BTreeMap<Oid, Value>) -> Round {
        let mut gathering = Gathering::of(domain);
        for asked in &self.asked {
            match asked.value(answers) {
                Ok(value) => gathering.add(&asked.meaning, value),
                Err(why) => {
                    gathering.add(&asked.meaning, None);
                    let Asked { meaning, name, .. } = asked;
                    gathering.wrong(format!("{} ({name}): {why}", meaning.point));
                }
            }
        }
        if !self.power_of.is_empty() {
            gathering.sum("power_kw", &self.power_of);
        }
        gathering.finish()
    }

    /// Whether a device no longer has what it was found to have.
    pub(super) fn is_outgrown(&self, answers: &BTreeMap<Oid, Value>) -> bool {
        let missing = |oid: &Oid| answers.get(oid).is_none_or(|value| raw(value) == Raw::Absent);
        self.asked.iter().any(|asked| missing(&asked.oid))
    }
}

impl Asked {
    /// The value, nothing where there is no reading, or why the answer is none.
    fn value(&self, answers: &BTreeMap<Oid, Value>) -> Result<Option<f64>, String> {
        let number = number_of(answers, &self.oid)?;
        if let Some((state, bad)) = &self.unless {
            let state = number_of(answers, state)?;
            if bad.iter().any(|bad| *bad as f64 == state) {
                return Ok(None);
            }
        }
        let Some(value) = self.meaning.value(number) else { return Ok(None) };
        let Some(digits) = &self.digits else { return Ok(Some(value)) };
        let digits = number_of(answers, digits)?;
        let whole = Some(digits as i32).filter(|whole| f64::from(*whole) == digits);
        match whole.filter(|whole| DIGITS.contains(whole)) {
            // Divided, not multiplied by a tenth: 2301 of one digit is 230.1 and nothing else.
            Some(whole) => Ok(Some(value / 10_f64.powi(whole))),
            None => Err("its number of digits is impossible".to_owned()),
        }
    }
}

fn number_of(answers: &BTreeMap<Oid, Value>, oid: &Oid) -> Result<f64, String> {
    match answers.get(oid).map(raw) {
        Some(Raw::Number(number)) => Ok(number),
        Some(Raw::Absent) | None => Err(format!("the device has no {oid}")),
        Some(Raw::Other) => Err(format!("{oid} is no number")),
    }
}
