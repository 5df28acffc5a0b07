//! From what a device said to rows of the meters' table: pure.

use std::collections::BTreeMap;

use model::table::MeterRow;

use super::clock::{Placed, SourceClock, between};
use super::port::{Reading, Round};

/// Points of one device whose last instant is kept, against doubles.
const POINTS_MAX: usize = 4_096;

/// What is remembered of one device between rounds.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    clock: SourceClock,
    /// Stamp of each point's last reading.
    last: BTreeMap<(String, String), i64>,
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
        let point = (reading.domain.clone(), reading.point.clone());
        let full = self.last.len() >= POINTS_MAX;
        match self.last.get_mut(&point) {
            Some(last) if *last == stamp => true,
            Some(last) => {
                *last = stamp;
                false
            }
            None => {
                if !full {
                    self.last.insert(point, stamp);
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
    fn without_a_stamp_it_was_read_between_question_and_answer() {
        let readings = vec![Reading::new("pdu-a", "power_kw", f64::NAN)];
        let made = Rows::default().of(&Round { readings, ..Round::default() }, 1_000, 3_000);
        let row = &made.rows[0];
        assert_eq!((row.time_ns, row.clock_error_ms), (2_000, Some(0.001)));
        // What is no number is no value, and never zero.
        assert_eq!(row.value, None);
    }
}
