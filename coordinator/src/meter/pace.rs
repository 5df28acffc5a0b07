//! When a device is asked next: pure.

use std::time::Duration;

use super::port::MeterError;

/// A device that fails is asked more and more rarely, and at least so often.
const BACK_OFF_MOST: Duration = Duration::from_secs(30);
/// Credentials that were refused are tried no more often than this: accounts get locked.
const REFUSED_WAIT: Duration = Duration::from_secs(60);
/// The doubling ends here; 2^10 is beyond the longest wait for every distance.
const DOUBLINGS_MAX: u32 = 10;

/// The rhythm of one device.
#[derive(Debug, Clone)]
pub(crate) struct Pace {
    every: Duration,
    failures: u32,
}

impl Pace {
    pub(crate) fn new(every: Duration) -> Self {
        Self { every, failures: 0 }
    }

    /// From the beginning of a round to that of the next.
    pub(crate) fn after<T>(&mut self, result: &Result<T, MeterError>) -> Duration {
        match result {
            Ok(_) => {
                self.failures = 0;
                self.every
            }
            Err(MeterError::Refused(_)) => REFUSED_WAIT.max(self.every),
            Err(_) => {
                self.failures = (self.failures + 1).min(DOUBLINGS_MAX);
                // The first failure is often one lost packet: it costs nothing.
                let wait = self.every * 2_u32.pow(self.failures - 1);
                wait.min(BACK_OFF_MOST.max(self.every))
            }
        }
    }
}

/// Where in its second each of many devices is asked, so that not all of them are at once.
pub(crate) fn offset(index: usize, of: usize, every: Duration) -> Duration {
    every.mul_f64(index as f64 / of.max(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_double_the_distance_and_one_answer_ends_that() {
        let mut pace = Pace::new(Duration::from_secs(1));
        let silent: Result<(), _> = Err(MeterError::Silent(String::new()));
        let waits: Vec<u64> = (0..8).map(|_| pace.after(&silent).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30, 30]);
        assert_eq!(pace.after(&Ok(())).as_secs(), 1);
        assert_eq!(pace.after(&silent).as_secs(), 1);
    }

    #[test]
    fn refused_credentials_are_not_hammered() {
        let mut pace = Pace::new(Duration::from_millis(100));
        let refused: Result<(), _> = Err(MeterError::Refused(String::new()));
        assert_eq!(pace.after(&refused), Duration::from_secs(60));
    }

    #[test]
    fn a_slow_source_is_not_asked_faster_because_it_failed() {
        let mut pace = Pace::new(Duration::from_secs(300));
        let silent: Result<(), _> = Err(MeterError::Silent(String::new()));
        assert!((0..12).all(|_| pace.after(&silent) == Duration::from_secs(300)));
    }

    #[test]
    fn devices_share_their_second() {
        let second = Duration::from_secs(1);
        assert_eq!(offset(0, 200, second), Duration::ZERO);
        assert_eq!(offset(100, 200, second), Duration::from_millis(500));
    }
}
