//! How many bytes had arrived when: a transfer's odometer, with a bound on its memory.

/// Readings kept; when full every second one is dropped.
const READINGS_MAX: usize = 4096;

/// Bytes over time, non-decreasing in both.
#[derive(Debug)]
pub struct Progress {
    readings: Vec<(u64, u64)>,
    latest: Option<(u64, u64)>,
    /// Only every so many-th reading is kept.
    stride: u64,
    seen: u64,
}

impl Default for Progress {
    fn default() -> Self {
        let readings = Vec::with_capacity(READINGS_MAX);
        Self { readings, latest: None, stride: 1, seen: 0 }
    }
}

impl Progress {
    /// Notes the total at an instant. Never allocates.
    pub fn note(&mut self, at_ns: u64, total: u64) {
        self.latest = Some((at_ns, total));
        if self.seen.is_multiple_of(self.stride) {
            if self.readings.len() == READINGS_MAX {
                let mut keep = false;
                self.readings.retain(|_| {
                    keep = !keep;
                    keep
                });
                self.stride *= 2;
            }
            self.readings.push((at_ns, total));
        }
        self.seen += 1;
    }

    /// The instants of the first and the last reading.
    #[must_use]
    pub fn span(&self) -> Option<(u64, u64)> {
        Some((self.readings.first()?.0, self.latest?.0))
    }

    /// The first kept instant at which at least `total` bytes had arrived.
    #[must_use]
    pub fn reached(&self, total: u64) -> Option<u64> {
        let at = self.readings.partition_point(|(_, bytes)| *bytes < total);
        self.readings.get(at).or(self.latest.as_ref()).filter(|r| r.1 >= total).map(|r| r.0)
    }

    /// Bytes that arrived between two instants, interpolated.
    #[must_use]
    pub fn between(&self, from_ns: u64, to_ns: u64) -> f64 {
        (self.at(to_ns) - self.at(from_ns)).max(0.0)
    }

    fn at(&self, instant_ns: u64) -> f64 {
        let after = self.readings.partition_point(|(at, _)| *at <= instant_ns);
        let next = self.readings.get(after).copied().or(self.latest);
        let (Some(before), Some(next)) = (after.checked_sub(1), next) else { return 0.0 };
        let (from, had) = self.readings[before];
        let (to, has) = next;
        if instant_ns >= to || to == from {
            return has as f64;
        }
        let share = (instant_ns - from) as f64 / (to - from) as f64;
        had as f64 + share * (has - had) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_transfer_is_measured_exactly_however_many_readings_there_were() {
        let mut progress = Progress::default();
        for step in 0..50_000u64 {
            progress.note(1_000 + step * 10, step * 70);
        }
        assert!(progress.readings.len() <= READINGS_MAX);
        assert_eq!(progress.span(), Some((1_000, 1_000 + 49_999 * 10)));
        assert!((progress.between(101_000, 301_000) - 1_400_000.0).abs() < 1.0);
        assert!((progress.between(0, u64::MAX) - 49_999.0 * 70.0).abs() < 1.0);
        assert_eq!(progress.reached(u64::MAX), None);
    }

    #[test]
    fn nothing_arrived_is_nothing() {
        let progress = Progress::default();
        assert_eq!((progress.span(), progress.between(0, 9)), (None, 0.0));
    }
}
