//! What is due, and what becomes of it: begun, skipped or missed. Pure.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::cron::Cron;
use super::window::Window;

/// A sweep that is found due so much late was missed: the coordinator did not run.
const LATE_MAX_S: i64 = 60;

/// When one sweep runs.
#[derive(Debug, Clone)]
pub(crate) struct Schedule {
    cron: Cron,
    zone: TimeZone,
    window: Option<Window>,
    due: Option<Timestamp>,
}

/// What became of a due instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Due {
    Begin,
    /// Recorded, and never made up for.
    Missed(String),
    Skipped(String),
}

impl Schedule {
    /// Reads a schedule. `after`: what was due by then is dealt with.
    ///
    /// # Errors
    /// A sentence about the part that makes no sense.
    pub(crate) fn new(
        cron: &str,
        zone: &str,
        window: Option<Window>,
        after: Timestamp,
    ) -> Result<Self, String> {
        let cron = Cron::parse(cron)?;
        let zone = TimeZone::get(zone).map_err(|_| {
            format!("{zone:?} is no time zone that is known here: write one such as Europe/Berlin or UTC")
        })?;
        let due = cron.next_after(&zone, after);
        if due.is_none() {
            return Err("that date never comes".to_owned());
        }
        Ok(Self { cron, zone, window, due })
    }

    /// The next due instant.
    pub(crate) fn due(&self) -> Option<Timestamp> {
        self.due
    }

    /// When a run that begins now must end; `None` where nothing says so.
    pub(crate) fn ends(&self, now: Timestamp) -> Option<Timestamp> {
        self.window.as_ref().and_then(|window| window.ends(&self.zone, now))
    }

    /// Lets time pass: the instant that was due and what becomes of it. `busy`: why nothing may
    /// begin now.
    pub(crate) fn look(&mut self, now: Timestamp, busy: Option<&str>) -> Option<(Timestamp, Due)> {
        let due = self.due.filter(|due| *due <= now)?;
        self.due = self.cron.next_after(&self.zone, now);
        let late_s = now.as_second() - due.as_second();
        let what = if late_s > LATE_MAX_S {
            Due::Missed(format!("the coordinator did not run then (found {late_s} s late)"))
        } else if let Some(why) = self.outside(now) {
            Due::Skipped(why)
        } else if let Some(why) = busy {
            Due::Skipped(why.to_owned())
        } else {
            Due::Begin
        };
        Some((due, what))
    }

    /// Why a run may not begin now, by its window.
    pub(crate) fn outside(&self, now: Timestamp) -> Option<String> {
        let window = self.window.as_ref()?;
        let outside = window.ends(&self.zone, now).is_none();
        outside.then(|| format!("it is outside of the window {}", window.words()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn nightly(window: Option<&str>, after: &str) -> Schedule {
        let window = window.map(|text| Window::parse(text).unwrap());
        Schedule::new("30 2 * * *", "UTC", window, at(after)).unwrap()
    }

    #[test]
    fn a_sweep_begins_when_it_is_due_and_once() {
        let mut schedule = nightly(None, "2026-11-20T00:00:00Z");
        assert_eq!(schedule.look(at("2026-11-20T02:29:59Z"), None), None);
        let due = at("2026-11-20T02:30:00Z");
        assert_eq!(schedule.look(at("2026-11-20T02:30:01Z"), None), Some((due, Due::Begin)));
        assert_eq!(schedule.look(at("2026-11-20T02:30:02Z"), None), None);
        assert_eq!(schedule.due(), Some(at("2026-11-21T02:30:00Z")));
    }

    #[test]
    fn what_was_missed_is_told_once_and_not_made_up_for() {
        let mut schedule = nightly(None, "2026-11-18T00:00:00Z");
        let (due, what) = schedule.look(at("2026-11-20T09:00:00Z"), None).unwrap();
        assert_eq!(due, at("2026-11-18T02:30:00Z"));
        assert!(matches!(what, Due::Missed(_)), "{what:?}");
        assert_eq!(schedule.due(), Some(at("2026-11-21T02:30:00Z")));
    }

    #[test]
    fn nothing_queues_up_behind_a_run_and_nothing_begins_outside_of_the_window() {
        let mut schedule = nightly(Some("02:00-05:00"), "2026-11-20T00:00:00Z");
        let now = at("2026-11-20T02:30:00Z");
        let (_, what) = schedule.look(now, Some("run r is active")).unwrap();
        assert_eq!(what, Due::Skipped("run r is active".to_owned()));
        assert_eq!(schedule.look(at("2026-11-20T02:40:00Z"), None), None);
        assert_eq!(schedule.ends(now), Some(at("2026-11-20T05:00:00Z")));
        let mut late = nightly(Some("03:00-05:00"), "2026-11-20T00:00:00Z");
        let (_, what) = late.look(now, None).unwrap();
        assert_eq!(what, Due::Skipped("it is outside of the window 03:00-05:00".to_owned()));
    }

    #[test]
    fn an_unknown_zone_is_told() {
        let wrong = Schedule::new("0 0 * * *", "Mars/Base", None, Timestamp::UNIX_EPOCH);
        assert!(wrong.unwrap_err().contains("Europe/Berlin"));
    }
}
