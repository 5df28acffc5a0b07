//! When a sweep is due: five fields of cron in a time zone. Pure.
//!
//! `minute hour day-of-month month day-of-week`, each a list of numbers, names, ranges and steps:
//! `30 2 * * mon-fri`. As in cron, a day is meant when day of month *or* day of week fits, where
//! both are restricted. A local time that daylight saving passes over runs once, as much later as
//! the clock was put forward; one that comes twice runs the first time.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

/// An expression with no instant in so many days has none at all: 29 February comes back within
/// eight years.
const DAYS_MAX: usize = 8 * 366 + 1;
const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// A cron expression: a bit for each number that fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cron {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    /// Sunday is 0.
    weekdays: u64,
    /// Neither kind of day is a plain star: either may fit.
    either_day: bool,
}

/// A field's name, its numbers, and words for them from the least number on.
struct Field {
    name: &'static str,
    least: u32,
    most: u32,
    words: &'static [&'static str],
}

const FIELDS: [Field; 5] = [
    Field { name: "minute", least: 0, most: 59, words: &[] },
    Field { name: "hour", least: 0, most: 23, words: &[] },
    Field { name: "day of month", least: 1, most: 31, words: &[] },
    Field { name: "month", least: 1, most: 12, words: &MONTHS },
    // 7 is Sunday as well.
    Field { name: "day of week", least: 0, most: 7, words: &DAYS },
];

impl Cron {
    /// Reads an expression.
    ///
    /// # Errors
    /// A sentence that names the field and what it may be.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = parts.as_slice() else {
            return Err(format!(
                "{text:?} has {} fields: write minute, hour, day of month, month and day of week, \
                 such as \"30 2 * * mon-fri\"",
                parts.len()
            ));
        };
        let [minutes, hours, days, months, weekdays] = &FIELDS;
        let weekday_bits = weekdays.bits(weekday)?;
        Ok(Self {
            minutes: minutes.bits(minute)?,
            hours: hours.bits(hour)?,
            days: days.bits(day)?,
            months: months.bits(month)?,
            weekdays: (weekday_bits | (weekday_bits >> 7)) & 0x7F,
            either_day: !day.starts_with('*') && !weekday.starts_with('*'),
        })
    }

    /// The first instant after another one; `None` for a date that never comes.
    pub(crate) fn next_after(&self, zone: &TimeZone, after: Timestamp) -> Option<Timestamp> {
        // A clock that was put back: local times of up to three hours ago may still come.
        let begin = zone.to_datetime(after).checked_sub(3.hours()).ok()?;
        let (mut date, mut from_minute) = (begin.date(), minute_of(begin));
        for _ in 0..DAYS_MAX {
            if self.fits_day(date) {
                for minute in from_minute..24 * 60 {
                    if !self.fits_minute(minute) {
                        continue;
                    }
                    let time = date.at((minute / 60) as i8, (minute % 60) as i8, 0, 0);
                    let instant = zone.to_ambiguous_timestamp(time).compatible().ok()?;
                    if instant > after {
                        return Some(instant);
                    }
                }
            }
            (date, from_minute) = (date.tomorrow().ok()?, 0);
        }
        None
    }

    fn fits_minute(&self, minute_of_day: u32) -> bool {
        let (hour, minute) = (minute_of_day / 60, minute_of_day % 60);
        self.hours & (1 << hour) != 0 && self.minutes & (1 << minute) != 0
    }

    fn fits_day(&self, date: Date) -> bool {
        if self.months & (1 << date.month()) == 0 {
            return false;
        }
        let day = self.days & (1 << date.day()) != 0;
        let weekday = self.weekdays & (1 << date.weekday().to_sunday_zero_offset()) != 0;
        if self.either_day { day || weekday } else { day && weekday }
    }
}

fn minute_of(time: DateTime) -> u32 {
    time.hour() as u32 * 60 + time.minute() as u32
}

impl Field {
    fn bits(&self, text: &str) -> Result<u64, String> {
        text.split(',').try_fold(0, |bits, part| Ok(bits | self.part(part)?))
    }

    /// `*`, `5`, `mon`, `1-5`, each perhaps with `/step`.
    fn part(&self, text: &str) -> Result<u64, String> {
        let (range, step) = match text.split_once('/') {
            Some((range, step)) => (range, Some(step)),
            None => (text, None),
        };
        let step = match step.map(str::parse::<u32>) {
            None => 1,
            Some(Ok(step)) if step > 0 => step,
            Some(_) => return Err(self.wrong(text)),
        };
        let (from, to) = match range.split_once('-') {
            _ if range == "*" => (self.least, self.most),
            Some((from, to)) => (self.number(from, text)?, self.number(to, text)?),
            // `5/15` is from 5 on; `5` is 5 alone.
            None if text.contains('/') => (self.number(range, text)?, self.most),
            None => (self.number(range, text)?, self.number(range, text)?),
        };
        if from > to {
            return Err(format!("{}; {from} comes after {to}", self.wrong(text)));
        }
        Ok((from..=to).step_by(step as usize).fold(0, |bits, number| bits | (1 << number)))
    }

