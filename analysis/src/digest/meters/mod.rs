//! Meters: what the building said of each of its domains, point by point.
//!
//! Rows of tables and records of agents fold into the same traces. What is no value (not a
//! number, doubted, of an unknown point or unit) is counted and named, never used.

mod point;
mod trace;

use std::collections::BTreeMap;

use model::record::MeterReading;
use model::site::DOMAINS_MAX;
use model::table::MeterRow;

pub use point::{Line, Point, Quantity, Refusal};
pub use trace::{BINS_MAX, Trace, in_bins, meeting_width, paired};

/// Most names kept of readings that were refused: enough for a person to mend a table.
const REFUSED_NAMES: usize = 64;
/// A name is cut here, in characters.
const NAME_CHARS: usize = 100;

/// Every domain's traces, and what was refused.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Meters {
    /// By the domain's id as the meter says it; the judge knows which are in the site.
    domains: BTreeMap<String, BTreeMap<Point, Trace>>,
    refused: BTreeMap<Refusal, u64>,
    /// Where: `domain point [unit]`, and how often.
    refused_names: BTreeMap<(Refusal, String), u64>,
    readings: u64,
}

impl Meters {
    /// Counts rows of a table.
    pub fn add_rows(&mut self, rows: &[MeterRow]) {
        for row in rows {
            let value = row.value.unwrap_or(f64::NAN);
            let unit = row.unit.as_deref().unwrap_or_default();
            let quality = row.quality.as_deref().unwrap_or_default();
            self.add(&row.domain, &row.point, (row.time_ns, value), unit, quality);
        }
    }

    pub(super) fn add_reading(&mut self, reading: &MeterReading) {
        let MeterReading { domain, point, unit, quality, .. } = reading;
        self.add(domain, point, (reading.time_ns, reading.value), unit, quality);
    }

    fn add(&mut self, domain: &str, word: &str, at: (i64, f64), unit: &str, quality: &str) {
        self.readings += 1;
        let (time_ns, value) = at;
        let point = Point::of(word);
        // Only `good`, or nothing said, is trusted.
        let trusted = quality.is_empty() || quality.eq_ignore_ascii_case("good");
        let value = match point {
            None => Err(Refusal::UnknownPoint),
            Some(_) if !trusted => Err(Refusal::Suspect),
            Some(point) => point.value(value, unit).map(|value| (point, value)),
        };
        match value {
            Ok((point, value)) => {
                let traces = self.domains.entry(domain.to_owned()).or_default();
                traces.entry(point).or_default().add(time_ns, value);
                keep_first(&mut self.domains, DOMAINS_MAX);
            }
            Err(why) => {
                let unit = if why == Refusal::UnknownUnit { unit } else { "" };
                let name = format!("{domain} {word} {unit}");
                self.refuse(why, name.trim_end().chars().take(NAME_CHARS).collect());
            }
        }
    }

    fn refuse(&mut self, why: Refusal, name: String) {
        *self.refused.entry(why).or_default() += 1;
        *self.refused_names.entry((why, name)).or_default() += 1;
        keep_first(&mut self.refused_names, REFUSED_NAMES);
    }

    /// Adds another's counts.
    pub(super) fn merge(&mut self, other: Self) {
        for (domain, traces) in other.domains {
            let ours = self.domains.entry(domain).or_default();
            for (point, trace) in traces {
                ours.entry(point).or_default().merge(&trace);
            }
        }
        for (why, count) in other.refused {
            *self.refused.entry(why).or_default() += count;
        }
        for (name, count) in other.refused_names {
            *self.refused_names.entry(name).or_default() += count;
        }
        keep_first(&mut self.domains, DOMAINS_MAX);
        keep_first(&mut self.refused_names, REFUSED_NAMES);
        self.readings += other.readings;
    }

    /// Every domain that has a value, by name.
    pub fn domains(&self) -> impl Iterator<Item = (&String, &BTreeMap<Point, Trace>)> {
        self.domains.iter()
    }

    /// What one point said.
    #[must_use]
    pub fn trace(&self, domain: &str, quantity: Quantity, line: Line) -> Option<&Trace> {
        self.domains.get(domain)?.get(&Point { quantity, line })
    }

    /// Readings that were no value, by reason.
    #[must_use]
    pub fn refused(&self) -> &BTreeMap<Refusal, u64> {
        &self.refused
    }

    /// Where readings were refused for a reason: at most the first of them by name.
    pub fn refused_where(&self, why: Refusal) -> impl Iterator<Item = &str> {
        let names = self.refused_names.keys();
        names.filter(move |(reason, _)| *reason == why).map(|(_, name)| name.as_str())
    }

    /// All readings, refused ones as well.
    #[must_use]
    pub fn readings(&self) -> u64 {
        self.readings
    }

    /// Whether no reading was a value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.domains.is_empty()
    }
}

/// Keeps the first names in their order. Which are kept depends on no order of arrival: a
/// name among the first of all was among the first at every time.
fn keep_first<K: Ord, V>(map: &mut BTreeMap<K, V>, most: usize) {
    while map.len() > most {
        map.pop_last();
    }
}

#[cfg(test)]
mod tests;
