//! Clocks of devices along a table: do they ever go backwards?

use std::collections::HashMap;

use model::SampleColumns;

/// First and last time of each device, and how often a row was earlier than the one before.
#[derive(Debug, Default)]
pub(super) struct Clocks {
    numbers: HashMap<(String, u32, String), usize>,
    /// By number.
    spans: Vec<(i64, i64)>,
}

impl Clocks {
    /// Looks at the next rows of a table; how many went backwards.
    pub(super) fn add(&mut self, columns: &SampleColumns) -> u64 {
        let slots = columns.devices();
        let number = |row: &u32| {
            let row = *row as usize;
            let uuid = columns.uuid.as_ref().map_or("", |uuid| uuid.get(row)).to_owned();
            let device = (columns.node.get(row).to_owned(), columns.device[row], uuid);
            let next = self.spans.len();
            let number = *self.numbers.entry(device).or_insert(next);
            if number == next {
                self.spans.push((columns.time_ns[row], columns.time_ns[row]));
            }
            number
        };
        let numbers: Vec<usize> = slots.first_rows().iter().map(number).collect();
        // Small and dense: the loop over rows stays in the cache.
        let mut last: Vec<i64> = numbers.iter().map(|number| self.spans[*number].1).collect();
        let mut backwards = 0;
        for (slot, time) in slots.of_rows().iter().zip(&columns.time_ns) {
            let last = &mut last[*slot as usize];
            backwards += u64::from(*time < *last);
            *last = *time;
        }
        for (number, last) in numbers.into_iter().zip(last) {
            self.spans[number].1 = last;
        }
        backwards
    }

    /// Appends what comes later in the table; how many devices went backwards between.
    pub(super) fn append(&mut self, later: Self) -> u64 {
        let mut backwards = 0;
        for (device, number) in later.numbers {
            let (first, last) = later.spans[number];
            let next = self.spans.len();
            let ours = *self.numbers.entry(device).or_insert(next);
            if ours == next {
                self.spans.push((first, last));
            }
            backwards += u64::from(first < self.spans[ours].1 && ours != next);
            self.spans[ours].1 = last;
        }
        backwards
    }
}
