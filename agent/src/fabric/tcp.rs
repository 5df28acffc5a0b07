//! The `Fabric` port over TCP: runs orders one after another, turns errors into reports.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use model::id::NodeName;

use super::clock::{Halt, now_ns};
use super::endpoint::{Endpoint, EndpointConfig};
use super::error::FabricError;
use super::pair::{Outcome, Sent, Transfer};
use super::schedule::{Slot, Sweep, Timetable};
use super::socket::STREAMS_MAX;
use super::{Fabric, FabricCommand, FabricOrder, FabricReport, Traffic};
use super::{collective, probe};

/// How often the worker looks for strangers, ended orders and commands.
const LOOK: Duration = Duration::from_millis(20);
/// Orders that may wait.
const WAITING_MAX: usize = 64;
/// A peer that leaves in the middle was perhaps told to stop just before we are: so long,
/// in nanoseconds, we wait for our own stop before we call it a failure.
const GRACE_NS: u64 = 300_000_000;

/// The data plane over TCP.
#[derive(Debug)]
pub struct TcpFabric {
    endpoint: Arc<Endpoint>,
}

impl TcpFabric {
    /// Listens; everything else waits for orders.
    ///
    /// # Errors
    /// When the address can't be bound.
    pub fn bind(config: EndpointConfig) -> io::Result<Self> {
        Ok(Self { endpoint: Arc::new(Endpoint::bind(config)?) })
    }
}

impl Fabric for TcpFabric {
    fn address(&self) -> SocketAddr {
        self.endpoint.address()
    }

    fn run(&self, commands: Receiver<FabricCommand>, reports: Sender<FabricReport>) {
        let mut desk = Desk {
            endpoint: Arc::clone(&self.endpoint),
            reports,
            waiting: VecDeque::new(),
            job: None,
        };
        loop {
            match commands.recv_timeout(LOOK) {
                Ok(FabricCommand::Begin(order)) => desk.queue(order),
                Ok(FabricCommand::Stop) => desk.stop(),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            desk.look();
        }
        desk.waiting.clear();
        desk.end_job();
    }
}

/// The order that runs and those that wait.
struct Desk {
    endpoint: Arc<Endpoint>,
    reports: Sender<FabricReport>,
    waiting: VecDeque<FabricOrder>,
    job: Option<(JoinHandle<()>, Halt)>,
}

impl Desk {
    fn queue(&mut self, order: FabricOrder) {
        if self.waiting.len() == WAITING_MAX {
            let text = format!("more than {WAITING_MAX} orders wait");
            fail(&self.reports, &order, text, None);
        } else {
            self.waiting.push_back(order);
        }
    }

    fn stop(&mut self) {
        self.waiting.clear();
        self.end_job();
        let _ = self.reports.send(FabricReport::Idle { at_ns: now_ns() });
    }

    fn end_job(&mut self) {
        if let Some((thread, halt)) = self.job.take() {
            halt.raise();
            // Its panic was printed; the order it ran is over either way.
            let _ = thread.join();
        }
    }

    /// Reports strangers, buries an ended order, begins the next.
    fn look(&mut self) {
        for (from, count) in self.endpoint.refused() {
            let at_ns = now_ns();
            let _ = self.reports.send(FabricReport::Refused { at_ns, count, from });
        }
        if self.job.as_ref().is_some_and(|(thread, _)| !thread.is_finished()) {
            return;
        }
        let ended = self.job.is_some();
        self.end_job();
        match self.waiting.pop_front() {
            Some(order) => self.begin(order),
            None if ended => {
                let _ = self.reports.send(FabricReport::Idle { at_ns: now_ns() });
            }
            None => {}
        }
    }

