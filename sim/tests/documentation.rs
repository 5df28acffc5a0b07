//! docs/faults.md lists the catalogue as it is.

use sim::fault::{FaultKind, SeenIn, TargetSort, Unit};

const PAGE: &str = include_str!("../../docs/faults.md");

fn works_on(sort: TargetSort) -> String {
    match sort {
        TargetSort::Domain(kinds) => {
            let words: Vec<String> =
                kinds.iter().map(|kind| format!("`{}`", kind.word())).collect();
            words.join(", ")
        }
        other => other.wants(),
    }
}

#[test]
fn every_fault_is_listed_as_it_is() {
    for entry in FaultKind::catalogue() {
        let size = match entry.unit {
            Unit::None => "none".to_owned(),
            unit => {
                let written = (entry.default_size * unit.scale() * 1e6).round() / 1e6;
                format!("{} ({written}{0})", unit.suffix())
            }
        };
        let shows = match entry.seen_in {
            SeenIn::Samples => "samples",
            SeenIn::Meters => "meters",
            SeenIn::Pairs => "pairs",
        };
        let line = format!(
            "| `{}` | {} | {size} | `{}` | {shows} | {} |",
            entry.word,
            works_on(entry.sort),
            entry.finding.word(),
            entry.what
        );
        assert!(PAGE.contains(&line), "docs/faults.md lacks this line:\n{line}");
    }
    let lines = PAGE.lines().filter(|line| line.starts_with("| `")).count();
    assert_eq!(lines, FaultKind::catalogue().len());
}
