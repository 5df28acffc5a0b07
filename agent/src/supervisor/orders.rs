//! What the coordinator orders, and how it reaches the workers.

use std::net::SocketAddr;
use std::time::Duration;

use model::id::RunId;
use model::record::EventKind;
use proto::v1;
use proto::v1::worker_command::Kind as Command;

use super::nccl;
use super::ports::data_ports;
use super::run::{Run, TimedPhase, waveform_of};
use super::time::drift_on_monotonic;
use super::{Event, IDLE_GRACE_NS, Supervisor};
use crate::clock::monotonic_ns;
use crate::guard;
use crate::hardware::Device;
use crate::lease::{self, Heat, LeaseKey};
use crate::time_base::TimeBase;
use crate::worker::{Output, Slot, Worker};

/// A load order outlives its phase by this, so that the ramp at its end has something to
/// ramp; the supervisor ends it.
const ORDER_TAIL_NS: u64 = 5_000_000_000;
/// A phase that starts within this of another's end takes its load over, at the level that
/// it finds: a late READY moves a start by less than the coordinator's lead of a second, and
/// half as much again is for clocks. A ramp in between would be a dip that nobody asked for,
/// and it would make the worker forget the order that waits. Shorter than [`ORDER_TAIL_NS`].
const HANDOVER_NS: u64 = 1_500_000_000;
/// A ramp told to a worker is shorter by this than what is allowed, so that it is over in time.
const RAMP_MARGIN_NS: u64 = 100_000_000;
/// Longest phase taken from the wire: a month.
const PHASE_NS_MAX: u64 = 31 * 24 * 3600 * 1_000_000_000;

impl Supervisor {
    /// A run that a person resumes while its heat is still on the way down is joined when
    /// it is down: its workers must not die hot, and its old lease is in the way.
    pub(super) fn prepare_when_cold(&mut self, prepare: v1::Prepare) {
        let ours = self.run.as_ref().filter(|run| run.id() == prepare.run_id);
        if ours.is_some_and(|run| run.prepare.lease_id == prepare.lease_id) {
            return;
        }
        if ours.is_some() && !self.all_idle() {
            self.postponed = Some(prepare);
            self.step_lease(lease::Event::Stop { ramp_ns: None });
            return;
        }
        self.postponed = None;
        self.prepare(prepare);
    }

    pub(super) fn prepare_postponed(&mut self) {
        if self.all_idle()
            && let Some(prepare) = self.postponed.take()
        {
            self.prepare(prepare);
        }
    }

    /// Joins a run: workers and data port, no heat.
    fn prepare(&mut self, prepare: v1::Prepare) {
        let other = self.run.as_ref().is_some_and(|run| run.id() != prepare.run_id);
        if other && !self.all_idle() {
            let run_id = prepare.run_id;
            let why = "this node is busy with another run".to_owned();
            self.say_prepared(run_id, Err(why));
            return;
        }
        self.spool_gathered(u64::MAX, 0);
        self.record_ports();
        self.abandon_workers();
        // What is left of an earlier lease would refuse the new one; nothing heats on it.
        self.step_lease(lease::Event::Drop);
        self.parts.sampling.set_interval(Duration::from_millis(prepare.sample_interval_ms.into()));
        let limits = guard::Limits { device_temp_c: prepare.device_temp_limit_c };
        for guard in self.guards.values_mut() {
            guard.reset(monotonic_ns(), limits);
        }
        let key = LeaseKey { run: RunId(prepare.run_id.clone()), lease: prepare.lease_id.clone() };
        self.watched.forget();
        self.run = Some(Run::new(prepare));
        self.parts.node_watch.want(true);
        self.power.end();
        self.record_surroundings();
        self.refuse_devices();
        if let Err(error) = self.start_workers() {
            let run_id = self.run.as_ref().map(|run| run.id().to_owned()).unwrap_or_default();
            self.say_prepared(run_id, Err(format!("workers can't be started: {error}")));
            return;
        }
        self.step_lease(lease::Event::Arm(key));
    }

