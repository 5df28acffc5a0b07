//! Coupling as a matrix: whose load warmed whom.

use std::collections::BTreeSet;

use model::report::Measured;

use super::line::number;
use super::table::Table;

/// What entries are called, and their titles.
const KINDS: [(&str, &str); 2] = [
    ("coupling_supply_k_per_kw", "idle nodes' supply, in mK for each kW of the column's load"),
    ("coupling_temp_k_per_kw", "idle devices' temperature, in mK for each kW of the column's load"),
];

/// A matrix for each figure that was measured; its diagonal is the load itself.
pub(super) fn tables(lines: &[Measured]) -> Vec<Table> {
    KINDS.iter().map(|(what, title)| table(lines, what, title)).collect()
}

fn table(lines: &[Measured], what: &str, title: &str) -> Table {
    let entries: Vec<(&str, &str, f64)> = lines
        .iter()
        .filter(|line| line.what == what)
        .filter_map(|line| {
            let (from, to) = line.at.id.split_once('>')?;
            Some((from, to, 1e3 * line.value))
        })
        .collect();
    let sources: BTreeSet<&str> = entries.iter().map(|(from, _, _)| *from).collect();
    let victims: BTreeSet<&str> = entries.iter().map(|(_, to, _)| *to).collect();
    let cell = |from: &str, to: &str| {
        let found = entries.iter().find(|(source, victim, _)| *source == from && *victim == to);
        found.map(|(_, _, mk)| number(*mk))
    };
    let row = |to: &str| (to.to_owned(), sources.iter().map(|from| cell(from, to)).collect());
    Table {
        title: title.to_owned(),
        columns: sources.iter().map(|from| ((*from).to_owned(), String::new())).collect(),
        rows: victims.iter().map(|to| row(to)).collect(),
        of: "groups",
    }
}
