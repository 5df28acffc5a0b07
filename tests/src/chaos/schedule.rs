//! A schedule: what happens when. Pure: a seed gives the same one on every machine.

use std::fmt;

/// Agents of a schedule are `n1` to at most this.
const AGENTS_MAX: u64 = 3;
/// Seconds that a wall clock is off after a step.
const STEP_S: i64 = 60;

/// Agents stand still for 0.5 s and at most this more: shorter and longer than a lease.
const PAUSE_AGENT_SPREAD_MS: u64 = 5500;
/// Links are cut or slow for 0.5 s and at most this more.
const LINK_SPREAD_MS: u64 = 7500;
/// Disks are full for 0.5 s and at most this more.
const DISK_SPREAD_MS: u64 = 5500;

/// What is done to whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// `kill -9` of an agent, which is started again with its wall clock a minute off
    /// (`step_s`) or as it was.
    KillAgent { agent: usize, back_ms: u64, step_s: i64 },
    /// `kill -9` of one of an agent's workers.
    KillWorker { agent: usize, which: usize },
    /// `kill -9` of the coordinator, which is started again.
    KillCoordinator { back_ms: u64 },
    /// The coordinator stands still, as behind a cut link.
    PauseCoordinator { for_ms: u64 },
    /// An agent's supervisor stands still; its workers don't.
    PauseAgent { agent: usize, for_ms: u64 },
    /// An agent's cable is pulled.
    CutLink { agent: usize, for_ms: u64 },
    /// An agent's link carries so much and holds the rest back.
    SlowLink { agent: usize, for_ms: u64, kbit_s: u64 },
    /// A state folder's disk is full.
    FullDisk { whose: Who, for_ms: u64 },
    /// A wall clock goes wrong under a process that runs, and stays so.
    StepClock { whose: Who, step_s: i64 },
}

/// One that has a disk and a clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    Coordinator,
    Agent(usize),
}

impl Act {
    /// The kind's name, for a table.
    #[must_use]
    pub fn kind(self) -> &'static str {
        match self {
            Self::KillAgent { .. } => "an agent dies",
            Self::KillWorker { .. } => "a worker dies",
            Self::KillCoordinator { .. } => "the coordinator dies",
            Self::PauseCoordinator { .. } => "the coordinator stands still",
            Self::PauseAgent { .. } => "an agent's supervisor stands still",
            Self::CutLink { .. } => "a link is cut",
            Self::SlowLink { .. } => "a link is slow",
            Self::FullDisk { whose: Who::Agent(_), .. } => "an agent's disk is full",
            Self::FullDisk { whose: Who::Coordinator, .. } => "the coordinator's disk is full",
            Self::StepClock { whose: Who::Agent(_), .. } => "an agent's wall clock steps",
            Self::StepClock { whose: Who::Coordinator, .. } => "the coordinator's wall clock steps",
        }
    }

    /// Whether it is about a link.
    #[must_use]
    pub fn is_link(self) -> bool {
        matches!(self, Self::CutLink { .. } | Self::SlowLink { .. })
    }

    /// Whether only root can do it.
    #[must_use]
    pub fn needs_root(self) -> bool {
        self.is_link() || matches!(self, Self::FullDisk { .. })
    }
}

/// One act at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disturbance {
    /// Milliseconds since the load began.
    pub at_ms: u64,
    pub act: Act,
}

/// What one trial does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    pub seed: u64,
    pub agents: usize,
    /// Seconds of heat with traffic, and of heat alone behind it.
    pub loaded_s: u32,
    pub hold_s: u32,
    /// Whether a person resumes a suspended run; else it is stopped.
    pub resumes: bool,
    /// In the order of their instants.
    pub disturbances: Vec<Disturbance>,
}

impl Schedule {
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        let mut draw = Draw(seed);
        let agents = 2 + draw.below(AGENTS_MAX - 1) as usize;
        let (loaded_s, hold_s) = (3 + draw.below(3) as u32, 3 + draw.below(3) as u32);
        let resumes = draw.below(2) == 0;
        let count = 2 + draw.below(3);
        let load_ms = u64::from(loaded_s + hold_s) * 1000;
        let mut disturbances: Vec<_> = (0..count)
            .map(|_| Disturbance { at_ms: draw.below(load_ms), act: act(&mut draw, agents) })
            .collect();
        disturbances.sort_by_key(|disturbance| disturbance.at_ms);
        Self { seed, agents, loaded_s, hold_s, resumes, disturbances }
    }

    /// Little enough that the agents of a schedule share two cores.
    #[must_use]
    pub fn plan(&self) -> String {
        let phase = |name: &str, seconds: u32, more: &str| {
            let load = "load = { kernel = \"fp64\", percent = 60 }";
            format!(
                "[[phase]]\nname = \"{name}\"\nkind = \"hold\"\nseconds = {seconds}\n{load}\n{more}"
            )
        };
        let traffic = "collective = { op = \"all_reduce\", bytes = 1048576 }\n";
        let (loaded, alone) =
            (phase("loaded", self.loaded_s, traffic), phase("alone", self.hold_s, ""));
        format!("schema = 1\nname = \"chaos\"\nrequires = [\"compute\"]\n\n{loaded}\n{alone}")
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, agents, loaded_s, hold_s, resumes, .. } = self;
        let then = if *resumes { "resume" } else { "stop" };
        write!(
            f,
            "seed {seed}: {agents} agents, {loaded_s} s + {hold_s} s, a person would {then}"
        )?;
        for Disturbance { at_ms, act } in &self.disturbances {
            write!(f, "; at {at_ms} ms {act:?}")?;
        }
        Ok(())
    }
}

fn act(draw: &mut Draw, agents: usize) -> Act {
    let agent = draw.below(agents as u64) as usize;
    match draw.below(9) {
        0 => {
            let step_s = [0, STEP_S, -STEP_S][draw.below(3) as usize];
            Act::KillAgent { agent, back_ms: 500 + draw.below(2500), step_s }
        }
        1 => Act::KillWorker { agent, which: draw.below(2) as usize },
        2 => Act::KillCoordinator { back_ms: 500 + draw.below(2500) },
        3 => Act::PauseCoordinator { for_ms: 500 + draw.below(5500) },
        4 => Act::PauseAgent { agent, for_ms: 500 + draw.below(PAUSE_AGENT_SPREAD_MS) },
        5 => Act::CutLink { agent, for_ms: 500 + draw.below(LINK_SPREAD_MS) },
        6 => {
            let for_ms = 500 + draw.below(LINK_SPREAD_MS);
            Act::SlowLink { agent, for_ms, kbit_s: 32 << draw.below(6) }
        }
        7 => Act::FullDisk { whose: who(draw, agent), for_ms: 500 + draw.below(DISK_SPREAD_MS) },
        _ => {
            let step_s = [STEP_S, -STEP_S][draw.below(2) as usize];
            Act::StepClock { whose: who(draw, agent), step_s }
        }
    }
}

fn who(draw: &mut Draw, agent: usize) -> Who {
    if draw.below(2) == 0 { Who::Coordinator } else { Who::Agent(agent) }
}

/// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): every seed is a good one, 0 as well.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// The bias of the remainder is below 1e-15 here.
    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}
