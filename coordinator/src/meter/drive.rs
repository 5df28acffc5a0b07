//! Drives one device: asks it in its rhythm, bounds every read, and hands on what it said.
//!
//! One task a device, so that one that hangs delays none of the others.

use std::sync::Arc;
use std::time::Duration;

use model::table::MeterRow;
use tokio::time::{Instant, sleep_until, timeout};

use super::pace::Pace;
use super::port::{Meter, MeterError, Round};
use super::row::Rows;
use super::state::{Change, State};

/// Which device it is, in words of the document.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) source: String,
    pub(crate) address: String,
    pub(crate) domain: String,
}

/// The rhythm that the document asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rhythm {
    pub(crate) every: Duration,
    pub(crate) deadline: Duration,
    /// Before the first question.
    pub(crate) offset: Duration,
}

/// Whoever hears what devices say.
pub(crate) trait Ear: Send + Sync + 'static {
    /// The coordinator's clock, nanoseconds since the Unix epoch.
    fn now_ns(&self) -> i64;
    fn rows(&self, place: &Place, rows: Vec<MeterRow>, heartbeat: bool);
    fn wrong(&self, place: &Place, what: &str);
    fn state(&self, place: &Place, state: &State, changes: &[Change]);
}

/// Asks until the task is dropped.
pub(crate) async fn drive<M: Meter>(mut meter: M, place: Place, rhythm: Rhythm, ear: Arc<dyn Ear>) {
    let mut pace = Pace::new(rhythm.every);
    let mut rows = Rows::new(M::SPEAKS);
    let mut state = State::default();
    let mut next = Instant::now() + rhythm.offset;
    loop {
        sleep_until(next).await;
        let asked_ns = ear.now_ns();
        let result = bounded(&mut meter, rhythm.deadline).await;
        let wait = pace.after(&result);
        // A speaker is heard again at once; a turn that was missed is not made up for.
        next = match (&result, M::SPEAKS) {
            (Ok(_), true) => Instant::now(),
            _ => (next + wait).max(Instant::now()),
        };
        hear::<M>(result, &mut rows, &mut state, (asked_ns, &place, &*ear));
    }
}

async fn bounded<M: Meter>(meter: &mut M, deadline: Duration) -> Result<Round, MeterError> {
    timeout(deadline, meter.read()).await.unwrap_or_else(|_| {
        let seconds = deadline.as_secs_f64();
        Err(MeterError::Silent(format!("nothing came within {seconds} s")))
    })
}

fn hear<M: Meter>(
    result: Result<Round, MeterError>,
    rows: &mut Rows,
    state: &mut State,
    (asked_ns, place, ear): (i64, &Place, &dyn Ear),
) {
    let now_ns = ear.now_ns();
    let changes = match result {
        Ok(round) => {
            let made = rows.of(&round, asked_ns, now_ns);
            state.doubles += made.doubles;
            state.wrong += round.wrong.len() as u64;
            for wrong in &round.wrong {
                ear.wrong(place, wrong);
            }
            let count = made.rows.len() as u64;
            // Whoever answers is alive; who speaks by itself says so.
            let answered = !M::SPEAKS && round.readings.iter().any(|reading| reading.good);
            ear.rows(place, made.rows, round.heartbeat || answered);
            state.succeed(now_ns, count, made.off_ns)
        }
        Err(error) => state.fail(now_ns, error).into_iter().collect(),
    };
    ear.state(place, state, &changes);
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::super::port::Reading;
    use super::*;

    /// Answers, then hangs, then answers.
    struct Scripted(u32);

    impl Meter for Scripted {
        async fn read(&mut self) -> Result<Round, MeterError> {
            self.0 += 1;
            if (3..=5).contains(&self.0) {
                std::future::pending::<()>().await;
            }
            let readings = vec![Reading::new("pdu-a", "power_kw", f64::from(self.0))];
            Ok(Round { readings, ..Round::default() })
        }
    }

    #[derive(Default)]
    struct Heard {
        values: Mutex<Vec<f64>>,
        changes: Mutex<Vec<Change>>,
    }

    impl Ear for Heard {
        fn now_ns(&self) -> i64 {
            0
        }
        fn rows(&self, _: &Place, rows: Vec<MeterRow>, _: bool) {
            self.values.lock().unwrap().extend(rows.iter().filter_map(|row| row.value));
        }
        fn wrong(&self, _: &Place, what: &str) {
            panic!("{what}");
        }
        fn state(&self, _: &Place, _: &State, changes: &[Change]) {
            self.changes.lock().unwrap().extend_from_slice(changes);
        }
    }

    #[tokio::test]
    async fn a_device_that_hangs_is_lost_and_comes_back() {
        let ear = Arc::new(Heard::default());
        let place = Place {
            source: "pdus".to_owned(),
            address: "a:161".to_owned(),
            domain: "pdu-a".to_owned(),
        };
        let rhythm = Rhythm {
            every: Duration::from_millis(10),
            deadline: Duration::from_millis(50),
            offset: Duration::ZERO,
        };
        let driven = tokio::spawn(drive(Scripted(0), place, rhythm, ear.clone()));
        while ear.values.lock().unwrap().len() < 3 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        driven.abort();
        let values = ear.values.lock().unwrap();
        assert_eq!(values[..3], [1.0, 2.0, 6.0]);
        let silent = MeterError::Silent("nothing came within 0.05 s".to_owned());
        assert_eq!(*ear.changes.lock().unwrap(), [Change::Lost(silent), Change::Back]);
    }
}