    fn start_workers(&mut self) -> std::io::Result<()> {
        for device in self.parts.devices.clone() {
            if self.refusal_of(device.index).is_some() {
                continue;
            }
            let slot = Slot::Device(device.index);
            self.start_worker(slot, device.uuid.as_slice(), &device.cores)?;
        }
        let cores: Vec<u32> =
            self.parts.devices.iter().flat_map(|d| d.cores.iter().copied()).collect();
        self.start_worker(Slot::Fabric, &[], &cores)?;
        let Some(run) = &self.run else { return Ok(()) };
        let (listen, source) = data_ports(&self.parts.node);
        let address = self.parts.data_address.now().map_err(std::io::Error::other)?;
        let listen = v1::WorkerListen {
            address: SocketAddr::new(address, listen).to_string(),
            source_port_base: u32::from(source),
            data_token: run.prepare.data_token.clone(),
            congestion: run.prepare.congestion.clone(),
        };
        self.tell(Slot::Fabric, Command::Listen(listen));
        Ok(())
    }

    pub(super) fn start_worker(
        &mut self,
        slot: Slot,
        gpus: &[String],
        cores: &[u32],
    ) -> std::io::Result<()> {
        self.generation += 1;
        let hear = self.parts.hear.clone();
        let worker = Worker::spawn(
            &self.parts.worker_line,
            slot,
            self.generation,
            gpus,
            cores,
            move |slot, generation, output| {
                let _ = hear.send(Event::Worker { slot, generation, output });
            },
        )?;
        self.occupants.started(worker.pid());
        self.workers.insert(slot, worker);
        Ok(())
    }

    pub(super) fn say_prepared(&mut self, run_id: String, outcome: Result<String, String>) {
        let mut warnings = self.warnings();
        let refused = self.run.iter().flat_map(|run| &run.refused);
        warnings
            .extend(refused.map(|(device, why)| format!("device {device} is not loaded: {why}")));
        let (ok, why, data_address) = match outcome {
            Ok(address) => (true, String::new(), address),
            Err(why) => (false, why, String::new()),
        };
        let usable_gpus = Some(self.usable_gpus().len() as u32);
        let prepared = v1::Prepared { run_id, ok, why, data_address, warnings, usable_gpus };
        self.say(v1::agent_message::Kind::Prepared(prepared));
    }

    /// Takes the next phase in; READY goes out once the lease allows heat.
    pub(super) fn arm(&mut self, arm: v1::Arm) {
        let heats = arm.load.is_some() || arm.loaded;
        let allowed = matches!(self.lease.heat(monotonic_ns()), Heat::Full { .. });
        let Some(run) = self.run.as_mut().filter(|run| run.id() == arm.run_id) else { return };
        if run.stopping.is_some() {
            return;
        }
        let scale = arm.scale;
        let level = scale.map(|scale| v1::Level {
            run_id: arm.run_id.clone(),
            scale,
            no_rise: arm.no_rise,
            ..v1::Level::default()
        });
        let holds_power = arm.load.as_ref().is_some_and(|load| load.target_w.is_some());
        let over_nccl = nccl::is_wanted(&arm).then(|| arm.clone());
        run.armed = Some(arm);
        run.ready_owed = true;
        run.nccl_owed = None;
        run.nccl_id.clear();
        if let Some(level) = level {
            self.scale(&level);
        }
        if holds_power {
            self.look_often();
        }
        if let Some(why) = over_nccl.and_then(|arm| self.open_nccl(&arm).err()) {
            self.answer_pending_arm(Some(why));
            return;
        }
        let asked = matches!(self.lease.state(), lease::State::Armed { .. });
        if allowed || !heats {
            self.answer_pending_arm(None);
        } else if !asked {
            self.answer_pending_arm(Some("its lease was lost".to_owned()));
        }
    }

