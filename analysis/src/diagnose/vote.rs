//! The fleet's vote: results that must be equal and are not.
//!
//! A GPU that is always wrong agrees with itself, so that only its likes can tell. Devices
//! vote under a key that holds everything the bits depend on; there is no noise and so no
//! statistics: a clear majority of at least three names whoever differs, two that differ are
//! watched both, and one alone has nobody to differ from, which is told as a gap.

use std::collections::{BTreeMap, BTreeSet};

use model::DeviceId;
use model::finding::{Blame, Effect, Finding, FindingKind, Members, Severity, Standing};
use model::record::EventKind;

use super::draft;
use super::not_measured::Gap;
use crate::case::{Case, device_suspect, list};

/// Least devices whose majority can name one of them (gpu.md §2.2: fewer say that there is a
/// difference, not whose).
const VOTERS_LEAST: usize = 3;

type Ballots<'a> = BTreeMap<&'a DeviceId, &'a BTreeSet<u64>>;

pub(super) fn testify(case: &Case) -> Vec<Finding> {
    let checksums = case.seen.checksums.by_key();
    checksums.iter().flat_map(|(key, ballots)| count(case, key, ballots)).collect()
}

/// Devices that nobody could be compared with.
pub(super) fn without_partner(case: &Case) -> Option<Gap> {
    let checksums = case.seen.checksums.by_key();
    let lonely: BTreeSet<&DeviceId> = checksums
        .values()
        .filter(|ballots| ballots.len() == 1)
        .flat_map(|ballots| ballots.keys().copied())
        .collect();
    (!lonely.is_empty()).then(|| {
        let who = list(lonely);
        let why = format!(
            "a checksum has no partner: nobody with the same model, kernel image, driver and \
             work as {who}; compared with itself and with what the CPU computed only"
        );
        Gap::told("checksum_vote", why)
    })
}

/// The findings of one key.
fn count(case: &Case, key: &str, ballots: &Ballots) -> Vec<Finding> {
    let mut votes: BTreeMap<u64, Vec<&DeviceId>> = BTreeMap::new();
    for (device, values) in ballots {
        for value in *values {
            votes.entry(*value).or_default().push(device);
        }
    }
    if votes.len() < 2 {
        return Vec::new();
    }
    let most = votes.iter().max_by_key(|(_, devices)| devices.len());
    let majority = most.filter(|(_, devices)| 2 * devices.len() > ballots.len());
    match majority {
        Some((right, agree)) if ballots.len() >= VOTERS_LEAST => ballots
            .iter()
            .filter(|(_, values)| values.iter().any(|value| value != right))
            .map(|(device, values)| {
                outvoted(case, key, device, values, (*right, agree.len(), ballots.len()))
            })
            .collect(),
        _ => undecided(case, key, ballots),
    }
}

/// A clear majority computed otherwise than this device.
fn outvoted(
    case: &Case,
    key: &str,
    device: &DeviceId,
    values: &BTreeSet<u64>,
    (right, agree, all): (u64, usize, usize),
) -> Finding {
    let standing = (Standing::Confirmed, Severity::Critical);
    let mut finding = draft(FindingKind::Sdc, Blame::Device, standing, device_suspect(device));
    finding.injected = is_injected(case, device);
    let wrong: Vec<String> =
        values.iter().filter(|v| **v != right).map(|v| format!("{v:#018x}")).collect();
    finding.effect = Some(Effect {
        metric: "checksum".to_owned(),
        relative: None,
        absolute: Some(wrong.len() as f64),
        unit: "wrong checksums".to_owned(),
    });
    finding.members = Some(Members { hit: 1, reporting: all as u32, total: all as u32 });
    finding.evidence = vec![
        format!(
            "checksum {} on {device}, {right:#018x} on {agree} of {all} like devices",
            wrong.join(" and ")
        ),
        format!("compared under: {key}"),
    ];
    if values.contains(&right) {
        finding.evidence.push("it was right at other times in this run".to_owned());
    }
    finding.action = if finding.injected {
        "none: this was injected to prove the vote; run again without".to_owned()
    } else {
        format!("take {device} out of service and have it replaced: it computes wrong results")
    };
    finding.next_experiment =
        Some(format!("run the same kernel on {device} alone with another seed and other tiles"));
    finding
}

/// They differ and nobody can say whose fault it is; one that differs from itself can't
/// blame another.
fn undecided(case: &Case, key: &str, ballots: &Ballots) -> Vec<Finding> {
    let mut devices = ballots.keys().copied();
    let Some(first) = devices.next() else { return Vec::new() };
    let alone = ballots.len() == 1;
    let standing = if alone { Standing::Confirmed } else { Standing::Watch };
    let standing = (standing, Severity::Critical);
    let mut finding = draft(FindingKind::Sdc, Blame::Device, standing, device_suspect(first));
    finding.cannot_exclude = devices.map(device_suspect).collect();
    finding.injected = ballots.keys().any(|device| is_injected(case, device));
    finding.evidence = ballots
        .iter()
        .map(|(device, values)| {
            let told: Vec<String> = values.iter().map(|v| format!("{v:#018x}")).collect();
            format!("{device}: checksum {}", told.join(" and "))
        })
        .collect();
    finding.evidence.push(format!("compared under: {key}"));
    let names = list(ballots.keys());
    finding.action =
        format!("one of {names} computes wrong results: find out which before it is trusted");
    finding.next_experiment = Some(format!(
        "run the same kernel on {names} and at least one more device of the same model and driver"
    ));
    vec![finding]
}

fn is_injected(case: &Case, device: &DeviceId) -> bool {
    case.events(EventKind::Injection)
        .any(|(node, key, _)| *node == device.node && key.device == Some(device.index))
}
