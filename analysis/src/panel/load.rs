//! Which cells were under load, and which were idle.

use std::collections::{BTreeMap, BTreeSet};

use model::Metric;
use model::experiment::{ExperimentKind, Role};
use model::plan::{PhaseKind, Plan};

use crate::digest::telemetry::Telemetry;
use crate::middle::median;

/// A phase whose middle power is below this share of the hungriest phase's is idle.
const IDLE_SHARE: f64 = 0.5;

/// Phases by what was asked of devices in them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Phases {
    /// Steady load: the phases that residuals are made from.
    pub(super) loaded: BTreeSet<String>,
    pub(super) idle: BTreeSet<String>,
}

/// Sorts phases by the plan where it knows them, by power where it doesn't.
pub(super) fn phases(plan: &Plan, telemetry: &Telemetry) -> Phases {
    let mut powers: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for (_, cells) in telemetry.devices() {
        for (key, cell) in cells {
            powers.entry(&key.phase).or_default().extend(cell.median(Metric::PowerW));
        }
    }
    let middles: BTreeMap<&str, Option<f64>> =
        powers.iter().map(|(phase, values)| (*phase, median(values))).collect();
    let most = middles.values().flatten().copied().fold(0.0, f64::max);
    let mut sorted = Phases::default();
    for (phase, middle) in middles {
        let planned = plan.phases.iter().find(|p| p.name == phase).map(|p| (p.kind, p.load));
        // Where some nodes are idle beside others, like is not beside like.
        let partial = plan.experiment_of(phase).is_some_and(|experiment| {
            let step = experiment.step(phase).map(|step| step.role);
            step == Some(Role::Some) || experiment.kind == ExperimentKind::Wiring
        });
        let (loaded, idle) = match planned {
            Some((PhaseKind::Hold, _)) if partial => (false, false),
            Some((PhaseKind::Hold, _)) => (true, false),
            Some((PhaseKind::Idle | PhaseKind::Rtt | PhaseKind::Pairs, None)) => (false, true),
            Some((PhaseKind::Collective, _)) => (true, false),
            Some(_) => (false, false),
            // A live run's samples between phases.
            None if phase.is_empty() && !plan.phases.is_empty() => (false, false),
            None => {
                let idle = middle.is_some_and(|power| power < IDLE_SHARE * most);
                (!idle, idle)
            }
        };
        if loaded {
            sorted.loaded.insert(phase.to_owned());
        }
        if idle {
            sorted.idle.insert(phase.to_owned());
        }
    }
    sorted
}
