//! What is recorded: reports of workers and samplers become batches in the spool.

use std::sync::{MutexGuard, PoisonError};

use model::id::{AgentInstance, RunId};
use model::load::Kernel;
use model::record::{Event as Happening, EventKind, Loss, Record, Sample, Start, Work};
use proto::convert::{record_from_wire, records_to_bytes};
use proto::v1;

use super::Supervisor;
use super::status::LastWork;
use crate::clock::monotonic_ns;
use crate::hardware::Sensed;
use crate::spool::{Spool, SpoolError, StreamKey};
use crate::worker::Slot;

impl Supervisor {
    pub(super) fn take_report(&mut self, slot: Slot, report: v1::WorkerReport) {
        use v1::worker_report::Kind;
        let device = match slot {
            Slot::Device(index) => index,
            Slot::Fabric => 0,
        };
        match report.kind {
            Some(Kind::Started(started)) => self.record_start(device, &started),
            Some(Kind::Window(window)) => self.record_window(device, &window),
            Some(Kind::Mismatch(mismatch)) => self.record_mismatch(device, &mismatch),
            Some(Kind::Idle(_)) => {
                if let Some(worker) = self.workers.get_mut(&slot) {
                    worker.idle = true;
                    worker.kill_at_ns = None;
                }
                self.say_idle_if_stopped();
            }
            Some(Kind::Listening(listening)) => self.take_listening(listening),
            Some(Kind::Record(record)) => self.record_traffic(&record),
            None => {}
        }
    }

    fn take_listening(&mut self, listening: v1::WorkerListening) {
        let Some(run) = self.run.as_mut().filter(|run| !run.prepared_said) else { return };
        run.prepared_said = true;
        run.data_address.clone_from(&listening.address);
        let run_id = run.id().to_owned();
        let outcome = match listening.error.as_str() {
            "" => Ok(listening.address),
            error => Err(format!("data plane: {error}")),
        };
        self.say_prepared(run_id, outcome);
    }

    fn record_start(&mut self, device: u32, started: &v1::WorkerStarted) {
        let clock = self.parts.clock;
        let Some(run) = &self.run else { return };
        let Some(phase) = run.phase_starting(started.intended_ns) else { return };
        let start = Start {
            phase: phase.name.clone(),
            device,
            intended_ns: clock.tell(started.intended_ns),
            actual_ns: clock.tell(started.actual_ns),
            claimed_error_ns: phase.claimed_error_ns,
        };
        self.spool(&[Record::Start(start)]);
    }

    fn record_window(&mut self, device: u32, window: &v1::WorkerWindow) {
        let Some(kernel) = Kernel::from_word(&window.kernel) else { return };
        let Some(run) = &self.run else { return };
        let middle = window.from_ns.midpoint(window.to_ns);
        let sum = |of: fn(&v1::WorkerCore) -> u64| window.cores.iter().map(of).sum::<u64>();
        let work = Work {
            from_ns: self.parts.clock.tell(window.from_ns),
            to_ns: self.parts.clock.tell(window.to_ns),
            device,
            phase: run.phase_name(middle),
            kernel,
            level: window.level,
            busy_ns: sum(|core| core.busy_ns),
            cores: window.cores.len() as u32,
            flops: sum(|core| core.flops) as f64,
            bytes: sum(|core| core.bytes) as f64,
            blocks: sum(|core| core.blocks),
            verified: sum(|core| core.verified),
            mismatches: sum(|core| core.mismatches),
        };
        let seconds = (window.to_ns.saturating_sub(window.from_ns)).max(1) as f64 / 1e9;
        let last = self.last_work.entry(device).or_default();
        *last = LastWork {
            to_ns: window.to_ns,
            gflops: work.flops / seconds / 1e9,
            gb_per_s: work.bytes / seconds / 1e9,
            errors: last.errors + work.mismatches,
        };
        self.spool(&[Record::Work(work)]);
    }

    fn record_mismatch(&mut self, device: u32, mismatch: &v1::WorkerMismatch) {
        let Some(run) = &self.run else { return };
        let happening = Happening {
            time_ns: self.parts.clock.tell(mismatch.at_ns),
            kind: EventKind::Sdc,
            phase: run.phase_name(mismatch.at_ns),
            device: Some(device),
            core: Some(mismatch.core),
            injected: mismatch.injected,
            text: format!("kernel {}: {}", mismatch.kernel, mismatch.detail),
        };
        self.spool(&[Record::Event(happening)]);
    }

