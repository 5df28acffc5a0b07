//! Courses: what devices drew and felt over time, put on one time base.

use std::collections::BTreeMap;

use analysis::Evidence;
use analysis::digest::telemetry::Point;
use model::Metric;

/// Most instants of a course: a point for every few pixels.
const POINTS_MAX: i64 = 400;

/// What all devices of a selection say together in one bin of time.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Moment {
    pub(super) sum: f64,
    pub(super) most: Option<f64>,
    pub(super) devices: u32,
}

/// Bins of time, in order.
#[derive(Debug, Clone, Default)]
pub(super) struct Course {
    /// Width of a bin, in seconds.
    pub(super) bin_s: i64,
    /// By the second in which a bin starts.
    pub(super) moments: BTreeMap<i64, Moment>,
}

impl Course {
    /// The course of a metric over the devices of these nodes.
    pub(super) fn of(evidence: &Evidence, metric: Metric, of_node: impl Fn(&str) -> bool) -> Self {
        let devices: Vec<Vec<(i64, Point)>> = evidence
            .seen
            .telemetry
            .devices()
            .filter(|(key, _)| of_node(&key.node))
            .map(|(_, cells)| {
                let curves = cells.values().filter_map(|cell| cell.whole(metric));
                curves.flat_map(|c| c.points.into_iter().map(move |p| (c.bin_s, p))).collect()
            })
            .collect();
        let points = || devices.iter().flatten();
        let starts = || points().map(|(_, point)| point.start_s);
        let (Some(first), Some(last)) = (starts().min(), starts().max()) else {
            return Self::default();
        };
        // No bin is narrower than the widest that was kept: a mean can't be cut up again.
        let widest = points().map(|(width, _)| *width).max().unwrap_or(1);
        let bin_s = widest.max((last - first) / POINTS_MAX + 1);
        let mut moments: BTreeMap<i64, Moment> = BTreeMap::new();
        for device in &devices {
            for (start, mean) in means(device, bin_s) {
                let moment = moments.entry(start).or_default();
                moment.sum += mean;
                moment.most = Some(moment.most.map_or(mean, |most| most.max(mean)));
                moment.devices += 1;
            }
        }
        Self { bin_s, moments }
    }

    /// Moments in which nearly all devices spoke: a sum over half of them is none.
    pub(super) fn whole(&self) -> impl Iterator<Item = (i64, &Moment)> {
        let all = self.moments.values().map(|moment| moment.devices).max().unwrap_or(0);
        let whole = move |moment: &Moment| u64::from(moment.devices) * 10 >= u64::from(all) * 9;
        self.moments.iter().filter(move |(_, m)| whole(m)).map(|(at, moment)| (*at, moment))
    }
}

/// One device's means in bins of this width.
fn means(points: &[(i64, Point)], bin_s: i64) -> BTreeMap<i64, f64> {
    let mut sums: BTreeMap<i64, (f64, f64)> = BTreeMap::new();
    for (_, point) in points {
        let count = f64::from(point.count);
        let sum = sums.entry(point.start_s.div_euclid(bin_s) * bin_s).or_default();
        *sum = (sum.0 + point.mean * count, sum.1 + count);
    }
    let means = sums.into_iter().filter(|(_, (_, count))| *count > 0.0);
    means.map(|(at, (sum, count))| (at, sum / count)).collect()
}
