//! A tiny agent: the real lease machine, and around it what the supervisor and its workers
//! do, without processes.

use std::collections::VecDeque;

use agent::lease::{Action, End, Event, Heat, Lease, LeaseKey, State};
use model::id::RunId;

use super::{MS, S, ToAgent, ToHall};

/// The supervisor's own: see `agent/src/supervisor/orders.rs`.
const HANDOVER_NS: u64 = 1_500 * MS;
const ORDER_TAIL_NS: u64 = 5 * S;
const RAMP_MARGIN_NS: u64 = 100 * MS;
/// Distance of the loop's looks at its timers, and of the answers to clock probes.
const TICK_NS: u64 = 100 * MS;
const ALIVE_NS: u64 = 500 * MS;

/// What an arm says, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Armed {
    pub(crate) phase: usize,
    pub(crate) attempt: u32,
    pub(crate) duration_ns: u64,
    pub(crate) heats: bool,
}

#[derive(Debug, Clone, Copy)]
struct Timed {
    start_ns: u64,
    end_ns: u64,
    heats: bool,
    ended: bool,
}

#[derive(Debug)]
struct Run {
    lease: u32,
    armed: Option<Armed>,
    ready_owed: bool,
    phases: Vec<Timed>,
    stopping: bool,
    idle_said: bool,
    finishing: bool,
}

/// A worker of one device: orders that wait or run, and a ramp.
#[derive(Debug, Default)]
pub(crate) struct Heater {
    orders: Vec<(u64, u64)>,
    down_until_ns: u64,
}

impl Heater {
    pub(crate) fn full(&self, now_ns: u64) -> bool {
        self.orders.iter().any(|(start, end)| (*start..*end).contains(&now_ns))
    }

    pub(crate) fn heats(&self, now_ns: u64) -> bool {
        self.full(now_ns) || now_ns < self.down_until_ns
    }

    fn idle(&self, now_ns: u64) -> bool {
        now_ns >= self.down_until_ns && self.orders.iter().all(|(_, end)| *end <= now_ns)
    }

    /// Forgets what waits, as the programme of a real worker does.
    fn ramp(&mut self, now_ns: u64, over_ns: u64) {
        if self.full(now_ns) {
            self.down_until_ns = now_ns + over_ns;
        }
        self.orders.clear();
    }

    fn drop_load(&mut self) {
        *self = Self::default();
    }
}

/// What the judge must be told of an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deed {
    Asked { lease: u32, request: u64 },
    Begins { phase: usize, attempt: u32, start_ns: u64 },
}

/// One life of one agent.
pub(crate) struct Agent {
    /// Which life of the node's agent this is.
    pub(crate) life: u32,
    pub(crate) lease: Lease,
    pub(crate) heater: Heater,
    run: Option<Run>,
    postponed: Option<u32>,
    ramp_ns: u64,
    alive_at_ns: u64,
    pub(crate) tick_at_ns: u64,
    pub(crate) said: VecDeque<ToHall>,
    pub(crate) deeds: Vec<Deed>,
    /// Answers to Arm never come: a supervisor that hangs there.
    pub(crate) never_ready: bool,
}

impl Agent {
    pub(crate) fn boot(life: u32, now_ns: u64, ramp_ns: u64) -> Self {
        Self {
            life,
            lease: Lease::new(),
            heater: Heater::default(),
            run: None,
            postponed: None,
            ramp_ns,
            alive_at_ns: now_ns,
            tick_at_ns: now_ns,
            said: VecDeque::new(),
            deeds: Vec::new(),
            never_ready: false,
        }
    }

    pub(crate) fn hear(&mut self, now_ns: u64, message: ToAgent) {
        match message {
            ToAgent::Grant { lease, request, ttl_ns } => {
                let ramp_ns = self.ramp_ns;
                self.step(now_ns, Event::Granted { key: key(lease), request, ttl_ns, ramp_ns });
            }
            ToAgent::Prepare { lease } => self.prepare_when_cold(now_ns, lease),
            ToAgent::Arm(armed) => self.arm(now_ns, armed),
            ToAgent::Go { phase, attempt, start_ns } => self.go(now_ns, phase, attempt, start_ns),
            ToAgent::Stop { drop } => self.stop(now_ns, drop),
            ToAgent::Finish => self.finish(now_ns),
        }
        self.pass_time(now_ns);
    }

    fn finish(&mut self, now_ns: u64) {
        let Some(run) = &mut self.run else { return };
        self.postponed = None;
        run.finishing = true;
        if !self.heater.idle(now_ns) {
            self.step(now_ns, Event::Stop { ramp_ns: None });
        }
    }

    fn end_if_finished(&mut self, now_ns: u64) {
        let idle = self.heater.idle(now_ns);
        if self.run.take_if(|run| run.finishing && idle).is_some() {
            self.step(now_ns, Event::Drop);
            self.said.push_back(ToHall::Closed);
        }
    }

    /// Deals with time, and sets the next look at it.
    pub(crate) fn pass_time(&mut self, now_ns: u64) {
        self.step(now_ns, Event::Tick);
        self.end_phase_if_due(now_ns);
        self.say_idle_if_stopped(now_ns);
        self.end_if_finished(now_ns);
        if self.heater.idle(now_ns)
            && let Some(lease) = self.postponed.take()
        {
            self.prepare(now_ns, lease);
        }
        if now_ns >= self.alive_at_ns {
            self.alive_at_ns = now_ns + ALIVE_NS;
            self.said.push_back(ToHall::Alive);
        }
        let phase_ends = self.run.iter().flat_map(|run| &run.phases).filter(|p| !p.ended);
        let due = phase_ends.map(|p| p.end_ns).chain(self.lease.next_deadline()).min();
        self.tick_at_ns = due.unwrap_or(u64::MAX).clamp(now_ns + 1, now_ns + TICK_NS);
    }

