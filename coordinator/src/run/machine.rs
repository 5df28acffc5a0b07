//! The run machine: pure. Events and `now` in, actions out; no I/O, no clock.
//!
//! Preparing -> for each phase: arm, wait for READY, GO at an instant -> Stopping (only when
//! asked or forced) -> Closing -> Ended. The next phase is armed while the present one runs,
//! so that a load goes over into the next without a gap.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::facts::LossReason;

use super::PhaseSpec;

#[cfg(test)]
mod tests;

/// Agents allocate buffers and open ports in this time or are left behind.
const PREPARE_DEADLINE_NS: i64 = 30_000_000_000;
/// A GO is an instant of a node's own clock: it takes this many exchanges to name one. Two
/// may both have waited in a queue; the third is the check.
const CLOCK_EXCHANGES_MIN: usize = 3;
/// A start is worth waiting for while a node's clock is less certain than this: the skew
/// that GO promises.
const CLOCK_ERROR_MAX_NS: u64 = 1_000_000;
/// How long it is waited for. On a slow network the error stays large: then the run goes on
/// with it, and it is kept beside every start.
const CLOCK_PATIENCE_NS: i64 = 10_000_000_000;
/// Agents answer an Arm in this time or are left behind. NCCL opens its GPUs before it answers:
/// seconds, on a node whose driver was not loaded before.
const READY_DEADLINE_NS: i64 = 20_000_000_000;
/// A GO is sent at least this long before its instant: a hundred round trips.
pub(crate) const GO_LEAD_NS: i64 = 1_000_000_000;
/// The next phase is armed this long before the present one ends.
const ARM_LEAD_NS: i64 = 3_000_000_000;
/// After the ramp, this long for the last agent to say that it is idle.
const IDLE_GRACE_NS: i64 = 5_000_000_000;
/// After Finish, this long for the last batch to arrive; what is missing then is a visible gap.
const CLOSE_DEADLINE_NS: i64 = 20_000_000_000;

/// What happened, as the machine sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    Prepared {
        node: String,
        ok: bool,
        why: String,
    },
    Ready {
        node: String,
        phase: usize,
        attempt: u32,
        ok: bool,
        why: String,
    },
    /// What is known of the node's clock by now.
    Clock {
        node: String,
        exchanges: usize,
        error_ns: u64,
    },
    /// Anything at all came from the node (same instance as at the start).
    Seen {
        node: String,
    },
    /// The node's agent left on purpose, or another instance came in its place.
    Gone {
        node: String,
        reason: LossReason,
        why: String,
    },
    /// Every device of the node is idle after a stop.
    Idle {
        node: String,
    },
    Closed {
        node: String,
        last_seq: u64,
    },
    /// Batches of the node are durable up to this one.
    Stored {
        node: String,
        seq: u64,
    },
    StopAsked {
        drop: bool,
        who: String,
    },
    /// A safety limit ends the run.
    LimitTripped {
        why: String,
    },
    /// An interlock ends the run.
    Interlocked {
        drop: bool,
        why: String,
    },
    /// These nodes ramp to idle and stay there; the rest goes on.
    Shed {
        nodes: Vec<String>,
        why: String,
    },
    Tick,
}

impl Event {
    /// Whether what follows from it can't wait for the next tick.
    fn decides(&self) -> bool {
        match self {
            Self::Gone { .. }
            | Self::StopAsked { .. }
            | Self::LimitTripped { .. }
            | Self::Interlocked { .. }
            | Self::Shed { .. }
            | Self::Tick => true,
            Self::Prepared { .. }
            | Self::Ready { .. }
            | Self::Clock { .. }
            | Self::Seen { .. }
            | Self::Idle { .. }
            | Self::Closed { .. }
            | Self::Stored { .. } => false,
        }
    }
}

