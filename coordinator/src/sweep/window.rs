//! The hours in which a sweep may heat: `02:00-05:00`, over midnight as well. Pure.

use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

/// From and to, in the sweep's zone; where `to` is not after `from` it is the next day's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    from: Time,
    to: Time,
}

impl Window {
    /// Reads `02:00-05:00`.
    ///
    /// # Errors
    /// A sentence that says how to write it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no window: write it like 02:00-05:00");
        let (from, to) = text.split_once('-').ok_or_else(wrong)?;
        let read = |part: &str| -> Option<Time> {
            let (hour, minute) = part.trim().split_once(':')?;
            Time::new(hour.parse().ok()?, minute.parse().ok()?, 0, 0).ok()
        };
        let (from, to) = read(from).zip(read(to)).ok_or_else(wrong)?;
        if from == to { Err(wrong()) } else { Ok(Self { from, to }) }
    }

    /// When the window that holds this instant ends; `None` outside of it.
    pub(crate) fn ends(&self, zone: &TimeZone, at: Timestamp) -> Option<Timestamp> {
        let today = zone.to_datetime(at).date();
        let days = [today.yesterday().ok(), Some(today)];
        let spans = days.into_iter().flatten().filter_map(|day| {
            let last = if self.to > self.from { day } else { day.checked_add(1.day()).ok()? };
            let begin = zone.to_timestamp(day.to_datetime(self.from)).ok()?;
            Some((begin, zone.to_timestamp(last.to_datetime(self.to)).ok()?))
        });
        let holds = |(begin, end): &(Timestamp, Timestamp)| *begin <= at && at < *end;
        spans.filter(holds).map(|(_, end)| end).max()
    }

    /// As it is written.
    pub(crate) fn words(&self) -> String {
        format!("{}-{}", self.from.strftime("%H:%M"), self.to.strftime("%H:%M"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(window: &str, at: &str) -> Option<String> {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let end = Window::parse(window).unwrap().ends(&zone, at.parse().unwrap())?;
        Some(end.to_string())
    }

    #[test]
    fn a_window_ends_on_its_own_day_or_the_next() {
        // Berlin is an hour ahead in winter.
        let ends_at = |text: &str| Some(text.to_owned());
        assert_eq!(ends("02:00-05:00", "2026-11-20T01:00:00Z"), ends_at("2026-11-20T04:00:00Z"));
        assert_eq!(ends("02:00-05:00", "2026-11-20T04:00:00Z"), None);
        assert_eq!(ends("22:00-05:00", "2026-11-20T21:30:00Z"), ends_at("2026-11-21T04:00:00Z"));
        assert_eq!(ends("22:00-05:00", "2026-11-20T03:00:00Z"), ends_at("2026-11-20T04:00:00Z"));
        assert_eq!(ends("22:00-05:00", "2026-11-20T12:00:00Z"), None);
    }

    #[test]
    fn what_is_no_window_is_told() {
        for wrong in ["2-5", "02:00", "25:00-26:00", "02:00-02:00", "a-b"] {
            assert!(Window::parse(wrong).unwrap_err().contains("write it like 02:00-05:00"));
        }
        assert_eq!(Window::parse("2:00-05:30").unwrap().words(), "02:00-05:30");
    }
}