    /// Every level of this run, of loads that run and of those to come, times this.
    pub(super) fn scale(&mut self, level: &v1::Level) {
        let now_ns = monotonic_ns();
        let power = self.power.scale_at(now_ns);
        let Some(run) = self.run.as_mut().filter(|run| run.id() == level.run_id) else { return };
        let before = run.scale.target();
        let mix =
            Some(level.mix_per_mille).filter(|mix| *mix > 0 && run.mix_per_mille != Some(*mix));
        run.mix_per_mille = mix.or(run.mix_per_mille);
        let over_ns = u64::from(level.over_ms) * 1_000_000;
        let scale = run.scale.towards(level.scale, now_ns, over_ns);
        let (to, no_rise) = (scale.target(), level.no_rise);
        // Said again, or armed with: what is under way goes on.
        let scaled = to.total_cmp(&before).is_ne() || no_rise != run.ceiling.holds();
        if scaled {
            run.ceiling = run.ceiling.set(no_rise, run.level_at(now_ns, power), now_ns, over_ns);
            run.scale = scale;
        }
        if mix.is_some() {
            self.tell_mix();
        }
        if !scaled {
            return;
        }
        for device in self.parts.devices.iter().map(|device| device.index).collect::<Vec<_>>() {
            let scale = v1::WorkerScale { to, over_ns, no_rise };
            self.tell(Slot::Device(device), Command::Scale(scale));
        }
        let why = if level.why.is_empty() { "as it is armed" } else { &level.why };
        let held = if no_rise { ", none may rise" } else { "" };
        let text = format!("levels scaled to {:.0} %{held}: {why}", to * 100.0);
        self.record_event(EventKind::Note, None, text);
    }

    /// Tells the GPUs' workers which share of `mix` is tensor work, if anybody said.
    fn tell_mix(&mut self) {
        let Some(per_mille) = self.run.as_ref().and_then(|run| run.mix_per_mille) else { return };
        let gpus = self.parts.devices.iter().filter(|device| device.uuid.is_some());
        for device in gpus.map(|device| device.index).collect::<Vec<_>>() {
            self.tell(Slot::Device(device), Command::Mix(v1::WorkerMix { per_mille }));
        }
    }

    pub(super) fn answer_pending_arm(&mut self, why_not: Option<String>) {
        let armed = self.run.as_ref().and_then(|run| run.armed.as_ref());
        let blind = armed.and_then(|arm| self.refused_power(arm));
        let Some(run) = self.run.as_mut().filter(|run| run.ready_owed) else { return };
        let Some(arm) = &run.armed else { return };
        if run.nccl_owed.is_some() && why_not.is_none() {
            return;
        }
        let loadable = self.parts.devices.iter().filter(|d| !run.refused.contains_key(&d.index));
        let why =
            why_not.or_else(|| refusal(arm, &loadable.cloned().collect::<Vec<_>>())).or(blind);
        run.ready_owed = false;
        let ready = v1::Ready {
            run_id: arm.run_id.clone(),
            phase_index: arm.phase_index,
            attempt: arm.attempt,
            ok: why.is_none(),
            why: why.unwrap_or_default(),
            nccl_id: std::mem::take(&mut run.nccl_id),
        };
        self.say(v1::agent_message::Kind::Ready(ready));
    }

    /// The armed phase begins at this instant of our clock.
    pub(super) fn go(&mut self, go: &v1::Go) {
        let start_ns = self.parts.clock.monotonic(go.start_ns);
        let Some(run) = self.run.as_mut().filter(|run| run.id() == go.run_id) else { return };
        let fits = run
            .armed
            .as_ref()
            .is_some_and(|arm| (arm.phase_index, arm.attempt) == (go.phase_index, go.attempt));
        if !fits {
            return;
        }
        let Some(arm) = run.armed.take() else { return };
        let duration_ns = arm.duration_ns.min(PHASE_NS_MAX);
        let base = TimeBase::start(
            start_ns,
            drift_on_monotonic(&self.parts.clock, go.start_ns, go.drift_ppb),
        );
        let phase = TimedPhase {
            name: arm.phase.clone(),
            start_ns,
            end_ns: base.monotonic_ns(duration_ns),
            duration_ns,
            coordinator_start_ns: go.coordinator_start_ns,
            base,
            skew: None,
            waveform: waveform_of(&arm),
            loaded: arm.loaded,
            claimed_error_ns: go.claimed_error_ns,
            ended: false,
        };
        run.push(phase.clone());
        let late_ns = monotonic_ns().saturating_sub(start_ns);
        if late_ns > 0 {
            let text = format!("GO came {late_ns} ns after its instant");
            self.record_event(EventKind::Note, None, text);
        }
        self.order_loads(&arm, &phase);
        if nccl::is_wanted(&arm) {
            self.order_nccl(&arm, &phase, go.nccl_id.clone());
        }
        self.order_traffic(&arm, &phase);
    }

