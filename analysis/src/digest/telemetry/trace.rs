//! A trace: the course of temperature and power over a cell's time, in bins of bounded
//! number. Integer sums and counts; which bins there are follows from the times alone.

use model::Metric;

/// Bins of one second that are kept of a cell's beginning: a cold plate has settled by
/// then (time constants of a junction are seconds; published steps of air-cooled cards
/// pass their fast part within 16 s).
pub const HEAD_BINS: i64 = 64;
/// Most bins of the whole: enough for a slow time constant of a tenth of the cell.
pub const WHOLE_BINS: i64 = 64;
/// What is traced, by the position in a bin.
const TRACED: [Metric; 2] = [Metric::TempC, Metric::PowerW];
/// Steps of one unit (1/1024 K, 1/1024 W): far finer than any sensor's.
const STEPS: f64 = 1_024.0;
/// Values beyond are left out: a device of a megawatt is a mistake of units. With
/// [`STEPS`] it keeps the sum of 2^32 values inside 64 bits.
const MOST: f64 = 1e6;
const NS_PER_S: i64 = 1_000_000_000;

/// Means over equal bins of time, aligned to absolute time.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// Width of a bin, in seconds.
    pub bin_s: i64,
    /// Bins that have a value, ascending.
    pub points: Vec<Point>,
}

/// One bin.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// When the bin starts, in seconds since the Unix epoch.
    pub start_s: i64,
    /// In the metric's unit.
    pub mean: f64,
    /// Values in it.
    pub count: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Bin {
    sum: [i64; TRACED.len()],
    count: [u32; TRACED.len()],
}

/// Bins of one second from the earliest on; the last one has a value.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Head {
    first: Option<i64>,
    bins: Vec<Bin>,
}

/// Bins of 2^shift seconds without holes, the first at `first` such widths.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Whole {
    shift: u32,
    first: i64,
    bins: Vec<Bin>,
}

/// The course of one cell.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Trace {
    head: Head,
    whole: Whole,
}

/// A row's second and what was measured of [`TRACED`]; NaN is not measured.
pub(super) type Moment = (i64, [f64; TRACED.len()]);

/// The second of an instant.
pub(super) fn second(time_ns: i64) -> i64 {
    time_ns.div_euclid(NS_PER_S)
}

impl Trace {
    /// Counts rows.
    pub(super) fn add(&mut self, moments: &[Moment]) {
        let seconds = moments.iter().map(|(second, _)| *second);
        let (Some(low), Some(high)) = (seconds.clone().min(), seconds.max()) else { return };
        self.whole.widen(low, high);
        for (second, values) in moments {
            let at = (second >> self.whole.shift) - self.whole.first;
            self.whole.bins[at as usize].add(values);
        }
        if self.head.begin(low) {
            for (second, values) in moments {
                if let Some(bin) = self.head.bin(*second) {
                    bin.add(values);
                }
            }
            self.head.trim();
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        let Some((low, high)) = other.whole.span() else { return };
        self.whole.widen(low, high);
        // The merged bins are at least as wide as theirs.
        let narrower = self.whole.shift - other.whole.shift.min(self.whole.shift);
        for (at, bin) in (other.whole.first..).zip(&other.whole.bins) {
            let at = (at >> narrower) - self.whole.first;
            self.whole.bins[at as usize].merge(bin);
        }
        let Some(first) = other.head.first else { return };
        if self.head.begin(first) {
            for (second, theirs) in (first..).zip(&other.head.bins) {
                if let Some(bin) = self.head.bin(second) {
                    bin.merge(theirs);
                }
            }
            self.head.trim();
        }
    }

    /// The first [`HEAD_BINS`] seconds; `None` where the metric was not traced or measured.
    pub(super) fn head(&self, metric: Metric) -> Option<Curve> {
        curve(metric, self.head.first?, 0, &self.head.bins)
    }

    /// All of it.
    pub(super) fn whole(&self, metric: Metric) -> Option<Curve> {
        curve(metric, self.whole.first, self.whole.shift, &self.whole.bins)
    }
}

impl Bin {
    fn add(&mut self, values: &[f64; TRACED.len()]) {
        for (metric, value) in values.iter().enumerate() {
            // NaN fails the comparison as well.
            if value.abs() <= MOST {
                self.sum[metric] = self.sum[metric].wrapping_add(steps(*value));
                self.count[metric] = self.count[metric].wrapping_add(1);
            }
        }
    }

    fn merge(&mut self, other: &Self) {
        for metric in 0..TRACED.len() {
            self.sum[metric] = self.sum[metric].wrapping_add(other.sum[metric]);
            self.count[metric] = self.count[metric].wrapping_add(other.count[metric]);
        }
    }
}

/// The nearest number of steps: added to 1.5 x 2^52 a number is rounded to a whole one,
/// which then stands in the lowest bits.
fn steps(value: f64) -> i64 {
    const MAGIC: f64 = 6_755_399_441_055_744.0;
    (value * STEPS + MAGIC).to_bits() as i64 - MAGIC.to_bits() as i64
}

impl Head {
    /// Lets the window begin no later than here; what lies behind its end then is dropped.
    /// Whether this second is inside.
    fn begin(&mut self, second: i64) -> bool {
        let first = *self.first.get_or_insert(second);
        if second < first {
            let before = (first - second).min(HEAD_BINS) as usize;
            self.bins.truncate(HEAD_BINS as usize - before);
            if !self.bins.is_empty() {
                self.bins.splice(0..0, std::iter::repeat_n(Bin::default(), before));
            }
            self.trim();
            self.first = Some(second);
        }
        second.max(first) - first < HEAD_BINS
    }

