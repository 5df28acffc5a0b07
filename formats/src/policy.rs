//! policy.toml: gates, statistical floors, and who vouches for the load.
//!
//! A document need only say what differs: gates and floors that it leaves out keep the
//! values of the built-in policy.

use std::path::Path;

use model::policy::{Floors, Gate, Policy};

use crate::document::{Document, Table, text_of};
use crate::document_error::DocumentErrors;
use crate::nearest::nearest;

/// The text of the built-in policy.
pub const BUILTIN_TEXT: &str = include_str!("builtin/policy.toml");

/// Limits are held against values of any unit; beyond this nothing is measured.
const LIMIT_MAX: f64 = 1e12;

/// The built-in policy.
///
/// # Panics
/// Never: its text is part of this crate and a test reads it.
#[must_use]
pub fn builtin() -> Policy {
    read_onto(None, "policy.toml", BUILTIN_TEXT)
        .unwrap_or_else(|errors| unreachable!("the built-in policy is valid: {errors}"))
}

/// Reads a policy file on top of the built-in policy.
///
/// # Errors
/// Every problem of the document, with file, line and mend.
pub fn read(path: &Path) -> Result<Policy, DocumentErrors> {
    let (file, text) = text_of(path)?;
    parse(&file, &text)
}

/// Reads a policy from its text, on top of the built-in policy; `file` is what messages
/// call it.
///
/// # Errors
/// Every problem of the document, with file, line and mend.
pub fn parse(file: &str, text: &str) -> Result<Policy, DocumentErrors> {
    read_onto(Some(builtin()), file, text)
}

/// `base` is `None` only for the built-in policy itself, which must be complete.
fn read_onto(base: Option<Policy>, file: &str, text: &str) -> Result<Policy, DocumentErrors> {
    let document = Document::new(file, text);
    let tree = document.tree()?;
    let root = Table::root(&document, &tree);
    root.only(&["schema", "load_was_commanded", "gate", "floors"]);
    root.schema();
    let written: Vec<_> = root
        .tables("gate", "[[gate]]")
        .unwrap_or_default()
        .iter()
        .filter_map(|table| gate(table, &base))
        .collect();
    for (position, (table_name, span)) in
        written.iter().map(|(gate, span)| (&gate.name, span)).enumerate()
    {
        if written[..position].iter().any(|(other, _)| other.name == *table_name) {
            let what = format!("a second gate named \"{table_name}\"");
            document.add(span, what, "keep one of the two");
        }
    }
    let floors = floors(&root, base.as_ref().map(|policy| policy.floors));
    let load_was_commanded = root.flag("load_was_commanded").unwrap_or(false);
    let mut gates = base.map(|policy| policy.gates).unwrap_or_default();
    for (gate, _) in written {
        match gates.iter_mut().find(|known| known.name == gate.name) {
            Some(known) => *known = gate,
            None => gates.push(gate),
        }
    }
    document.finish(floors.map(|floors| Policy { load_was_commanded, gates, floors }))
}

/// A gate, and where its name stands.
fn gate(table: &Table<'_, '_>, base: &Option<Policy>) -> Option<(Gate, std::ops::Range<usize>)> {
    table.only(&["name", "limit", "unit", "source"]);
    table.need("name", "name = \"sdc_blocks_most\"");
    table.need("limit", "limit = 0");
    let name = table.text("name");
    let limit = table.number("limit", 0.0..=LIMIT_MAX, "");
    let known = base.as_ref().zip(name.as_ref()).and_then(|(policy, name)| {
        let known = policy.gates.iter().find(|gate| gate.name == *name);
        if known.is_none() {
            let names: Vec<&str> = policy.gates.iter().map(|gate| gate.name.as_str()).collect();
            let mend = match nearest(name, &names) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => format!("use one of {}", names.join(", ")),
            };
            table.wrong("name", format!("unknown gate \"{}\"", name.escape_debug()), mend);
        }
        known
    });
    if known.is_none() {
        table.need("unit", "unit = \"s\"");
    }
    table.need("source", "source = \"contract 12, clause 3\"");
    let unit = table.text("unit").or_else(|| known.map(|gate| gate.unit.clone()));
    if let (Some(unit), Some(known)) = (&unit, known)
        && *unit != known.unit
    {
        let what = format!("unit \"{}\" of gate \"{}\"", unit.escape_debug(), known.name);
        table.wrong("unit", what, format!("write the limit in {}", known.unit));
    }
    let gate = Gate { name: name?, limit: limit?, unit: unit?, source: table.text("source")? };
    Some((gate, table.span_of("name")))
}