    fn order_loads(&mut self, arm: &v1::Arm, phase: &TimedPhase) {
        let Some(load) = &arm.load else { return };
        if !matches!(self.lease.heat(monotonic_ns()), Heat::Full { .. }) {
            self.record_event(EventKind::LeaseLost, None, "no lease at GO: not heated".to_owned());
            return;
        }
        self.tell_lease();
        self.tell_mix();
        for device in self.parts.devices.clone() {
            let tripped = self.run.as_ref().is_some_and(|run| run.tripped.contains(&device.index));
            if tripped || self.refusal_of(device.index).is_some() {
                continue;
            }
            let power_scale = match phase.waveform {
                Some(waveform) => self.begin_power(device.index, load, waveform, phase),
                None => None,
            };
            if load.target_w.is_some() && power_scale.is_none() {
                continue;
            }
            let order = v1::WorkerLoad {
                load: Some(load.clone()),
                start_ns: phase.start_ns,
                end_ns: phase.end_ns + ORDER_TAIL_NS,
                inject: self.take_injection(device.index),
                power_scale,
                drift_ppb: phase.base.drift_ppb,
            };
            self.tell(Slot::Device(device.index), Command::Load(order));
            if let Some(worker) = self.workers.get_mut(&Slot::Device(device.index)) {
                (worker.idle, worker.kill_at_ns) = (false, None);
            }
        }
    }

    fn order_traffic(&mut self, arm: &v1::Arm, phase: &TimedPhase) {
        // One alone has nobody to talk to; the report says what was not measured.
        let Some(mine) = arm.peers.iter().find(|peer| peer.node == self.parts.node) else { return };
        if arm.world_size < 2 || self.parts.no_traffic {
            return;
        }
        let order = v1::WorkerTraffic {
            phase: phase.name.clone(),
            start_ns: phase.start_ns,
            end_ns: phase.end_ns,
            rank: mine.rank,
            world_size: arm.world_size,
            peers: arm.peers.clone(),
            traffic: over_tcp(arm),
            loaded: phase.loaded,
            epoch: arm.attempt,
            nccl_id: Vec::new(),
            duration_ns: arm.duration_ns,
        };
        self.tell(Slot::Fabric, Command::Traffic(order));
    }

    /// The injection that is meant for a device, once.
    fn take_injection(&mut self, device: u32) -> Option<v1::Injection> {
        let node = self.parts.node.clone();
        let run = self.run.as_mut()?;
        let place = run
            .prepare
            .injections
            .iter()
            .position(|injection| injection.node == node && injection.device == device)?;
        run.injected = true;
        let injection = run.prepare.injections.remove(place);
        let text = if injection.always {
            format!("core {}, every block", injection.core)
        } else {
            format!("core {} after {} blocks", injection.core, injection.after_blocks)
        };
        self.record_event(EventKind::Injection, Some(device), text);
        Some(injection)
    }

    /// At the end of a phase its loads come down, unless the next phase takes them over.
    pub(super) fn end_phase_if_due(&mut self, now_ns: u64) {
        let Some(run) = &mut self.run else { return };
        let Some(place) = run.phases.iter().position(|p| !p.ended && now_ns >= p.end_ns) else {
            return;
        };
        let end_ns = run.phases[place].end_ns;
        run.phases[place].ended = true;
        let ended = run.phases[place].clone();
        let heated = run.phases[place].waveform.is_some();
        // Its start was told later, with a better idea of our clock: it may lie a little
        // before or behind this end.
        let follows = |p: &TimedPhase| p.start_ns.abs_diff(end_ns) < HANDOVER_NS;
        let handed_over =
            run.phases.iter().skip(place + 1).any(|p| p.waveform.is_some() && follows(p));
        let ramp_ns = u64::from(run.prepare.ramp_ms) * 1_000_000;
        if heated && !handed_over {
            self.ramp_all(ramp_ns);
        }
        self.record_skew(&ended);
    }

