//! The lease: permission to heat, seconds long. A pure machine.
//!
//! Owns one question: may this node heat now? Refuses I/O and clocks: `now_ns` is
//! CLOCK_MONOTONIC of this machine and comes with every call.
//!
//! Think of a parking meter that counts from the moment you *asked* for the ticket, not
//! from when it was printed. A ticket that was buffered, doubled or overtaken on its way
//! never buys a second more than that.
//!
//! ```text
//!            Arm            Granted            expiry, Stop           ramp over
//!   Idle ---------> Armed ----------> Held ------------------> Ramping ---------> Idle
//!     ^--------------'  Stop, wait      |                         |
//!     ^-----------------------------------------Drop--------------'
//! ```
//!
//! Invariants:
//! * Full heat only while `now < request instant + ttl` of a request that this machine
//!   made and the coordinator granted; ramp-down heat only within the ramp behind that.
//! * A lease that was lost does not come back: only a new [`Event::Arm`] leads to heat,
//!   and an arm that was used once is spent.

mod arms;
mod requests;
#[cfg(test)]
mod tests;

use model::id::RunId;

use arms::SpentArms;
use requests::Requests;

const NS_PER_S: u64 = 1_000_000_000;

/// No grant buys more: a lease is seconds long, and this is the longest that a hall may
/// heat with nobody watching.
pub const TTL_MAX_NS: u64 = 60 * NS_PER_S;

/// No ramp lasts longer: it is heat without a lease. Enough for 10,000 nodes at 10 kW to
/// leave a 1 MW/s site in turns.
pub const RAMP_MAX_NS: u64 = 120 * NS_PER_S;

/// The ramp where nobody said another (an emergency is [`Event::Drop`]).
pub const RAMP_DEFAULT_NS: u64 = 2 * NS_PER_S;

/// Renewals a lease: two may be lost before the third is too late.
pub const RENEWALS_PER_TTL: u64 = 3;

/// Between requests while no grant has told us a ttl yet.
pub const REQUEST_RETRY_NS: u64 = NS_PER_S;

/// No renewal more often, whatever ttl a grant says: a tiny ttl must not flood the session.
pub const RENEW_MIN_NS: u64 = 50_000_000;

/// An arm that got no grant for so long is forgotten: by then nobody remembers it either.
pub const ARM_WAIT_MAX_NS: u64 = 120 * NS_PER_S;

/// What an arm is for. Requests and grants carry it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseKey {
    pub run: RunId,
    /// Made by the coordinator for each arm, never used twice.
    pub lease: String,
}

/// What happens to the lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The coordinator, on a person's word, wants this node ready to heat.
    Arm(LeaseKey),
    /// A request was answered with yes.
    Granted { key: LeaseKey, request: u64, ttl_ns: u64, ramp_ns: u64 },
    /// End of a run or an operator's stop; without a time, the lease's own ramp.
    Stop { ramp_ns: Option<u64> },
    /// Emergency: no heat from now on.
    Drop,
    /// Time passed.
    Tick,
}

/// What the caller must do, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Send this request now. Its instant is `now_ns` of this call.
    Request { key: LeaseKey, request: u64 },
    /// Full heat is allowed from now on, while [`Lease::heat`] says so.
    HeatAllowed,
    /// Lead all devices to zero over this time.
    Ramp { over_ns: u64, why: End },
    /// All devices to zero at once.
    Drop { why: End },
    /// No heat may be left: kill what still heats.
    MustBeIdle { why: End },
    /// The arm was not taken.
    Refused { key: LeaseKey, why: Refusal },
}

/// Why heat ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// No renewal came in time.
    LeaseLost,
    /// Somebody said stop, or the run is over.
    Stopped,
    /// Somebody said drop.
    Dropped,
    /// Armed, and never granted.
    NeverGranted,
}

/// Why an arm was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("this node holds another lease")]
    Busy,
    #[error("the load is still ramping down")]
    Ramping,
    #[error("this arm was used before")]
    Spent,
}

