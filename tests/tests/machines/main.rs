//! The run machine of the coordinator against the lease machines of its agents, over a
//! network that loses, doubles, reorders and delays, with agents that are started again and
//! a coordinator that dies. Virtual time only: no process, no socket, no clock.

#![allow(clippy::unwrap_used, reason = "a test that meets nothing ends there")]

mod hall;
mod node;

use std::collections::BTreeMap;

use coordinator::run::End;
use hall::{Hall, Log};
use node::{Agent, Armed, Deed};
use proptest::prelude::*;

const MS: u64 = 1_000_000;
const S: u64 = 1_000 * MS;

/// The machine's own deadlines: see `coordinator/src/run/machine.rs`.
const PREPARE_DEADLINE: u64 = 30 * S;
const READY_DEADLINE: u64 = 20 * S;
const GO_LEAD: u64 = S;
const IDLE_GRACE: u64 = 5 * S;
const CLOSE_DEADLINE: u64 = 20 * S;
/// Distance of the hall's ticks.
const HALL_TICK: u64 = 20 * MS;

/// From the coordinator.
#[derive(Debug, Clone)]
pub(crate) enum ToAgent {
    Prepare { lease: u32 },
    Arm(Armed),
    Go { phase: usize, attempt: u32, start_ns: u64 },
    Stop { drop: bool },
    Finish,
    Grant { lease: u32, request: u64, ttl_ns: u64 },
}

