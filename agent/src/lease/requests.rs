//! When we asked: request id to the instant it was made.

use std::collections::VecDeque;

/// Renewals go out three times a ttl, so four may be under way; retries before the first
/// grant may pile up behind a slow link. A request that fell out is never granted: that
/// errs towards cold.
pub(super) const REQUESTS_MAX: usize = 16;

/// Requests that wait for their answer. Ids are never used twice by one agent process.
#[derive(Debug, Default)]
pub(super) struct Requests {
    waiting: VecDeque<(u64, u64)>,
    last: u64,
}

impl Requests {
    /// Notes a request made at `now_ns` and returns its id.
    pub(super) fn ask(&mut self, now_ns: u64) -> u64 {
        if self.waiting.len() == REQUESTS_MAX {
            self.waiting.pop_front();
        }
        self.last += 1;
        self.waiting.push_back((self.last, now_ns));
        self.last
    }

    /// The instant of a request; each is answered once, a second answer is `None`.
    pub(super) fn answer(&mut self, request: u64) -> Option<u64> {
        let at = self.waiting.iter().position(|(id, _)| *id == request)?;
        self.waiting.remove(at).map(|(_, asked_ns)| asked_ns)
    }

    /// Answers to all earlier requests come too late.
    pub(super) fn forget(&mut self) {
        self.waiting.clear();
    }
}