    fn step(&mut self, now_ns: u64, event: Event) {
        for action in self.lease.step(now_ns, event) {
            match action {
                Action::Request { key, request } => {
                    let lease = key.lease.parse().unwrap();
                    self.deeds.push(Deed::Asked { lease, request });
                    self.said.push_back(ToHall::Request { lease, request });
                }
                Action::HeatAllowed => self.answer_arm(true),
                Action::Ramp { over_ns, .. } => {
                    self.heater.ramp(now_ns, over_ns.saturating_sub(RAMP_MARGIN_NS));
                }
                Action::Drop { .. } => self.heater.drop_load(),
                Action::MustBeIdle { why } => {
                    self.heater.drop_load();
                    assert_ne!(why, End::NeverGranted, "an arm outlives no run here");
                }
                Action::Refused { why, .. } => panic!("the new lease was refused: {why}"),
            }
        }
    }

    fn prepare_when_cold(&mut self, now_ns: u64, lease: u32) {
        if self.run.as_ref().is_some_and(|run| run.lease == lease) {
            return;
        }
        if self.run.is_some() && !self.heater.idle(now_ns) {
            self.postponed = Some(lease);
            self.step(now_ns, Event::Stop { ramp_ns: None });
            return;
        }
        self.postponed = None;
        self.prepare(now_ns, lease);
    }

    fn prepare(&mut self, now_ns: u64, lease: u32) {
        self.heater.drop_load();
        self.step(now_ns, Event::Drop);
        self.run = Some(Run {
            lease,
            armed: None,
            ready_owed: false,
            phases: Vec::new(),
            stopping: false,
            idle_said: false,
            finishing: false,
        });
        self.step(now_ns, Event::Arm(key(lease)));
        self.said.push_back(ToHall::Prepared { lease });
    }

    fn arm(&mut self, now_ns: u64, armed: Armed) {
        let allowed = matches!(self.lease.heat(now_ns), Heat::Full { .. });
        let asked = matches!(self.lease.state(), State::Armed { .. });
        let Some(run) = self.run.as_mut().filter(|run| !run.stopping) else { return };
        (run.armed, run.ready_owed) = (Some(armed), true);
        if allowed || !armed.heats {
            self.answer_arm(true);
        } else if !asked {
            self.answer_arm(false);
        }
    }

    fn answer_arm(&mut self, ok: bool) {
        let Some(run) = self.run.as_mut().filter(|run| run.ready_owed) else { return };
        let Some(Armed { phase, attempt, .. }) = run.armed else { return };
        run.ready_owed = false;
        if !self.never_ready {
            self.said.push_back(ToHall::Ready { phase, attempt, ok });
        }
    }

    fn go(&mut self, now_ns: u64, phase: usize, attempt: u32, start_ns: u64) {
        let allowed = matches!(self.lease.heat(now_ns), Heat::Full { .. });
        let Some(run) = self.run.as_mut() else { return };
        let fits = |armed: &Armed| (armed.phase, armed.attempt) == (phase, attempt);
        let Some(armed) = run.armed.take_if(|armed| fits(armed)) else { return };
        let (end_ns, heats) = (start_ns + armed.duration_ns, armed.heats);
        run.phases.push(Timed { start_ns, end_ns, heats, ended: false });
        if heats && allowed {
            // An order takes over where it starts.
            for order in &mut self.heater.orders {
                order.1 = order.1.min(start_ns);
            }
            self.heater.orders.push((start_ns, end_ns + ORDER_TAIL_NS));
        }
        self.deeds.push(Deed::Begins { phase, attempt, start_ns });
    }

    fn stop(&mut self, now_ns: u64, drop: bool) {
        self.postponed = None;
        let Some(run) = self.run.as_mut() else { return };
        (run.stopping, run.armed, run.ready_owed) = (true, None, false);
        run.phases.iter_mut().for_each(|phase| phase.ended = true);
        let ramp_ns = Some(self.ramp_ns);
        self.step(now_ns, if drop { Event::Drop } else { Event::Stop { ramp_ns } });
    }

    fn end_phase_if_due(&mut self, now_ns: u64) {
        let Some(run) = &mut self.run else { return };
        let Some(place) = run.phases.iter().position(|p| !p.ended && now_ns >= p.end_ns) else {
            return;
        };
        run.phases[place].ended = true;
        let ended = run.phases[place];
        let follows = |p: &Timed| p.heats && p.start_ns.abs_diff(ended.end_ns) < HANDOVER_NS;
        if ended.heats && !run.phases[place + 1..].iter().any(follows) {
            self.heater.ramp(now_ns, self.ramp_ns.saturating_sub(RAMP_MARGIN_NS));
        }
    }

    fn say_idle_if_stopped(&mut self, now_ns: u64) {
        let idle = self.heater.idle(now_ns);
        let Some(run) = self.run.as_mut() else { return };
        if run.stopping && idle && !run.idle_said {
            run.idle_said = true;
            self.said.push_back(ToHall::Idle);
        }
    }
}

fn key(lease: u32) -> LeaseKey {
    LeaseKey { run: RunId("run".to_owned()), lease: lease.to_string() }
}
