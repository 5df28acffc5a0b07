//! One schedule, done to real processes, and what must be true afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use coordinator::store::JournalEntry;

use crate::bank::RUN_PATIENCE;
use crate::chaos::evidence::{Life, Sampler, recorded_breaches};
use crate::chaos::schedule::{Act, Schedule, Who};
use crate::disk::SmallDisk;
use crate::record::{self, BatchKey};
use crate::{Bank, Done, Process, double, wait_until};

/// Unix time at monotonic zero that every agent is told, so that its records can be placed
/// on the monotonic clock.
const BASE_NS: i64 = 1_700_000_000_000_000_000;
const NS_PER_S: i64 = 1_000_000_000;
/// Distance of looks that cost a process.
const SELDOM: Duration = Duration::from_millis(300);
/// Exit codes of a report with a verdict.
const VERDICTS: [i32; 5] = [0, 1, 3, 5, 130];
/// Names the file that the false wall clock reads (`tests/fake-clock`).
const CLOCK: &str = "LOADBANK_FAKE_CLOCK";
/// Exit code of an infrastructure error.
const INFRASTRUCTURE: i32 = 4;

/// Room of a state folder whose disk will be full.
const DISK_MIB: u32 = 48;
/// A disk that is full is filled again this often: what was in use meanwhile is given back.
const REFILL: Duration = Duration::from_millis(50);

/// What is under way.
struct Trial {
    /// Before the bank, whose folders they cover.
    disks: BTreeMap<Who, SmallDisk>,
    bank: Bank,
    id: String,
    sampler: Sampler,
    /// Those that ended.
    lives: Vec<Life>,
    bases_ns: BTreeMap<String, i64>,
    /// What was stored at the instant of a coordinator's death.
    committed: BTreeSet<BatchKey>,
    /// Instances that died, and the last batch in their spools.
    left: BTreeMap<String, u64>,
}

/// Does a schedule to a coordinator and its agents; a line that says how it ended.
///
/// # Panics
/// When something heated without a lease, something acknowledged is gone, or the run ends
/// neither in a verdict nor in a clear error.
#[must_use]
pub fn run(schedule: &Schedule) -> String {
    let acts = || schedule.disturbances.iter().map(|disturbance| disturbance.act);
    let mut bank = match acts().any(Act::is_link) {
        true => Bank::networked(schedule.agents),
        false => Bank::new(),
    };
    bank.set_agent_env("LOADBANK_LOG", "info,agent::supervisor=debug");
    let mut disks = BTreeMap::new();
    for act in acts() {
        if let Act::FullDisk { whose, .. } = act {
            let folder = state_dir(&bank, whose);
            disks.entry(whose).or_insert_with(|| SmallDisk::over(&folder, DISK_MIB));
        }
    }
    if acts().any(|act| matches!(act, Act::StepClock { .. })) {
        let library = double("fake-clock").display().to_string();
        bank.set_agent_env("LD_PRELOAD", &library);
        bank.set_coordinator_env("LD_PRELOAD", &library);
        let file = clock_file(&bank, Who::Coordinator);
        bank.set_coordinator_env(CLOCK, &file);
    }
    bank.serve();
    let sampler = Sampler::start();
    let mut bases_ns = BTreeMap::new();
    for index in 0..schedule.agents {
        let node = node(index);
        start_agent(&mut bank, &sampler, index, BASE_NS);
        bases_ns.insert(node, BASE_NS);
    }
    bank.wait_for_agents(schedule.agents);
    let (mut run, watch, id) = bank.begin(&schedule.plan());
    watch.wait_for_phase("loaded", 0.0);
    let begun = Instant::now();
    let (lives, committed, left) = (Vec::new(), BTreeSet::new(), BTreeMap::new());
    let mut trial = Trial { disks, bank, id, sampler, lives, bases_ns, committed, left };
    for disturbance in &schedule.disturbances {
        let at = Duration::from_millis(disturbance.at_ms);
        std::thread::sleep(at.saturating_sub(begun.elapsed()));
        trial.disturb(disturbance.act);
    }
    trial.settle(&mut run, schedule.resumes)
}

fn node(index: usize) -> String {
    format!("n{}", index + 1)
}

fn state_dir(bank: &Bank, whose: Who) -> PathBuf {
    match whose {
        Who::Coordinator => bank.state_dir(),
        Who::Agent(index) => bank.agent_dir(&node(index)),
    }
}

