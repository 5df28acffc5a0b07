//! From what a device said to rows of the meters' table: pure.

use std::collections::BTreeMap;

use model::table::MeterRow;

use super::clock::{Placed, SourceClock, between};
use super::port::{Reading, Round};

/// Points of one device whose last reading is kept, against doubles: what the largest answer of
/// a source may hold.
const POINTS_MAX: usize = 50_000;

/// What is remembered of one device between rounds.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    clock: SourceClock,
    /// Stamp of each point's last reading, and its value's bits: many parts may speak for one
    /// point in one instant, and the one that raises its alarm is no double of the one before.
    last: BTreeMap<(String, String), (i64, u64)>,
}

/// The rows of a round, and what was left out.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Made {
    pub(crate) rows: Vec<MeterRow>,
    /// Readings that were told before, by their stamp.
    pub(crate) doubles: u64,
    /// Our clock minus the source's, where it is off.
    pub(crate) off_ns: Option<i64>,
}

impl Rows {
    /// Rows of a round that was asked for and answered at these instants.
    pub(crate) fn of(&mut self, round: &Round, asked_ns: i64, answered_ns: i64) -> Made {
        let mut made = Made::default();
        for reading in &round.readings {
            if self.is_double(reading) {
                made.doubles += 1;
                continue;
            }
            let placed = match reading.stamp_ns {
                Some(stamp) => self.clock.place(stamp, answered_ns, answered_ns - asked_ns),
                None => between(asked_ns, answered_ns),
            };
            made.off_ns = made.off_ns.or(placed.off_ns);
            made.rows.push(row(reading, placed));
        }
        made
    }

    fn is_double(&mut self, reading: &Reading) -> bool {
        let Some(stamp) = reading.stamp_ns else { return false };
        let now = (stamp, reading.value.to_bits());
        let point = (reading.domain.clone(), reading.point.clone());
        let full = self.last.len() >= POINTS_MAX;
        match self.last.get_mut(&point) {
            Some(last) if *last == now => true,
            Some(last) => {
                *last = now;
                false
            }
            None => {
                if !full {
                    self.last.insert(point, now);
                }
                false
            }
        }
    }
}

fn row(reading: &Reading, placed: Placed) -> MeterRow {
    MeterRow {
        time_ns: placed.time_ns,
        domain: reading.domain.clone(),
        point: reading.point.clone(),
        value: Some(reading.value).filter(|value| value.is_finite()),
        unit: Some(reading.unit.to_owned()).filter(|unit| !unit.is_empty()),
        quality: Some(if reading.good { "good" } else { "suspect" }.to_owned()),
        clock_error_ms: Some(placed.error_ns as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_that_was_told_before_is_told_once() {
        let reading = Reading { stamp_ns: Some(1_000), ..Reading::new("pdu-a", "power_kw", 3.0) };
        let round = Round { readings: vec![reading.clone(), reading], ..Round::default() };
        let made = Rows::default().of(&round, 1_000, 3_000);
        assert_eq!((made.rows.len(), made.doubles), (1, 1));
    }

    #[test]
    fn an_alarm_that_another_part_raises_at_the_same_instant_is_no_double() {
        let at = |value| Reading { stamp_ns: Some(9), ..Reading::new("loop-1", "alarm", value) };
        let round = Round { readings: vec![at(0.0), at(1.0), at(1.0)], ..Round::default() };
        let made = Rows::default().of(&round, 1_000, 3_000);
        let told: Vec<Option<f64>> = made.rows.iter().map(|row| row.value).collect();
        assert_eq!((told, made.doubles), (vec![Some(0.0), Some(1.0)], 1));
    }

    #[test]
    fn without_a_stamp_it_was_read_between_question_and_answer() {
        let readings = vec![Reading::new("pdu-a", "power_kw", f64::NAN)];
        let made = Rows::default().of(&Round { readings, ..Round::default() }, 1_000, 3_000);
        let row = &made.rows[0];
        assert_eq!((row.time_ns, row.clock_error_ms), (2_000, Some(0.001)));
        // What is no number is no value, and never zero.
        assert_eq!(row.value, None);
    }
}
