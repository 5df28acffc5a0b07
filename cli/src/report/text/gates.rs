//! Acceptance checks: how many passed, which failed, which nobody could evaluate.

use model::report::{GateOutcome, GateResult};

use super::line::{Page, number};
use super::table::Table;

pub(super) fn write(page: &mut Page, gates: &[GateResult]) {
    if gates.is_empty() {
        return;
    }
    let of = |outcome| gates.iter().filter(move |gate| gate.outcome == outcome);
    let open = of(GateOutcome::NotEvaluated).count();
    let (failed, passed) = (of(GateOutcome::Fail).count(), of(GateOutcome::Pass).count());
    page.blank();
    let words = format!("{failed} failed, {passed} passed, {open} not evaluated");
    let why = if open > 0 { " (the JSON report says why)" } else { "" };
    page.item("GATES  ", &format!("{words}{why}"));
    table(gates).write(page);
}

/// Gates with a value, the failed ones first.
fn table(gates: &[GateResult]) -> Table {
    let mut rows: Vec<&GateResult> =
        gates.iter().filter(|gate| gate.outcome != GateOutcome::NotEvaluated).collect();
    rows.sort_by_key(|gate| gate.outcome != GateOutcome::Fail);
    let row = |gate: &GateResult| {
        let outcome = if gate.outcome == GateOutcome::Fail { "FAIL" } else { "pass" };
        let cells = vec![
            Some(outcome.to_owned()),
            gate.measured.map(number),
            gate.limit.map(number),
            gate.at.as_ref().map(|at| at.id.clone()),
        ];
        (gate.gate.clone(), cells)
    };
    Table {
        title: String::new(),
        columns: ["", "worst", "limit", "where"]
            .map(|heading| (heading.to_owned(), String::new()))
            .to_vec(),
        rows: rows.into_iter().map(row).collect(),
        of: "gates",
    }
}