/// Where the machine stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    Idle,
    /// Asking; no heat.
    Armed {
        key: LeaseKey,
        since_ns: u64,
    },
    /// Heat is allowed before `expires_ns`.
    Held {
        key: LeaseKey,
        expires_ns: u64,
        ramp_ns: u64,
    },
    /// On the way down; nothing may heat from `until_ns` on.
    Ramping {
        until_ns: u64,
        why: End,
    },
}

/// How much heat is allowed at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heat {
    None,
    /// Down only, to zero before this instant.
    RampDown {
        until_ns: u64,
    },
    Full {
        until_ns: u64,
    },
}

/// The agent's side of the lease.
#[derive(Debug)]
pub struct Lease {
    state: State,
    requests: Requests,
    /// When the next request is due, while armed or held.
    renew_ns: u64,
    ttl_ns: Option<u64>,
    spent: SpentArms,
    /// The latest instant seen: time here never runs backwards.
    now_ns: u64,
}

impl Default for Lease {
    fn default() -> Self {
        Self::new()
    }
}

impl Lease {
    /// Agents boot idle.
    #[must_use]
    pub fn new() -> Self {
        Self {
            state: State::Idle,
            requests: Requests::default(),
            renew_ns: 0,
            ttl_ns: None,
            spent: SpentArms::default(),
            now_ns: 0,
        }
    }

    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// What is allowed at `now_ns`, also where nobody called [`Lease::step`] in time.
    #[must_use]
    pub fn heat(&self, now_ns: u64) -> Heat {
        match self.state {
            State::Idle | State::Armed { .. } => Heat::None,
            State::Held { expires_ns, .. } if now_ns < expires_ns => {
                Heat::Full { until_ns: expires_ns }
            }
            State::Held { expires_ns, ramp_ns, .. } => {
                down(now_ns, expires_ns.saturating_add(ramp_ns))
            }
            State::Ramping { until_ns, .. } => down(now_ns, until_ns),
        }
    }

    /// The instant at which [`Event::Tick`] is due at the latest.
    #[must_use]
    pub fn next_deadline(&self) -> Option<u64> {
        match self.state {
            State::Idle => None,
            State::Armed { since_ns, .. } => {
                Some(self.renew_ns.min(since_ns.saturating_add(ARM_WAIT_MAX_NS)))
            }
            State::Held { expires_ns, .. } => Some(self.renew_ns.min(expires_ns)),
            State::Ramping { until_ns, .. } => Some(until_ns),
        }
    }

    /// Takes an event; time that passed since the last call is dealt with first.
    pub fn step(&mut self, now_ns: u64, event: Event) -> Vec<Action> {
        self.now_ns = self.now_ns.max(now_ns);
        let mut actions = Vec::new();
        self.pass_time(&mut actions);
        match event {
            Event::Arm(key) => self.arm(key, &mut actions),
            Event::Granted { key, request, ttl_ns, ramp_ns } => {
                self.grant(&key, request, ttl_ns, ramp_ns, &mut actions);
            }
            Event::Stop { ramp_ns } => self.stop(ramp_ns, &mut actions),
            Event::Drop => self.drop_at_once(End::Dropped, &mut actions),
            Event::Tick => {}
        }
        self.ask_if_due(&mut actions);
        actions
    }

    fn pass_time(&mut self, actions: &mut Vec<Action>) {
        if let State::Held { expires_ns, ramp_ns, .. } = self.state
            && self.now_ns >= expires_ns
        {
            self.ramp_until(expires_ns.saturating_add(ramp_ns), End::LeaseLost, actions);
        }
        match self.state {
            State::Ramping { until_ns, why } if self.now_ns >= until_ns => {
                self.state = State::Idle;
                actions.push(Action::MustBeIdle { why });
            }
            State::Armed { since_ns, .. }
                if self.now_ns >= since_ns.saturating_add(ARM_WAIT_MAX_NS) =>
            {
                self.state = State::Idle;
                actions.push(Action::MustBeIdle { why: End::NeverGranted });
            }
            _ => {}
        }
    }

