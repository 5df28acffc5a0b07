//! Round trips from leaf to leaf as a matrix, idle and loaded.

use std::collections::{BTreeMap, BTreeSet};

use model::report::Measured;

use super::table::Table;

/// What a cell holds, in order.
const PERCENTILES: [&str; 3] = ["p50", "p99", "p999"];

/// By leaf of the prober and of the one who answered, the percentiles of a cell in us.
type Cells<'a> = BTreeMap<(&'a str, &'a str), [Option<f64>; 3]>;

/// A matrix for each state that has round trips between leaves.
pub(super) fn tables(lines: &[Measured]) -> Vec<Table> {
    let states = [("rtt_idle_", "idle"), ("rtt_loaded_", "under load")];
    let table = |(prefix, state): (&str, &str)| {
        let cells = cells(lines, prefix);
        (!cells.is_empty()).then(|| matrix(&cells, state))
    };
    states.into_iter().filter_map(table).collect()
}

fn cells<'a>(lines: &'a [Measured], prefix: &str) -> Cells<'a> {
    let mut cells = Cells::new();
    for line in lines.iter().filter(|line| line.at.kind == "leaf_pair") {
        let suffix = line.what.strip_prefix(prefix).unwrap_or_default();
        let place = PERCENTILES.iter().position(|name| *name == suffix);
        if let Some((place, ends)) = place.zip(line.at.id.split_once('>')) {
            cells.entry(ends).or_default()[place] = Some(line.value);
        }
    }
    cells
}

fn matrix(cells: &Cells, state: &str) -> Table {
    let tos: BTreeSet<&str> = cells.keys().map(|(_, to)| *to).collect();
    let mut froms: Vec<&str> =
        cells.keys().map(|(from, _)| *from).collect::<BTreeSet<_>>().into_iter().collect();
    // Where not all fit the longest p99 comes first.
    if froms.len() > super::table::ROWS_SHOWN {
        let tail = |from: &str| {
            let own = cells.iter().filter(|((own, _), _)| *own == from);
            own.filter_map(|(_, cell)| cell[1]).fold(0.0, f64::max)
        };
        froms.sort_by(|a, b| tail(b).total_cmp(&tail(a)));
    }
    let cell = |from: &str, to: &str| {
        let values = cells.get(&(from, to))?;
        let short: Vec<String> = values.iter().map(|us| us.map_or("-".to_owned(), short)).collect();
        Some(short.join(" "))
    };
    let row = |from: &str| (from.to_owned(), tos.iter().map(|to| cell(from, to)).collect());
    Table {
        title: format!("round trips from leaf to leaf, {state}: p50 p99 p99.9 in us"),
        columns: tos.iter().map(|to| ((*to).to_owned(), String::new())).collect(),
        rows: froms.into_iter().map(row).collect(),
        of: "leaves, none with a longer p99",
    }
}

/// Microseconds in at most four signs: a cell holds three of them.
fn short(us: f64) -> String {
    match us {
        us if us < 9.95 => format!("{us:.1}"),
        us if us < 999.5 => format!("{us:.0}"),
        us if us < 9_950.0 => format!("{:.1}k", us / 1e3),
        us => format!("{:.0}k", us / 1e3),
    }
}

#[cfg(test)]
mod tests {
    use model::finding::Suspect;

    use super::*;

    fn line(what: &str, id: &str, value: f64) -> Measured {
        Measured {
            what: what.to_owned(),
            at: Suspect::new("leaf_pair", id),
            value,
            unit: "us".to_owned(),
            phase: None,
            when: None,
        }
    }

    #[test]
    fn rows_probe_columns_and_a_missing_pair_is_a_dash() {
        let lines = [
            line("rtt_idle_p50", "leaf-1>leaf-2", 9.04),
            line("rtt_idle_p99", "leaf-1>leaf-2", 852.3),
            line("rtt_idle_p999", "leaf-1>leaf-2", 12_345.0),
            line("rtt_loaded_p50", "leaf-2>leaf-1", 1.0),
            line("rtt_idle_lost", "leaf-1>leaf-2", 0.0),
        ];
        let tables = tables(&lines);
        assert_eq!(tables.len(), 2);
        assert_eq!(tables[0].columns[0].0, "leaf-2");
        assert_eq!(tables[0].rows, [("leaf-1".to_owned(), vec![Some("9.0 852 12k".to_owned())])]);
        assert_eq!(tables[1].rows[0].1, [Some("1.0 - -".to_owned())]);
    }

    #[test]
    fn numbers_keep_at_most_four_signs() {
        let all = [0.04, 9.96, 999.4, 999.6, 9_949.0, 9_951.0, 225_835.0].map(short);
        assert_eq!(all, ["0.0", "10", "999", "1.0k", "9.9k", "10k", "226k"]);
    }
}