/// What must be done now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    Prepare {
        node: String,
    },
    Arm {
        node: String,
        /// Its place among the members.
        rank: usize,
        phase: usize,
        attempt: u32,
        members: Arc<[String]>,
    },
    /// Begin at this instant of the coordinator's clock.
    Go {
        node: String,
        phase: usize,
        attempt: u32,
        start_ns: i64,
    },
    Stop {
        node: String,
        drop: bool,
        why: String,
    },
    Finish {
        node: String,
    },
    /// The node is out of the run; its lease is not renewed.
    Lost {
        node: String,
        reason: LossReason,
        why: String,
    },
    PhaseStarts {
        phase: usize,
        start_ns: i64,
    },
    PhaseCompleted {
        phase: usize,
    },
    Ended(End),
}

/// How the run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    Finished,
    Stopped { who: String, drop: bool },
    Aborted { why: String },
    Failed { why: String },
}

/// Where the run is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    Preparing { since_ns: i64 },
    Running,
    Stopping { deadline_ns: i64 },
    Closing { deadline_ns: i64 },
    Ended,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Member {
    prepared: bool,
    exchanges: usize,
    clock_error_ns: u64,
    lost: bool,
    /// It was told to go idle, and heats no more in this run.
    shed: bool,
    last_seen_ns: i64,
    idle: bool,
    closed: Option<u64>,
    stored: u64,
}

/// A phase that was armed and waits for READY.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Arming {
    phase: usize,
    attempt: u32,
    deadline_ns: i64,
    /// Who was told: the ring of the phase.
    armed: Arc<[String]>,
    waiting: BTreeSet<String>,
}

/// A phase with an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Timed {
    phase: usize,
    start_ns: i64,
    end_ns: i64,
}

/// One run. Built anew for a resume, with the phase to begin at.
#[derive(Debug, Clone)]
pub struct RunMachine {
    phases: Vec<PhaseSpec>,
    members: BTreeMap<String, Member>,
    state: State,
    present: Option<Timed>,
    next: Option<Timed>,
    arming: Option<Arming>,
    /// First phase that has not been armed yet.
    upcoming: usize,
    attempts: u32,
    end: Option<End>,
    ramp_ns: i64,
    lost_after_ns: i64,
    /// Nobody has released the load yet: phases that heat wait.
    heat_waits: bool,
    /// Who was lost last, and why, in words.
    last_loss: Option<String>,
}

impl Member {
    /// Its workers stand, and its clock is known well enough to be given an instant.
    fn may_be_armed(&self, waited_ns: i64) -> bool {
        let certain = self.clock_error_ns <= CLOCK_ERROR_MAX_NS || waited_ns >= CLOCK_PATIENCE_NS;
        self.prepared && self.exchanges >= CLOCK_EXCHANGES_MIN && certain
    }

    /// Why it can't be armed once the time for it is over.
    fn unprepared(&self) -> Option<(LossReason, String)> {
        if !self.prepared {
            return Some((LossReason::NotReady, "did not prepare in time".to_owned()));
        }
        (self.exchanges < CLOCK_EXCHANGES_MIN).then(|| {
            let (had, least) = (self.exchanges, CLOCK_EXCHANGES_MIN);
            let why = format!("its clock was not known in time: {had} of {least} exchanges");
            (LossReason::ClockUnknown, why)
        })
    }
}

impl RunMachine {
    /// A run over these nodes, beginning at a phase. `lost_after_ns`: silence after which a
    /// node is lost (the lease: its heat is gone by then).
    #[must_use]
    pub fn new(
        phases: Vec<PhaseSpec>,
        nodes: &[String],
        first_phase: usize,
        ramp_ns: i64,
        lost_after_ns: i64,
    ) -> Self {
        let member = Member {
            prepared: false,
            exchanges: 0,
            clock_error_ns: u64::MAX,
            lost: false,
            shed: false,
            last_seen_ns: i64::MIN,
            idle: false,
            closed: None,
            stored: 0,
        };
        Self {
            phases,
            members: nodes.iter().map(|node| (node.clone(), member.clone())).collect(),
            state: State::Preparing { since_ns: i64::MAX },
            present: None,
            next: None,
            arming: None,
            upcoming: first_phase,
            attempts: 0,
            end: None,
            ramp_ns,
            lost_after_ns,
            heat_waits: false,
            last_loss: None,
        }
    }

