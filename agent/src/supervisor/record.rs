//! What is recorded: reports of workers and samplers become batches in the spool.

use model::gauge::Gauge;
use model::id::RunId;
use model::load::Kernel;
use model::reading::Reading;
use model::record::{
    Checksum, Event as Happening, EventKind, Health, MeterReading, Record, Sample, Start, Work,
};
use proto::convert::record_from_wire;
use proto::v1;

use super::Supervisor;
use super::status::LastWork;
use crate::clock::monotonic_ns;
use crate::hardware::Sensed;
use crate::sensors::SupplyReading;
use crate::worker::Slot;

/// Samples that wait to become one batch.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    /// When the oldest was taken.
    since_ns: Option<u64>,
    records: Vec<Record>,
}

impl Supervisor {
    pub(super) fn take_report(&mut self, slot: Slot, report: v1::WorkerReport) {
        use v1::worker_report::Kind;
        let device = match slot {
            Slot::Device(index) => index,
            Slot::Fabric | Slot::Nccl(_) => 0,
        };
        match report.kind {
            Some(Kind::Started(started)) => self.record_start(device, &started),
            Some(Kind::Window(window)) => self.record_window(device, &window),
            Some(Kind::Mismatch(mismatch)) => self.record_mismatch(device, &mismatch),
            Some(Kind::Idle(idle)) => {
                if let Some(worker) = self.workers.get_mut(&slot) {
                    worker.idle = true;
                    worker.kill_at_ns = None;
                }
                if let Some(run) = self.run.as_mut().filter(|run| run.stopping.is_some()) {
                    run.idle_ns = run.idle_ns.max(Some(idle.at_ns));
                }
                self.say_idle_if_stopped();
            }
            Some(Kind::Id(answer)) => self.take_nccl_id(answer),
            Some(Kind::Listening(listening)) => self.take_listening(listening),
            Some(Kind::Record(record)) => self.record_traffic(&record),
            Some(Kind::Checksum(checksum)) => self.record_checksum(device, checksum),
            Some(Kind::Failed(failed)) => self.record_failure(slot, device, failed),
            Some(Kind::Note(note)) => self.record_event(EventKind::Note, Some(device), note.text),
            Some(Kind::Gauges(gauges)) => self.record_gauges(device, &gauges),
            // Asked for at start only, before there is a supervisor.
            Some(Kind::Gpus(_)) | None => {}
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
            phase: run.load_phase_name(middle),
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

    /// What a load measured of its device by itself.
    fn record_gauges(&mut self, device: u32, said: &v1::WorkerGauges) {
        let Some(run) = &self.run else { return };
        let known = |gauge: &v1::WorkerGauge| {
            Some((Gauge::from_word(&gauge.name)?, Reading::Value(gauge.value)))
        };
        let health = Health {
            time_ns: self.parts.clock.tell(said.at_ns),
            device,
            // Told at the end of what it measures.
            phase: run.phase_name(said.at_ns.saturating_sub(1)),
            gauges: said.gauges.iter().filter_map(known).collect(),
        };
        self.spool(&[Record::Health(health)]);
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

    fn record_checksum(&mut self, device: u32, checksum: v1::WorkerChecksum) {
        let Some(run) = &self.run else { return };
        let record = Checksum {
            time_ns: self.parts.clock.tell(checksum.at_ns),
            device,
            phase: run.phase_name(checksum.at_ns),
            key: checksum.key,
            value: checksum.value,
        };
        self.spool(&[Record::Checksum(record)]);
    }

    /// Its driver gave up. The process ends by itself now, and of that nothing more is said.
    fn record_failure(&mut self, slot: Slot, device: u32, failed: v1::WorkerFailed) {
        tracing::error!(device, code = failed.code, "{}", failed.text);
        let kind = if failed.refused { EventKind::DeviceRefused } else { EventKind::DeviceFailed };
        self.record_event(kind, Some(device), failed.text);
        if let Some(mut worker) = self.workers.remove(&slot) {
            worker.kill();
        }
        if let Some(run) = &mut self.run {
            run.given_up.insert(device);
        }
        self.leave_nccl(device);
        self.say_idle_if_stopped();
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

    /// What the node's own supplies say, as a meter of the node.
    pub(super) fn record_supply(&mut self, at_ns: u64, readings: &[SupplyReading]) {
        let Some(run) = &self.run else { return };
        if run.record_until_ns.is_some_and(|until_ns| at_ns > until_ns) {
            return;
        }
        let time_ns = self.parts.clock.tell(at_ns);
        let meter = |(point, value, unit): &SupplyReading| {
            Record::Meter(MeterReading {
                time_ns,
                domain: self.parts.node.clone(),
                point: (*point).to_owned(),
                value: *value,
                unit: (*unit).to_owned(),
                quality: "good".to_owned(),
                clock_error_ms: None,
            })
        };
        let records: Vec<Record> = readings.iter().map(meter).collect();
        self.spool(&records);
    }

    pub(super) fn record_sample(&mut self, device: u32, at_ns: u64, sensed: &Sensed) {
        let Some(run) = &self.run else { return };
        if run.record_until_ns.is_some_and(|until_ns| at_ns > until_ns) {
            return;
        }
        let sample = Sample {
            time_ns: self.parts.clock.tell(at_ns),
            device,
            phase: run.phase_at(at_ns).map(|phase| phase.name.clone()).unwrap_or_default(),
            power_w: sensed.power_w,
            temp_c: sensed.temp_c,
            clock_mhz: sensed.clock_mhz,
            busy: sensed.busy,
            gpu: sensed.gpu.as_ref().map(|gpu| Box::new(gpu.sample.clone())),
        };
        let health = self.health(device, at_ns, sensed);
        let records: Vec<Record> = [Record::Sample(sample)].into_iter().chain(health).collect();
        if sensed.gpu.is_none() {
            self.spool(&records);
            return;
        }
        self.gathered.since_ns.get_or_insert(at_ns);
        self.gathered.records.extend(records);
    }

    /// Hands over what was gathered, once it has waited for so long.
    pub(super) fn spool_gathered(&mut self, now_ns: u64, wait_ns: u64) {
        let since_ns = self.gathered.since_ns;
        if since_ns.is_some_and(|since_ns| now_ns >= since_ns.saturating_add(wait_ns)) {
            let gathered = std::mem::take(&mut self.gathered);
            self.spool(&gathered.records);
        }
    }

    pub(super) fn record_event(&mut self, kind: EventKind, device: Option<u32>, text: String) {
        self.record_event_at(monotonic_ns(), kind, device, text);
    }

    /// What happened at an instant (CLOCK_MONOTONIC).
    pub(super) fn record_event_at(
        &mut self,
        at_ns: u64,
        kind: EventKind,
        device: Option<u32>,
        text: String,
    ) {
        let Some(run) = &self.run else { return };
        let happening = Happening {
            time_ns: self.parts.clock.tell(at_ns),
            kind,
            phase: run.phase_name(at_ns),
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

    /// Hands one batch to the spooler, at once: what waited would die with this process.
    pub(super) fn spool(&mut self, records: &[Record]) {
        let Some(run) = &self.run else { return };
        let run_id = RunId(run.id().to_owned());
        self.parts.spooler.append(run_id, records.to_vec());
    }
}