/// Where a process reads by how much its wall clock is off.
fn clock_file(bank: &Bank, whose: Who) -> String {
    let name = match whose {
        Who::Coordinator => "coordinator".to_owned(),
        Who::Agent(index) => node(index),
    };
    bank.folder().join(format!("{name}.clock")).display().to_string()
}

fn start_agent(bank: &mut Bank, sampler: &Sampler, index: usize, base_ns: i64) {
    let clock = format!("--false-clock=0,0,0,{base_ns}");
    let file = clock_file(bank, Who::Agent(index));
    bank.set_agent_env(CLOCK, &file);
    bank.agent(&node(index), index, &[&clock]);
    sampler.add(bank.agent_process(&node(index)).pid());
}

fn pause(process: &Process, for_ms: u64) {
    process.signal(libc::SIGSTOP);
    std::thread::sleep(Duration::from_millis(for_ms));
    process.signal(libc::SIGCONT);
}

impl Trial {
    fn disturb(&mut self, act: Act) {
        match act {
            Act::KillAgent { agent, back_ms, step_s } => self.kill_agent(agent, back_ms, step_s),
            Act::KillWorker { agent, which } => {
                let workers = self.bank.workers_of(&node(agent));
                if let Some(worker) = workers.get(which % workers.len().max(1)) {
                    worker.kill();
                }
            }
            Act::KillCoordinator { back_ms } => {
                self.bank.coordinator().kill();
                self.committed.extend(record::batches(&self.bank.run_folder(&self.id)));
                std::thread::sleep(Duration::from_millis(back_ms));
                self.bank.serve();
            }
            Act::PauseCoordinator { for_ms } => pause(self.bank.coordinator(), for_ms),
            Act::PauseAgent { agent, for_ms } => {
                pause(self.bank.agent_process(&node(agent)), for_ms);
            }
            Act::CutLink { agent, for_ms } => {
                self.bank.network().cut(&node(agent));
                std::thread::sleep(Duration::from_millis(for_ms));
                self.bank.network().join(&node(agent));
            }
            Act::SlowLink { agent, for_ms, kbit_s } => {
                self.bank.network().slow(&node(agent), kbit_s);
                std::thread::sleep(Duration::from_millis(for_ms));
                self.bank.network().quicken(&node(agent));
            }
            Act::FullDisk { whose, for_ms } => {
                let until = Instant::now() + Duration::from_millis(for_ms);
                let disk = &self.disks[&whose];
                while Instant::now() < until {
                    disk.fill();
                    std::thread::sleep(REFILL);
                }
                disk.free();
            }
            Act::StepClock { whose, step_s } => {
                let file = clock_file(&self.bank, whose);
                std::fs::write(file, step_s.to_string()).expect("the test's folder takes files");
            }
        }
    }

    fn kill_agent(&mut self, agent: usize, back_ms: u64, step_s: i64) {
        let name = node(agent);
        self.bank.agent_process(&name).kill();
        for (instance, _, last_seq) in record::spooled(&self.bank.agent_dir(&name)) {
            self.left.insert(instance, last_seq);
        }
        self.end_life(&name);
        std::thread::sleep(Duration::from_millis(back_ms));
        let base_ns = BASE_NS + step_s * NS_PER_S;
        start_agent(&mut self.bank, &self.sampler, agent, base_ns);
        self.bases_ns.insert(name, base_ns);
    }

    /// Keeps what an agent said in this life.
    fn end_life(&mut self, node: &str) {
        let base_ns = self.bases_ns[node];
        let process = self.bank.agent_process(node);
        let (pid, log) = (process.pid(), process.stderr());
        self.lives.push(Life { node: node.to_owned(), pid, base_ns, log });
    }