/// From an agent.
#[derive(Debug, Clone)]
pub(crate) enum ToHall {
    Prepared {
        lease: u32,
    },
    Ready {
        phase: usize,
        attempt: u32,
        ok: bool,
    },
    Request {
        lease: u32,
        request: u64,
    },
    Idle,
    Closed,
    /// The answer to a clock probe.
    Alive,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Phase {
    pub(crate) duration_ns: u64,
    pub(crate) heats: bool,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Ttl {
    pub(crate) lease_ns: u64,
    pub(crate) ramp_ns: u64,
}

/// One story.
#[derive(Debug, Clone)]
struct World {
    nodes: usize,
    phases: Vec<Phase>,
    ttl: Ttl,
    /// For each message in turn: delays of its copies; none means lost.
    network: Vec<Vec<u64>>,
    restarts: Vec<(u64, usize)>,
    /// These agents say nothing from an instant on.
    deaths: Vec<(u64, usize)>,
    never_ready: Option<usize>,
    /// The coordinator dies, and a person resumes so much later, or nobody does.
    crash: Option<(u64, Option<u64>)>,
    stop: Option<(u64, bool)>,
    /// Nothing here excuses a node that is cold in a phase that heats.
    nobody_cold: bool,
}

impl World {
    /// A hall in which all goes well.
    fn good(nodes: usize, phases: &[(u64, bool)]) -> Self {
        let phase =
            |(seconds, heats): &(u64, bool)| Phase { duration_ns: seconds * S, heats: *heats };
        Self {
            nodes,
            phases: phases.iter().map(phase).collect(),
            ttl: Ttl { lease_ns: 3 * S, ramp_ns: 2 * S },
            network: vec![vec![MS]],
            restarts: Vec::new(),
            deaths: Vec::new(),
            never_ready: None,
            crash: None,
            stop: None,
            nobody_cold: true,
        }
    }

    /// No beginning of the run lasts longer, whatever the network does.
    fn longest_ns(&self) -> u64 {
        let attempts = self.nodes as u64 + 1;
        let phases: u64 = self
            .phases
            .iter()
            .map(|phase| phase.duration_ns + attempts * (READY_DEADLINE + HALL_TICK) + GO_LEAD)
            .sum();
        PREPARE_DEADLINE + phases + self.ttl.ramp_ns + IDLE_GRACE + CLOSE_DEADLINE + S
    }
}

#[derive(Debug, Clone)]
enum Happening {
    HallTick,
    AgentTick { node: usize, life: u32 },
    ToAgent { node: usize, lease: u32, message: ToAgent },
    ToHall { node: usize, life: u32, message: ToHall },
    Restart { node: usize },
    Death { node: usize },
    Crash { resume_after: Option<u64> },
    Resume,
    Stop { drop: bool },
}

/// Plays a world and watches it.
struct Play {
    world: World,
    now_ns: u64,
    queue: BTreeMap<(u64, u64), Happening>,
    queued: u64,
    sent: usize,
    agents: Vec<Agent>,
    dead: Vec<bool>,
    hall: Option<Hall>,
    begun_ns: u64,
    crashed_ns: Option<u64>,
    /// Logs of the beginnings before the present one.
    before: Vec<Log>,
    /// When each request was made: node, life, lease, request.
    asked: BTreeMap<(usize, u32, u32, u64), u64>,
    /// Full heat is allowed before this: node, life.
    allowed: BTreeMap<(usize, u32), u64>,
}

impl Play {
    fn new(world: World) -> Self {
        let ramp_ns = world.ttl.ramp_ns;
        let boot = |node| {
            let mut agent = Agent::boot(0, 0, ramp_ns);
            agent.never_ready = world.never_ready == Some(node);
            agent
        };
        let mut play = Self {
            agents: (0..world.nodes).map(boot).collect(),
            dead: vec![false; world.nodes],
            now_ns: 0,
            queue: BTreeMap::new(),
            queued: 0,
            sent: 0,
            hall: None,
            begun_ns: 0,
            crashed_ns: None,
            before: Vec::new(),
            asked: BTreeMap::new(),
            allowed: BTreeMap::new(),
            world,
        };
        for (at_ns, node) in play.world.restarts.clone() {
            play.plan(at_ns, Happening::Restart { node: node % play.world.nodes });
        }
        for (at_ns, node) in play.world.deaths.clone() {
            play.plan(at_ns, Happening::Death { node: node % play.world.nodes });
        }
        if let Some((at_ns, resume_after)) = play.world.crash {
            play.plan(at_ns, Happening::Crash { resume_after });
        }
        if let Some((at_ns, drop)) = play.world.stop {
            play.plan(at_ns, Happening::Stop { drop });
        }
        for node in 0..play.world.nodes {
            play.plan(0, Happening::AgentTick { node, life: 0 });
        }
        play.begin(0);
        play
    }

    fn plan(&mut self, at_ns: u64, happening: Happening) {
        self.queued += 1;
        self.queue.insert((at_ns, self.queued), happening);
    }

    /// Gives a message to the network.
    fn send(&mut self, happening: &Happening) {
        let copies = self.world.network[self.sent % self.world.network.len()].clone();
        self.sent += 1;
        for delay_ns in copies {
            self.plan(self.now_ns + delay_ns, happening.clone());
        }
    }

    fn begin(&mut self, lease: u32) {
        let completed = self.before.iter().flat_map(|log| &log.completed).max();
        let first_phase = completed.map_or(0, |phase| phase + 1);
        let lives = self.agents.iter().map(|agent| agent.life).collect();
        let World { phases, ttl, .. } = &self.world;
        self.hall = Some(Hall::begin(self.now_ns, lease, lives, phases, first_phase, *ttl));
        self.begun_ns = self.now_ns;
        self.plan(self.now_ns, Happening::HallTick);
        self.deliver_hall();
    }

    /// The log of everything that any beginning of the run did, and its end.
    fn play(mut self) -> Log {
        while let Some(((at_ns, _), happening)) = self.queue.pop_first() {
            self.check(at_ns);
            if self.world.nobody_cold {
                self.check_warm(at_ns);
            }
            self.now_ns = at_ns;
            self.happen(happening);
            let last = self
                .hall
                .as_ref()
                .map_or(self.crashed_ns, |hall| hall.log.ended.as_ref().map(|(at, _)| *at));
            let Ttl { lease_ns, ramp_ns } = self.world.ttl;
            let resumes = self.queue.values().any(|h| matches!(h, Happening::Resume));
            if last.is_some_and(|last| at_ns > last + lease_ns + ramp_ns + S) && !resumes {
                break;
            }
            let bound_ns = self.begun_ns + self.world.longest_ns();
            assert!(last.is_some() || at_ns < bound_ns, "the run does not end: {:?}", self.world);
        }
        let warm = self.agents.iter().any(|agent| agent.heater.heats(self.now_ns));
        assert!(!warm, "heat behind the end");
        self.hall.map_or_else(|| self.before.pop().unwrap_or_default(), |hall| hall.log)
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::HallTick => {
                let Some(hall) = &mut self.hall else { return };
                hall.step(self.now_ns, coordinator::run::Event::Tick);
                self.plan(self.now_ns + HALL_TICK, Happening::HallTick);
                self.deliver_hall();
            }
            Happening::AgentTick { node, life } => {
                let agent = &mut self.agents[node];
                if life == agent.life && agent.tick_at_ns <= self.now_ns {
                    agent.pass_time(self.now_ns);
                    self.deliver_agent(node);
                }
            }
            Happening::ToAgent { node, lease, message } => {
                // A session dies with its coordinator.
                let newest = self.hall.as_ref().map_or(lease, |hall| hall.lease);
                if lease == newest && !self.dead[node] {
                    self.agents[node].hear(self.now_ns, message);
                    self.deliver_agent(node);
                }
            }
            Happening::ToHall { node, life, message } => {
                if let Some(hall) = &mut self.hall {
                    hall.hear(self.now_ns, node, life, message);
                    self.deliver_hall();
                }
            }
            Happening::Restart { node } => {
                let life = self.agents[node].life + 1;
                self.agents[node] = Agent::boot(life, self.now_ns, self.world.ttl.ramp_ns);
                self.plan(self.now_ns, Happening::AgentTick { node, life });
            }
            Happening::Death { node } => self.dead[node] = true,
            Happening::Crash { resume_after } => self.crash(resume_after),
            Happening::Resume => {
                let lease = self.before.len() as u32;
                self.begin(lease);
            }
            Happening::Stop { drop } => {
                if let Some(hall) = &mut self.hall {
                    let who = "ann".to_owned();
                    hall.step(self.now_ns, coordinator::run::Event::StopAsked { drop, who });
                    self.deliver_hall();
                }
            }
        }
    }

    fn crash(&mut self, resume_after: Option<u64>) {
        let Some(hall) = self.hall.take() else { return };
        if hall.log.ended.is_some() {
            self.hall = Some(hall);
            return;
        }
        self.before.push(hall.log);
        self.crashed_ns = Some(self.now_ns);
        self.queue.retain(|_, happening| !matches!(happening, Happening::HallTick));
        if let Some(after_ns) = resume_after {
            self.plan(self.now_ns + after_ns, Happening::Resume);
        }
    }

    fn deliver_hall(&mut self) {
        let Some(hall) = &mut self.hall else { return };
        let lease = hall.lease;
        for (granted, node, request) in std::mem::take(&mut hall.log.granted) {
            let life = hall.lives[node];
            let asked_ns = self.asked[&(node, life, granted, request)];
            let until_ns = self.allowed.entry((node, life)).or_default();
            *until_ns = (*until_ns).max(asked_ns + self.world.ttl.lease_ns);
        }
        for (node, message) in std::mem::take(&mut hall.to_send) {
            self.send(&Happening::ToAgent { node, lease, message });
        }
    }

    fn deliver_agent(&mut self, node: usize) {
        let agent = &mut self.agents[node];
        let (life, tick_at_ns) = (agent.life, agent.tick_at_ns);
        let (deeds, said) = (std::mem::take(&mut agent.deeds), std::mem::take(&mut agent.said));
        for deed in deeds {
            match deed {
                Deed::Asked { lease, request } => {
                    self.asked.insert((node, life, lease, request), self.now_ns);
                }
                Deed::Begins { phase, attempt, start_ns } => {
                    let logs = self.before.iter().chain(self.hall.as_ref().map(|hall| &hall.log));
                    let told = logs
                        .flat_map(|log| &log.gos)
                        .any(|go| *go == (node, phase, attempt, start_ns));
                    assert!(told, "node {node} begins phase {phase} without a GO");
                }
            }
        }
        if !self.dead[node] {
            for message in said {
                self.send(&Happening::ToHall { node, life, message });
            }
        }
        self.plan(tick_at_ns, Happening::AgentTick { node, life });
    }

    /// Who was told to heat does so, except where the story explains why not.
    fn check_warm(&self, now_ns: u64) {
        let Some(hall) = &self.hall else { return };
        for (phase, start_ns) in &hall.log.starts {
            let Phase { duration_ns, heats } = self.world.phases[*phase];
            let inside = *start_ns < now_ns && now_ns < start_ns + duration_ns;
            for (node, agent) in self.agents.iter().enumerate() {
                let excused = hall.log.lost.contains(&node) || self.dead[node];
                let cold = !agent.heater.full(now_ns);
                assert!(!(heats && inside && cold) || excused, "node {node} is cold at {now_ns}");
            }
        }
    }

    /// The state that lasted until this instant.
    fn check(&self, now_ns: u64) {
        let Ttl { lease_ns, ramp_ns } = self.world.ttl;
        for (node, agent) in self.agents.iter().enumerate() {
            let until_ns = self.allowed.get(&(node, agent.life)).copied().unwrap_or(0);
            let (full, heats) = (agent.heater.full(now_ns), agent.heater.heats(now_ns));
            assert!(
                !full || now_ns <= until_ns,
                "node {node} heats at {now_ns}, lease until {until_ns}"
            );
            assert!(!heats || now_ns <= until_ns + ramp_ns, "node {node} heats behind its ramp");
            let orphaned = self.hall.is_none().then_some(self.crashed_ns).flatten();
            let late = orphaned.is_some_and(|crash| now_ns > crash + lease_ns + ramp_ns);
            assert!(!(heats && late), "node {node} heats without a coordinator");
        }
    }
}

fn ms(range: std::ops::Range<u64>) -> impl Strategy<Value = u64> {
    range.prop_map(|ms| ms * MS)
}

fn networks() -> impl Strategy<Value = Vec<Vec<u64>>> {
    let copies = prop_oneof![
        12 => prop::collection::vec(ms(0..50), 1),
        2 => prop::collection::vec(ms(0..400), 2),
        1 => prop::collection::vec(ms(0..4_000), 1),
        1 => Just(Vec::new()),
    ];
    prop::collection::vec(copies, 1..60)
}

fn worlds() -> impl Strategy<Value = World> {
    let phase = (ms(200..9_000), any::<bool>())
        .prop_map(|(duration_ns, heats)| Phase { duration_ns, heats });
    let ttl =
        (ms(500..6_000), ms(0..4_000)).prop_map(|(lease_ns, ramp_ns)| Ttl { lease_ns, ramp_ns });
    let at = || ms(0..40_000);
    (
        (1..6_usize, prop::collection::vec(phase, 1..5), ttl, networks()),
        prop::collection::vec((at(), 0..6_usize), 0..3),
        prop::collection::vec((at(), 0..6_usize), 0..2),
        prop::option::weighted(0.2, 0..6_usize),
        prop::option::weighted(0.4, (at(), prop::option::weighted(0.8, ms(0..12_000)))),
        prop::option::weighted(0.2, (at(), any::<bool>())),
    )
        .prop_map(
            |((nodes, phases, ttl, network), restarts, deaths, never_ready, crash, stop)| World {
                nodes,
                phases,
                ttl,
                network,
                restarts,
                deaths,
                never_ready,
                crash,
                stop,
                nobody_cold: false,
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_run_ends_and_nobody_heats_without_a_lease(world in worlds()) {
        Play::new(world).play();
    }
}

/// Instants between the end of each phase and the start of the next.
fn gaps(world: &World, log: &Log) -> Vec<u64> {
    let end = |(phase, start): &(usize, u64)| start + world.phases[*phase].duration_ns;
    log.starts.windows(2).map(|pair| pair[1].1 - end(&pair[0])).collect()
}

#[test]
fn in_a_good_hall_phases_follow_each_other_without_a_gap() {
    let world = World::good(5, &[(4, true), (2, true), (6, false), (2, true)]);
    let log = Play::new(world.clone()).play();
    assert_eq!(gaps(&world, &log), [0, 0, 0]);
    assert_eq!(log.ended.map(|(_, end)| end), Some(End::Finished));
    assert_eq!(log.lost, [0; 0]);
}

#[test]
fn a_late_ready_leaves_nobody_cold() {
    // Six tenths of a second each way: the second phase's READY is too late to begin on
    // time, and its GO comes while the first one runs.
    let mut world = World::good(2, &[(1, true), (5, true), (1, true)]);
    world.network = vec![vec![600 * MS]];
    let log = Play::new(world.clone()).play();
    assert!(gaps(&world, &log)[0] > 0, "{:?}", log.starts);
    assert_eq!(log.ended.map(|(_, end)| end), Some(End::Finished));
}

#[test]
fn a_node_that_dies_at_any_instant_costs_the_others_one_ready_deadline() {
    for at_ms in (0..22_000).step_by(170) {
        let mut world = World::good(4, &[(4, true), (4, true), (4, false), (4, true)]);
        world.deaths = vec![(at_ms * MS, 2)];
        let log = Play::new(world.clone()).play();
        let longest = gaps(&world, &log).into_iter().max().unwrap_or(0);
        assert!(longest <= READY_DEADLINE + GO_LEAD + 100 * MS, "{at_ms} ms: {longest} ns");
        assert_eq!(log.ended.map(|(_, end)| end), Some(End::Finished), "died at {at_ms} ms");
    }
}

#[test]
fn a_node_that_is_never_ready_costs_one_ready_deadline() {
    let mut world = World::good(4, &[(4, true), (4, true)]);
    world.never_ready = Some(1);
    let log = Play::new(world).play();
    assert_eq!(log.lost, [1]);
    let (_, first_ns) = log.starts[0];
    assert!(first_ns <= READY_DEADLINE + GO_LEAD + 600 * MS, "{first_ns}");
}

#[test]
fn a_resume_while_the_old_heat_comes_down_is_waited_for() {
    for after_ms in (0..8_000).step_by(250) {
        let mut world = World::good(3, &[(10, true), (3, true)]);
        world.crash = Some((6 * S, Some(after_ms * MS)));
        let log = Play::new(world).play();
        assert_eq!(log.lost, [0; 0], "resumed {after_ms} ms after the crash");
        assert_eq!(log.starts.iter().map(|(phase, _)| *phase).collect::<Vec<_>>(), [0, 1]);
        assert_eq!(log.ended.map(|(_, end)| end), Some(End::Finished));
    }
}