    fn number(&self, text: &str, whole: &str) -> Result<u32, String> {
        let lower = text.to_ascii_lowercase();
        if let Some(at) = self.words.iter().position(|word| *word == lower) {
            return Ok(self.least + at as u32);
        }
        let number = text.parse().ok().filter(|number| (self.least..=self.most).contains(number));
        number.ok_or_else(|| self.wrong(whole))
    }

    fn wrong(&self, text: &str) -> String {
        let words = match self.words {
            [first, .., last] => format!(" or {first} to {last}"),
            _ => String::new(),
        };
        let Self { name, least, most, .. } = self;
        format!(
            "{text:?} is no {name}: write {least} to {most}{words}, a range, a list, * or a step"
        )
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn zone(name: &str) -> TimeZone {
        TimeZone::get(name).unwrap()
    }

    fn next(text: &str, place: &str, after: &str) -> String {
        let after: Timestamp = after.parse().unwrap();
        let next = Cron::parse(text).unwrap().next_after(&zone(place), after).unwrap();
        next.to_zoned(zone(place)).strftime("%a %F %H:%M %z").to_string()
    }

    #[test]
    fn a_night_of_the_week_is_found_in_its_zone() {
        let friday = "2026-11-20T12:00:00Z";
        assert_eq!(next("30 2 * * mon-fri", "UTC", friday), "Mon 2026-11-23 02:30 +0000");
        assert_eq!(next("0 3 1 * *", "Asia/Tokyo", friday), "Tue 2026-12-01 03:00 +0900");
        assert_eq!(
            next("*/20 * * * *", "UTC", "2026-11-20T12:20:00Z"),
            "Fri 2026-11-20 12:40 +0000"
        );
        assert_eq!(next("0 0 29 feb *", "UTC", friday), "Tue 2028-02-29 00:00 +0000");
        assert_eq!(next("0 0 * * 7", "UTC", friday), "Sun 2026-11-22 00:00 +0000");
    }

    #[test]
    fn either_kind_of_day_fits_where_both_are_restricted() {
        let friday = "2026-11-20T12:00:00Z";
        assert_eq!(next("0 0 13 * sat", "UTC", friday), "Sat 2026-11-21 00:00 +0000");
        assert_eq!(
            next("0 0 22 * sat", "UTC", "2026-11-21T12:00:00Z"),
            "Sun 2026-11-22 00:00 +0000"
        );
    }

    #[test]
    fn a_time_that_is_passed_over_runs_once_and_later() {
        // 29 March 2026, 02:00 to 03:00 do not exist in Berlin.
        let before = "2026-03-28T12:00:00Z";
        assert_eq!(next("30 2 * * *", "Europe/Berlin", before), "Sun 2026-03-29 03:30 +0200");
        let at = "2026-03-29T01:30:00Z";
        assert_eq!(next("30 2 * * *", "Europe/Berlin", at), "Mon 2026-03-30 02:30 +0200");
    }

    #[test]
    fn a_time_that_comes_twice_runs_the_first_time() {
        // 25 October 2026, 02:00 to 03:00 come twice in Berlin.
        let before = "2026-10-24T12:00:00Z";
        assert_eq!(next("30 2 * * *", "Europe/Berlin", before), "Sun 2026-10-25 02:30 +0200");
        for again in ["2026-10-25T00:30:00Z", "2026-10-25T01:10:00Z", "2026-10-25T01:30:00Z"] {
            assert_eq!(next("30 2 * * *", "Europe/Berlin", again), "Mon 2026-10-26 02:30 +0100");
        }
    }

    #[test]
    fn what_is_no_expression_is_told_with_its_field() {
        let wrong = |text: &str| Cron::parse(text).unwrap_err();
        assert!(wrong("30 2 * *").contains("has 4 fields"));
        assert!(wrong("60 2 * * *").contains("\"60\" is no minute: write 0 to 59"));
        assert!(wrong("0 2 * * mo").contains("day of week: write 0 to 7 or sun to sat"));
        assert!(wrong("0 2 5-1 * *").contains("5 comes after 1"));
        assert!(wrong("*/0 2 * * *").contains("is no minute"));
        let never = Cron::parse("0 0 31 feb *").unwrap();
        assert_eq!(never.next_after(&TimeZone::UTC, Timestamp::UNIX_EPOCH), None);
    }

    proptest! {
        #[test]
        fn it_is_the_first_minute_that_a_walk_finds(
            minute in 0u32..60, hour in 0u32..24, weekday in 0u32..7,
            start in 1_700_000_000i64..1_900_000_000,
        ) {
            let cron = Cron::parse(&format!("{minute} {hour} * * {weekday}")).unwrap();
            let after = Timestamp::from_second(start).unwrap();
            let fits = |t: &Timestamp| {
                let local = t.to_zoned(TimeZone::UTC);
                local.minute() as u32 == minute && local.hour() as u32 == hour
                    && local.weekday().to_sunday_zero_offset() as u32 == weekday
            };
            let first = start.div_euclid(60) * 60 + 60;
            let walk = (0..8 * 24 * 60)
                .map(|at| Timestamp::from_second(first + at * 60).unwrap())
                .find(fits);
            prop_assert_eq!(cron.next_after(&TimeZone::UTC, after), walk);
        }
    }
}
