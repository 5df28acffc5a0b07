//! Arms that were used: none leads to heat twice.

use std::collections::VecDeque;

use super::LeaseKey;

/// An arm said twice comes within a session's reordering, not a thousand arms later.
const SPENT_MAX: usize = 1_024;

#[derive(Debug, Default)]
pub(super) struct SpentArms {
    oldest_first: VecDeque<LeaseKey>,
}

impl SpentArms {
    pub(super) fn contains(&self, key: &LeaseKey) -> bool {
        self.oldest_first.contains(key)
    }

    pub(super) fn insert(&mut self, key: LeaseKey) {
        if self.oldest_first.len() == SPENT_MAX {
            self.oldest_first.pop_front();
        }
        self.oldest_first.push_back(key);
    }
}
