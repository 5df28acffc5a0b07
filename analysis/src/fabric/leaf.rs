//! Some uplink of a leaf, when nobody knows which path a flow took.
//!
//! One bad cable of S slows about one flow in S of its leaf, so no flow and no total shows
//! it. Two readings of every flow do: how slow flows are in the mean (of the logarithm), and
//! how many got less than half of the usual. A sound leaf's rounds scatter in both; the
//! scatter between rounds says how far a leaf stands out.

use std::collections::{BTreeMap, BTreeSet};

use model::finding::{Blame, Effect, Finding, FindingKind, Members, Severity, Standing};

use super::map::Element;
use super::name::{direction, suspect};
use super::study::Study;
use super::{experiment, table::Row};
use crate::case::list;
use crate::diagnose::draft;

/// A flow below this share of the usual rate is slow.
const SLOW_SHARE: f64 = 0.5;
/// Slowness beyond is a stall, not a rate: natural logarithm of 20.
const SLOWNESS_MAX: f64 = 3.0;
/// Fewest rounds whose scatter says anything.
const ROUNDS_LEAST: usize = 4;
/// Fewest leaves that a leaf is compared with, itself among them.
const LEAVES_LEAST: usize = 4;
/// Both readings must point the same way: sum of their deviations, each in standard errors.
/// The readings share flows; on sound fabrics of 16 directed leaves the largest sum stays
/// below in 99 of 100: docs/calibration.md.
const DEVIATIONS_LEAST: f64 = 7.0;
/// Above this sum it is worth a look.
const DEVIATIONS_WATCHED: f64 = 5.0;
/// Directed leaves of the fabric that the limits were calibrated on; with more the limits
/// grow as the largest of so many normal numbers does.
const CALIBRATED_LEAVES: f64 = 16.0;
/// Deviation of the sum of the two readings on sound fabrics, measured with the limits.
const SUM_SPREAD: f64 = 1.7;
/// Passes of the two-way fit over senders' and receivers' leaves: it settles in a few.
const PASSES: usize = 30;
/// Slow tuples that are named.
const TUPLES_NAMED: usize = 6;

type Reading = fn(&Row) -> f64;

/// Leaves with a slow uplink that no path names; rows through `explained` parts don't count.
/// Gives the leaf's position beside its finding.
pub(super) fn finding(study: &Study, explained: &BTreeSet<usize>) -> Option<(usize, Finding)> {
    let rows = unexplained(study, explained);
    // Few flows of sound leaves are that slow, so their scatter alone is too little to hold
    // a leaf against: there its own counts too.
    let readings: [(Reading, bool); 2] = [(slowness, false), (is_slow, true)];
    let mut sums: BTreeMap<u32, f64> = BTreeMap::new();
    for (reading, own) in readings {
        for (leaf, deviation) in deviations(study, &rows, reading, own)? {
            *sums.entry(leaf).or_default() += deviation.max(-1.0);
        }
    }
    let grown = growth(sums.len());
    // One cable at a time: a second bad one shows when the first is mended or its path known.
    let worst = sums.into_iter().max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0)));
    let (leaf, sum) = worst?;
    let standing = match sum {
        sum if sum >= DEVIATIONS_LEAST + grown => Standing::Confirmed,
        sum if sum >= DEVIATIONS_WATCHED + grown => Standing::Watch,
        _ => return None,
    };
    Some((leaf as usize, written(study, &rows, leaf, sum, standing)))
}

/// How slow a flow was: 0 as usual, 0.7 at half the rate.
fn slowness(row: &Row) -> f64 {
    if row.rate > 0.0 { (row.usual / row.rate).ln().min(SLOWNESS_MAX) } else { SLOWNESS_MAX }
}

fn is_slow(row: &Row) -> f64 {
    f64::from(u8::from(row.rate < SLOW_SHARE * row.usual))
}

/// The largest of n normal numbers grows with sqrt(2 ln n).
fn growth(leaves: usize) -> f64 {
    let largest = |count: f64| (2.0 * count.max(2.0).ln()).sqrt();
    (SUM_SPREAD * (largest(leaves as f64) - largest(CALIBRATED_LEAVES))).max(0.0)
}

/// Rows whose both sides are unknown, with the positions of these sides.
fn unexplained<'a>(study: &'a Study, explained: &BTreeSet<usize>) -> Vec<(&'a Row<'a>, [u32; 2])> {
    let side = |row: &Row, wanted: fn(Element) -> bool| {
        row.path.iter().copied().find(|part| wanted(study.table.elements[*part as usize]))
    };
    let sides = |row: &'a Row<'a>| {
        let up = side(row, |element| matches!(element, Element::LeafUp(_)))?;
        let down = side(row, |element| matches!(element, Element::LeafDown(_)))?;
        let free = row.path.iter().all(|part| !explained.contains(&(*part as usize)));
        free.then_some((row, [up, down]))
    };
    study.table.rows.iter().filter_map(sides).collect()
}

