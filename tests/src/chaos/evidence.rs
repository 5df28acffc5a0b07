//! What a trial leaves behind: lives of agents with their logs, and the processor time of
//! their workers as somebody outside saw it.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use agent::clock::monotonic_ns;
use coordinator::store::RunFile;
use model::record::Record;
use proto::convert::records_from_batch;

use crate::chaos::heat::{Allowed, Span, breach_ns};
use crate::process::{Worker, workers};
use crate::record;

/// Distance of looks at the workers' processor time.
const SAMPLE: Duration = Duration::from_millis(100);
/// Looks in about a second.
const STRETCH: usize = 10;
/// Processor time of one worker in such a stretch, outside every lease, that is a load: a
/// waiting worker spends a twentieth of a core, the plans' loads more than a half.
const BURN_MAX_NS: u64 = 250_000_000;
/// A worker that is not idle half a second late is killed; a tenth for the kill.
const KILL_GRACE_NS: u64 = 600_000_000;
/// By its own record a worker is down when it must be; a loaded machine may hold a block up.
const RECORD_GRACE_NS: u64 = 100_000_000;

/// One process of an agent, from its start to its end.
#[derive(Debug, Clone)]
pub(super) struct Life {
    pub(super) node: String,
    pub(super) pid: u32,
    /// Its wall clock at monotonic zero.
    pub(super) base_ns: i64,
    pub(super) log: String,
}

impl Life {
    fn allowed(&self) -> Allowed {
        Allowed::from_log(&self.log)
    }

    fn is_instance(&self, instance: &str) -> bool {
        self.log.contains(&format!("instance={instance}"))
    }
}

/// Processor time of one worker at one instant.
#[derive(Debug, Clone, Copy)]
struct Look {
    agent: u32,
    worker: Worker,
    at_ns: u64,
    spent_ns: u64,
}

/// Looks at the workers of these agents until it is asked for what it saw.
pub(super) struct Sampler {
    agents: Arc<Mutex<(BTreeSet<u32>, bool)>>,
    thread: JoinHandle<Vec<Look>>,
}

impl Sampler {
    pub(super) fn start() -> Self {
        let agents = Arc::new(Mutex::new((BTreeSet::new(), true)));
        let theirs = Arc::clone(&agents);
        let thread = std::thread::spawn(move || {
            let mut looks = Vec::new();
            let mut known: Vec<(u32, Worker)> = Vec::new();
            loop {
                let (pids, goes_on) = theirs.lock().unwrap_or_else(PoisonError::into_inner).clone();
                if !goes_on {
                    return looks;
                }
                for agent in pids {
                    // Workers of an agent that died stay known: they must not go on alone.
                    let more = workers(agent).into_iter().map(|worker| (agent, worker));
                    let new: Vec<_> = more.filter(|found| !known.contains(found)).collect();
                    known.extend(new);
                }
                known.retain(|(_, worker)| worker.lives());
                looks.extend(known.iter().map(|&(agent, worker)| Look {
                    agent,
                    worker,
                    at_ns: monotonic_ns(),
                    spent_ns: worker.spent().as_nanos() as u64,
                }));
                std::thread::sleep(SAMPLE);
            }
        });
        Self { agents, thread }
    }

    pub(super) fn add(&self, agent: u32) {
        self.agents.lock().unwrap_or_else(PoisonError::into_inner).0.insert(agent);
    }

    /// Stretches in which a worker spent more than a waiting one does, and nothing was
    /// allowed, in words; and how many looks there were.
    pub(super) fn breaches(self, lives: &[Life]) -> (Vec<String>, usize) {
        self.agents.lock().unwrap_or_else(PoisonError::into_inner).1 = false;
        let looks = self.thread.join().expect("the sampler ends");
        let mut found = Vec::new();
        for life in lives {
            let allowed = life.allowed();
            let mut seen: Vec<Worker> = Vec::new();
            for look in looks.iter().filter(|look| look.agent == life.pid) {
                if seen.contains(&look.worker) {
                    continue;
                }
                seen.push(look.worker);
                let own: Vec<&Look> = looks.iter().filter(|l| l.worker == look.worker).collect();
                found.extend(burns(life, &allowed, &own));
            }
        }
        (found, looks.len())
    }
}

fn burns(life: &Life, allowed: &Allowed, looks: &[&Look]) -> Vec<String> {
    // A worker has several threads (traffic sends and receives at once): it may spend more
    // than the time that passes, on a lease. What it spent without one is at least the rest.
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    let burn = |pair: &[&Look]| {
        let span = Span { from_ns: pair[0].at_ns, to_ns: pair[1].at_ns };
        let spent_ns = pair[1].spent_ns.saturating_sub(pair[0].spent_ns);
        spent_ns.saturating_sub(cores * allowed.within(span, KILL_GRACE_NS))
    };
    let burns: Vec<u64> = looks.windows(2).map(burn).collect();
    let stretches = burns.windows(STRETCH).enumerate();
    let breaches = stretches.filter(|(_, burns)| burns.iter().sum::<u64>() > BURN_MAX_NS);
    let worst = breaches.max_by_key(|(_, burns)| burns.iter().sum::<u64>());
    let said = worst.map(|(at, burns)| {
        let (from_ns, ms) = (looks[at].at_ns, burns.iter().sum::<u64>() / 1_000_000);
        format!(
            "{}: {:?} spent {ms} ms without a lease from {from_ns} on",
            life.node, looks[at].worker
        )
    });
    said.into_iter().collect()
}

/// Windows of work by the workers' own records that no lease allowed, in words; and how many
/// windows with heat there were.
pub(super) fn recorded_breaches(folder: &Path, lives: &[Life]) -> (Vec<String>, usize) {
    let copy = record::copy_of(folder, &["run.sqlite", "run.sqlite-wal"]);
    let file = RunFile::open(copy.path()).expect("a run file");
    let (mut found, mut windows) = (Vec::new(), 0);
    file.for_each_batch("", |stored| {
        let life = lives.iter().find(|life| life.is_instance(&stored.batch.instance));
        let life = life.expect("every batch was made by a life that we started");
        let allowed = life.allowed();
        for record in records_from_batch(&stored.batch).expect("readable records").records {
            let Record::Work(work) = record else { continue };
            let told = |ns: i64| (ns - life.base_ns).max(0) as u64;
            let span = Span { from_ns: told(work.from_ns), to_ns: told(work.to_ns) };
            let busy_ns = work.busy_ns / u64::from(work.cores.max(1));
            // A block that a busy machine held up is counted where it ended, as a whole: what
            // a window says beyond its length was done just before it.
            let before_ns = busy_ns.saturating_sub(span.to_ns.saturating_sub(span.from_ns));
            let span = Span { from_ns: span.from_ns.saturating_sub(before_ns), ..span };
            windows += usize::from(busy_ns > 0);
            let breach_ns = breach_ns(&allowed, span, busy_ns, RECORD_GRACE_NS);
            if breach_ns > 0 {
                let (node, ms) = (&life.node, breach_ns / 1_000_000);
                found.push(format!("{node}: {ms} ms of work in {span:?} without a lease"));
            }
        }
        Ok(())
    })
    .expect("readable batches");
    (found, windows)
}