    fn arm(&mut self, key: LeaseKey, actions: &mut Vec<Action>) {
        let refusal = match &self.state {
            // Said twice on the wire: it is the same arm.
            State::Armed { key: ours, .. } | State::Held { key: ours, .. } if *ours == key => {
                return;
            }
            _ if self.spent.contains(&key) => Some(Refusal::Spent),
            State::Idle | State::Armed { .. } => None,
            State::Held { .. } => Some(Refusal::Busy),
            State::Ramping { .. } => Some(Refusal::Ramping),
        };
        if let Some(why) = refusal {
            actions.push(Action::Refused { key, why });
            return;
        }
        self.spent.insert(key.clone());
        self.requests.forget();
        self.ttl_ns = None;
        self.renew_ns = self.now_ns;
        self.state = State::Armed { key, since_ns: self.now_ns };
    }

    fn grant(
        &mut self,
        from: &LeaseKey,
        request: u64,
        ttl_ns: u64,
        ramp_ns: u64,
        actions: &mut Vec<Action>,
    ) {
        let (key, held) = match &self.state {
            State::Armed { key, .. } => (key, None),
            State::Held { key, expires_ns, ramp_ns } => (key, Some((*expires_ns, *ramp_ns))),
            State::Idle | State::Ramping { .. } => return,
        };
        if key != from {
            return;
        }
        let Some(asked_ns) = self.requests.answer(request) else { return };
        let ttl_ns = ttl_ns.min(TTL_MAX_NS);
        let expires_ns = asked_ns.saturating_add(ttl_ns);
        // Too late to buy anything, or overtaken by a grant that lasts longer.
        if expires_ns <= self.now_ns || held.is_some_and(|(ours, _)| expires_ns <= ours) {
            return;
        }
        self.renew_ns = match held {
            // A ttl that shrank renews sooner.
            Some(_) => self.renew_ns.min(self.now_ns.saturating_add(renew_after(ttl_ns))),
            None => asked_ns.saturating_add(renew_after(ttl_ns)),
        };
        if held.is_none() {
            actions.push(Action::HeatAllowed);
        }
        self.ttl_ns = Some(ttl_ns);
        let (key, ramp_ns) = (key.clone(), ramp_ns.min(RAMP_MAX_NS));
        self.state = State::Held { key, expires_ns, ramp_ns };
    }

    fn stop(&mut self, ramp_ns: Option<u64>, actions: &mut Vec<Action>) {
        match self.state {
            State::Held { ramp_ns: ours, .. } => {
                let over_ns = ramp_ns.unwrap_or(ours).min(RAMP_MAX_NS);
                self.ramp_until(self.now_ns.saturating_add(over_ns), End::Stopped, actions);
            }
            State::Armed { .. } => {
                self.state = State::Idle;
                actions.push(Action::MustBeIdle { why: End::Stopped });
            }
            // On its way down, or down: nothing that a stop could add.
            State::Ramping { .. } | State::Idle => {}
        }
    }

    /// Said in every state, idle too: a drop too many costs nothing.
    fn drop_at_once(&mut self, why: End, actions: &mut Vec<Action>) {
        self.state = State::Idle;
        actions.push(Action::Drop { why });
        actions.push(Action::MustBeIdle { why });
    }

    /// Begins the ramp, or drops where a late call has left none of it.
    fn ramp_until(&mut self, until_ns: u64, why: End, actions: &mut Vec<Action>) {
        match until_ns.checked_sub(self.now_ns).filter(|left| *left > 0) {
            Some(over_ns) => {
                self.state = State::Ramping { until_ns, why };
                actions.push(Action::Ramp { over_ns, why });
            }
            None => self.drop_at_once(why, actions),
        }
    }

    fn ask_if_due(&mut self, actions: &mut Vec<Action>) {
        let (State::Armed { key, .. } | State::Held { key, .. }) = &self.state else { return };
        if self.now_ns < self.renew_ns {
            return;
        }
        let request = self.requests.ask(self.now_ns);
        self.renew_ns =
            self.now_ns.saturating_add(self.ttl_ns.map_or(REQUEST_RETRY_NS, renew_after));
        actions.push(Action::Request { key: key.clone(), request });
    }
}

fn renew_after(ttl_ns: u64) -> u64 {
    (ttl_ns / RENEWALS_PER_TTL).max(RENEW_MIN_NS)
}

fn down(now_ns: u64, until_ns: u64) -> Heat {
    if now_ns < until_ns { Heat::RampDown { until_ns } } else { Heat::None }
}