/// Of every directed leaf: how far its flows stand out, in standard errors.
fn deviations(
    study: &Study,
    rows: &[(&Row, [u32; 2])],
    reading: Reading,
    own: bool,
) -> Option<BTreeMap<u32, f64>> {
    let mut level: BTreeMap<u32, f64> = BTreeMap::new();
    for _ in 0..PASSES {
        for side in [0, 1] {
            let mut sums: BTreeMap<u32, (f64, f64)> = BTreeMap::new();
            for (row, leaves) in rows {
                let other = level.get(&leaves[1 - side]).copied().unwrap_or(0.0);
                let (sum, count) = sums.entry(leaves[side]).or_default();
                *sum += reading(row) - other;
                *count += 1.0;
            }
            let means: Vec<(u32, f64)> =
                sums.into_iter().map(|(leaf, (sum, count))| (leaf, sum / count)).collect();
            // The receivers' mean is booked on the senders: only differences can be told.
            let centre = means.iter().map(|(_, mean)| mean).sum::<f64>() / means.len() as f64;
            let centre = if side == 1 { centre } else { 0.0 };
            level.extend(means.into_iter().map(|(leaf, mean)| (leaf, mean - centre)));
        }
    }
    let mut rounds: BTreeMap<(u32, u32), (f64, f64)> = BTreeMap::new();
    let mut flows: BTreeMap<u32, f64> = BTreeMap::new();
    for (row, leaves) in rows {
        let rest = reading(row) - level[&leaves[0]] - level[&leaves[1]];
        for leaf in leaves {
            let (sum, count) = rounds.entry((*leaf, row.flow.round)).or_default();
            *sum += rest;
            *count += 1.0;
            *flows.entry(*leaf).or_default() += 1.0;
        }
    }
    let leaves = level.len();
    if leaves < 2 * LEAVES_LEAST || rounds.len() < leaves * ROUNDS_LEAST {
        return None;
    }
    // Each side around its own mean, then both around one median: eight leaves alone have
    // too loose a middle.
    let up = |leaf: &u32| matches!(study.table.elements[*leaf as usize], Element::LeafUp(_));
    for side in [true, false] {
        let own: Vec<u32> = level.keys().copied().filter(|leaf| up(leaf) == side).collect();
        let mean = own.iter().map(|leaf| level[leaf]).sum::<f64>() / own.len().max(1) as f64;
        own.iter().for_each(|leaf| *level.entry(*leaf).or_default() -= mean);
    }
    let mut values: Vec<f64> = level.values().copied().collect();
    values.sort_unstable_by(f64::total_cmp);
    let middle = (values.get(values.len() / 2)? + values.get((values.len() - 1) / 2)?) / 2.0;
    // Flows of one round collide together: the round is the unit, not the flow. A leaf is
    // held against the scatter of the others on its side, and its own where that is asked.
    let mut scatter: BTreeMap<u32, (f64, f64)> = BTreeMap::new();
    for ((leaf, _), (sum, count)) in &rounds {
        let (squares, seen) = scatter.entry(*leaf).or_insert((0.0, -1.0));
        *squares += sum * sum / count;
        *seen += 1.0;
    }
    let variance = |leaf: u32| {
        let held = |other: &u32| own || (*other != leaf && up(other) == up(&leaf));
        let others = scatter.iter().filter(|(other, _)| held(other));
        let (squares, seen) =
            others.fold((0.0, 0.0), |(s, n), (_, (squares, seen))| (s + squares, n + seen));
        if seen > 0.0 { squares / seen } else { 0.0 }
    };
    let all = level.iter().map(|(&leaf, &value)| {
        let error = (variance(leaf) / flows[&leaf]).sqrt();
        (leaf, if error > 0.0 { (value - middle) / error } else { 0.0 })
    });
    Some(all.collect())
}

fn written(
    study: &Study,
    rows: &[(&Row, [u32; 2])],
    leaf: u32,
    sum: f64,
    standing: Standing,
) -> Finding {
    let element = study.table.elements[leaf as usize];
    let name = suspect(study.map.site, element);
    let own: Vec<&Row> =
        rows.iter().filter(|(_, sides)| sides.contains(&leaf)).map(|(row, _)| *row).collect();
    let slow: Vec<&&Row> = own.iter().filter(|row| is_slow(row) > 0.0).collect();
    let graded = (standing, Severity::Major);
    let mut finding = draft(FindingKind::SlowUplink, Blame::Facility, graded, name.clone());
    let uplinks = match element {
        Element::LeafUp(leaf) | Element::LeafDown(leaf) => study.map.uplinks(leaf).len(),
        _ => 0,
    };
    let of = if uplinks > 0 { format!("{uplinks} uplinks") } else { "its uplinks".to_owned() };
    finding.evidence.push(format!(
        "about 1 of {of} of {}, {} side: {} of {} flows got less than half of the usual rate; {sum:.1} standard errors above the other leaves in two readings together",
        name.id, direction(element), slow.len(), own.len(),
    ));
    let tuple = |row: &&&Row| {
        let port = row.flow.sport.map_or_else(String::new, |port| format!(":{port}"));
        format!("{}{port}>{}", row.flow.src, row.flow.dst)
    };
    let mut worst = slow.clone();
    worst.sort_by(|a, b| (a.rate / a.usual).total_cmp(&(b.rate / b.usual)));
    let named: Vec<String> = worst.iter().take(TUPLES_NAMED).map(tuple).collect();
    if !named.is_empty() {
        finding.evidence.push(format!("slow tuples to trace: {}", list(named)));
    }
    let mean = |rows: &[&Row]| {
        rows.iter().map(|row| row.rate / row.usual).sum::<f64>() / rows.len().max(1) as f64
    };
    finding.effect = Some(Effect {
        metric: "gbps".to_owned(),
        relative: Some(mean(&own) - 1.0),
        absolute: None,
        unit: "Gbit/s".to_owned(),
    });
    finding.members = Some(Members {
        hit: u32::try_from(slow.len()).unwrap_or(u32::MAX),
        reporting: u32::try_from(own.len()).unwrap_or(u32::MAX),
        total: u32::try_from(own.len()).unwrap_or(u32::MAX),
    });
    finding.action = format!("read speed and error counters of the uplinks of {}", name.id);
    finding.next_experiment = Some(experiment::next(&study.map, element, &[]));
    finding
}