    /// The bin of a second, if that is inside the window.
    fn bin(&mut self, second: i64) -> Option<&mut Bin> {
        let at = second - self.first?;
        if !(0..HEAD_BINS).contains(&at) {
            return None;
        }
        if at as usize >= self.bins.len() {
            self.bins.resize(at as usize + 1, Bin::default());
        }
        self.bins.get_mut(at as usize)
    }

    fn trim(&mut self) {
        while self.bins.last().is_some_and(|bin| bin.count == [0; TRACED.len()]) {
            self.bins.pop();
        }
    }
}

impl Whole {
    /// Makes the whole's bins reach from `low` to `high`, wider where they would be too many.
    fn widen(&mut self, low: i64, high: i64) {
        let (mut low, mut high) = (low, high);
        if let Some((first, last)) = self.span() {
            (low, high) = (low.min(first), high.max(last));
        } else {
            self.first = low >> self.shift;
        }
        while (high >> self.shift) - (low >> self.shift) >= WHOLE_BINS {
            self.halve();
        }
        let before = self.first - (low >> self.shift);
        if before > 0 {
            self.bins.splice(0..0, std::iter::repeat_n(Bin::default(), before as usize));
            self.first = low >> self.shift;
        }
        let wanted = (high >> self.shift) - self.first + 1;
        if self.bins.len() < wanted as usize {
            self.bins.resize(wanted as usize, Bin::default());
        }
    }

    /// Half as many bins, twice as wide.
    fn halve(&mut self) {
        let first = self.first >> 1;
        let mut halved: Vec<Bin> = Vec::with_capacity(self.bins.len() / 2 + 1);
        for (at, bin) in (self.first..).zip(&self.bins) {
            let at = ((at >> 1) - first) as usize;
            if at == halved.len() {
                halved.push(Bin::default());
            }
            halved[at].merge(bin);
        }
        (self.bins, self.first, self.shift) = (halved, first, self.shift + 1);
    }

    /// First and last second that its bins cover.
    fn span(&self) -> Option<(i64, i64)> {
        let bins = self.bins.len() as i64;
        let last = ((self.first + bins) << self.shift) - 1;
        (bins > 0).then_some((self.first << self.shift, last))
    }
}

fn curve(metric: Metric, first: i64, shift: u32, bins: &[Bin]) -> Option<Curve> {
    let which = TRACED.iter().position(|traced| *traced == metric)?;
    let point = |(at, bin): (i64, &Bin)| {
        let count = bin.count[which];
        let mean = bin.sum[which] as f64 / STEPS / f64::from(count);
        (count > 0).then_some(Point { start_s: at << shift, mean, count })
    };
    let points: Vec<Point> = (first..).zip(bins).filter_map(point).collect();
    (!points.is_empty()).then_some(Curve { bin_s: 1 << shift, points })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn trace(moments: &[Moment]) -> Trace {
        let mut trace = Trace::default();
        trace.add(moments);
        trace
    }

    #[test]
    fn the_head_is_the_first_seconds_and_the_whole_is_bounded() {
        let moments: Vec<Moment> =
            (0..1_000).map(|s| (1_000_003 + s, [s as f64, f64::NAN])).collect();
        let trace = trace(&moments);
        let head = trace.head(Metric::TempC).unwrap();
        assert_eq!((head.bin_s, head.points.len()), (1, 64));
        assert_eq!(head.points[63], Point { start_s: 1_000_066, mean: 63.0, count: 1 });
        let whole = trace.whole(Metric::TempC).unwrap();
        assert_eq!((whole.bin_s, whole.points.len()), (16, 63));
        // 1,000,016 to 1,000,031 are the seconds 13 to 28 of the course.
        assert_eq!(whole.points[1], Point { start_s: 1_000_016, mean: 20.5, count: 16 });
        assert_eq!(trace.head(Metric::PowerW), None);
        assert_eq!(trace.whole(Metric::ClockMhz), None);
    }

    #[test]
    fn a_mistake_of_units_is_left_out() {
        let trace = trace(&[(5, [1e300, f64::INFINITY]), (5, [-0.25, 7.0])]);
        let mean = |metric| trace.head(metric).map(|curve| curve.points[0].mean);
        assert_eq!((mean(Metric::TempC), mean(Metric::PowerW)), (Some(-0.25), Some(7.0)));
    }

    fn moments() -> impl Strategy<Value = Vec<Moment>> {
        let second = prop_oneof![-100i64..300, Just(-9_223_372_037), Just(9_223_372_036)];
        let value = || prop_oneof![-50f64..100.0, Just(f64::NAN)];
        prop::collection::vec((second, [value(), value()]), 0..30)
    }

    proptest! {
        #[test]
        fn order_and_grouping_do_not_show(a in moments(), b in moments(), c in moments()) {
            let (mut left, mut bc, mut backwards) = (trace(&a), trace(&b), trace(&c));
            left.merge(&trace(&b));
            left.add(&c);
            bc.merge(&trace(&c));
            let mut right = trace(&a);
            right.merge(&bc);
            backwards.merge(&trace(&b));
            a.iter().rev().for_each(|moment| backwards.add(&[*moment]));
            prop_assert_eq!(&left, &right);
            prop_assert_eq!(&left, &backwards);
            let all: Vec<Moment> = [a, b, c].concat();
            prop_assert_eq!(&left, &trace(&all));
            prop_assert!(left.whole.bins.len() <= WHOLE_BINS as usize);
            let measured = all.iter().filter(|(_, values)| !values[0].is_nan()).count();
            let counted = left.whole(Metric::TempC).map_or(0, |curve| {
                curve.points.iter().map(|point| point.count as usize).sum()
            });
            prop_assert_eq!(measured, counted);
        }
    }
}
