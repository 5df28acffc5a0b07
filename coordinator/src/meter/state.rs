//! How each device of the building is doing: pure.

use super::port::MeterError;

/// A device that failed so often in a row is lost; fewer may be a packet.
pub(crate) const LOST_AFTER: u32 = 2;

/// Counts and condition of one device.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct State {
    pub(crate) rounds: u64,
    pub(crate) failed: u64,
    pub(crate) rows: u64,
    pub(crate) doubles: u64,
    /// What came and was no reading.
    pub(crate) wrong: u64,
    pub(crate) last_row_ns: Option<i64>,
    /// Our clock minus its own, where that is off.
    pub(crate) off_ns: Option<i64>,
    /// Why it does not answer, since when.
    pub(crate) trouble: Option<(i64, MeterError)>,
    failures: u32,
}

/// What changed with a round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    Lost(MeterError),
    Back,
    ClockOff(i64),
    ClockRight,
}

impl Change {
    /// In words for a person.
    pub(crate) fn words(&self) -> String {
        match self {
            Self::Lost(error) => error.to_string(),
            Self::Back => "answers again".to_owned(),
            Self::ClockOff(off_ns) => off_words(*off_ns),
            Self::ClockRight => "its clock is right again".to_owned(),
        }
    }
}

/// By how much a source's clock is off, in words.
pub(crate) fn off_words(off_ns: i64) -> String {
    let way = if off_ns > 0 { "behind" } else { "ahead of" };
    format!("its clock is {:.1} s {way} ours", off_ns.unsigned_abs() as f64 / 1e9)
}

impl State {
    /// A round failed.
    pub(crate) fn fail(&mut self, now_ns: i64, error: MeterError) -> Option<Change> {
        let was_lost = self.is_lost();
        self.rounds += 1;
        self.failed += 1;
        self.failures = self.failures.saturating_add(1);
        let since = self.trouble.as_ref().map_or(now_ns, |(since, _)| *since);
        self.trouble = Some((since, error.clone()));
        (self.is_lost() && !was_lost).then_some(Change::Lost(error))
    }

    /// A round brought `rows` rows, of clocks that are `off_ns`.
    pub(crate) fn succeed(&mut self, now_ns: i64, rows: u64, off_ns: Option<i64>) -> Vec<Change> {
        self.rounds += 1;
        self.rows += rows;
        if rows > 0 {
            self.last_row_ns = Some(now_ns);
        }
        let mut changes = Vec::new();
        let was_lost = self.is_lost();
        self.failures = 0;
        self.trouble = None;
        if was_lost {
            changes.push(Change::Back);
        }
        match (self.off_ns, off_ns) {
            (None, Some(off)) => changes.push(Change::ClockOff(off)),
            (Some(_), None) if rows > 0 => changes.push(Change::ClockRight),
            _ => {}
        }
        if rows > 0 {
            self.off_ns = off_ns;
        }
        changes
    }

    /// Whether it is taken for lost.
    pub(crate) fn is_lost(&self) -> bool {
        let refused = matches!(self.trouble, Some((_, MeterError::Refused(_))));
        refused || self.failures >= LOST_AFTER
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn silent() -> MeterError {
        MeterError::Silent("no answer in 3 s".to_owned())
    }

    #[test]
    fn one_lost_packet_is_no_lost_meter_and_two_are() {
        let mut state = State::default();
        assert_eq!(state.fail(1, silent()), None);
        assert_eq!(state.fail(2, silent()), Some(Change::Lost(silent())));
        assert_eq!(state.fail(3, silent()), None);
        assert_eq!(state.trouble, Some((1, silent())));
        assert_eq!(state.succeed(4, 2, None), [Change::Back]);
        assert_eq!((state.rounds, state.failed, state.rows), (4, 3, 2));
    }

    #[test]
    fn one_that_is_silent_and_then_refuses_is_told_once() {
        let refused = MeterError::Refused("wrong password".to_owned());
        let mut state = State::default();
        assert_eq!(state.fail(1, silent()), None);
        assert_eq!(state.fail(2, refused.clone()), Some(Change::Lost(refused.clone())));
        assert_eq!(state.fail(3, refused), None);
        assert_eq!(state.succeed(4, 1, None), [Change::Back]);
    }

    #[test]
    fn refused_credentials_are_told_at_once() {
        let refused = MeterError::Refused("wrong community".to_owned());
        let mut state = State::default();
        assert_eq!(state.fail(1, refused.clone()), Some(Change::Lost(refused)));
        assert!(state.is_lost());
    }

    #[test]
    fn a_clock_that_is_off_is_told_once() {
        let mut state = State::default();
        assert_eq!(state.succeed(1, 1, Some(7)), [Change::ClockOff(7)]);
        assert_eq!(state.succeed(2, 1, Some(8)), []);
        assert_eq!(state.succeed(3, 1, None), [Change::ClockRight]);
    }
}