    /// Holds phases that heat back, or lets them come with the next tick.
    pub fn hold_heat(&mut self, waits: bool) {
        self.heat_waits = waits;
    }

    /// The phase that comes next: timed, armed, or still to be armed.
    #[must_use]
    pub fn coming(&self) -> usize {
        let armed = self.arming.as_ref().map(|arming| arming.phase);
        self.next.map(|next| next.phase).or(armed).unwrap_or(self.upcoming)
    }

    /// Asks every node to prepare. Called once.
    pub fn begin(&mut self, now_ns: i64) -> Vec<Action> {
        self.state = State::Preparing { since_ns: now_ns };
        for member in self.members.values_mut() {
            member.last_seen_ns = now_ns;
        }
        self.active().map(|node| Action::Prepare { node }).collect()
    }

    /// Where the run is.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Whether a lease may be granted to this node now: the run goes on and the node is in it.
    #[must_use]
    pub fn may_heat(&self, node: &str) -> bool {
        matches!(self.state, State::Preparing { .. } | State::Running)
            && self.members.get(node).is_some_and(|member| !member.lost && !member.shed)
    }

    /// Longest time that the nodes may take to come down.
    pub fn set_ramp(&mut self, ramp_ns: i64) {
        self.ramp_ns = ramp_ns;
    }

    /// Whether anything may be hot: the run goes on, or is on its way down.
    #[must_use]
    pub fn may_be_hot(&self) -> bool {
        !matches!(self.state, State::Closing { .. } | State::Ended)
    }

    /// The phase that runs now: index, start and end on the coordinator's clock.
    #[must_use]
    pub fn present(&self) -> Option<(usize, i64, i64)> {
        self.present.map(|timed| (timed.phase, timed.start_ns, timed.end_ns))
    }

    /// Whether the node is still in the run.
    #[must_use]
    pub fn is_lost(&self, node: &str) -> bool {
        self.members.get(node).is_none_or(|member| member.lost)
    }

    /// Takes one event in. What follows from an agent's word is decided at the next tick:
    /// ten thousand agents say tens of thousands of words a second, and each decision looks
    /// at every member.
    pub fn step(&mut self, now_ns: i64, event: Event) -> Vec<Action> {
        let mut actions = Vec::new();
        if self.state == State::Ended {
            return actions;
        }
        let decides = event.decides();
        self.take(now_ns, event, &mut actions);
        if decides {
            self.note_silence(now_ns, &mut actions);
            self.advance(now_ns, &mut actions);
        }
        actions
    }

    fn take(&mut self, now_ns: i64, event: Event, actions: &mut Vec<Action>) {
        match event {
            Event::Prepared { node, ok, why } => {
                self.seen(&node, now_ns);
                match (ok, self.members.get_mut(&node)) {
                    (true, Some(member)) => member.prepared = true,
                    _ => self.lose(&node, LossReason::Refused, why, actions),
                }
            }
            Event::Ready { node, phase, attempt, ok, why } => {
                self.seen(&node, now_ns);
                self.take_ready(&node, (phase, attempt), ok, why, actions);
            }
            Event::Clock { node, exchanges, error_ns } => self.with(&node, |member| {
                (member.exchanges, member.clock_error_ns) = (exchanges, error_ns);
            }),
            Event::Seen { node } => self.seen(&node, now_ns),
            Event::Gone { node, reason, why } => self.lose(&node, reason, why, actions),
            Event::Idle { node } => {
                self.seen(&node, now_ns);
                // An Idle of before the stop says nothing about the heat that it ends.
                let stopping = matches!(self.state, State::Stopping { .. });
                self.with(&node, |member| member.idle |= stopping || member.shed);
            }
            Event::Closed { node, last_seq } => {
                self.seen(&node, now_ns);
                self.with(&node, |member| member.closed = Some(last_seq));
            }
            Event::Stored { node, seq } => {
                self.with(&node, |member| member.stored = member.stored.max(seq));
            }
            Event::StopAsked { drop, who } => {
                let why = format!("stopped by {who}");
                self.stop(now_ns, drop, why, End::Stopped { who, drop }, actions);
            }
            Event::LimitTripped { why } => {
                self.stop(now_ns, false, why.clone(), End::Aborted { why }, actions);
            }
            Event::Interlocked { drop, why } => {
                self.stop(now_ns, drop, why.clone(), End::Aborted { why }, actions);
            }
            Event::Shed { nodes, why } => self.shed(now_ns, &nodes, &why, actions),
            Event::Tick => {}
        }
    }