    /// Leads the run to its end as a person would, and looks whether all is well.
    fn settle(mut self, run: &mut Process, resumes: bool) -> String {
        let first = run.finish(RUN_PATIENCE);
        let clear = first.code != Some(INFRASTRUCTURE) || !first.stderr.trim().is_empty();
        assert!(first.code.is_some() && clear, "no clear end: {first:?}");
        // Its log goes with the bank: what a failure further on is to be understood by.
        let last = first.stderr.trim().lines().next_back().unwrap_or_default();
        eprintln!("run ended with {:?}: {last}", first.code);
        let later = self.end_suspended(resumes);
        self.wait_for_spools();
        let report = self.report();
        let code = report.code.unwrap_or(-1);
        assert!(VERDICTS.contains(&code), "no verdict: {report:?}");
        let report = report.json();
        assert!(report["verdict"].is_string(), "{report}");
        assert_eq!(report["coverage"]["batches_missing"], 0, "{report}");
        self.assert_nothing_lost();
        let nodes: Vec<String> = self.bases_ns.keys().cloned().collect();
        nodes.iter().for_each(|node| self.end_life(node));
        let (recorded, windows) = recorded_breaches(&self.bank.run_folder(&self.id), &self.lives);
        let (sampled, looks) = self.sampler.breaches(&self.lives);
        assert!(recorded.is_empty() && sampled.is_empty(), "{recorded:#?}\n{sampled:#?}");
        assert!(windows > 0 && looks > 0, "nothing to judge by: {windows} windows, {looks} looks");
        let first = first.code.unwrap_or(-1);
        let verdict = report["verdict"].as_str().unwrap_or_default();
        format!("run {first}{later}, verdict {verdict}, {windows} windows of heat, {looks} looks")
    }

    /// A person resumes once or stops; a resume that fails is stopped.
    fn end_suspended(&self, resumes: bool) -> String {
        let (mut said, mut may_resume) = (String::new(), resumes);
        let (mut said_s, began) = (0, Instant::now());
        wait_until("a run that is over", RUN_PATIENCE, || {
            let row = self.bank.run_row(&self.id)?;
            if began.elapsed().as_secs() / 30 > said_s {
                said_s = began.elapsed().as_secs() / 30;
                eprintln!("after {} s: {row}", 30 * said_s);
            }
            let suspended = row["state"] == "suspended";
            if row["ended"].is_string() && !suspended {
                return Some(());
            }
            if suspended {
                let verb = if std::mem::take(&mut may_resume) { "resume" } else { "stop" };
                let done = self.bank.verb(&[verb, &self.id]);
                said.push_str(&format!(", {verb} {}", done.code.unwrap_or(-1)));
            }
            // Each look is a process of its own.
            std::thread::sleep(SELDOM);
            None
        });
        said
    }

    fn wait_for_spools(&self) {
        wait_until("empty spools", RUN_PATIENCE, || {
            let mut nodes = self.bases_ns.keys();
            let empty = |node: &String| record::spooled(&self.bank.agent_dir(node)).is_empty();
            nodes.all(empty).then_some(())
        });
    }

    fn report(&self) -> Done {
        let folder = self.bank.run_folder(&self.id).display().to_string();
        self.bank.loadbank(&["report", &folder, "--json"]).finish(RUN_PATIENCE)
    }

    /// Whether an agent's disk was ever full.
    fn had_no_room(&self, name: &str) -> bool {
        let agents = self.disks.keys().filter_map(|whose| match whose {
            Who::Agent(index) => Some(node(*index)),
            Who::Coordinator => None,
        });
        agents.into_iter().any(|agent| agent == name)
    }

    fn assert_nothing_lost(&self) {
        let folder = self.bank.run_folder(&self.id);
        let stored = record::batches(&folder);
        let gone: Vec<_> = self.committed.difference(&stored).collect();
        assert!(gone.is_empty(), "stored and gone: {gone:?}");
        let by_instance = record::by_instance(&stored);
        let given_up = record::given_up(&folder);
        for (instance, (node, _, highest)) in &by_instance {
            let kept = stored.iter().filter(|(_, own, _)| own == instance).map(|key| key.2);
            let lost = given_up.get(instance).cloned().unwrap_or_default();
            assert!(lost.is_empty() || self.had_no_room(node), "{node} gave up {lost:?} unasked");
            let known: BTreeSet<u64> = kept.chain(lost).collect();
            let gap: Vec<u64> = (1..=*highest).filter(|seq| !known.contains(seq)).collect();
            assert!(
                gap.is_empty(),
                "{node}, {instance}: {gap:?} of {highest} are gone without a note"
            );
        }
        let highest = |instance: &str| {
            let stored = by_instance.get(instance).map_or(0, |(_, _, highest)| *highest);
            stored.max(given_up.get(instance).and_then(|lost| lost.last().copied()).unwrap_or(0))
        };
        for (instance, last_seq) in &self.left {
            assert!(
                highest(instance) >= *last_seq,
                "{instance} left {last_seq} batches: {by_instance:?}"
            );
        }
        for entry in record::journal(&folder) {
            if let JournalEntry::Closed { instance, last_seq, .. } = entry {
                assert!(
                    highest(&instance) >= last_seq,
                    "{instance} closed at {last_seq}: {by_instance:?}"
                );
            }
        }
    }
}
