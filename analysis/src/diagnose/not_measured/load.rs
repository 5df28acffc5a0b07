//! Load: work, its rate, its verification, and how long it lasted.

use model::plan::Requirement;
use model::record::EventKind;

use model::DeviceId;

use super::{Concern, Gap};
use crate::case::{Case, list, place_suspect};

/// A plan that asks for as long as its phases last gets a little less: the first and last
/// window of a phase are cut by the skew of the start.
pub(super) const LOAD_SECONDS_TOLERANCE: f64 = 0.01;

pub(super) fn compute(case: &Case) -> Vec<Gap> {
    let concerns = Concern::Requiring(Requirement::Compute);
    let (mut idle, mut unchecked) = (Vec::new(), Vec::new());
    for device in case.devices() {
        let work = case.device(&device).into_iter().flat_map(|phases| phases.values());
        let (windows, blocks, verified) = work.flat_map(|phase| phase.work.values()).fold(
            (0, 0, 0),
            |(windows, blocks, verified): (u64, u64, u64), w| {
                let blocks = blocks.saturating_add(w.blocks);
                (windows + w.windows, blocks, verified.saturating_add(w.verified))
            },
        );
        if windows == 0 || blocks == 0 {
            idle.push(device);
        } else if verified < blocks {
            unchecked.push(format!("{device} ({} of {blocks} blocks)", blocks - verified));
        }
    }
    let mut gaps = Vec::new();
    if !idle.is_empty() || case.devices().is_empty() {
        let why = match (idle.is_empty(), case.plan.heating_seconds() > 0.0) {
            (_, false) => "the plan has no phase that loads a device".to_owned(),
            (true, true) => "no device joined".to_owned(),
            (false, true) => format!("no work arrived from {}", list(idle)),
        };
        gaps.push(Gap::new("compute", why, concerns));
    }
    if !unchecked.is_empty() {
        let why = format!("results never compared: {}", list(unchecked));
        gaps.push(Gap::new("compute_verified", why, concerns));
    }
    gaps
}

/// Devices that are here and take no load, each with its reason.
pub(super) fn refused_devices(case: &Case) -> Vec<Gap> {
    let concerns = Concern::Requiring(Requirement::Compute);
    case.events(EventKind::DeviceRefused)
        .map(|(node, key, group)| {
            let place = place_suspect(node, key.device).id;
            Gap::new("compute", format!("{place} takes no load: {}", group.texts()), concerns)
        })
        .collect()
}

/// Rates come from windows at full level in hold phases; a device without any has no rate.
pub(super) fn rates(case: &Case) -> Option<Gap> {
    let rated = |device: &DeviceId| {
        let phases = case.device(device).into_iter().flat_map(|phases| phases.values());
        phases.flat_map(|phase| phase.work.values()).any(|work| work.gflops.count() > 0)
    };
    let without: Vec<DeviceId> = case.devices().into_iter().filter(|d| !rated(d)).collect();
    (!without.is_empty()).then(|| {
        let why = format!("no window at full level in a hold phase from {}", list(without));
        Gap::new("gflops", why, Concern::Nobody)
    })
}

pub(super) fn load_seconds(case: &Case) -> Option<Gap> {
    let least = case.plan.least_seconds * (1.0 - LOAD_SECONDS_TOLERANCE);
    let short: Vec<String> = case
        .devices()
        .into_iter()
        .map(|device| (case.loaded_seconds(&device), device))
        .filter(|(seconds, _)| *seconds < least)
        .map(|(seconds, device)| format!("{device} ({seconds:.1} s)"))
        .collect();
    (!short.is_empty()).then(|| {
        let why =
            format!("under load for less than {} s: {}", case.plan.least_seconds, list(short));
        Gap::new("load_seconds", why, Concern::Everybody)
    })
}
