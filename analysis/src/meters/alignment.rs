//! By how much each power meter's clock is off: its readings against the load's own steps.
//!
//! Stamps of a building's meters are of clocks that nobody set together. The load is a code
//! that all of them show: the shift at which a meter's kilowatts follow the watts of its nodes
//! best is the distance of their clocks. A meter without kilowatts, or whose kilowatts tell
//! nothing, may have an energy counter that does. Without a step in the load, or where it is followed
//! equally well at several shifts, the distance is not known, and no order of events is claimed.

use std::collections::BTreeMap;

use model::site::DomainIx;
use model::{Metric, NodeName};

use super::Board;
use super::course::Course;
use crate::digest::telemetry::{CellKey, Telemetry};

/// Shifts that are tried, to both sides, in seconds; and no more than a quarter of the trace, so
/// that most of it still meets the load.
const SHIFT_MOST_S: f64 = 120.0;
const SHIFT_SHARE: f64 = 0.25;
/// Shifts of a bin's quarter: finer ones than the bins can tell are noise.
const SHIFTS_A_BIN: f64 = 4.0;
/// A load whose steps are smaller than this share of its most is no code.
const STEP_LEAST: f64 = 0.1;
/// Correlation below which a meter does not follow its nodes.
const FOLLOWS: f64 = 0.9;
/// Shifts whose unexplained part is within this of the best one's can't be told from it
/// (proposal: ten bins of a clean step differ by more).
const AS_GOOD: f64 = 0.02;
/// Bins that must meet the load for a correlation to be one.
const BINS_LEAST: usize = 8;

/// A meter's clock against the nodes' telemetry.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Alignment {
    pub(crate) domain: DomainIx,
    /// The meter's clock minus ours and its bound, in seconds; `None` where the load can't tell.
    pub(crate) offset_s: Option<(f64, f64)>,
}

/// When a load was how high, on our clock.
#[derive(Debug, Clone, PartialEq)]
struct Step {
    from_s: f64,
    to_s: f64,
    watts: f64,
}

/// Every power meter of the board. `ahead_ns`: by how much our clock is ahead of each node's.
pub(super) fn alignments(
    telemetry: &Telemetry,
    board: &Board,
    ahead_ns: &BTreeMap<NodeName, Vec<(i64, i64)>>,
) -> Vec<Alignment> {
    let loads = loads(telemetry, ahead_ns);
    let power = board.metered(model::site::Family::Power);
    power
        .filter_map(|(ix, domain)| {
            let power = board.power(domain).map(Course::of_power);
            let energy = board.energy(domain).and_then(Course::of_energy);
            let courses = [power, energy];
            courses.iter().flatten().next()?;
            let members = board.site.members(ix);
            let names = members.iter().map(|node| board.site.node(*node).name.as_str());
            let steps = together(&loads, names);
            let offset_s = courses.iter().flatten().find_map(|course| offset(course, &steps));
            Some(Alignment { domain: ix, offset_s })
        })
        .collect()
}

/// Watts of each node in each phase, with the phase's span.
type Loads = BTreeMap<String, BTreeMap<String, Step>>;

fn loads(telemetry: &Telemetry, ahead_ns: &BTreeMap<NodeName, Vec<(i64, i64)>>) -> Loads {
    let mut loads = Loads::new();
    for (device, cells) in telemetry.devices() {
        let ahead = ahead_ns.get(&NodeName(device.node.clone()));
        let ahead = ahead.and_then(|known| known.get(known.len() / 2)).map_or(0, |(_, ns)| *ns);
        for (CellKey { phase, .. }, cell) in cells {
            let (Some(watts), Some(span)) = (cell.median(Metric::PowerW), cell.span_ns()) else {
                continue;
            };
            let second = |ns: i64| ns.saturating_add(ahead) as f64 / 1e9;
            let (from_s, to_s) = (second(span.0), second(span.1));
            let node = loads.entry(device.node.clone()).or_default();
            let step = node.entry(phase.clone()).or_insert(Step { from_s, to_s, watts: 0.0 });
            (step.from_s, step.to_s) = (step.from_s.min(from_s), step.to_s.max(to_s));
            step.watts += watts;
        }
    }
    loads
}

