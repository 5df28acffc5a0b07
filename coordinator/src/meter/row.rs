//! From what a device said to rows of the meters' table: pure.

use std::collections::BTreeMap;

use model::table::MeterRow;

use super::clock::{Placed, SourceClock, Stamp, between};
use super::port::{Reading, Round};

/// Points of one device whose last reading is kept, against doubles: what the largest answer of
/// a source may hold.
const POINTS_MAX: usize = 50_000;

/// What is remembered of one device between rounds.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    clock: SourceClock,
    last: BTreeMap<(String, String), Last>,
    /// The source speaks by itself: what it says is new when it comes.
    speaks: bool,
}

/// A point's last reading.
#[derive(Debug)]
struct Last {
    /// Its stamp, and its value's bits: many parts may speak for one point in one instant, and the
    /// one that raises its alarm is no double of the one before.
    told: (i64, u64),
    /// When the point was heard last, by our clock; doubles count.
    heard_ns: i64,
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
    /// Of a source that answers, or of one that speaks by itself.
    pub(crate) fn new(speaks: bool) -> Self {
        Self { speaks, ..Self::default() }
    }

    /// Rows of a round that was asked for and answered at these instants.
    pub(crate) fn of(&mut self, round: &Round, asked_ns: i64, answered_ns: i64) -> Made {
        let asked_ns = if self.speaks { answered_ns } else { asked_ns };
        let mut made = Made::default();
        let mut new = Vec::new();
        for reading in &round.readings {
            match self.hear(reading, asked_ns, answered_ns) {
                Heard::Double => made.doubles += 1,
                Heard::Unstamped => new.push((reading, None)),
                Heard::New(stamp) => new.push((reading, Some(stamp))),
            }
        }
        for (reading, stamp) in new {
            let placed = match stamp {
                Some(stamp) => self.clock.place(stamp),
                None => between(asked_ns, answered_ns),
            };
            made.off_ns = made.off_ns.or(placed.off_ns);
            made.rows.push(row(reading, placed));
        }
        made
    }

    fn hear(&mut self, reading: &Reading, asked_ns: i64, answered_ns: i64) -> Heard {
        let Some(at_ns) = reading.stamp_ns else { return Heard::Unstamped };
        let told = (at_ns, reading.value.to_bits());
        let point = (reading.domain.clone(), reading.point.clone());
        let before = match self.last.get_mut(&point) {
            Some(last) => Some(std::mem::replace(last, Last { told, heard_ns: answered_ns })),
            None => {
                if self.last.len() < POINTS_MAX {
                    self.last.insert(point, Last { told, heard_ns: answered_ns });
                }
                None
            }
        };
        if before.as_ref().is_some_and(|last| last.told == told) {
            return Heard::Double;
        }
        // In one answer with another of the same point, as in a window of the past, it is as old
        // as that one may be.
        let earlier = before.filter(|last| last.told.0 != at_ns && last.heard_ns < answered_ns);
        let since_ns = |last: Last| if self.speaks { 0 } else { answered_ns - last.heard_ns };
        let heard_ns = earlier.map(since_ns);
        let waited_ns = answered_ns - asked_ns;
        let stamp = Stamp { at_ns, arrived_ns: answered_ns, waited_ns, heard_ns };
        self.clock.hear(stamp);
        Heard::New(stamp)
    }
}

/// What a reading is to what was heard before.
enum Heard {
    Double,
    Unstamped,
    New(Stamp),
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
    fn the_past_in_a_first_answer_accuses_no_clock() {
        const S: i64 = 1_000_000_000;
        let at = |s: i64| Reading {
            stamp_ns: Some(s * S),
            ..Reading::new("pdu-a", "power_kw", s as f64)
        };
        // A window of the past from a source with a right clock, oldest first; then each second
        // the new reading, once there is one.
        let round = |stamps: &[i64]| Round {
            readings: stamps.iter().map(|s| at(*s)).collect(),
            ..Round::default()
        };
        let mut rows = Rows::default();
        let first = rows.of(&round(&[40, 55, 70, 85]), 100 * S, 100 * S + 1);
        assert_eq!((first.rows.len(), first.off_ns), (4, None));
        for second in 101..160 {
            let newest = 85 + (second - 85) / 15 * 15;
            let made = rows.of(&round(&[newest]), second * S, second * S + 1);
            assert_eq!(made.off_ns, None, "{second}");
            for row in made.rows {
                assert_eq!(row.time_ns, newest * S);
                assert!(row.clock_error_ms.unwrap() < 2_000.0, "{row:?}");
            }
        }
    }

    #[test]
    fn what_a_broker_kept_is_old_and_what_it_sends_then_is_new() {
        const S: i64 = 1_000_000_000;
        let said = |stamp: i64, value| {
            let reading = Reading::new("loop-1", "supply_c", value);
            let readings = vec![Reading { stamp_ns: Some(stamp * S), ..reading }];
            Round { readings, ..Round::default() }
        };
        let mut rows = Rows::new(true);
        // Kept since 90 s ago, and waited for.
        assert_eq!(rows.of(&said(10, 30.0), 50 * S, 100 * S).off_ns, None);
        let made = rows.of(&said(180, 31.0), 100 * S, 180 * S + S / 10);
        assert_eq!((made.off_ns, made.rows[0].time_ns), (None, 180 * S));
        assert!(made.rows[0].clock_error_ms.unwrap() < 200.0, "{made:?}");
        // Its clock is set back by a minute.
        let back: Vec<_> =
            (0..9).map(|k| rows.of(&said(130 + k, 32.0), 180 * S, (190 + k) * S).off_ns).collect();
        assert_eq!(back.last(), Some(&Some(60 * S)));
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