    pub(super) fn ramp_all(&mut self, over_ns: u64) {
        let kill_at_ns = monotonic_ns() + over_ns + IDLE_GRACE_NS;
        let over_ns = over_ns.saturating_sub(RAMP_MARGIN_NS);
        self.tell_heating(Command::Ramp(v1::WorkerRamp { over_ns }), kill_at_ns);
    }

    pub(super) fn drop_all(&mut self) {
        let kill_at_ns = monotonic_ns() + IDLE_GRACE_NS;
        self.tell_heating(Command::Drop(v1::WorkerDrop {}), kill_at_ns);
    }

    fn tell_heating(&mut self, command: Command, kill_at_ns: u64) {
        let heating: Vec<Slot> = self
            .workers
            .iter()
            .filter(|(slot, worker)| matches!(slot, Slot::Device(_)) && !worker.idle)
            .map(|(slot, _)| *slot)
            .collect();
        for slot in heating {
            self.tell(slot, command.clone());
            if let Some(worker) = self.workers.get_mut(&slot) {
                worker.kill_at_ns =
                    Some(worker.kill_at_ns.map_or(kill_at_ns, |at| at.min(kill_at_ns)));
            }
        }
    }

    pub(super) fn stop_traffic(&mut self) {
        self.tell(Slot::Fabric, Command::Drop(v1::WorkerDrop {}));
        self.stop_nccl();
    }

    /// Tells a worker; one that does not take it is killed.
    pub(super) fn tell(&mut self, slot: Slot, command: Command) {
        let Some(worker) = self.workers.get_mut(&slot) else { return };
        if let Err(error) = worker.tell(command) {
            // A job over NCCL ends by itself, and may have ended before its last words are read:
            // they, or their absence, say how. One that only hangs has its instant to be killed.
            if matches!(slot, Slot::Nccl(_)) {
                return;
            }
            worker.kill();
            self.workers.remove(&slot);
            let device = slot.device();
            let text = format!("{slot:?} took no order and was killed: {error}");
            self.record_event(EventKind::WorkerDied, device, text);
        }
    }

    /// The last resort: whoever should be idle by now and is not, dies.
    pub(super) fn kill_overdue(&mut self, now_ns: u64) {
        let overdue: Vec<Slot> = self
            .workers
            .iter()
            .filter(|(_, worker)| !worker.idle && worker.kill_at_ns.is_some_and(|at| now_ns >= at))
            .map(|(slot, _)| *slot)
            .collect();
        for slot in overdue {
            self.kill_worker(slot, "did not come to idle in time");
        }
        self.say_idle_if_stopped();
    }

    /// No heat is allowed any more: who still has some loses it, and soon its process.
    pub(super) fn end_heat(&mut self) {
        self.drop_all();
        self.say_idle_if_stopped();
    }

    fn kill_worker(&mut self, slot: Slot, why: &str) {
        if let Some(mut worker) = self.workers.remove(&slot) {
            worker.kill();
            if let Some(run) = self.run.as_mut().filter(|run| run.stopping.is_some()) {
                run.idle_ns = Some(monotonic_ns());
            }
            let device = slot.device();
            self.record_event(EventKind::WorkerDied, device, format!("{slot:?} killed: {why}"));
        }
    }

    /// Ends every worker process: no heat, no data port.
    pub(super) fn abandon_workers(&mut self) {
        self.workers.clear();
        self.last_work.clear();
    }

    pub(super) fn all_idle(&self) -> bool {
        self.workers.values().all(|worker| worker.idle)
    }