/// What a domain's nodes draw together: phases that all of them were measured in.
fn together<'a>(loads: &Loads, nodes: impl Iterator<Item = &'a str>) -> Vec<Step> {
    let mut phases: BTreeMap<&str, (usize, Step)> = BTreeMap::new();
    let mut count = 0;
    for node in nodes {
        count += 1;
        for (phase, step) in loads.get(node).into_iter().flatten() {
            let start = || (0, Step { watts: 0.0, ..step.clone() });
            let (nodes, sum) = phases.entry(phase).or_insert_with(start);
            *nodes += 1;
            (sum.from_s, sum.to_s) = (sum.from_s.min(step.from_s), sum.to_s.max(step.to_s));
            sum.watts += step.watts;
        }
    }
    let whole = phases.into_values().filter(|(nodes, _)| *nodes == count).map(|(_, step)| step);
    let mut steps: Vec<Step> = whole.collect();
    steps.sort_by(|a, b| a.from_s.total_cmp(&b.from_s));
    steps
}

fn offset(course: &Course, steps: &[Step]) -> Option<(f64, f64)> {
    let watts = || steps.iter().map(|step| step.watts);
    let (least, most) = (watts().fold(f64::MAX, f64::min), watts().fold(0.0, f64::max));
    if steps.len() < 2 || most - least < STEP_LEAST * most {
        return None;
    }
    let Course { points, width_s } = course;
    let width_s = *width_s;
    let reach_s = (course.seconds() * SHIFT_SHARE).min(SHIFT_MOST_S);
    let tried = (reach_s / width_s * SHIFTS_A_BIN).floor() as i64;
    let shifts = (-tried..=tried).map(|at| at as f64 * width_s / SHIFTS_A_BIN);
    let fits: Vec<(f64, f64)> =
        shifts.filter_map(|shift| Some((shift, follows(points, steps, shift)?))).collect();
    let best = fits.iter().map(|(_, fit)| *fit).fold(f64::NAN, f64::max);
    if best.is_nan() || best < FOLLOWS {
        return None;
    }
    let unexplained = |fit: f64| 1.0 - fit * fit;
    let good = fits
        .iter()
        .filter(|(_, fit)| *fit > 0.0 && unexplained(*fit) <= unexplained(best) + AS_GOOD);
    let good: Vec<f64> = good.map(|(shift, _)| *shift).collect();
    let (first, last) = (*good.first()?, *good.last()?);
    let at_the_edge = first <= -reach_s + width_s || last >= reach_s - width_s;
    let error_s = (last - first) / 2.0 + width_s / 2.0;
    (!at_the_edge).then_some(((first + last) / 2.0, error_s))
}