const FLOOR_KEYS: [&str; 12] = [
    "temp_k",
    "power_percent",
    "clock_percent",
    "perf_percent",
    "r_th_percent",
    "bandwidth_percent",
    "hit_mads",
    "coverage_least",
    "outside_hits_most",
    "q_value_most",
    "group_nodes_least",
    "missing_most",
];

fn floors(root: &Table<'_, '_>, base: Option<Floors>) -> Option<Floors> {
    let Some(table) = root.table("floors", "[floors]") else {
        return base;
    };
    table.only(&FLOOR_KEYS);
    let percent =
        |key: &str, known: Option<f64>| table.number(key, 0.0..=100.0, "percent").or(known);
    let share = |key: &str, known: Option<f64>| table.number(key, 0.0..=1.0, "").or(known);
    let nodes = table.whole("group_nodes_least", 1..=100_000);
    Some(Floors {
        temp_k: table.number("temp_k", 0.0..=100.0, "K").or(base.map(|b| b.temp_k))?,
        power_percent: percent("power_percent", base.map(|b| b.power_percent))?,
        clock_percent: percent("clock_percent", base.map(|b| b.clock_percent))?,
        perf_percent: percent("perf_percent", base.map(|b| b.perf_percent))?,
        r_th_percent: percent("r_th_percent", base.map(|b| b.r_th_percent))?,
        bandwidth_percent: percent("bandwidth_percent", base.map(|b| b.bandwidth_percent))?,
        hit_mads: table.number("hit_mads", 0.0..=100.0, "").or(base.map(|b| b.hit_mads))?,
        coverage_least: share("coverage_least", base.map(|b| b.coverage_least))?,
        outside_hits_most: share("outside_hits_most", base.map(|b| b.outside_hits_most))?,
        q_value_most: share("q_value_most", base.map(|b| b.q_value_most))?,
        group_nodes_least: nodes
            .and_then(|nodes| u32::try_from(nodes).ok())
            .or(base.map(|b| b.group_nodes_least))?,
        missing_most: share("missing_most", base.map(|b| b.missing_most))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_builtin_policy_is_complete() {
        let policy = builtin();
        assert_eq!(policy.limit("sdc_blocks_most"), Some(0.0));
        assert!(policy.gates.iter().all(|gate| !gate.source.is_empty()));
        let directed = |gate: &Gate| gate.name.ends_with("_most") || gate.name.ends_with("_least");
        assert!(policy.gates.iter().all(directed));
        assert!(!policy.load_was_commanded);
        assert_eq!(policy.floors, Floors::default());
    }

    #[test]
    fn a_document_changes_only_what_it_says() {
        let text = "schema = 1\nload_was_commanded = true\n[floors]\ntemp_k = 5\n\
            [[gate]]\nname = \"start_skew_ms_most\"\nlimit = 3\nsource = \"our hall\"\n";
        let policy = parse("policy.toml", text).unwrap();
        let plain = builtin();
        assert!(policy.load_was_commanded);
        assert_eq!(policy.floors, Floors { temp_k: 5.0, ..plain.floors });
        assert_eq!(policy.limit("start_skew_ms_most"), Some(3.0));
        assert_eq!(policy.gates.len(), plain.gates.len());
    }

    #[test]
    fn problems_name_their_lines() {
        let text = "schema = 1\n[floors]\ntemp_c = 5\nq_value_most = 2\n[[gate]]\n\
            name = \"sdc_block_most\"\nlimit = nan\n[[gate]]\nname = \"start_skew_ms_most\"\n\
            limit = 1\nunit = \"s\"\nsource = \"x\"\n";
        insta::assert_snapshot!(parse("policy.toml", text).unwrap_err());
    }
}