    pub(super) fn say_idle_if_stopped(&mut self) {
        let idle = self.all_idle();
        let clock = self.parts.clock;
        let Some(run) = self.run.as_mut() else { return };
        let Some(why) = run.stopping.clone().filter(|_| idle && !run.idle_said) else { return };
        run.idle_said = true;
        let run_id = run.id().to_owned();
        // When the last worker was idle by its own word; one that was killed is idle now.
        let idle_ns = run.idle_ns.unwrap_or_else(monotonic_ns);
        let at_ns = clock.tell(idle_ns);
        self.record_event_at(idle_ns, EventKind::Idle, None, format!("all devices idle: {why}"));
        self.say(v1::agent_message::Kind::Idle(v1::Idle { run_id, at_ns, why }));
    }

    /// The run is over. A coordinator that was started again may say so while a lost lease
    /// is still held or ramps down: dropping a hall at once is itself a load rejection.
    pub(super) fn finish(&mut self) {
        if self.all_idle() {
            self.end_run();
            return;
        }
        self.postponed = None;
        if let Some(run) = &mut self.run {
            run.finishing = true;
        }
        self.step_lease(lease::Event::Stop { ramp_ns: None });
    }

    /// Our part in the run is over: workers end, what is left lies in the spool.
    pub(super) fn end_run(&mut self) {
        self.spool_gathered(u64::MAX, 0);
        self.parts.node_watch.want(false);
        self.record_ports();
        self.postponed = None;
        self.step_lease(lease::Event::Drop);
        self.abandon_workers();
        let Some(run) = self.run.take() else { return };
        self.parts.spooler.close(RunId(run.id().to_owned()));
    }

    /// Says how much of a run there is to wait for.
    pub(super) fn say_closed(&mut self, run_id: String, last_seq: u64) {
        let instance = self.parts.instance.clone();
        self.say(v1::agent_message::Kind::Closed(v1::Closed { run_id, instance, last_seq }));
    }

    pub(super) fn take_output(&mut self, slot: Slot, generation: u64, output: Output) {
        let current = self.workers.get(&slot).is_some_and(|w| w.generation == generation);
        if !current {
            return;
        }
        match output {
            Output::Report(report) => self.take_report(slot, report),
            // One process a job: it ends when the job has.
            Output::Ended
                if matches!(slot, Slot::Nccl(_))
                    && self.workers.get(&slot).is_some_and(|worker| worker.idle) =>
            {
                self.workers.remove(&slot);
                self.give_up_nccl(slot);
            }
            Output::Ended => {
                self.kill_worker(slot, "its process ended by itself");
                self.say_idle_if_stopped();
            }
        }
    }
}

/// What the TCP data plane does of a phase's traffic: what NCCL carries leaves it the probes.
fn over_tcp(arm: &v1::Arm) -> Option<v1::PhaseTraffic> {
    if !nccl::is_wanted(arm) {
        return arm.traffic.clone();
    }
    let kind = v1::phase_traffic::Kind::ProbesOnly(v1::ProbesOnly {});
    Some(v1::PhaseTraffic { kind: Some(kind) })
}

/// Why this node can't run a phase, if it can't.
fn refusal(arm: &v1::Arm, devices: &[Device]) -> Option<String> {
    refused_collective(arm).or_else(|| refused_load(arm, devices))
}

/// The ring over TCP knows one operation.
fn refused_collective(arm: &v1::Arm) -> Option<String> {
    use v1::phase_traffic::Kind;
    let Some(Kind::Collective(collective)) = &arm.traffic.as_ref()?.kind else { return None };
    let runs = collective.transport == "nccl" || collective.op == "all_reduce";
    let op = &collective.op;
    (!runs).then(|| format!("{op} needs GPUs and one version of NCCL on every node of the phase"))
}

fn refused_load(arm: &v1::Arm, devices: &[Device]) -> Option<String> {
    let load = arm.load.as_ref()?;
    let (kernel, _) = match proto::convert::load_from_wire(load) {
        Ok(load) => load,
        Err(error) => return Some(error.to_string()),
    };
    if devices.is_empty() {
        return Some("every device of this node is refused: see its warnings".to_owned());
    }
    let cpu = devices.iter().find(|device| device.uuid.is_none() && !kernel.runs_on_cpu())?;
    let (word, index) = (kernel.word(), cpu.index);
    Some(format!("kernel {word} needs a GPU, and device {index} is a {}", cpu.kind))
}
