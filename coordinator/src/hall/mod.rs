//! The hall: every agent the coordinator knows, and the run that is active.
//!
//! One mutex, no awaiting inside: a message is a few microseconds of work. Messages to
//! agents leave through bounded queues; an agent that does not read its queue is lost by
//! its lease, never waited for.

mod active;
mod admission;
mod agent;
mod domains;
mod floor;
mod heat;
mod interlock;
mod meters;
mod status;
mod sweeps;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use model::facts::LossReason;
use proto::v1;
use tokio::sync::{Notify, mpsc, oneshot};

pub(crate) use active::Active;
use active::NcclMember;
pub(crate) use admission::{Admission, SubmitError};
pub(crate) use admission::{lease_id, token};
pub(crate) use agent::{Agent, SessionId};
pub(crate) use floor::{Floor, PhaseShape};
pub(crate) use heat::HeatAsked;
pub(crate) use meters::Recorded;

use crate::clock::{CoordinatorClock, Exchange};
use crate::config::Config;
use crate::door::Refusals;
use crate::meter::{self, Place};
use crate::run::{Action, End, Event, GO_LEAD_NS, State};
use crate::store::{
    Catalogue, Durable, JournalEntry, NodeClock, RunRow, StateLock, StoreError, Writer,
};
use crate::sweep::Book;
use agent::{send, to_wire};

/// An answer is followed by the next probe, so often: both processes are awake then, and the
/// round trip is the network's and not the schedulers'.
const PROBES_FOLLOWING: u32 = 3;

/// Distance of an agent's clock corrections while a phase runs. Half of the time over which
/// an agent makes a distance good.
const CORRECTION_NS: i64 = 5_000_000_000;
/// Each agent adds so much to it: ten thousand are corrected every twenty seconds.
const CORRECTION_SHARE_NS: i64 = 2_000_000;

/// Handle of a coordinator's state; cloning shares it.
#[derive(Clone)]
pub(crate) struct Hall {
    inner: Arc<Mutex<Inner>>,
    /// Made at this start: agents tell by it whether they came back to the same process.
    pub instance: Arc<str>,
    pub clock: CoordinatorClock,
    pub config: Arc<Config>,
    pub writer: Writer,
    /// Told of runs whose record changed and must be judged anew.
    pub judging: mpsc::UnboundedSender<String>,
    /// Woken whenever a run ends.
    pub ended: Arc<Notify>,
    /// Whom the doors refused.
    pub refusals: Arc<Refusals>,
    /// No other coordinator keeps its record in our folder while we live.
    _held: Arc<StateLock>,
    /// Runs that begin by themselves.
    sweeps: Arc<Mutex<Book>>,
}

pub(crate) struct Inner {
    pub(crate) agents: BTreeMap<String, Agent>,
    pub(crate) active: Option<Active>,
    /// Every run's line, as the writer has it or will have it. Here nobody waits for a disk.
    pub(crate) runs: BTreeMap<String, RunRow>,
    /// The run that will be active once its record is durable.
    pub(crate) starting: Option<String>,
    /// Most watts of each node that held for two readings, in this life or an earlier one.
    pub(crate) peaks: BTreeMap<String, f64>,
    /// What the building's meters said last, and whose trip nobody resumed yet.
    pub(crate) interlocks: interlock::Standing,
    /// How each device of the building is doing.
    pub(crate) meters: BTreeMap<Place, meter::State>,
    next_session: u64,
}

impl Inner {
    pub(crate) fn runs_by_age(&self) -> Vec<RunRow> {
        let mut rows: Vec<RunRow> = self.runs.values().cloned().collect();
        rows.sort_by(|a, b| (a.started_ns, &a.run).cmp(&(b.started_ns, &b.run)));
        rows
    }
}