    fn shed(&mut self, now_ns: i64, nodes: &[String], why: &str, actions: &mut Vec<Action>) {
        if !matches!(self.state, State::Preparing { .. } | State::Running) {
            return;
        }
        for node in nodes {
            let Some(member) = self.members.get_mut(node) else { continue };
            if member.lost || member.shed {
                continue;
            }
            member.shed = true;
            if let Some(arming) = &mut self.arming {
                arming.waiting.remove(node);
            }
            let (node, why) = (node.clone(), why.to_owned());
            actions.push(Action::Stop { node, drop: false, why });
        }
        if self.members.values().all(|member| member.lost || member.shed) {
            let why = format!("nothing is left to load: {why}");
            self.stop(now_ns, false, why.clone(), End::Aborted { why }, actions);
        }
    }

    fn take_ready(
        &mut self,
        node: &str,
        armed: (usize, u32),
        ok: bool,
        why: String,
        actions: &mut Vec<Action>,
    ) {
        let Some(arming) = &mut self.arming else { return };
        if (arming.phase, arming.attempt) != armed {
            return;
        }
        if ok {
            arming.waiting.remove(node);
        } else {
            self.lose(node, LossReason::Refused, why, actions);
        }
    }

    /// Nodes that were silent for too long are lost.
    fn note_silence(&mut self, now_ns: i64, actions: &mut Vec<Action>) {
        if matches!(self.state, State::Closing { .. }) {
            return;
        }
        let oldest = now_ns.saturating_sub(self.lost_after_ns);
        let silent: Vec<String> = self
            .members
            .iter()
            .filter(|(_, member)| !member.lost && member.last_seen_ns < oldest)
            .map(|(node, _)| node.clone())
            .collect();
        for node in silent {
            let why = "silent for longer than its lease".to_owned();
            self.lose(&node, LossReason::LeaseExpired, why, actions);
        }
    }

    fn advance(&mut self, now_ns: i64, actions: &mut Vec<Action>) {
        match self.state {
            State::Preparing { since_ns } => self.advance_preparing(now_ns, since_ns, actions),
            State::Running => self.advance_running(now_ns, actions),
            State::Stopping { deadline_ns } => {
                let idle = self.members.values().all(|member| member.lost || member.idle);
                if idle || now_ns >= deadline_ns {
                    self.close(now_ns, actions);
                }
            }
            State::Closing { deadline_ns } => {
                let complete = self.members.values().all(|member| {
                    member.lost || member.closed.is_some_and(|last| member.stored >= last)
                });
                if complete || now_ns >= deadline_ns {
                    self.state = State::Ended;
                    actions.push(Action::Ended(self.end.clone().unwrap_or(End::Finished)));
                }
            }
            State::Ended => {}
        }
    }

