//! Where the GPU's `%globaltimer` lies on this machine's monotonic clock. Pure.
//!
//! A launch can't begin before it was submitted nor end after its end was seen: each gives an
//! interval that the offset lies in. The intervals of a minute are cut, widened by what two
//! quartz clocks may drift apart meanwhile.

/// Drift allowed between the two clocks: 20 ppm, as NTP's discipline and a quartz leave it.
const DRIFT_DIVISOR: u64 = 50_000;

/// Bounds on `monotonic - globaltimer`, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Timeline {
    bounds: Option<Bounds>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Bounds {
    least: i128,
    most: i128,
    at_ns: u64,
}

impl Timeline {
    /// Takes what one launch shows: host instants before submission and after its end was
    /// seen, device stamps of its begin and end.
    pub(super) fn learn(&mut self, submitted_ns: u64, seen_ns: u64, (begin, end): (u64, u64)) {
        let least = i128::from(submitted_ns) - i128::from(begin);
        let most = i128::from(seen_ns) - i128::from(end);
        if least > most {
            // Stamps longer than the host's own span: this launch says nothing.
            return;
        }
        let aged = self.bounds.map(|b| {
            let drift = i128::from(seen_ns.saturating_sub(b.at_ns) / DRIFT_DIVISOR);
            (b.least - drift, b.most + drift)
        });
        let (least, most) = match aged {
            // Clocks that contradict what was known have stepped: the newest is believed.
            Some((low, high)) if low.max(least) <= high.min(most) => {
                (low.max(least), high.min(most))
            }
            _ => (least, most),
        };
        self.bounds = Some(Bounds { least, most, at_ns: seen_ns });
    }

    /// The monotonic instant of a stamp; `None` before anything is known.
    pub(super) fn monotonic(&self, stamp: u64) -> Option<u64> {
        let bounds = self.bounds?;
        let offset = (bounds.least + bounds.most) / 2;
        u64::try_from(i128::from(stamp) + offset).ok()
    }

    /// Half-width of what the offset may be.
    #[cfg(test)]
    fn error_ns(&self) -> Option<u64> {
        self.bounds.map(|bounds| ((bounds.most - bounds.least) / 2) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_is_known_before_the_first_launch() {
        assert_eq!(Timeline::default().monotonic(5), None);
    }

    proptest! {
        #[test]
        fn a_stamp_is_placed_within_the_tightest_launch(
            offset in -1_000_000_000_000i64..1_000_000_000_000,
            launches in proptest::collection::vec((1_000u64..50_000, 1_000u64..400_000), 1..40),
        ) {
            let gpu = |host: u64| (host as i64 - offset) as u64;
            let mut timeline = Timeline::default();
            let mut now = 2_000_000_000_000u64;
            for (before, after) in &launches {
                let (begin, end) = (now + before, now + before + 1_500_000);
                timeline.learn(now, end + after, (gpu(begin), gpu(end)));
                now = end + after + 10_000;
            }
            let tightest = launches.iter().map(|(b, a)| b + a).min().unwrap_or(0);
            let drift = (now - 2_000_000_000_000) / DRIFT_DIVISOR * 2;
            let placed = timeline.monotonic(gpu(now)).unwrap();
            prop_assert!(placed.abs_diff(now) <= tightest / 2 + drift + 1, "{placed} {now}");
            prop_assert!(timeline.error_ns().unwrap() <= tightest / 2 + drift + 1);
        }
    }
}