    /// Traffic reports carry monotonic instants until here.
    fn record_traffic(&mut self, record: &v1::Record) {
        let Ok(mut record) = record_from_wire(record) else { return };
        let clock = self.parts.clock;
        let tell = |time_ns: &mut i64| *time_ns = clock.tell((*time_ns).max(0) as u64);
        match &mut record {
            Record::Latency(latency) => {
                tell(&mut latency.from_ns);
                tell(&mut latency.to_ns);
                latency.histogram.map_instants(|at_ns| clock.tell(at_ns.max(0) as u64));
            }
            Record::Collective(window) => {
                tell(&mut window.from_ns);
                tell(&mut window.to_ns);
                window.durations.map_instants(|at_ns| clock.tell(at_ns.max(0) as u64));
            }
            Record::Transfer(transfer) => tell(&mut transfer.time_ns),
            Record::Event(event) => tell(&mut event.time_ns),
            _ => return,
        }
        self.spool(&[record]);
    }

    pub(super) fn record_sample(&mut self, device: u32, at_ns: u64, sensed: &Sensed) {
        let Some(run) = &self.run else { return };
        let sample = Sample {
            time_ns: self.parts.clock.tell(at_ns),
            device,
            phase: run.phase_at(at_ns).map(|phase| phase.name.clone()).unwrap_or_default(),
            power_w: sensed.power_w,
            temp_c: sensed.temp_c,
            clock_mhz: sensed.clock_mhz,
            busy: sensed.busy,
        };
        self.spool(&[Record::Sample(sample)]);
    }

    pub(super) fn record_event(&mut self, kind: EventKind, device: Option<u32>, text: String) {
        let Some(run) = &self.run else { return };
        let now_ns = monotonic_ns();
        let happening = Happening {
            time_ns: self.parts.clock.tell(now_ns),
            kind,
            phase: run.phase_name(now_ns),
            device,
            core: None,
            injected: kind == EventKind::Injection,
            text,
        };
        self.spool(&[Record::Event(happening)]);
    }

    /// What can't be measured here and what the surroundings are, once a run.
    pub(super) fn record_surroundings(&mut self) {
        for (what, why) in self.parts.missing.clone() {
            let text = format!("{what}: {}", why.words());
            self.record_event(EventKind::SensorAbsent, None, text);
        }
        for text in self.warnings() {
            self.record_event(EventKind::Busy, None, text);
        }
    }

    /// Writes one batch; durable against the death of this process when it returns.
    fn spool(&mut self, records: &[Record]) {
        let Some(run) = &self.run else { return };
        let run_id = RunId(run.id().to_owned());
        let payload = records_to_bytes(records);
        let outcome = self.lock_spool().append(&run_id, records.len() as u32, &payload);
        match outcome {
            Ok(_) => self.parts.spooled.notify_one(),
            Err(error @ SpoolError::NotDurable { .. }) => {
                self.parts.spooled.notify_one();
                tracing::warn!(%error, "kept, and a loss of power may take it");
            }
            Err(error) => {
                // The spool keeps the tally; it becomes a loss record once writing works again.
                self.records_lost += records.len() as u64;
                tracing::error!(%error, "not recorded");
            }
        }
    }

    pub(super) fn lock_spool(&self) -> MutexGuard<'_, Spool> {
        self.parts.spool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the spool's promise of durability, and turns its losses into records.
    pub(super) fn tend_spool(&mut self) {
        let now_ns = self.parts.clock.now_ns();
        let mut spool = self.lock_spool();
        if spool.next_sync().is_some_and(|due| due <= std::time::Instant::now())
            && let Err(error) = spool.sync()
        {
            tracing::warn!(%error, "a loss of power may take what was measured last");
        }
        let mut told = false;
        for note in spool.losses() {
            let loss = Loss {
                time_ns: now_ns,
                instance: note.stream.instance.0.clone(),
                from_seq: note.from_seq,
                to_seq: note.to_seq,
                records: note.records,
                why: note.why.words().to_owned(),
            };
            let payload = records_to_bytes(&[Record::Loss(loss)]);
            // A disk that still takes nothing: the note is offered again.
            if spool.append(&note.stream.run, 1, &payload).is_err() {
                break;
            }
            told |= spool.ack_loss(note.id).is_ok();
        }
        drop(spool);
        if told {
            self.parts.spooled.notify_one();
        }
    }

    /// The last batch of this instance for a run; 0 when it made none.
    pub(super) fn last_seq(&self, run: &str) -> u64 {
        let instance = AgentInstance(self.parts.instance.clone());
        self.lock_spool().last_seq(&StreamKey { run: RunId(run.to_owned()), instance })
    }

    /// Batches that wait for their acknowledgement.
    pub(super) fn unacked(&self) -> u64 {
        self.lock_spool().pending().iter().map(|stream| stream.batches).sum()
    }
}
