//! Rows of equal keys, numbered: a pass over a column of small keys instead of a look-up
//! of names for every row.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher};

use super::Names;

/// Most entries of a look-up table: 4 MiB, for what a chunk of rows needs at once. Keys
/// that need more are looked up by hash; numbers follow from the rows either way.
const TABLE_MAX: u64 = 1 << 20;
/// No slot yet.
const NONE: u32 = u32::MAX;

/// Which rows have the same keys. Slots are numbered in the order of their first rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slots {
    of_row: Vec<u32>,
    first_rows: Vec<u32>,
}

/// Rows slot by slot, each slot's in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotRows {
    starts: Vec<u32>,
    rows: Vec<u32>,
}

impl Slots {
    /// All rows in one slot. Rows beyond 2^32 - 1 are left out: chunks are far smaller.
    #[must_use]
    pub fn new(rows: usize) -> Self {
        let rows = rows.min(NONE as usize);
        Self { of_row: vec![0; rows], first_rows: if rows > 0 { vec![0] } else { Vec::new() } }
    }

    /// Tells rows apart by a column of names.
    #[must_use]
    pub fn by_names(self, names: &Names) -> Self {
        if names.values.len() == 1 { self } else { self.by_keys(&names.keys) }
    }

    /// Tells rows apart by a column of keys, one entry a row.
    #[must_use]
    pub fn by_keys(mut self, keys: &[u32]) -> Self {
        let highest = keys.iter().copied().max().unwrap_or(0);
        let width = u64::from(highest) + 1;
        let cells = width.saturating_mul(self.first_rows.len() as u64);
        self.first_rows.clear();
        if cells <= TABLE_MAX {
            let mut table = vec![NONE; cells as usize];
            for (row, (slot, key)) in self.of_row.iter_mut().zip(keys).enumerate() {
                let at = &mut table[*slot as usize * width as usize + *key as usize];
                if *at == NONE {
                    *at = number(&mut self.first_rows, row);
                }
                *slot = *at;
            }
        } else {
            self.by_hash(keys);
        }
        self
    }

    fn by_hash(&mut self, keys: &[u32]) {
        // Of each slot the key that it had last: most columns depend on those before.
        let mut last: Vec<(u32, u32)> = Vec::new();
        // A hasher without entropy: no run differs from another.
        type Fixed = BuildHasherDefault<DefaultHasher>;
        let mut known: HashMap<(u32, u32), u32, Fixed> = HashMap::default();
        for (row, (slot, key)) in self.of_row.iter_mut().zip(keys).enumerate() {
            let old = *slot as usize;
            if old >= last.len() {
                last.resize(old + 1, (0, NONE));
            }
            if last[old].0 != *key || last[old].1 == NONE {
                let first_rows = &mut self.first_rows;
                let new = known.entry((*slot, *key)).or_insert_with(|| number(first_rows, row));
                last[old] = (*key, *new);
            }
            *slot = last[old].1;
        }
    }

    /// Number of slots.
    #[must_use]
    pub fn len(&self) -> usize {
        self.first_rows.len()
    }

    /// Whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.first_rows.is_empty()
    }

    /// Of each slot the first row that has its keys.
    #[must_use]
    pub fn first_rows(&self) -> &[u32] {
        &self.first_rows
    }

    /// Of each row its slot.
    #[must_use]
    pub fn of_rows(&self) -> &[u32] {
        &self.of_row
    }

    /// Rows slot by slot.
    #[must_use]
    pub fn rows(&self) -> SlotRows {
        let mut starts = vec![0_u32; self.len() + 1];
        for slot in &self.of_row {
            starts[*slot as usize + 1] += 1;
        }
        for slot in 0..self.len() {
            starts[slot + 1] += starts[slot];
        }
        let mut next = starts.clone();
        let mut rows = vec![0_u32; self.of_row.len()];
        for (row, slot) in self.of_row.iter().enumerate() {
            let at = &mut next[*slot as usize];
            rows[*at as usize] = row as u32;
            *at += 1;
        }
        SlotRows { starts, rows }
    }
}

impl SlotRows {
    /// The rows of a slot, ascending; none where there is no such slot.
    #[must_use]
    pub fn of(&self, slot: usize) -> &[u32] {
        match (self.starts.get(slot), self.starts.get(slot + 1)) {
            (Some(from), Some(to)) => &self.rows[*from as usize..*to as usize],
            _ => &[],
        }
    }
}

fn number(first_rows: &mut Vec<u32>, row: usize) -> u32 {
    first_rows.push(row as u32);
    first_rows.len() as u32 - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_follow_from_all_columns_together() {
        let mut names = Names::default();
        ["a", "b", "a", "b", "a"].iter().for_each(|name| names.push(name));
        let slots = Slots::new(5).by_names(&names).by_keys(&[0, 0, 1, 0, 0]);
        assert_eq!((slots.of_rows(), slots.first_rows()), (&[0, 1, 2, 1, 0][..], &[0, 1, 2][..]));
        let rows = slots.rows();
        assert_eq!(
            [rows.of(0), rows.of(1), rows.of(2), rows.of(3)],
            [&[0, 4][..], &[1, 3], &[2], &[]]
        );
    }

    #[test]
    fn keys_too_large_for_a_table_give_the_same_slots() {
        let small: Vec<u32> = (0..500).map(|row| row * row % 17).collect();
        let large: Vec<u32> = small.iter().map(|key| key * 200_000_000).collect();
        let first: Vec<u32> = (0..500).map(|row| row % 5).collect();
        let by = |keys: &[u32]| Slots::new(500).by_keys(&first).by_keys(keys);
        assert_eq!(by(&small), by(&large));
        assert!(Slots::new(0).by_keys(&[]).is_empty());
    }
}
