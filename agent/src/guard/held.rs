//! A reason of the hardware that must not last: time with it counts up, time without it
//! counts down, so that one that flickers is caught as well.

/// Looks are further apart than this only when the sampler hung: nobody knows what was then.
const LOOK_NS_MAX: u64 = 1_000_000_000;

/// One reason over time.
#[derive(Debug, Default)]
pub(super) struct Held {
    last_ns: Option<u64>,
    held_ns: u64,
}

impl Held {
    /// Takes a look; how long the reason was held on balance.
    pub(super) fn take(&mut self, now_ns: u64, set: bool) -> u64 {
        let since_ns = now_ns.saturating_sub(self.last_ns.unwrap_or(now_ns)).min(LOOK_NS_MAX);
        self.last_ns = Some(now_ns);
        self.held_ns = match set {
            true => self.held_ns.saturating_add(since_ns),
            false => self.held_ns.saturating_sub(since_ns),
        };
        self.held_ns
    }

    /// A new arm: patience begins anew.
    pub(super) fn restart(&mut self) {
        *self = Self::default();
    }
}