    fn begin(&mut self, order: FabricOrder) {
        let halt = Halt::default();
        let (endpoint, reports) = (Arc::clone(&self.endpoint), self.reports.clone());
        let (ends, said) = (halt.clone(), order.clone());
        let started = std::thread::Builder::new()
            .name("fabric-order".into())
            .spawn(move || conduct(&endpoint, &order, &ends, &reports));
        match started {
            Ok(thread) => self.job = Some((thread, halt)),
            Err(error) => fail(&self.reports, &said, format!("start a thread: {error}"), None),
        }
    }
}

fn fail(reports: &Sender<FabricReport>, order: &FabricOrder, text: String, peer: Option<NodeName>) {
    let phase = order.phase.clone();
    let _ = reports.send(FabricReport::Failed { at_ns: now_ns(), phase, text, peer });
}

/// Runs one order with its probes.
fn conduct(endpoint: &Endpoint, order: &FabricOrder, halt: &Halt, reports: &Sender<FabricReport>) {
    if order.world_size < 2 {
        fail(reports, order, "traffic needs at least two ranks".into(), None);
        return;
    }
    std::thread::scope(|scope| {
        if let Some(plan) = order.probe {
            scope.spawn(move || {
                let done = probe::run(endpoint, order, plan, halt, reports);
                confess(done, order, None, halt, reports);
            });
        }
        let done = match order.traffic {
            Traffic::AllReduce { bytes, inject } => {
                collective::run(endpoint, order, (bytes, inject), halt, reports)
            }
            Traffic::Pairs { bytes, streams, both_ways, quiet } => {
                let sweep = match quiet {
                    true => Sweep::Quiet(order.leaves.clone()),
                    false => Sweep::Busy(order.world_size),
                };
                let times = (order.start_ns, order.end_ns, order.duration_ns);
                let table = Timetable::new(times, sweep, both_ways);
                pairs(endpoint, order, (table, bytes, streams, both_ways), halt, reports)
            }
            Traffic::ProbeOnly => Ok(()),
        };
        // The ring can't tell who of its two neighbours began it; both will say so.
        confess(done, order, None, halt, reports);
    });
}

/// Reports an error, unless it was our own stop.
fn confess(
    done: Result<(), FabricError>,
    order: &FabricOrder,
    peer: Option<NodeName>,
    halt: &Halt,
    reports: &Sender<FabricReport>,
) {
    let Err(error) = done else { return };
    let forgiven = matches!(error, FabricError::Stopped)
        || (error.is_departure() && halt.sleep_until(now_ns() + GRACE_NS).is_err());
    if !forgiven {
        fail(reports, order, error.to_string(), peer);
    }
}

fn pairs(
    endpoint: &Endpoint,
    order: &FabricOrder,
    (table, bytes, streams, both_ways): (Option<Timetable>, u64, u32, bool),
    halt: &Halt,
    reports: &Sender<FabricReport>,
) -> Result<(), FabricError> {
    let table =
        table.filter(|_| (1..=STREAMS_MAX).contains(&streams) && bytes > 0).ok_or_else(|| {
            FabricError::Nonsense(format!(
                "pairs of {} ranks over {streams} streams do not fit into the phase",
                order.world_size
            ))
        })?;
    let mut misses = Misses::default();
    for slot in table.slots(order.rank) {
        halt.sleep_until(slot.begin_ns)?;
        let Some(peer) = order.peer(slot.peer) else {
            return Err(FabricError::Nonsense(format!("no address for rank {}", slot.peer)));
        };
        let transfer = transfer(order, slot, peer.address, (bytes, streams));
        // Who comes too late for one slot must not be late for the next one because of it.
        let outcome = match now_ns() < transfer.meet_ns {
            true => transfer.run(endpoint, halt),
            false => Ok(Outcome::Missed(FabricError::TimedOut {
                step: "begin in time",
                waited_ms: now_ns().saturating_sub(slot.begin_ns) / 1_000_000,
            })),
        };
        match outcome {
            Ok(Outcome::Sent(sent)) => {
                misses.met(&peer.node);
                let report = report(order, &transfer, peer.node.clone(), both_ways, sent);
                let _ = reports.send(report);
            }
            Ok(Outcome::Received) => misses.met(&peer.node),
            Ok(Outcome::Missed(error)) => {
                halt.check()?;
                let (at_ns, phase, text) = (now_ns(), order.phase.clone(), error.to_string());
                misses.missed(&peer.node, text.clone());
                let (round, peer) = (slot.number, peer.node.clone());
                let _ = reports.send(FabricReport::Missed { at_ns, phase, round, peer, text });
            }
            // One bad link must not end the phase for the others.
            Err(error) => confess(Err(error), order, Some(peer.node.clone()), halt, reports),
        }
    }
    for (peer, text) in misses.never_met() {
        fail(reports, order, text, Some(peer));
    }
    Ok(())
}

/// Slots of one peer in which two can't have met by a machine's bad moment alone.
const MISSES_LEAST: u32 = 3;

/// By peer: slots in which we met it, in which we missed it, and why we did last.
#[derive(Debug, Default)]
struct Misses(BTreeMap<NodeName, (u32, u32, String)>);

impl Misses {
    fn met(&mut self, peer: &NodeName) {
        self.0.entry(peer.clone()).or_default().0 += 1;
    }

    fn missed(&mut self, peer: &NodeName, why: String) {
        let (_, missed, last) = self.0.entry(peer.clone()).or_default();
        *missed += 1;
        *last = why;
    }

    /// Those who were there in none of several slots, in words.
    fn never_met(self) -> impl Iterator<Item = (NodeName, String)> {
        let gone = |(met, missed): (u32, u32)| met == 0 && missed >= MISSES_LEAST;
        self.0
            .into_iter()
            .filter(move |(_, (met, missed, _))| gone((*met, *missed)))
            .map(|(peer, (_, missed, why))| (peer, format!("met in none of {missed} slots: {why}")))
    }
}

fn transfer(
    order: &FabricOrder,
    slot: Slot,
    address: SocketAddr,
    (bytes, streams): (u64, u32),
) -> Transfer {
    let length = slot.end_ns - slot.begin_ns;
    Transfer {
        epoch: order.epoch,
        round: slot.number,
        rank: order.rank,
        peer: (slot.peer, address),
        streams,
        bytes,
        sends: slot.sends,
        receives: slot.receives,
        meet_ns: slot.begin_ns + length / 2,
        // The last parts are for what is under way, and for the count to come back: into the
        // next slot where a machine is busy, but not so far that it misses that one too.
        cut_ns: slot.end_ns - length / 6,
        count_ns: slot.end_ns - length / 10,
        end_ns: slot.end_ns + length / 4,
    }
}

fn report(
    order: &FabricOrder,
    transfer: &Transfer,
    peer: NodeName,
    both_ways: bool,
    sent: Sent,
) -> FabricReport {
    FabricReport::Transfer {
        at_ns: now_ns(),
        phase: order.phase.clone(),
        round: transfer.round,
        peer,
        source_port: sent.source_port,
        dest_port: sent.dest_port,
        seconds: sent.measured.nanoseconds as f64 / 1e9,
        bytes: sent.measured.bytes,
        streams: transfer.streams,
        both_ways,
        retransmits: sent.retransmits,
        congestion: sent.congestion,
        via: sent.via,
    }
}