    fn advance_preparing(&mut self, now_ns: i64, since_ns: i64, actions: &mut Vec<Action>) {
        let waited_ns = now_ns.saturating_sub(since_ns);
        if waited_ns >= PREPARE_DEADLINE_NS {
            self.lose_unprepared(actions);
        }
        if self.fails_quorum(now_ns, actions) {
            return;
        }
        let out = |member: &Member| member.lost || member.shed;
        if self.members.values().all(|member| out(member) || member.may_be_armed(waited_ns)) {
            self.state = State::Running;
            self.arm_upcoming(now_ns, actions);
            self.stop_if_done(now_ns, actions);
        }
    }

    fn lose_unprepared(&mut self, actions: &mut Vec<Action>) {
        let late: Vec<(String, (LossReason, String))> = self
            .members
            .iter()
            .filter(|(_, member)| !member.lost && !member.shed)
            .filter_map(|(node, member)| Some((node.clone(), member.unprepared()?)))
            .collect();
        for (node, (reason, why)) in late {
            self.lose(&node, reason, why, actions);
        }
    }

    fn advance_running(&mut self, now_ns: i64, actions: &mut Vec<Action>) {
        if self.fails_quorum(now_ns, actions) {
            return;
        }
        self.settle_arming(now_ns, actions);
        if let (None, Some(next)) = (self.present, self.next) {
            self.present = Some(next);
            self.next = None;
        }
        let Some(present) = self.present else {
            if self.arming.is_none() {
                self.arm_upcoming(now_ns, actions);
            }
            return;
        };
        if now_ns >= present.end_ns {
            self.complete_present(now_ns, present, actions);
        } else if self.next.is_none()
            && self.arming.is_none()
            && now_ns >= present.end_ns - ARM_LEAD_NS
        {
            self.arm_upcoming(now_ns, actions);
        }
    }

    fn complete_present(&mut self, now_ns: i64, present: Timed, actions: &mut Vec<Action>) {
        actions.push(Action::PhaseCompleted { phase: present.phase });
        self.present = self.next.take();
        if self.present.is_none() && self.arming.is_none() {
            self.arm_upcoming(now_ns, actions);
        }
        self.stop_if_done(now_ns, actions);
    }

    /// Nothing runs, nothing is to come: the plan is done.
    fn stop_if_done(&mut self, now_ns: i64, actions: &mut Vec<Action>) {
        let nothing_runs = self.present.is_none() && self.next.is_none() && self.arming.is_none();
        if nothing_runs && self.upcoming >= self.phases.len() {
            self.stop(now_ns, false, "the plan is done".to_owned(), End::Finished, actions);
        }
    }

    /// GO once everybody is ready; who is not in time is lost.
    fn settle_arming(&mut self, now_ns: i64, actions: &mut Vec<Action>) {
        let is_due =
            |arming: &mut Arming| arming.waiting.is_empty() || now_ns >= arming.deadline_ns;
        let Some(arming) = self.arming.take_if(is_due) else { return };
        for node in &arming.waiting {
            let why = "was not ready in time".to_owned();
            self.lose(node, LossReason::NotReady, why, actions);
        }
        // Whoever was lost or shed meanwhile is in the others' ring: arm again without it.
        if arming.armed.iter().any(|node| self.is_out(node)) {
            self.upcoming = arming.phase;
            self.arm_upcoming(now_ns, actions);
            return;
        }
        self.go(now_ns, &arming, actions);
    }

    fn go(&mut self, now_ns: i64, arming: &Arming, actions: &mut Vec<Action>) {
        let earliest = now_ns + GO_LEAD_NS;
        let start_ns = self.present.map_or(earliest, |present| present.end_ns.max(earliest));
        let phase = arming.phase;
        let end_ns = start_ns + self.phases[phase].duration_ns as i64;
        for node in self.active_members(phase) {
            actions.push(Action::Go { node, phase, attempt: arming.attempt, start_ns });
        }
        actions.push(Action::PhaseStarts { phase, start_ns });
        self.next = Some(Timed { phase, start_ns, end_ns });
    }