/// Correlation of a meter whose clock is ahead by `shift_s` with the load.
fn follows(bins: &[(f64, f64)], steps: &[Step], shift_s: f64) -> Option<f64> {
    let load = |at_s: f64| {
        let next = steps.partition_point(|step| step.from_s <= at_s);
        let step = steps.get(next.checked_sub(1)?)?;
        (at_s <= step.to_s).then_some(step.watts)
    };
    let met: Vec<(f64, f64)> =
        bins.iter().filter_map(|(at_s, kw)| Some((load(at_s - shift_s)?, *kw))).collect();
    if met.len() < BINS_LEAST.max(bins.len() / 2) {
        return None;
    }
    let count = met.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| met.iter().map(of).sum::<f64>() / count;
    let (middle_x, middle_y) = (mean(|(x, _)| *x), mean(|(_, y)| *y));
    let sum = |of: &dyn Fn(f64, f64) -> f64| -> f64 {
        met.iter().map(|(x, y)| of(x - middle_x, y - middle_y)).sum()
    };
    let (xy, xx, yy) = (sum(&|x, y| x * y), sum(&|x, _| x * x), sum(&|_, y| y * y));
    (xx > 0.0 && yy > 0.0).then(|| xy / (xx * yy).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::meters::Trace;

    /// 60 s at each of these levels.
    fn steps(watts: &[f64]) -> Vec<Step> {
        let step = |(at, watts): (usize, &f64)| Step {
            from_s: at as f64 * 60.0,
            to_s: at as f64 * 60.0 + 59.0,
            watts: *watts,
        };
        watts.iter().enumerate().map(step).collect()
    }

    /// A meter of these steps whose clock is ahead by so many seconds.
    fn meter(steps: &[Step], ahead_s: f64) -> Course {
        let mut trace = Trace::default();
        for second in 0..steps.len() * 60 {
            let step = &steps[second / 60];
            let noise = ((second * 7919) % 13) as f64 / 13.0;
            let at_ns = ((second as f64 + ahead_s) * 1e9) as i64;
            trace.add(at_ns, step.watts / 1000.0 + 1.0 + 0.1 * noise);
        }
        Course::of_power(&trace)
    }

    #[test]
    fn an_energy_counter_tells_the_shift_too() {
        let steps = steps(&[10e3, 60e3, 20e3, 60e3, 10e3, 40e3]);
        for ahead_s in [0.0, 8.0, -17.0, 41.0] {
            let (mut trace, mut kwh) = (Trace::default(), 5.0);
            for second in 0..steps.len() * 60 {
                kwh += steps[second / 60].watts / 3.6e6;
                // Counts of 0.01 kWh.
                let at_ns = ((second as f64 + ahead_s) * 1e9) as i64;
                trace.add(at_ns, (kwh * 100.0_f64).floor() / 100.0);
            }
            let course = Course::of_energy(&trace).unwrap();
            let (offset_s, error_s) = offset(&course, &steps).unwrap();
            assert!((offset_s - ahead_s).abs() <= error_s, "{ahead_s}: {offset_s} ± {error_s}");
            assert!(error_s < 10.0, "{ahead_s}: ± {error_s}");
        }
    }

    #[test]
    fn a_shift_is_found_within_its_stated_error() {
        let steps = steps(&[1000.0, 6000.0, 2000.0, 6000.0, 1000.0, 4000.0]);
        for ahead_s in [0.0, 3.0, -17.0, 41.0] {
            let (offset_s, error_s) = offset(&meter(&steps, ahead_s), &steps).unwrap();
            assert!((offset_s - ahead_s).abs() <= error_s, "{ahead_s}: {offset_s} ± {error_s}");
            assert!(error_s < 5.0, "{ahead_s}: ± {error_s}");
        }
    }

    #[test]
    fn a_load_without_a_step_tells_nothing() {
        let flat = steps(&[5000.0, 5000.0, 5100.0, 5000.0]);
        assert_eq!(offset(&meter(&flat, 3.0), &flat), None);
    }

    #[test]
    fn a_meter_that_follows_somebody_else_is_not_aligned() {
        let ours = steps(&[1000.0, 6000.0, 1000.0, 1000.0, 6000.0, 6000.0]);
        let theirs = steps(&[3000.0, 3000.0, 3100.0, 900.0, 3000.0, 3000.0]);
        assert_eq!(offset(&meter(&theirs, 0.0), &ours), None);
    }

    #[test]
    fn a_square_wave_that_repeats_within_reach_is_no_code() {
        // Two periods to either side fit equally well.
        let wave: Vec<f64> = (0..16).map(|at| if at % 2 == 0 { 1000.0 } else { 6000.0 }).collect();
        let steps = steps(&wave);
        assert_eq!(offset(&meter(&steps, 0.0), &steps).filter(|(_, error)| *error < 60.0), None);
    }
}
