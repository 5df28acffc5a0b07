//! Runs a device's orders: one pinned thread a core, one that gathers, and the caller's,
//! which passes commands on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, Builder, JoinHandle};
use std::time::Duration;

use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

use super::super::programme::Programme;
use super::super::{LoadCommand, LoadReport};
use super::block::Workbench;
use super::buffer;
use super::clock::now_ns;
use super::core::{CoreThread, Said, Shift, Told};
use super::isa::Isa;
use super::report::Gatherer;
use super::topology;

/// How often the gatherer looks for windows that wait too long, and how often the caller's
/// thread looks whether anyone still listens.
const TICK: Duration = Duration::from_millis(100);

/// Runs orders on `cores` until `commands` closes or nobody listens to `reports`.
pub(super) fn run(
    cores: &[u32],
    buffer_bytes_max: u64,
    commands: &Receiver<LoadCommand>,
    reports: Sender<LoadReport>,
) {
    let (say, said) = channel();
    let last_told = Arc::new(AtomicU64::new(0));
    let crew: Vec<Crew> = (0..cores.len())
        .filter_map(|place| hire(cores, place, buffer_bytes_max, &say, &last_told))
        .collect();
    drop(say);
    let gatherer = Gatherer::new(crew.iter().map(|member| member.core));
    let gather = thread::spawn(move || gather(gatherer, &said, &reports));
    if !crew.is_empty() {
        pass_on(&crew, &last_told, commands, || gather.is_finished());
    }
    // Closing the channels tells the cores to drop the load; the number makes them look.
    let threads: Vec<_> = crew.into_iter().map(|member| member.thread).collect();
    last_told.fetch_add(1, Ordering::Release);
    for thread in threads {
        // A core that panicked said so on standard error; the gatherer saw it go.
        let _ = thread.join();
    }
    let _ = gather.join();
}

struct Crew {
    core: u32,
    tell: Sender<Told>,
    thread: JoinHandle<()>,
}

/// Starts the thread of one core. A core that can't be pinned gives no load at all: heat
/// in the wrong place would be booked on the wrong core.
fn hire(
    cores: &[u32],
    place: usize,
    buffer_bytes_max: u64,
    say: &Sender<Said>,
    last_told: &Arc<AtomicU64>,
) -> Option<Crew> {
    let core = cores[place];
    let (tell, told) = channel();
    let (cache, sharers) = topology::last_cache(core, cores);
    let bytes = buffer::bytes_per_core(cache, sharers, cores.len() as u64, topology::available())
        .min(buffer_bytes_max);
    let thread = CoreThread {
        core,
        place: (place as u64, cores.len() as u64),
        bench: Workbench::new(Isa::best(), bytes),
        told,
        last_told: Arc::clone(last_told),
        say: say.clone(),
        programme: Programme::new(),
        heeded: 0,
        asked: 0,
        shift: Shift::default(),
    };
    let started = Builder::new().name(format!("core-{core}")).spawn(move || match pin(core) {
        Ok(()) => thread.serve(),
        Err(error) => {
            tracing::error!(core, %error, "can't pin a thread to this core: it stays idle");
        }
    });
    match started {
        Ok(thread) => Some(Crew { core, tell, thread }),
        Err(error) => {
            tracing::error!(core, %error, "can't start a thread for this core: it stays idle");
            None
        }
    }
}

/// Pins the calling thread to one core.
fn pin(core: u32) -> nix::Result<()> {
    let mut set = CpuSet::new();
    set.set(core as usize)?;
    sched_setaffinity(Pid::from_raw(0), &set)
}

/// Tells every core each command, until there are no more or nobody listens.
fn pass_on(
    crew: &[Crew],
    last_told: &AtomicU64,
    commands: &Receiver<LoadCommand>,
    deaf: impl Fn() -> bool,
) {
    let mut serial = 0;
    while !deaf() {
        let command = match commands.recv_timeout(TICK) {
            Ok(command) => command.into(),
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        serial += 1;
        let told = Told { serial, at_ns: now_ns(), command };
        for member in crew {
            // A core whose thread is gone needs no telling.
            let _ = member.tell.send(told.clone());
        }
        last_told.store(serial, Ordering::Release);
    }
}

/// Reports what the cores say, until they are gone or nobody listens.
fn gather(mut gatherer: Gatherer, said: &Receiver<Said>, reports: &Sender<LoadReport>) {
    let mut out = Vec::new();
    loop {
        let ended = match said.recv_timeout(TICK) {
            Ok(word) => {
                gatherer.hear(word, &mut out);
                false
            }
            Err(RecvTimeoutError::Timeout) => false,
            Err(RecvTimeoutError::Disconnected) => true,
        };
        gatherer.tick(now_ns(), &mut out);
        if ended {
            gatherer.finish(now_ns(), &mut out);
        }
        let heard = out.drain(..).all(|report| reports.send(report).is_ok());
        if ended || !heard {
            return;
        }
    }
}