    fn arm_upcoming(&mut self, now_ns: i64, actions: &mut Vec<Action>) {
        if self.upcoming >= self.phases.len() {
            return;
        }
        let phase = self.upcoming;
        if self.heat_waits && self.phases[phase].heats() {
            return;
        }
        self.upcoming += 1;
        self.attempts += 1;
        let members: Arc<[String]> = self.active_members(phase).into();
        for (rank, node) in members.iter().enumerate() {
            let (node, members) = (node.clone(), members.clone());
            actions.push(Action::Arm { node, rank, phase, attempt: self.attempts, members });
        }
        let deadline_ns = now_ns + READY_DEADLINE_NS;
        let waiting = members.iter().cloned().collect();
        let attempt = self.attempts;
        self.arming = Some(Arming { phase, attempt, deadline_ns, armed: members, waiting });
    }

    /// Too few left: less than half of those that began.
    fn fails_quorum(&mut self, now_ns: i64, actions: &mut Vec<Action>) -> bool {
        let left = self.members.values().filter(|member| !member.lost).count();
        if left * 2 >= self.members.len() && left > 0 {
            return false;
        }
        let mut why = format!("{left} of {} nodes are left, fewer than half", self.members.len());
        if let Some(last) = &self.last_loss {
            why.push_str(&format!("; the last: {last}"));
        }
        self.stop(now_ns, false, why.clone(), End::Failed { why }, actions);
        true
    }

    fn stop(&mut self, now_ns: i64, drop: bool, why: String, end: End, actions: &mut Vec<Action>) {
        match self.state {
            State::Preparing { .. } | State::Running => {}
            // A drop overtakes a ramp that is under way.
            State::Stopping { .. } if drop => {}
            State::Stopping { .. } | State::Closing { .. } | State::Ended => return,
        }
        let overtaking = matches!(self.state, State::Stopping { .. });
        match &mut self.end {
            Some(End::Stopped { drop: dropped, .. }) if overtaking => *dropped = true,
            Some(End::Aborted { .. } | End::Failed { .. }) if overtaking => {}
            ours => *ours = Some(end),
        }
        for node in self.active() {
            actions.push(Action::Stop { node, drop, why: why.clone() });
        }
        let ramp_ns = if drop { 0 } else { self.ramp_ns };
        self.state = State::Stopping { deadline_ns: now_ns + ramp_ns + IDLE_GRACE_NS };
        (self.arming, self.next, self.present) = (None, None, None);
    }

    fn close(&mut self, now_ns: i64, actions: &mut Vec<Action>) {
        for node in self.active() {
            actions.push(Action::Finish { node });
        }
        self.state = State::Closing { deadline_ns: now_ns + CLOSE_DEADLINE_NS };
    }

    fn lose(&mut self, node: &str, reason: LossReason, why: String, actions: &mut Vec<Action>) {
        let Some(member) = self.members.get_mut(node) else { return };
        if member.lost {
            return;
        }
        member.lost = true;
        if let Some(arming) = &mut self.arming {
            arming.waiting.remove(node);
        }
        self.last_loss = Some(format!("{node}, {why}"));
        actions.push(Action::Lost { node: node.to_owned(), reason, why });
    }

    fn seen(&mut self, node: &str, now_ns: i64) {
        self.with(node, |member| member.last_seen_ns = member.last_seen_ns.max(now_ns));
    }

    fn with(&mut self, node: &str, change: impl FnOnce(&mut Member)) {
        if let Some(member) = self.members.get_mut(node) {
            change(member);
        }
    }

    fn active(&self) -> impl Iterator<Item = String> {
        self.members.iter().filter(|(_, member)| !member.lost).map(|(node, _)| node.clone())
    }

    fn active_members(&self, phase: usize) -> Vec<String> {
        self.phases[phase].members.iter().filter(|node| !self.is_out(node)).cloned().collect()
    }

    fn is_out(&self, node: &str) -> bool {
        self.members.get(node).is_none_or(|member| member.lost || member.shed)
    }
}
