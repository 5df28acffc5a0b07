//! The latency histogram: one range and precision for everybody, so that any two add.

use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2Serializer};

/// Shortest latency told apart, in nanoseconds (reference: HdrHistogram bounds that keep
/// one histogram at 11 KiB and its V2 form below 1 KB).
pub const LOWEST_NS: u64 = 100;
/// Longest latency recorded; anything longer is counted here and in `overflows`.
pub const HIGHEST_NS: u64 = 10_000_000_000;
/// Significant digits kept: values are within 1 % of the truth.
pub const DIGITS: u8 = 2;
/// A V2 form larger than this is refused: ten times the largest that the bounds allow.
pub const ENCODED_BYTES_MAX: usize = 64 * 1024;

/// Latencies in nanoseconds. Merging is addition; percentiles are never averaged.
#[derive(Debug, Clone, PartialEq)]
pub struct LatencyHistogram {
    counts: Histogram<u32>,
    /// Values above [`HIGHEST_NS`], recorded at the upper bound.
    overflows: u64,
    /// The longest value as it was, and the instant when it was intended to start.
    longest: Option<Longest>,
}

/// The longest latency seen, exact, with its instant: a flap is one huge sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Longest {
    /// The latency in nanoseconds, not rounded.
    pub latency_ns: u64,
    /// When the probe was meant to be sent, nanoseconds on the recorder's clock.
    pub at_ns: i64,
}

/// A histogram that arrived and can't be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum HistogramError {
    /// Longer than any histogram of ours.
    #[error("encoded histogram of {0} bytes is over the limit of {ENCODED_BYTES_MAX}")]
    TooLarge(usize),
    /// Not a V2 histogram.
    #[error("not a V2 histogram: {0}")]
    Malformed(String),
    /// Recorded with other bounds or another precision.
    #[error("histogram bounds {low}..{high} ns with {digits} digits are not ours")]
    OtherBounds { low: u64, high: u64, digits: u8 },
}

impl Default for LatencyHistogram {
    fn default() -> Self {
        let counts = Histogram::new_with_bounds(LOWEST_NS, HIGHEST_NS, DIGITS)
            .unwrap_or_else(|error| unreachable!("constant bounds are valid: {error}"));
        Self { counts, overflows: 0, longest: None }
    }
}

impl LatencyHistogram {
    /// Records one latency; `at_ns` is the intended send time. Never allocates.
    pub fn record(&mut self, latency_ns: u64, at_ns: i64) {
        if latency_ns > HIGHEST_NS {
            self.overflows += 1;
        }
        self.counts.saturating_record(latency_ns.clamp(LOWEST_NS, HIGHEST_NS));
        self.keep_longest(Longest { latency_ns, at_ns });
    }

    /// Adds another histogram's counts.
    pub fn merge(&mut self, other: &Self) {
        self.counts
            .add(&other.counts)
            .unwrap_or_else(|error| unreachable!("all histograms share their bounds: {error}"));
        self.overflows += other.overflows;
        if let Some(longest) = other.longest {
            self.keep_longest(longest);
        }
    }

    /// Forgets everything, keeps the memory.
    pub fn clear(&mut self) {
        self.counts.reset();
        self.overflows = 0;
        self.longest = None;
    }

