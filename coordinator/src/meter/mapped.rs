//! From a raw number under a map or a table to a reading: pure, whatever protocol brought it.

use analysis::digest::meters::Point;
use formats::sources::Mapped;

use super::port::{Reading, Round};

/// Where a part of an alarm goes: a device has one alarm, of many parts.
pub(crate) const ALARM: &str = "alarm";

/// What the numbers of one place of a device mean.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Meaning {
    pub(crate) point: String,
    pub(crate) scale: f64,
    pub(crate) unit: &'static str,
    /// Raw values that are no reading.
    pub(crate) none: Vec<i64>,
    /// Raw values at which the point is 1; it is 0 at all others.
    pub(crate) alarm_when: Option<Vec<i64>>,
}

impl Meaning {
    /// What a map says, when its unit fits its point.
    ///
    /// # Errors
    /// In words, with the map's line.
    pub(crate) fn of(mapped: &Mapped, file: &str) -> Result<Self, String> {
        // The site's own points are in whatever unit its rules are written in.
        if let Some(point) = Point::of(&mapped.point)
            && point.value(0.0, mapped.unit).is_err()
        {
            let (line, unit) = (mapped.line, mapped.unit);
            return Err(format!("{file}:{line}: unit \"{unit}\" does not fit {}", mapped.point));
        }
        Ok(Self {
            point: mapped.point.clone(),
            scale: mapped.scale,
            unit: mapped.unit,
            none: mapped.none.clone(),
            alarm_when: mapped.alarm_when.clone(),
        })
    }

    /// The value of a raw number; `None` for one that is no reading.
    pub(crate) fn value(&self, raw: f64) -> Option<f64> {
        let is_in = |list: &[i64]| list.iter().any(|listed| *listed as f64 == raw);
        if !raw.is_finite() || is_in(&self.none) {
            return None;
        }
        Some(match &self.alarm_when {
            Some(when) => f64::from(u8::from(is_in(when))),
            None => scaled(raw, self.scale),
        })
    }
}

/// Tenths are divided by ten: 131 of them are 13.1, and not 13.100000000000001.
fn scaled(raw: f64, scale: f64) -> f64 {
    let inverse = (1.0 / scale).round();
    if scale.abs() < 1.0 && 1.0 / inverse == scale { raw / inverse } else { raw * scale }
}

/// Gathers the values of one round.
#[derive(Debug)]
pub(crate) struct Gathering<'d> {
    domain: &'d str,
    round: Round,
    alarm: Option<Part>,
}

/// What is known of the alarm so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Off,
    /// A part that did not answer: without another that is on, nobody knows.
    Unknown,
    On,
}

impl<'d> Gathering<'d> {
    pub(crate) fn of(domain: &'d str) -> Self {
        Self { domain, round: Round::default(), alarm: None }
    }

    /// Adds what a place said; `None` when it has no reading.
    pub(crate) fn add(&mut self, meaning: &Meaning, value: Option<f64>) {
        if meaning.point == ALARM {
            let part = match value {
                None => Part::Unknown,
                Some(0.0) => Part::Off,
                Some(_) => Part::On,
            };
            self.alarm = self.alarm.max(Some(part));
        } else if let Some(value) = value {
            let reading = Reading::new(self.domain, meaning.point.clone(), value);
            self.round.readings.push(Reading { unit: meaning.unit, ..reading });
        }
    }

    pub(crate) fn wrong(&mut self, what: String) {
        self.round.wrong.push(what);
    }

    /// The sum of points, when every one of them was read.
    pub(crate) fn sum(&mut self, point: &str, of: &[String]) {
        let value = |name: &String| {
            let mut readings = self.round.readings.iter();
            readings.find(|reading| reading.point == *name).map(|reading| reading.value)
        };
        if let Some(sum) = of.iter().map(value).sum::<Option<f64>>() {
            self.round.readings.push(Reading::new(self.domain, point, sum));
        }
    }

    pub(crate) fn finish(mut self) -> Round {
        if let Some(part @ (Part::On | Part::Off)) = self.alarm {
            let value = f64::from(u8::from(part == Part::On));
            self.round.readings.push(Reading::new(self.domain, ALARM, value));
        }
        self.round
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meaning(point: &str) -> Meaning {
        Meaning {
            point: point.to_owned(),
            scale: 0.1,
            unit: "",
            none: vec![-1],
            alarm_when: (point == ALARM).then(|| vec![3, 4]),
        }
    }

    fn alarm_of(parts: &[f64]) -> Option<f64> {
        let alarm = meaning(ALARM);
        let mut gathering = Gathering::of("pdu-a");
        for raw in parts {
            gathering.add(&alarm, alarm.value(*raw));
        }
        gathering.finish().readings.first().map(|reading| reading.value)
    }

    #[test]
    fn a_raw_number_is_scaled_and_its_sentinel_is_no_reading() {
        let amps = meaning("current_a");
        assert_eq!(amps.value(131.0), Some(13.1));
        assert_eq!((amps.value(-1.0), amps.value(f64::NAN)), (None, None));
    }

    #[test]
    fn one_part_is_enough_for_an_alarm_and_all_are_needed_for_none() {
        assert_eq!(alarm_of(&[2.0, 4.0, -1.0]), Some(1.0));
        assert_eq!(alarm_of(&[2.0, 1.0]), Some(0.0));
        assert_eq!(alarm_of(&[2.0, -1.0]), None);
        assert_eq!(alarm_of(&[]), None);
    }

    #[test]
    fn a_sum_needs_all_its_parts() {
        let of = ["power_kw.l1".to_owned(), "power_kw.l2".to_owned()];
        let sum = |parts: &[String]| {
            let mut gathering = Gathering::of("ups");
            for part in parts {
                gathering.add(&meaning(part), Some(2.0));
            }
            gathering.sum("power_kw", &of);
            gathering.finish().readings.len() - parts.len()
        };
        assert_eq!((sum(&of), sum(&of[..1])), (1, 0));
    }

    #[test]
    fn a_unit_that_does_not_fit_is_named_by_its_line() {
        let mapped = |point: &str, unit| Mapped {
            point: point.to_owned(),
            scale: 1.0,
            unit,
            none: Vec::new(),
            alarm_when: None,
            line: 7,
        };
        let told = Meaning::of(&mapped("supply_c", "kpa"), "cdu.toml").unwrap_err();
        assert_eq!(told, "cdu.toml:7: unit \"kpa\" does not fit supply_c");
        assert!(Meaning::of(&mapped("supply_c", "f"), "cdu.toml").is_ok());
        assert!(Meaning::of(&mapped("seconds_on_battery", "s"), "cdu.toml").is_ok());
    }
}
