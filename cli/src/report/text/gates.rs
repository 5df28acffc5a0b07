//! Gates: how many passed, and those that failed with their worst value.

use model::report::{GateOutcome, GateResult};

use super::line::{Page, number};

/// Failed gates on the first screen.
const FAILED_SHOWN: usize = 12;

pub(super) fn write(page: &mut Page, gates: &[GateResult]) {
    let count = |outcome| gates.iter().filter(|gate| gate.outcome == outcome).count();
    let (passed, open) = (count(GateOutcome::Pass), count(GateOutcome::NotEvaluated));
    let failed: Vec<&GateResult> =
        gates.iter().filter(|gate| gate.outcome == GateOutcome::Fail).collect();
    page.blank();
    page.item(
        "GATES  ",
        &format!("{passed} passed, {} failed, {open} not evaluated", failed.len()),
    );
    for gate in failed.iter().take(FAILED_SHOWN) {
        let check = gate.check.map_or("-".to_owned(), |number| number.to_string());
        page.item(&format!("  {check:>2}  {}  ", gate.about), &worst(gate));
    }
    if failed.len() > FAILED_SHOWN {
        let more = failed.len() - FAILED_SHOWN;
        page.item("      ", &format!("and {more} more: see the JSON report"));
    }
}

fn worst(gate: &GateResult) -> String {
    let unit = gate.unit.as_deref().unwrap_or_default();
    let limit = gate.limit.map_or("none".to_owned(), number);
    let side = if gate.gate.ends_with("_least") { "at least" } else { "at most" };
    let value = gate.measured.map_or("-".to_owned(), number);
    let place = gate.at.as_ref().map_or(String::new(), |at| format!(" at {} {}", at.kind, at.id));
    let places = format!("{} of {} fail", gate.failed, gate.evaluated);
    format!("{value}{place}, {side} {limit} {unit} ({places})")
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::finding::Suspect;

    #[test]
    fn a_failed_gate_shows_its_worst_value_and_where() {
        let gate = |outcome, failed| GateResult {
            check: Some(23),
            about: "breaker headroom".to_owned(),
            gate: "breaker_percent_most".to_owned(),
            outcome,
            limit: Some(80.0),
            unit: Some("percent".to_owned()),
            source: None,
            measured: Some(91.25),
            at: Some(Suspect::new("pdu", "pdu-a1")),
            evaluated: 8,
            failed,
            why: None,
        };
        let mut page = Page::default();
        write(&mut page, &[gate(GateOutcome::Fail, 1), gate(GateOutcome::NotEvaluated, 0)]);
        let text = page.finish();
        assert!(text.contains("GATES  0 passed, 1 failed, 1 not evaluated"), "{text}");
        assert!(text.contains("23  breaker headroom  91.25 at pdu pdu-a1, at most"), "{text}");
        assert_eq!(text.matches("breaker").count(), 1, "{text}");
    }
}
