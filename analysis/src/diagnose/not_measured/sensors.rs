//! Sensors of devices, each absence with its reason.

use std::collections::{BTreeMap, BTreeSet};

use model::plan::Requirement;
use model::{Absence, DeviceId};

use super::{Concern, Gap};
use crate::case::{Case, list};
use crate::digest::device::DevicePhase;
use crate::digest::series::Series;

pub(super) fn sensors(case: &Case) -> Vec<Gap> {
    type Pick = fn(&DevicePhase) -> &Series;
    let all: [(&str, Pick, Concern); 4] = [
        ("power_w", |p| &p.sensors.power_w, Concern::Requiring(Requirement::Power)),
        ("temp_c", |p| &p.sensors.temp_c, Concern::Requiring(Requirement::Temperature)),
        ("clock_mhz", |p| &p.sensors.clock_mhz, Concern::Nobody),
        ("busy", |p| &p.sensors.busy, Concern::Nobody),
    ];
    all.into_iter().flat_map(|(what, pick, concerns)| sensor(case, what, pick, concerns)).collect()
}

/// One line for each reason why devices have no value of a sensor under load.
fn sensor(
    case: &Case,
    what: &str,
    pick: fn(&DevicePhase) -> &Series,
    concerns: Concern,
) -> Vec<Gap> {
    let devices = case.devices();
    let mut reasons: BTreeMap<String, Vec<DeviceId>> = BTreeMap::new();
    for device in &devices {
        let mut absences: BTreeSet<Absence> = BTreeSet::new();
        let (mut under_load, mut ever) = (false, false);
        for (phase, seen) in case.device(device).into_iter().flatten() {
            let series = pick(seen);
            let some = series.values.count() > 0;
            ever |= some;
            under_load |= some && (case.heats(phase) || case.plan.heating_seconds() == 0.0);
            absences.extend(series.absences.keys());
        }
        if under_load {
            continue;
        }
        // A first rate without a value is no reason when there is a better one.
        if absences.len() > 1 {
            absences.remove(&Absence::NotYet);
        }
        let why = match (ever, absences.is_empty()) {
            (true, _) => "no value while under load".to_owned(),
            (false, true) => "no sample arrived".to_owned(),
            (false, false) => absences.iter().map(|why| why.words()).collect::<Vec<_>>().join("; "),
        };
        reasons.entry(why).or_default().push(device.clone());
    }
    let gap = |(why, without): (String, Vec<DeviceId>)| {
        let who = if without.len() == devices.len() {
            "every device".to_owned()
        } else {
            format!("{} of {} devices: {}", without.len(), devices.len(), list(&without))
        };
        Gap::new(what, format!("{why} ({who})"), concerns)
    };
    reasons.into_iter().map(gap).collect()
}
