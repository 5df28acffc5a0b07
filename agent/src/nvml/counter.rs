//! A counter of throttled time that proves itself: it never goes back, it advances while its
//! reason's bit is set, and no faster than time. One that does otherwise is another field
//! under this number, and is not measured from then on.

use model::reading::{Absence, Reading};

/// A bit that was set at every look for so long must show in its counter.
const PROOF_NS: u64 = 3_000_000_000;
/// Share of that time which the counter must have: bits are looked at now and then only.
const PROOF_SHARE: f64 = 0.5;
/// A counter may step late, and catch up then.
const STEP_NS: u64 = 2_000_000_000;

/// One counter of nanoseconds and its self-check.
#[derive(Debug, Default)]
pub(super) struct Counter {
    last: Option<(u64, u64)>,
    /// Since when the bit was set at every look, and what the counter was then.
    set_since: Option<(u64, u64)>,
    broken: Option<&'static str>,
}

impl Counter {
    /// Takes a look at `now_ns`: the counter, and whether its bit is set. Seconds.
    pub(super) fn take(
        &mut self,
        now_ns: u64,
        count: Reading<u64>,
        bit: Option<bool>,
    ) -> Reading<f64> {
        let count = match count {
            Reading::Value(count) if self.broken.is_none() => count,
            Reading::Value(_) => return Reading::Absent(Absence::Failed),
            Reading::Absent(why) => return Reading::Absent(why),
        };
        self.broken = self.flaw(now_ns, count, bit);
        self.last = Some((now_ns, count));
        match self.broken {
            Some(_) => Reading::Absent(Absence::Failed),
            None => Reading::Value(count as f64 / 1e9),
        }
    }

    /// Why it is not measured any more.
    pub(super) fn broken(&self) -> Option<&'static str> {
        self.broken
    }

    fn flaw(&mut self, now_ns: u64, count: u64, bit: Option<bool>) -> Option<&'static str> {
        if let Some((before_ns, before)) = self.last {
            if count < before {
                return Some("it went back");
            }
            if count - before > now_ns.saturating_sub(before_ns) + STEP_NS {
                return Some("it ran faster than time");
            }
        }
        if bit != Some(true) {
            self.set_since = None;
            return None;
        }
        let (since_ns, then) = *self.set_since.get_or_insert((now_ns, count));
        let set_ns = now_ns.saturating_sub(since_ns);
        let least = set_ns as f64 * PROOF_SHARE;
        if set_ns < PROOF_NS {
            return None;
        }
        if ((count - then) as f64) < least {
            return Some("it stood still while its reason was set");
        }
        self.set_since = Some((now_ns, count));
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    fn play(looks: &[(u64, u64, bool)]) -> Option<&'static str> {
        let mut counter = Counter::default();
        for (second, count_ms, bit) in looks {
            counter.take(second * S, Reading::Value(count_ms * 1_000_000), Some(*bit));
        }
        counter.broken()
    }

    #[test]
    fn a_counter_that_advances_with_its_bit_is_believed() {
        let looks: Vec<_> = (0..20).map(|s| (s, 5_000 + 1_000 * s, true)).collect();
        assert_eq!(play(&looks), None);
        let idle: Vec<_> = (0..20).map(|s| (s, 7, false)).collect();
        assert_eq!(play(&idle), None);
    }

    #[test]
    fn a_flag_under_the_counters_number_is_found_out() {
        let flag: Vec<_> = (0..9).map(|s| (s, 0, s > 2)).collect();
        assert_eq!(play(&flag), Some("it stood still while its reason was set"));
    }

    #[test]
    fn a_counter_that_goes_back_or_runs_wild_is_no_counter() {
        assert_eq!(play(&[(0, 50, false), (1, 49, false)]), Some("it went back"));
        assert_eq!(play(&[(0, 0, false), (1, 9_000, false)]), Some("it ran faster than time"));
    }

    #[test]
    fn a_broken_counter_stays_broken() {
        let mut counter = Counter::default();
        counter.take(0, Reading::Value(5), None);
        counter.take(S, Reading::Value(4), None);
        let later = counter.take(2 * S, Reading::Value(6), None);
        assert_eq!(later, Reading::Absent(Absence::Failed));
    }
}
