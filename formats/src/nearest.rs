//! The known word that an unknown word most likely meant.

/// The nearest of `known` to `word`, if one is near enough to be a slip of the fingers:
/// at most a third of its letters wrong, and no less than one.
#[must_use]
pub fn nearest<'w>(word: &str, known: &[&'w str]) -> Option<&'w str> {
    let near = known.iter().map(|&candidate| (distance(word, candidate), candidate)).min()?;
    (near.0 <= (near.1.chars().count() / 3).max(1)).then_some(near.1)
}

/// The column that an unknown one most likely meant, of those that the file lacks: a slip of
/// the fingers, or the same quantity without its unit (`power`, `power_w`).
#[must_use]
pub fn meant_column<'w>(unknown: &str, absent: &[&'w str]) -> Option<&'w str> {
    let word = unknown.trim().to_lowercase();
    let unit_apart = |column: &&&str| {
        let (long, short) =
            if column.len() > word.len() { (**column, &*word) } else { (&*word, **column) };
        long.strip_prefix(short).is_some_and(|rest| rest.starts_with('_'))
    };
    absent.iter().find(unit_apart).copied().or_else(|| nearest(&word, absent))
}

/// Letters to insert, remove, replace or swap with their neighbour (optimal string
/// alignment). Both words are cut at 64 letters: no key is longer, a stranger's word may be.
fn distance(a: &str, b: &str) -> usize {
    let [a, b] = [a, b].map(|word| word.chars().take(64).collect::<Vec<char>>());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for (line, letter) in a.iter().enumerate() {
        let mut row = vec![line + 1];
        for (column, other) in b.iter().enumerate() {
            let replaced = rows[line][column] + usize::from(letter != other);
            let mut least = replaced.min(rows[line][column + 1] + 1).min(row[column] + 1);
            let swapped =
                line > 0 && column > 0 && *letter == b[column - 1] && *other == a[line - 1];
            if swapped {
                least = least.min(rows[line - 1][column - 1] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_a_stranger_is_not() {
        let known = ["seconds", "name", "kind", "on"];
        assert_eq!(nearest("secnds", &known), Some("seconds"));
        assert_eq!(nearest("nmae", &known), Some("name"));
        assert_eq!(nearest("nam", &known), Some("name"));
        assert_eq!(nearest("temperature", &known), None);
        assert_eq!(nearest("x", &[]), None);
    }

    #[test]
    fn a_column_without_its_unit_is_recognised() {
        let absent = ["power_w", "temp_c", "mem_temp_c", "perf"];
        assert_eq!(meant_column("power", &absent), Some("power_w"));
        assert_eq!(meant_column("Temp_C", &absent), Some("temp_c"));
        assert_eq!(meant_column("perf_gflops", &absent), Some("perf"));
        assert_eq!(meant_column("fan_speed", &absent), None);
    }

    #[test]
    fn distances_are_symmetric() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("sitting", "kitten"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("hodl", "hold"), 1);
    }
}
