//! Gates: the acceptance checks, each limit held against the worst value that was measured.
//!
//! Absolute where witnesses compare: a hall that is uniformly warm has no outlier and still
//! fails. What was not measured is not evaluated, with the reason; it never passes. A gate
//! alone accuses nobody, but for a fleet of which most fails ([`testify`]).

mod building;
mod devices;
mod fabric;
mod fleet;
mod table;

use model::finding::Suspect;
use model::policy::Gate;
use model::report::{GateOutcome, GateResult};

use crate::case::Case;

pub(crate) use fleet::testify;

/// One value at one place.
struct Value {
    at: Suspect,
    value: f64,
    /// What the value does not say.
    note: Option<String>,
    /// The place's own limit where it has one; the policy's otherwise.
    limit: Option<f64>,
}

impl Value {
    fn new(at: Suspect, value: f64) -> Self {
        Self { at, value, note: None, limit: None }
    }
}

/// Values to hold against the limit, or why there are none.
type Found = Result<Vec<Value>, String>;

/// One limit of one check.
struct Check {
    /// 1 to 25, `None` for our own.
    number: Option<u32>,
    about: &'static str,
    gate: &'static str,
    look: Look,
}

/// Where values come from.
enum Look {
    At(fn(&Case) -> Found),
    /// Nothing of this version measures it.
    Never(&'static str),
}

/// Every limit of every check, in their order.
pub(crate) fn gates(case: &Case) -> Vec<GateResult> {
    table::CHECKS.iter().map(|check| result(case, check)).collect()
}

fn find(case: &Case, check: &Check) -> Found {
    let found = match check.look {
        Look::At(look) => look(case)?,
        Look::Never(why) => return Err(why.to_owned()),
    };
    let mut known = found;
    known.retain(|value| value.value.is_finite());
    if known.is_empty() { Err("nothing of it was measured".to_owned()) } else { Ok(known) }
}

/// By how much a value is beyond its limit; above zero fails.
fn beyond(gate: &Gate, value: &Value) -> f64 {
    let limit = value.limit.unwrap_or(gate.limit);
    if gate.name.ends_with("_least") { limit - value.value } else { value.value - limit }
}

fn result(case: &Case, check: &Check) -> GateResult {
    let gate = case.policy.gates.iter().find(|gate| gate.name == check.gate);
    let mut result = GateResult {
        check: check.number,
        about: check.about.to_owned(),
        gate: check.gate.to_owned(),
        outcome: GateOutcome::NotEvaluated,
        limit: gate.map(|gate| gate.limit),
        unit: gate.map(|gate| gate.unit.clone()),
        source: gate.map(|gate| gate.source.clone()),
        measured: None,
        at: None,
        evaluated: 0,
        failed: 0,
        why: None,
    };
    let Some(gate) = gate else {
        result.why = Some("the policy has no such gate".to_owned());
        return result;
    };
    match find(case, check) {
        Err(why) => result.why = Some(why),
        Ok(values) => hold(gate, &values, &mut result),
    }
    result
}

fn hold(gate: &Gate, values: &[Value], result: &mut GateResult) {
    let order = |a: &&Value, b: &&Value| {
        // Of equals the first by name, so that no order shows.
        beyond(gate, a).total_cmp(&beyond(gate, b)).then(b.at.cmp(&a.at))
    };
    let Some(worst) = values.iter().max_by(order) else { return };
    let failed = values.iter().filter(|value| beyond(gate, value) > 0.0).count();
    result.outcome = if failed > 0 { GateOutcome::Fail } else { GateOutcome::Pass };
    result.limit = Some(worst.limit.unwrap_or(gate.limit));
    result.measured = Some(worst.value);
    result.at = Some(worst.at.clone());
    result.evaluated = u32::try_from(values.len()).unwrap_or(u32::MAX);
    result.failed = u32::try_from(failed).unwrap_or(u32::MAX);
    result.why.clone_from(&worst.note);
}

#[cfg(test)]
mod tests;
