//! A tiny hall: the real run machine, and around it what the hall does, without sessions.

use coordinator::run::{Action, End, Event, PhaseSpec, RunMachine};
use model::facts::LossReason;

use super::node::Armed;
use super::{Phase, S, ToAgent, ToHall, Ttl};

/// Everything about one beginning of the run.
pub(crate) struct Hall {
    machine: RunMachine,
    pub(crate) lease: u32,
    /// Which life of each node's agent was there at the beginning.
    pub(crate) lives: Vec<u32>,
    phases: Vec<Phase>,
    ttl: Ttl,
    pub(crate) to_send: Vec<(usize, ToAgent)>,
    pub(crate) log: Log,
}

/// What the judge must be told of a hall.
#[derive(Default, Clone)]
pub(crate) struct Log {
    /// Node, phase, attempt, start.
    pub(crate) gos: Vec<(usize, usize, u32, u64)>,
    /// Lease, node, request.
    pub(crate) granted: Vec<(u32, usize, u64)>,
    /// Phase and start.
    pub(crate) starts: Vec<(usize, u64)>,
    pub(crate) completed: Vec<usize>,
    pub(crate) lost: Vec<usize>,
    pub(crate) ended: Option<(u64, End)>,
}

pub(crate) fn name(node: usize) -> String {
    format!("n{node:02}")
}

fn place(node: &str) -> usize {
    node[1..].parse().unwrap()
}

impl Hall {
    pub(crate) fn begin(
        now_ns: u64,
        lease: u32,
        lives: Vec<u32>,
        phases: &[Phase],
        first_phase: usize,
        ttl: Ttl,
    ) -> Self {
        let nodes: Vec<String> = (0..lives.len()).map(name).collect();
        let spec = |phase: &Phase| PhaseSpec {
            name: String::new(),
            kind: String::new(),
            duration_ns: phase.duration_ns,
            members: nodes.clone(),
            load: None,
            own_loads: std::collections::BTreeMap::new(),
            traffic: None,
            loaded: phase.heats,
        };
        let specs = phases.iter().map(spec).collect();
        let (lease_ns, ramp_ns) = (ttl.lease_ns as i64, ttl.ramp_ns as i64);
        let machine = RunMachine::new(specs, &nodes, first_phase, ramp_ns, lease_ns);
        let (to_send, log) = (Vec::new(), Log::default());
        let mut hall = Self { machine, lease, lives, phases: phases.to_vec(), ttl, to_send, log };
        let actions = hall.machine.begin(now_ns as i64);
        hall.act(now_ns, actions);
        hall
    }

    pub(crate) fn hear(&mut self, now_ns: u64, from: usize, life: u32, message: ToHall) {
        let node = name(from);
        if life != self.lives[from] {
            // The session of a new instance: the one that the run began with is gone.
            let why = "its agent was started again".to_owned();
            let reason = LossReason::AgentRestarted;
            return self.step(now_ns, Event::Gone { node, reason, why });
        }
        let why = String::new();
        match message {
            ToHall::Alive => {
                let (node, exchanges, error_ns) = (node.clone(), 10, 100_000);
                self.step(now_ns, Event::Clock { node, exchanges, error_ns });
            }
            ToHall::Request { lease, request } => self.grant(from, lease, request),
            ToHall::Prepared { lease } if lease == self.lease => {
                self.step(now_ns, Event::Prepared { node: node.clone(), ok: true, why });
            }
            ToHall::Prepared { .. } => {}
            ToHall::Ready { phase, attempt, ok } => {
                let event = Event::Ready { node: node.clone(), phase, attempt, ok, why };
                self.step(now_ns, event);
            }
            ToHall::Idle => self.step(now_ns, Event::Idle { node: node.clone() }),
            ToHall::Closed => {
                self.step(now_ns, Event::Closed { node: node.clone(), last_seq: 0 });
            }
        }
        self.step(now_ns, Event::Seen { node });
    }

    pub(crate) fn step(&mut self, now_ns: u64, event: Event) {
        let actions = self.machine.step(now_ns as i64, event);
        self.act(now_ns, actions);
    }

    fn grant(&mut self, from: usize, lease: u32, request: u64) {
        if lease == self.lease && self.machine.may_heat(&name(from)) {
            self.log.granted.push((lease, from, request));
            let ttl_ns = self.ttl.lease_ns;
            self.to_send.push((from, ToAgent::Grant { lease, request, ttl_ns }));
        }
    }

    fn act(&mut self, now_ns: u64, actions: Vec<Action>) {
        for action in actions {
            let (node, message) = match action {
                Action::Prepare { node } => (node, ToAgent::Prepare { lease: self.lease }),
                Action::Arm { node, phase, attempt, .. } => {
                    let Phase { duration_ns, heats } = self.phases[phase];
                    (node, ToAgent::Arm(Armed { phase, attempt, duration_ns, heats }))
                }
                Action::Go { node, phase, attempt, start_ns } => {
                    let start_ns = start_ns as u64;
                    assert!(start_ns >= now_ns + S, "a GO without its lead");
                    self.log.gos.push((place(&node), phase, attempt, start_ns));
                    (node, ToAgent::Go { phase, attempt, start_ns })
                }
                Action::Stop { node, drop, .. } => (node, ToAgent::Stop { drop }),
                Action::Finish { node } => (node, ToAgent::Finish),
                Action::Lost { node, .. } => {
                    self.log.lost.push(place(&node));
                    continue;
                }
                Action::PhaseStarts { phase, start_ns } => {
                    self.log.starts.push((phase, start_ns as u64));
                    continue;
                }
                Action::PhaseCompleted { phase } => {
                    self.log.completed.push(phase);
                    continue;
                }
                Action::Ended(end) => {
                    assert!(self.log.ended.is_none(), "a run ends once");
                    self.log.ended = Some((now_ns, end));
                    continue;
                }
            };
            self.to_send.push((place(&node), message));
        }
    }
}