    /// Number of latencies recorded.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.len()
    }

    /// Latencies that were longer than the range.
    #[must_use]
    pub fn overflows(&self) -> u64 {
        self.overflows
    }

    /// The longest latency and its instant.
    #[must_use]
    pub fn longest(&self) -> Option<Longest> {
        self.longest
    }

    /// Moves the instant of the longest value to another clock.
    pub fn map_instants(&mut self, to: impl Fn(i64) -> i64) {
        if let Some(longest) = &mut self.longest {
            longest.at_ns = to(longest.at_ns);
        }
    }

    /// The latency below which `quantile` (0..=1) of the values lie; `None` when empty.
    #[must_use]
    pub fn quantile_ns(&self, quantile: f64) -> Option<u64> {
        (!self.counts.is_empty()).then(|| self.counts.value_at_quantile(quantile))
    }

    /// The counts themselves, for those who write them in other forms.
    #[must_use]
    pub fn counts(&self) -> &Histogram<u32> {
        &self.counts
    }

    /// The V2 form (HdrHistogram's own), as shipped on the wire.
    #[must_use]
    pub fn to_v2(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        V2Serializer::new()
            .serialize(&self.counts, &mut bytes)
            .unwrap_or_else(|error| unreachable!("writing to memory can't fail: {error}"));
        bytes
    }

    /// Reads a V2 form back, with what V2 does not carry.
    ///
    /// # Errors
    /// When the bytes are too many, are no V2 histogram, or were recorded with other bounds.
    pub fn from_v2(
        mut bytes: &[u8],
        overflows: u64,
        longest: Option<Longest>,
    ) -> Result<Self, HistogramError> {
        if bytes.len() > ENCODED_BYTES_MAX {
            return Err(HistogramError::TooLarge(bytes.len()));
        }
        let counts: Histogram<u32> = Deserializer::new()
            .deserialize(&mut bytes)
            .map_err(|error| HistogramError::Malformed(format!("{error:?}")))?;
        let ours = Self::default();
        let same = counts.low() == ours.counts.low()
            && counts.high() == ours.counts.high()
            && counts.sigfig() == DIGITS;
        if !same {
            let (low, high, digits) = (counts.low(), counts.high(), counts.sigfig());
            return Err(HistogramError::OtherBounds { low, high, digits });
        }
        let mut histogram = ours;
        histogram.counts.add(&counts).map_err(|e| HistogramError::Malformed(format!("{e:?}")))?;
        histogram.overflows = overflows;
        histogram.longest = longest;
        Ok(histogram)
    }

    fn keep_longest(&mut self, candidate: Longest) {
        // Ties go to the earlier instant, so that merging in any order gives one answer.
        let better = self.longest.is_none_or(|kept| {
            (candidate.latency_ns, -i128::from(candidate.at_ns))
                > (kept.latency_ns, -i128::from(kept.at_ns))
        });
        if better {
            self.longest = Some(candidate);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_empty_histogram_has_no_percentile() {
        assert_eq!(LatencyHistogram::default().quantile_ns(0.5), None);
    }

    #[test]
    fn too_long_is_counted_and_the_longest_stays_exact() {
        let mut histogram = LatencyHistogram::default();
        histogram.record(30_000_000_000, 7);
        assert_eq!(histogram.overflows(), 1);
        assert_eq!(histogram.longest(), Some(Longest { latency_ns: 30_000_000_000, at_ns: 7 }));
        assert!(histogram.quantile_ns(1.0) >= Some(HIGHEST_NS));
    }

    #[test]
    fn garbage_is_refused() {
        assert!(LatencyHistogram::from_v2(&[1, 2, 3], 0, None).is_err());
        let too_large = vec![0; ENCODED_BYTES_MAX + 1];
        assert!(LatencyHistogram::from_v2(&too_large, 0, None).is_err());
    }

    proptest! {
        #[test]
        fn the_wire_form_keeps_everything(values in prop::collection::vec(1u64..20_000_000_000, 1..200)) {
            let mut histogram = LatencyHistogram::default();
            for (at, value) in values.iter().enumerate() {
                histogram.record(*value, at as i64);
            }
            let back = LatencyHistogram::from_v2(
                &histogram.to_v2(), histogram.overflows(), histogram.longest()).unwrap();
            prop_assert_eq!(&back.to_v2(), &histogram.to_v2());
            prop_assert_eq!(back.quantile_ns(0.99), histogram.quantile_ns(0.99));
            prop_assert_eq!(back.longest(), histogram.longest());
        }

        #[test]
        fn merging_does_not_depend_on_order(
            a in prop::collection::vec((1u64..20_000_000_000, 0i64..9), 0..50),
            b in prop::collection::vec((1u64..20_000_000_000, 0i64..9), 0..50),
        ) {
            let fill = |values: &[(u64, i64)]| {
                let mut histogram = LatencyHistogram::default();
                for (value, at) in values { histogram.record(*value, *at); }
                histogram
            };
            let (mut ab, mut ba) = (fill(&a), fill(&b));
            ab.merge(&fill(&b));
            ba.merge(&fill(&a));
            prop_assert_eq!(ab.to_v2(), ba.to_v2());
            prop_assert_eq!((ab.longest(), ab.overflows()), (ba.longest(), ba.overflows()));
        }
    }
}
