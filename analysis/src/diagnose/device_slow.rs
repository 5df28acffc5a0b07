//! A device that does less than its likes: same model, same cores, same kernel, same phase.
//!
//! Standing rules.
//! * A cohort of four or more: `confirmed` when the device is at least 3 % below the
//!   cohort's middle and its robust z passes the 1 % limit of that size; `watch` when it
//!   passes the 5 % limit only. More than 20 % below, the 5 % limit confirms.
//! * Two or three devices: nothing says which of them is normal. `watch`, when one is more
//!   than 10 % below the middle of the others.
//! * Half of a cohort slow together is no device's fault; the median then sits between and
//!   nothing is said here.

use std::collections::BTreeMap;

use model::finding::{Blame, Effect, Finding, FindingKind, Members, Severity, Standing};
use model::{DeviceId, Kernel};

use super::cohort::{LEAST_MEMBERS, Place, limits, place};
use super::{draft, phase_name};
use crate::case::{Case, device_suspect, node_suspect};
use crate::digest::work::WorkEvidence;

/// A smaller deficit is not worth a swap whatever its z: healthy V100s differ by 2 %
/// (one standard deviation, facility notes on Longhorn), gates elsewhere sit at 3 to 5 %.
const LEAST_DEFICIT: f64 = 0.03;
/// So far below, the 5 % limit is enough: healthy V100s lie within 5 % (p5 to p95), and only
/// the smallness of the cohort keeps its z low.
const GROSS_DEFICIT: f64 = 0.20;
/// Two or three devices must differ by more than neighbours usually do (p5 to p95: 5 %).
const LEAST_DEFICIT_SMALL: f64 = 0.10;

/// What makes devices comparable.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct CohortKey {
    model: String,
    /// A device that was given fewer cores is not slow.
    cores: u32,
    kernel: Kernel,
    phase: String,
}

/// One device's place in one cohort.
struct Slow {
    key: CohortKey,
    value: f64,
    place: Place,
    members: usize,
    standing: Standing,
}

pub(super) fn testify(case: &Case) -> Vec<Finding> {
    let mut slow: BTreeMap<DeviceId, Vec<Slow>> = BTreeMap::new();
    for (key, members) in cohorts(case) {
        let values: Vec<f64> = members.iter().map(|(_, value)| *value).collect();
        for ((device, value), place) in members.iter().zip(place(&values)) {
            let Some(place) = place else { continue };
            let Some(standing) = standing(place, values.len()) else { continue };
            let found =
                Slow { key: key.clone(), value: *value, place, members: values.len(), standing };
            slow.entry(device.clone()).or_default().push(found);
        }
    }
    slow.iter().filter_map(|(device, places)| found(device, places)).collect()
}

/// The rate that a kernel is compared by, and its unit.
fn rate(kernel: Kernel, work: &WorkEvidence) -> Option<f64> {
    if kernel.moves_bytes() { &work.gb_per_s } else { &work.gflops }.median()
}

fn unit(kernel: Kernel) -> &'static str {
    if kernel.moves_bytes() { "GB/s" } else { "GFLOP/s" }
}

fn cohorts(case: &Case) -> BTreeMap<CohortKey, Vec<(DeviceId, f64)>> {
    let mut cohorts: BTreeMap<CohortKey, Vec<(DeviceId, f64)>> = BTreeMap::new();
    for (node, evidence) in &case.seen.nodes {
        for (index, phases) in &evidence.devices {
            let device = DeviceId { node: node.clone(), index: *index };
            for (phase, seen) in phases {
                for (kernel, work) in &seen.work {
                    let Some(rate) = rate(*kernel, work) else { continue };
                    let key = CohortKey {
                        model: case.model(&device),
                        cores: work.cores,
                        kernel: *kernel,
                        phase: phase.clone(),
                    };
                    cohorts.entry(key).or_default().push((device.clone(), rate));
                }
            }
        }
    }
    cohorts
}

fn standing(place: Place, members: usize) -> Option<Standing> {
    let deficit = -place.relative;
    let Some(z) = place.z else {
        return (deficit > LEAST_DEFICIT_SMALL).then_some(Standing::Watch);
    };
    let (doubted, believed) = limits(members);
    match z {
        _ if deficit < LEAST_DEFICIT => None,
        z if z > believed => Some(Standing::Confirmed),
        z if z > doubted && deficit > GROSS_DEFICIT => Some(Standing::Confirmed),
        z if z > doubted => Some(Standing::Watch),
        _ => None,
    }
}

fn found(device: &DeviceId, places: &[Slow]) -> Option<Finding> {
    let worst = places.iter().min_by(|a, b| {
        a.standing.cmp(&b.standing).then(a.place.relative.total_cmp(&b.place.relative))
    })?;
    let standing = (worst.standing, Severity::Major);
    let mut finding =
        draft(FindingKind::DeviceSlow, Blame::Device, standing, device_suspect(device));
    finding.cannot_exclude = vec![node_suspect(&device.node)];
    finding.effect = Some(Effect {
        metric: format!("rate_{}", worst.key.kernel.word()),
        relative: Some(worst.place.relative),
        absolute: Some(worst.value - worst.place.reference),
        unit: unit(worst.key.kernel).to_owned(),
    });
    let members = u32::try_from(worst.members).unwrap_or(u32::MAX);
    finding.members = Some(Members { hit: 1, reporting: members, total: members });
    finding.evidence = places.iter().map(line).collect();
    finding.action = match worst.standing {
        Standing::Confirmed => format!("take {device} out of the fleet and have it looked at"),
        Standing::Watch => format!("keep an eye on {device}; nothing to replace yet"),
    };
    finding.next_experiment = Some(if worst.members < LEAST_MEMBERS {
        format!(
            "run the same plan on at least {LEAST_MEMBERS} devices of this model: fewer can't tell slow from normal"
        )
    } else {
        format!(
            "run {device} alone on an idle node: still slow is the device, fast again is its neighbours, its cooling or its host"
        )
    });
    Some(finding)
}

fn line(slow: &Slow) -> String {
    let CohortKey { kernel, phase, .. } = &slow.key;
    let z = slow.place.z.map_or("no z from so few".to_owned(), |z| {
        let (_, believed) = limits(slow.members);
        format!("robust z {z:.1}, limit {believed:.1}")
    });
    format!(
        "{}, kernel {}: {:.2} {u} where {} devices have {:.2} {u} ({:+.1} %; {z})",
        phase_name(phase),
        kernel.word(),
        slow.value,
        slow.members,
        slow.place.reference,
        slow.place.relative * 100.0,
        u = unit(*kernel),
    )
}