impl Hall {
    /// A hall over a state directory.
    ///
    /// # Errors
    /// When the catalogue can't be opened.
    pub(crate) fn open(
        config: Config,
        judging: mpsc::UnboundedSender<String>,
    ) -> Result<Self, StoreError> {
        let held = StateLock::take(&config.state_dir)?;
        let catalogue = Catalogue::open(&config.state_dir)?;
        let runs = catalogue.runs()?.into_iter().map(|row| (row.run.clone(), row)).collect();
        let (peaks, latched) = (catalogue.peaks()?, catalogue.latches()?);
        let sweeps = Book::open(&catalogue, jiff::Timestamp::now())?;
        let config = Arc::new(config);
        let folders = config.clone();
        let writer = Writer::start(catalogue, move |run| folders.folder_of(run));
        let inner = Inner {
            agents: BTreeMap::new(),
            active: None,
            runs,
            starting: None,
            peaks,
            interlocks: interlock::Standing::with(latched),
            meters: BTreeMap::new(),
            next_session: 1,
        };
        Ok(Self {
            inner: Arc::new(Mutex::new(inner)),
            instance: uuid::Uuid::new_v4().to_string().into(),
            clock: CoordinatorClock::start(),
            config,
            writer,
            judging,
            ended: Arc::new(Notify::new()),
            refusals: Arc::default(),
            sweeps: Arc::new(Mutex::new(sweeps)),
            _held: Arc::new(held),
        })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic inside is a bug; state behind it is still the best there is.
        self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Takes an agent in, or says why not.
    ///
    /// # Errors
    /// The refusal to send.
    pub(crate) fn admit(
        &self,
        hello: &v1::Hello,
        outbox: mpsc::Sender<v1::CoordinatorMessage>,
    ) -> Result<SessionId, v1::Refusal> {
        let now_ns = self.clock.now_ns();
        let mut inner = self.lock();
        agent::check_hello(hello, inner.agents.get(&hello.node))?;
        inner.next_session += 1;
        let session = SessionId(inner.next_session);
        let restarted = inner
            .agents
            .get(&hello.node)
            .is_some_and(|known| known.hello.instance != hello.instance);
        let agent = Agent::connected(hello.clone(), session, outbox, now_ns);
        let previous = inner.agents.insert(hello.node.clone(), agent);
        if let (false, Some(previous)) = (restarted, previous)
            && let Some(agent) = inner.agents.get_mut(&hello.node)
        {
            agent.clock = previous.clock;
        }
        self.note_return(&mut inner, hello, restarted, now_ns);
        Ok(session)
    }

    /// The session of an agent ended. Whether its node is lost is for its lease to say.
    pub(crate) fn leave(&self, node: &str, session: SessionId, goodbye: Option<String>) {
        let now_ns = self.clock.now_ns();
        let mut inner = self.lock();
        let Some(agent) = inner.agents.get_mut(node) else { return };
        if agent.session != session {
            return;
        }
        agent.outbox = None;
        if let Some(why) = goodbye {
            let (node, why) = (node.to_owned(), format!("its agent left: {why}"));
            let event = Event::Gone { node, reason: LossReason::AgentLeft, why };
            self.step(&mut inner, now_ns, event);
        }
    }

    /// One message of an admitted agent.
    pub(crate) fn take(&self, node: &str, session: SessionId, message: v1::AgentMessage) {
        use v1::agent_message::Kind;
        let now_ns = self.clock.now_ns();
        let mut inner = self.lock();
        let Some(agent) = inner.agents.get_mut(node) else { return };
        if agent.session != session {
            return;
        }
        agent.last_seen_ns = now_ns;
        let Some(kind) = message.kind else { return };
        match kind {
            Kind::ClockReply(reply) => {
                agent.clock.add(Exchange {
                    sent_ns: reply.probe_sent_ns,
                    received_ns: reply.received_ns,
                    replied_ns: reply.replied_ns,
                    answered_ns: now_ns,
                });
                if agent.probes_to_follow > 0 {
                    agent.probes_to_follow -= 1;
                    self.send_probe(agent);
                } else {
                    // Once a series: an estimate costs more than the message that it is for.
                    self.tell_clock(&mut inner, node, now_ns);
                    self.correct_clock(&mut inner, node, now_ns);
                }
            }
            Kind::LeaseRequest(request) => self.answer_lease(&mut inner, node, &request),
            Kind::Status(status) => self.take_status(&mut inner, node, now_ns, status),
            other => self.take_for_run(&mut inner, node, now_ns, other),
        }
        let node = node.to_owned();
        self.step(&mut inner, now_ns, Event::Seen { node });
    }

    /// Batches of a node are durable up to `seq`; late ones make the run be judged again.
    pub(crate) fn stored(&self, run: &str, node: &str, instance: &str, seq: u64) {
        let now_ns = self.clock.now_ns();
        let mut inner = self.lock();
        let is_active = inner.active.as_ref().is_some_and(|active| active.run == run);
        if !is_active {
            let _ = self.judging.send(run.to_owned());
            return;
        }
        let present = inner.agents.get(node).is_some_and(|a| a.hello.instance == instance);
        if present {
            self.step(&mut inner, now_ns, Event::Stored { node: node.to_owned(), seq });
        }
    }

    /// Every run, oldest first.
    pub(crate) fn runs(&self) -> Vec<RunRow> {
        self.lock().runs_by_age()
    }

    /// Changes a run's line: at once here, and on the disk behind the journal entries that
    /// were written before.
    pub(crate) fn put(&self, inner: &mut Inner, row: RunRow) {
        drop(self.put_durably(inner, row));
    }

    /// As [`Hall::put`]; the receiver hears when it is durable.
    pub(crate) fn put_durably(&self, inner: &mut Inner, row: RunRow) -> oneshot::Receiver<Durable> {
        inner.runs.insert(row.run.clone(), row.clone());
        self.writer.row(row)
    }

    /// Writes a judged run's verdict into the catalogue, and waits for the disk. A run whose
    /// verdict was heard of is durable: only then does its end count as told.
    pub(crate) fn set_verdict(&self, run: &str, verdict: &str) {
        let Some(mut row) = self.lock().runs.get(run).cloned() else { return };
        // A suspended or running run has no verdict yet.
        if matches!(row.state.as_str(), "running" | "suspended") {
            return;
        }
        verdict.clone_into(&mut row.verdict);
        // An ended run's line is changed by its verdict only: nothing can come in between.
        let _ = self.writer.row(row.clone()).blocking_recv();
        self.lock().runs.insert(row.run.clone(), row);
    }

    /// Whether batches of this run may be stored here.
    #[must_use]
    pub(crate) fn knows_run(&self, run: &str) -> bool {
        let inner = self.lock();
        inner.active.as_ref().is_some_and(|active| active.run == run)
            || inner.runs.contains_key(run)
    }

    /// Lets time pass.
    pub(crate) fn tick(&self) {
        let now_ns = self.clock.now_ns();
        let mut inner = self.lock();
        self.step(&mut inner, now_ns, Event::Tick);
        self.watch(&mut inner, now_ns, |interlocks| interlocks.tick(now_ns));
        self.control(&mut inner, now_ns);
        self.flush_meters_if_due(&mut inner, now_ns);
    }

    /// Asks an agent for its clock. Says how well it was known at the instant of a GO, and
    /// how many agents there are to ask; nothing once the session is over.
    pub(crate) fn probe_clock(
        &self,
        node: &str,
        session: SessionId,
    ) -> Option<(Option<u64>, usize)> {
        let mut inner = self.lock();
        let agents = inner.agents.len();
        let agent = inner.agents.get_mut(node)?;
        if agent.session != session || agent.outbox.is_none() {
            return None;
        }
        let now_ns = self.clock.now_ns();
        let error_ns = agent.clock.at(now_ns + GO_LEAD_NS).map(|offset| offset.error_ns);
        agent.probes_to_follow = PROBES_FOLLOWING;
        self.send_probe(agent);
        Some((error_ns, agents))
    }

    fn send_probe(&self, agent: &mut Agent) {
        agent.probes += 1;
        let probe = v1::ClockProbe { probe_id: agent.probes, sent_ns: self.clock.now_ns() };
        send(agent, v1::coordinator_message::Kind::ClockProbe(probe));
    }

    /// While a run waits for clocks: what is known of this one at the instant of a GO.
    fn tell_clock(&self, inner: &mut Inner, node: &str, now_ns: i64) {
        let waits = inner
            .active
            .as_ref()
            .is_some_and(|active| matches!(active.machine.state(), State::Preparing { .. }));
        if !waits {
            return;
        }
        let Some(agent) = inner.agents.get(node) else { return };
        let Some(offset) = agent.clock.at(now_ns + GO_LEAD_NS) else { return };
        let (exchanges, error_ns) = (agent.clock.exchanges(), offset.error_ns);
        self.step(inner, now_ns, Event::Clock { node: node.to_owned(), exchanges, error_ns });
    }

    /// While a phase runs: what is known of an agent's clock by now, so that its waveforms
    /// keep their time.
    fn correct_clock(&self, inner: &mut Inner, node: &str, now_ns: i64) {
        let every_ns = CORRECTION_NS.max(inner.agents.len() as i64 * CORRECTION_SHARE_NS);
        let Some(active) = &inner.active else { return };
        let running = active.machine.present().is_some();
        let Some(agent) = inner.agents.get_mut(node) else { return };
        if !running || now_ns < agent.corrected_ns + every_ns {
            return;
        }
        let Some(offset) = agent.clock.at(now_ns) else { return };
        agent.corrected_ns = now_ns;
        let correction = v1::ClockCorrection {
            run_id: active.run.clone(),
            agent_ns: now_ns - offset.offset_ns,
            coordinator_ns: now_ns,
            error_ns: offset.error_ns,
            drift_ppb: offset.drift_ppb,
        };
        send(agent, v1::coordinator_message::Kind::ClockCorrection(correction));
    }

    fn answer_lease(&self, inner: &mut Inner, node: &str, request: &v1::LeaseRequest) {
        let granted = inner.active.as_ref().filter(|active| {
            active.run == request.run_id
                && active.lease == request.lease_id
                && active.machine.may_heat(node)
        });
        let Some(ramp_ms) = granted.map(|active| active.heat.ramp_ms(node)) else { return };
        let grant = v1::LeaseGrant {
            request_id: request.request_id,
            run_id: request.run_id.clone(),
            ttl_ms: self.config.lease.as_millis() as u32,
            ramp_ms,
            lease_id: request.lease_id.clone(),
        };
        if let Some(agent) = inner.agents.get_mut(node) {
            send(agent, v1::coordinator_message::Kind::LeaseGrant(grant));
        }
    }

    fn take_for_run(
        &self,
        inner: &mut Inner,
        node: &str,
        now_ns: i64,
        kind: v1::agent_message::Kind,
    ) {
        use v1::agent_message::Kind;
        let Some(active) = inner.active.as_mut().filter(|active| active.run == run_of(&kind))
        else {
            self.take_for_inactive(inner, node, now_ns, kind);
            return;
        };
        let run = active.run.clone();
        let name = node.to_owned();
        let event = match kind {
            Kind::Prepared(prepared) => {
                active.data_addresses.insert(name.clone(), prepared.data_address);
                let usable = prepared.usable_gpus;
                let agent = inner.agents.get(node);
                let member = agent.map(|agent| NcclMember::of(&agent.hello, usable));
                active.nccl.extend(member.map(|member| (name.clone(), member)));
                for text in prepared.warnings {
                    let entry = JournalEntry::Warning { node: name.clone(), text };
                    self.writer.journal(&run, now_ns, entry);
                }
                Event::Prepared { node: name, ok: prepared.ok, why: prepared.why }
            }
            Kind::Ready(ready) => {
                if !ready.nccl_id.is_empty() {
                    active.nccl_id = (ready.attempt, ready.nccl_id);
                }
                Event::Ready {
                    node: name,
                    phase: ready.phase_index as usize,
                    attempt: ready.attempt,
                    ok: ready.ok,
                    why: ready.why,
                }
            }
            Kind::Idle(_) => Event::Idle { node: name },
            Kind::Closed(closed) => {
                let entry = JournalEntry::Closed {
                    node: name.clone(),
                    instance: closed.instance,
                    last_seq: closed.last_seq,
                };
                self.writer.journal(&run, now_ns, entry);
                Event::Closed { node: name, last_seq: closed.last_seq }
            }
            Kind::Tripped(tripped) => {
                let why = format!("{node}/{}: {}", tripped.device, tripped.why);
                self.writer.journal(&run, now_ns, JournalEntry::LimitTripped { why: why.clone() });
                Event::LimitTripped { why }
            }
            _ => return,
        };
        let prepared = matches!(event, Event::Prepared { .. });
        self.step(inner, now_ns, event);
        if prepared {
            self.tell_clock(inner, node, now_ns);
        }
    }

    /// How much an agent made for a run that is over (or suspended) is a fact for its judge:
    /// without it a last batch that never comes would be no visible gap.
    fn take_for_inactive(
        &self,
        inner: &Inner,
        node: &str,
        now_ns: i64,
        kind: v1::agent_message::Kind,
    ) {
        let v1::agent_message::Kind::Closed(closed) = kind else { return };
        let v1::Closed { run_id: run, instance, last_seq } = closed;
        let known = inner.runs.contains_key(&run);
        let own = inner.agents.get(node).is_some_and(|agent| agent.hello.instance == instance);
        if known && own && last_seq > 0 {
            let entry = JournalEntry::Closed { node: node.to_owned(), instance, last_seq };
            self.writer.journal(&run, now_ns, entry);
            let _ = self.judging.send(run);
        }
    }

    /// An agent came (back) while a run is active: a fact for the judge, and for the machine
    /// when it is another process than before.
    fn note_return(&self, inner: &mut Inner, hello: &v1::Hello, restarted: bool, now_ns: i64) {
        let Some(active) = &inner.active else { return };
        let Some(planned) = active.planned.iter().find(|p| p.node == hello.node) else { return };
        let other = planned.instance != hello.instance;
        if active.machine.is_lost(&hello.node) || other {
            let entry = JournalEntry::Returned {
                node: hello.node.clone(),
                instance: hello.instance.clone(),
                boot_id: hello.boot_id.clone(),
            };
            self.writer.journal(&active.run, now_ns, entry);
        }
        if restarted && other {
            let why = "its agent was started again".to_owned();
            let (node, reason) = (hello.node.clone(), LossReason::AgentRestarted);
            self.step(inner, now_ns, Event::Gone { node, reason, why });
        }
    }

    /// Steps the machine of the active run and does what it says.
    pub(crate) fn step(&self, inner: &mut Inner, now_ns: i64, event: Event) {
        let Some(active) = &mut inner.active else { return };
        let actions = active.machine.step(now_ns, event);
        for action in actions {
            self.act(inner, now_ns, action);
        }
    }

    pub(crate) fn act(&self, inner: &mut Inner, now_ns: i64, action: Action) {
        let Inner { agents, active, .. } = inner;
        let Some(run) = active.as_mut() else { return };
        match action {
            Action::Prepare { node } => {
                tell(
                    agents,
                    &node,
                    v1::coordinator_message::Kind::Prepare(run.prepare(&node, &self.config)),
                );
            }
            Action::Arm { node, rank, phase, attempt, members } => {
                let arm = run.arm((&node, rank), phase, attempt, &members);
                tell(agents, &node, v1::coordinator_message::Kind::Arm(arm));
            }
            Action::Go { node, phase, attempt, start_ns } => {
                let offset = agents.get(&node).and_then(|agent| agent.clock.at(start_ns));
                match offset {
                    Some(offset) => {
                        let go = run.go(&node, phase, attempt, start_ns, offset);
                        tell(agents, &node, v1::coordinator_message::Kind::Go(go));
                    }
                    // No clock, no instant. The machine arms no such node; were it wrong, the
                    // node would sit idle in a phase that counts it.
                    None => {
                        let why = "its clock is not known: it can't be started".to_owned();
                        let reason = LossReason::ClockUnknown;
                        self.step(inner, now_ns, Event::Gone { node, reason, why });
                    }
                }
            }
            Action::Stop { node, drop, why } => {
                let ramp_ms = run.heat.ramp_ms(&node);
                let stop = v1::Stop { run_id: run.run.clone(), drop, ramp_ms, why };
                tell(agents, &node, v1::coordinator_message::Kind::Stop(stop));
            }
            Action::Finish { node } => {
                let finish = v1::Finish { run_id: run.run.clone() };
                tell(agents, &node, v1::coordinator_message::Kind::Finish(finish));
            }
            Action::Lost { node, reason, why } => {
                self.journal_loss(run, &node, (reason, why), now_ns);
                self.watch_loss(inner, now_ns, &node, reason);
            }
            Action::PhaseStarts { phase, start_ns } => {
                let entry = run.phase_starts(phase, start_ns);
                self.writer.journal(&run.run, now_ns, entry);
            }
            Action::PhaseCompleted { phase } => {
                let name = run.specs[phase].name.clone();
                if let Some(entry) = run.phase_time(&name, agents) {
                    self.writer.journal(&run.run, now_ns, entry);
                }
                let entry = JournalEntry::PhaseCompleted { phase, name };
                self.writer.journal(&run.run, now_ns, entry);
            }
            Action::Ended(end) => self.end(inner, now_ns, &end),
        }
    }

    fn journal_loss(
        &self,
        run: &mut Active,
        node: &str,
        (reason, why): (LossReason, String),
        now_ns: i64,
    ) {
        tracing::warn!(run = %run.run, %node, %why, "node lost");
        run.message = format!("lost {node}: {why}");
        let instance = run
            .planned
            .iter()
            .find(|planned| planned.node == node)
            .map_or_else(String::new, |planned| planned.instance.clone());
        let (node, reason) = (node.to_owned(), Some(reason));
        let entry = JournalEntry::Lost { node, instance, why, reason };
        self.writer.journal(&run.run, now_ns, entry);
    }

    fn end(&self, inner: &mut Inner, now_ns: i64, end: &End) {
        let Some(mut active) = inner.active.take() else { return };
        self.keep_peaks(inner, &active);
        for planned in &active.planned {
            if let Some(agent) = inner.agents.get(&planned.node)
                && let Some(offset) = agent.clock.at(now_ns)
            {
                let clock = NodeClock {
                    node: planned.node.clone(),
                    at_ns: now_ns,
                    offset_ns: offset.offset_ns,
                    error_ns: offset.error_ns,
                };
                self.writer.journal(&active.run, now_ns, JournalEntry::Clock { clock });
            }
        }
        self.flush_meters(&mut active, now_ns);
        let (how, why) = active::end_words(end);
        let entry = JournalEntry::Ended { how: how.to_owned(), why };
        self.writer.journal(&active.run, now_ns, entry);
        let row = RunRow { state: how.to_owned(), ended_ns: now_ns, ..active.row(&self.config) };
        self.put(inner, row);
        let _ = self.judging.send(active.run.clone());
    }
}

/// The run that an agent's message is about; empty for what is about none.
fn run_of(kind: &v1::agent_message::Kind) -> &str {
    use v1::agent_message::Kind;
    match kind {
        Kind::Prepared(prepared) => &prepared.run_id,
        Kind::Ready(ready) => &ready.run_id,
        Kind::Idle(idle) => &idle.run_id,
        Kind::Closed(closed) => &closed.run_id,
        Kind::Tripped(tripped) => &tripped.run_id,
        _ => "",
    }
}

fn tell(agents: &mut BTreeMap<String, Agent>, node: &str, kind: v1::coordinator_message::Kind) {
    if let Some(agent) = agents.get_mut(node) {
        send(agent, kind);
    }
}

/// The refusal or welcome that opens a session.
#[must_use]
pub(crate) fn opening(kind: v1::coordinator_message::Kind) -> v1::CoordinatorMessage {
    to_wire(kind)
}
