//! The supervisor: one loop on one permanent thread that owns lease, guard, workers and
//! what is recorded. Everything reaches it as an [`Event`]; it never blocks on any of them.

mod data_address;
mod event;
mod gpu;
mod nccl;
mod orders;
mod port_counts;
mod ports;
mod power;
mod record;
mod run;
mod status;
mod time;
mod watch;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use model::id::RunId;
use model::reading::{Absence, Reading};
use model::record::EventKind;
use proto::v1;
use tokio::sync::mpsc;

pub(crate) use data_address::DataAddress;
pub(crate) use event::{Ending, Event};
use run::Run;
use status::LastWork;

use crate::clock::{AgentClock, monotonic_ns};
use crate::guard::{self, Guard};
use crate::hardware::{Device, Sensed};
use crate::lease::{self, Lease, LeaseKey};
use crate::metrics::Board;
use crate::node_watch::NodeWatch;
use crate::sampler::Sampling;
use crate::spooler::Spooler;
use crate::surroundings::Surroundings;
use crate::worker::{Slot, Worker, WorkerCommandLine};

/// The loop looks at its timers at least this often.
const TICK: Duration = Duration::from_millis(100);
/// Distance of status messages.
const STATUS_NS: u64 = 1_000_000_000;
/// Eight GPUs at ten looks a second would be eighty batches: they travel once a second. What
/// waits dies with this process, and is no more than that second.
const GATHER_NS: u64 = 1_000_000_000;
/// A device cools down within minutes; what its sensors say for so long after a lost lease
/// may tell why it was lost. A run that nobody resumes is not recorded for ever.
const RECORD_AFTER_LEASE_NS: u64 = 300_000_000_000;
/// A worker that was told to be idle and still heats after this long beyond its ramp dies.
const IDLE_GRACE_NS: u64 = 500_000_000;

/// What a supervisor is made of.
pub(crate) struct Parts {
    pub node: String,
    pub instance: String,
    pub devices: Vec<Device>,
    /// Sensors that this machine does not have.
    pub missing: Vec<(String, Absence)>,
    /// GPUs that are not to be loaded, and why.
    pub refusals: BTreeMap<u32, String>,
    /// Who else uses this node, kept fresh by a thread of its own.
    pub surroundings: Arc<Surroundings>,
    /// Counters of the network ports are read while this is asked to.
    pub node_watch: Arc<NodeWatch>,
    /// Where the last status is left for collectors of metrics.
    pub board: Board,
    pub clock: AgentClock,
    pub(crate) spooler: Spooler,
    /// Messages to the coordinator; dropped while there is no session.
    pub outbox: mpsc::Sender<v1::AgentMessage>,
    pub worker_line: WorkerCommandLine,
    pub data_address: DataAddress,
    pub sampling: Arc<Sampling>,
    /// The data plane is never used.
    pub no_traffic: bool,
    /// How late power readings are, where a person knows better.
    pub power_lag_ms: Option<u32>,
    /// Into this loop, for the threads that it starts.
    pub hear: std::sync::mpsc::Sender<Event>,
}

/// The supervisor.
pub(crate) struct Supervisor {
    parts: Parts,
    lease: Lease,
    guards: BTreeMap<u32, Guard>,
    run: Option<Run>,
    /// A new beginning of our run, for when its old heat is down.
    postponed: Option<v1::Prepare>,
    workers: BTreeMap<Slot, Worker>,
    generation: u64,
    sensed: BTreeMap<u32, Sensed>,
    /// When each device was sensed last (CLOCK_MONOTONIC).
    sensed_at_ns: BTreeMap<u32, u64>,
    /// Which readings are beyond a limit that the coordinator wants to hear of.
    watched: watch::Watched,
    /// Samples of GPUs that wait to become one batch.
    gathered: record::Gathered,
    /// Who computes on each GPU, and which of them were ever ours.
    occupants: gpu::Occupants,
    last_work: BTreeMap<u32, LastWork>,
    /// Counters of the network ports since the phase began.
    port_span: Option<port_counts::PortSpan>,
    /// Loads that hold watts.
    power: power::Powers,
    status_at_ns: u64,
    /// The workers end as soon as they are idle.
    abandoning: bool,
    ending: Option<Ending>,
}

