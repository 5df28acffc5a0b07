//! A fleet of which most fails an absolute gate: nothing stands out, and still it is wrong.
//!
//! Single devices are for the witnesses that compare. Only heat and power are judged here,
//! because only they can fail for a whole hall at once.

use model::finding::{Blame, Effect, Finding, FindingKind, Members, Severity, Standing};

use super::{Value, beyond, find, table};
use crate::case::Case;
use crate::diagnose::draft;
use crate::measured::fleet;
use crate::middle::median;

/// Share of the devices that must fail.
const MOST: f64 = 0.5;
/// Fewer devices are no fleet.
const LEAST_DEVICES: usize = 3;

/// A gate that may accuse the whole fleet.
struct Accuser {
    gate: &'static str,
    kind: FindingKind,
    standing: Standing,
    says: &'static str,
    action: &'static str,
    experiment: &'static str,
}

const ACCUSERS: [Accuser; 4] = [
    Accuser {
        gate: "thermal_throttle_seconds_most",
        kind: FindingKind::WeakCooling,
        standing: Standing::Confirmed,
        says: "devices were throttled for heat",
        action: "have the hall's cooling checked before it is loaded again: supply, flow, air",
        experiment: "load a quarter of the fleet: no throttling then means a lack of capacity",
    },
    Accuser {
        gate: "temp_margin_k_least",
        kind: FindingKind::WeakCooling,
        standing: Standing::Confirmed,
        says: "devices ran too near to the temperature at which they are dropped",
        action: "have the hall's cooling checked: supply temperature, flow, air",
        experiment: "load a quarter of the fleet: cooler devices then mean a lack of capacity",
    },
    Accuser {
        gate: "power_brake_seconds_most",
        kind: FindingKind::WeakPower,
        standing: Standing::Confirmed,
        says: "devices had their power brake pulled",
        action: "have the hall's power checked: supplies, redundancy, events of power shelves",
        experiment: "load a quarter of the fleet: no brake then means a lack of capacity",
    },
    Accuser {
        // What keeps a device from its limit may be the load itself: a watch.
        gate: "power_ratio_least",
        kind: FindingKind::WeakPower,
        standing: Standing::Watch,
        says: "devices did not reach their enforced power limit at full load",
        action: "find out what holds the fleet below its power limit: a cap, the load, the cooling",
        experiment: "run a load that is known to reach the limit on a few devices alone",
    },
];

/// One finding a cause: gates that accuse the same are its evidence together, and heat
/// explains why power was not reached.
pub(crate) fn testify(case: &Case) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    for accusation in ACCUSERS.iter().filter_map(|accuser| accuse(case, accuser)) {
        let heat = findings.iter().any(|found| found.kind == FindingKind::WeakCooling);
        match findings.iter_mut().find(|found| found.kind == accusation.kind) {
            Some(same) => same.evidence.extend(accusation.evidence),
            None if heat && accusation.standing == Standing::Watch => {}
            None => findings.push(accusation),
        }
    }
    findings
}

fn accuse(case: &Case, accuser: &Accuser) -> Option<Finding> {
    let gate = case.policy.gates.iter().find(|gate| gate.name == accuser.gate)?;
    let check = table::CHECKS.iter().find(|check| check.gate == accuser.gate)?;
    let values: Vec<Value> = find(case, check).ok()?;
    let failed = values.iter().filter(|value| beyond(gate, value) > 0.0).count();
    let all = values.len();
    if all < LEAST_DEVICES || failed as f64 <= MOST * all as f64 {
        return None;
    }
    let middle = median(&values.iter().map(|value| value.value).collect::<Vec<_>>())?;
    let standing = (accuser.standing, Severity::Critical);
    let mut finding = draft(accuser.kind, Blame::Facility, standing, fleet());
    finding.effect = Some(Effect {
        metric: accuser.gate.to_owned(),
        relative: None,
        absolute: Some(middle),
        unit: gate.unit.clone(),
    });
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    finding.members =
        Some(Members { hit: count(failed), reporting: count(all), total: count(all) });
    finding.evidence = vec![format!(
        "{failed} of {all} {}: in the middle {middle:.1} {}, limit {} ({})",
        accuser.says, gate.unit, gate.limit, gate.source,
    )];
    finding.action = accuser.action.to_owned();
    finding.next_experiment = Some(accuser.experiment.to_owned());
    Some(finding)
}