impl Supervisor {
    /// Boots idle.
    #[must_use]
    pub(crate) fn new(parts: Parts) -> Self {
        let guards = parts
            .devices
            .iter()
            .map(|device| (device.index, Guard::new(device.index, guard::Limits::default())))
            .collect();
        Self {
            parts,
            lease: Lease::new(),
            guards,
            run: None,
            postponed: None,
            workers: BTreeMap::new(),
            generation: 0,
            sensed: BTreeMap::new(),
            sensed_at_ns: BTreeMap::new(),
            watched: watch::Watched::default(),
            gathered: record::Gathered::default(),
            occupants: gpu::Occupants::default(),
            last_work: BTreeMap::new(),
            port_span: None,
            power: power::Powers::default(),
            status_at_ns: 0,
            abandoning: false,
            ending: None,
        }
    }

    /// Runs until an [`Event::End`] was dealt with: loads down, workers gone.
    pub(crate) fn run(mut self, events: &Receiver<Event>) {
        loop {
            match events.recv_timeout(self.patience()) {
                Ok(event) => self.take(event),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => self.ending = Some(Ending::Drop),
            }
            self.pass_time();
            if self.ending.is_some() && self.all_idle() {
                self.end_run();
                return;
            }
        }
    }

    fn patience(&self) -> Duration {
        let now_ns = monotonic_ns();
        let deadlines =
            [self.lease.next_deadline(), self.run.as_ref().and_then(Run::next_deadline)];
        let nearest = deadlines.into_iter().flatten().min().unwrap_or(u64::MAX);
        TICK.min(Duration::from_nanos(nearest.saturating_sub(now_ns)))
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Message(message) => self.take_message(message),
            Event::Sensed { device, at_ns, sensed } => self.take_sensed(device, at_ns, sensed),
            Event::Ports { at_ns, counters } => self.take_ports(at_ns, counters),
            Event::Supply { at_ns, readings } => self.record_supply(at_ns, &readings),
            Event::Xid { device, at_ns, code } => self.take_xid(device, at_ns, code),
            Event::Worker { slot, generation, output } => {
                self.take_output(slot, generation, output);
            }
            Event::Spooled { run, last_seq } => self.say_closed(run, last_seq),
            Event::End(how) => self.take_end(how),
        }
    }

    fn take_message(&mut self, message: v1::CoordinatorMessage) {
        use v1::coordinator_message::Kind;
        match message.kind {
            Some(Kind::LeaseGrant(grant)) => {
                let key = LeaseKey { run: RunId(grant.run_id), lease: grant.lease_id };
                self.step_lease(lease::Event::Granted {
                    key,
                    request: grant.request_id,
                    ttl_ns: u64::from(grant.ttl_ms) * 1_000_000,
                    ramp_ns: u64::from(grant.ramp_ms) * 1_000_000,
                });
                self.tell_lease();
            }
            Some(Kind::Prepare(prepare)) => self.prepare_when_cold(prepare),
            Some(Kind::Arm(arm)) => self.arm(arm),
            Some(Kind::Go(go)) => self.go(&go),
            Some(Kind::Stop(stop)) if self.is_run(&stop.run_id) => {
                let event = match stop.drop {
                    true => lease::Event::Drop,
                    false => {
                        lease::Event::Stop { ramp_ns: Some(u64::from(stop.ramp_ms) * 1_000_000) }
                    }
                };
                self.postponed = None;
                if let Some(run) = &mut self.run {
                    run.stop_asked(monotonic_ns(), stop.why);
                }
                self.step_lease(event);
                self.say_idle_if_stopped();
            }
            Some(Kind::Level(level)) => self.scale(&level),
            Some(Kind::ClockCorrection(clock)) => self.keep_time(&clock),
            Some(Kind::Finish(finish)) if self.is_run(&finish.run_id) => self.finish(),
            // Clock probes and the opening are the session's own.
            _ => {}
        }
    }

    fn take_sensed(&mut self, device: u32, at_ns: u64, sensed: Sensed) {
        self.step_guard(device, guard::Event::Sensed(sensed.clone()));
        self.record_sample(device, at_ns, &sensed);
        self.note_gpu(device, &sensed);
        self.hold_power(device, at_ns, Some(&sensed));
        let before = self.sensed.insert(device, sensed);
        if let (Some(before), Some(now)) = (before, self.sensed.get_mut(&device))
            && now.power_w == Reading::Absent(Absence::NotYet)
        {
            // Nothing new since the last look: the screen shows what is still so.
            now.power_w = before.power_w;
        }
        self.sensed_at_ns.insert(device, at_ns);
        self.say_if_passed(device);
    }

    fn take_xid(&mut self, device: u32, at_ns: u64, code: u64) {
        tracing::warn!(device, "{}", model::Xid::of(code));
        self.record_xid(device, at_ns, code);
        self.step_guard(device, guard::Event::Xid { code });
    }

    fn take_end(&mut self, how: Ending) {
        let event = match how {
            Ending::Ramp => lease::Event::Stop { ramp_ns: None },
            Ending::Drop => lease::Event::Drop,
        };
        // A second signal overtakes a ramp.
        self.ending = Some(how);
        self.step_lease(event);
    }

    fn pass_time(&mut self) {
        let now_ns = monotonic_ns();
        self.step_lease(lease::Event::Tick);
        for device in self.guards.keys().copied().collect::<Vec<_>>() {
            self.step_guard(device, guard::Event::Tick);
        }
        self.spool_gathered(now_ns, GATHER_NS);
        self.watch_power(now_ns);
        self.end_phase_if_due(now_ns);
        self.kill_overdue(now_ns);
        self.prepare_postponed();
        if self.run.as_ref().is_some_and(|run| run.finishing) && self.all_idle() {
            self.end_run();
        }
        if self.abandoning && self.all_idle() {
            self.abandoning = false;
            self.abandon_workers();
        }
        if now_ns >= self.status_at_ns {
            self.status_at_ns = now_ns + STATUS_NS;
            self.say_status(now_ns);
        }
    }

    fn step_lease(&mut self, event: lease::Event) {
        let (before, now_ns) = (self.lease.state().clone(), monotonic_ns());
        let actions = self.lease.step(now_ns, event);
        self.log_lease(&before, now_ns);
        for action in actions {
            self.act_on_lease(action);
        }
    }

    /// Tells workers until when they may heat: should this process hang, they know.
    fn tell_lease(&mut self) {
        let lease::State::Held { expires_ns, ramp_ns, .. } = *self.lease.state() else { return };
        let devices = self.parts.devices.iter().map(|device| Slot::Device(device.index));
        // A job over NCCL that has no order yet awaits that, and nothing else.
        let jobs = self
            .workers
            .iter()
            .filter(|(slot, worker)| matches!(slot, Slot::Nccl(_)) && !worker.idle);
        let slots: Vec<Slot> = devices.chain(jobs.map(|(slot, _)| *slot)).collect();
        for slot in slots {
            let lease = v1::WorkerLease { expires_ns, ramp_ns };
            self.tell(slot, v1::worker_command::Kind::Lease(lease));
        }
    }

    /// What an agent knew of its lease outlives it in its log, written before anything is
    /// done about it: instants of CLOCK_MONOTONIC in nanoseconds.
    fn log_lease(&self, before: &lease::State, now_ns: u64) {
        let state = self.lease.state();
        if state == before {
            return;
        }
        let idle_from_ns = match state {
            lease::State::Idle | lease::State::Armed { .. } => now_ns,
            lease::State::Held { expires_ns, ramp_ns, .. } => expires_ns.saturating_add(*ramp_ns),
            lease::State::Ramping { until_ns, .. } => *until_ns,
        };
        tracing::debug!(now_ns, idle_from_ns, "lease");
    }

    fn act_on_lease(&mut self, action: lease::Action) {
        use v1::agent_message::Kind;
        match action {
            lease::Action::Request { key, request } => {
                let run_id = key.run.0;
                let request = v1::LeaseRequest { request_id: request, run_id, lease_id: key.lease };
                self.say(Kind::LeaseRequest(request));
            }
            lease::Action::HeatAllowed => self.answer_pending_arm(None),
            lease::Action::Ramp { over_ns, why } => {
                if why == lease::End::LeaseLost {
                    let text = "no renewal came in time: ramping down".to_owned();
                    tracing::warn!("{text}");
                    self.record_event(EventKind::LeaseLost, None, text);
                    // Idle is recorded for this as well: who restarts a coordinator asks when.
                    if let Some(run) = self.run.as_mut().filter(|run| run.stopping.is_none()) {
                        run.stop_asked(monotonic_ns(), "its lease was lost".to_owned());
                    }
                }
                self.stop_traffic();
                self.ramp_all(over_ns);
            }
            lease::Action::Drop { .. } => {
                self.stop_traffic();
                self.drop_all();
            }
            lease::Action::MustBeIdle { why } => {
                self.end_heat();
                // Without a lease there is no data port either.
                self.abandoning = why == lease::End::LeaseLost;
                if let Some(run) = self.run.as_mut().filter(|_| self.abandoning) {
                    run.record_until_ns = Some(monotonic_ns() + RECORD_AFTER_LEASE_NS);
                }
            }
            lease::Action::Refused { why, .. } => tracing::warn!(%why, "arm refused"),
        }
    }

    fn step_guard(&mut self, device: u32, event: guard::Event) {
        let Some(guard) = self.guards.get_mut(&device) else { return };
        for guard::Action::Drop { device, why } in guard.step(monotonic_ns(), event) {
            self.drop_device(device, &why);
        }
    }

    /// The guard outranks the plan: the device is idle now, whatever else goes on. The run
    /// ends where the building is in danger, or where nothing is left to load.
    fn drop_device(&mut self, device: u32, why: &guard::Trip) {
        let Some(run) = &mut self.run else { return };
        run.tripped.insert(device);
        let run_id = run.id().to_owned();
        let left = self.parts.devices.iter().any(|device| !run.tripped.contains(&device.index));
        if let Some(mut worker) = self.workers.remove(&Slot::Device(device)) {
            worker.kill();
        }
        // What we can't see is no fault of the device.
        let kind = match why.is_blindness() {
            true => EventKind::SensorLost,
            false => EventKind::GuardTrip,
        };
        let text = format!("device {device} dropped: {why}");
        tracing::warn!("{text}");
        self.record_event(kind, Some(device), text);
        self.leave_nccl(device);
        if why.ends_the_run() || !left {
            let tripped = v1::Tripped { run_id, device, why: why.to_string() };
            self.say(v1::agent_message::Kind::Tripped(tripped));
        }
    }

    /// Who else uses this node now, a line each.
    fn warnings(&self) -> Vec<String> {
        self.parts.surroundings.warnings()
    }

    fn is_run(&self, id: &str) -> bool {
        self.run.as_ref().is_some_and(|run| run.id() == id)
    }

    /// Queues a message; without a session, or with a full queue, it is gone: whatever must
    /// not be lost is in the spool.
    fn say(&self, kind: v1::agent_message::Kind) {
        let _ = self.parts.outbox.try_send(v1::AgentMessage { kind: Some(kind) });
    }
}
