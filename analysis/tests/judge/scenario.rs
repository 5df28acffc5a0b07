//! Scenarios for the judge's tests: a small fleet, a whole plan, no noise that isn't
//! written here. Model words only, so that the renderers' tests use it as well.

use std::collections::{BTreeMap, BTreeSet};

use model::collective::{CollectiveOp, Transport};
use model::facts::{NodeFacts, RunEnd, RunFacts, StartFact};
use model::plan::{Limits, Phase, PhaseKind, PhaseLoad, Plan, Requirement, Selector, Traffic};
use model::record::{
    CollectiveWindow, Event, EventKind, Latency, PortCounts, Record, Records, Sample, Start,
    Transfer, Work,
};
use model::{Absence, Kernel, LatencyHistogram, NodeName, Policy, Reading, RunId};

const SECOND: i64 = 1_000_000_000;
/// 2026-09-01T00:00:00Z.
pub(crate) const START_NS: i64 = 1_788_220_800 * SECOND;
const WINDOWS: i64 = 20;
const CORES: u32 = 8;

/// A plan, what the coordinator knows, and what the agents said.
#[derive(Clone)]
pub(crate) struct Scenario {
    pub(crate) plan: Plan,
    pub(crate) facts: RunFacts,
    pub(crate) policy: Policy,
    pub(crate) batches: Vec<Records>,
}

/// A plan of one load phase per kernel, a ramp, a collective, pairs.
pub(crate) fn plan() -> Plan {
    let phase = |name: &str, kind, load: Option<Kernel>, traffic| Phase {
        name: name.to_owned(),
        kind,
        seconds: WINDOWS as f64,
        on: Selector::All,
        load: load.map(|kernel| PhaseLoad::of(kernel, 100.0)),
        traffic,
        act: None,
    };
    let ramp = PhaseKind::Ramp { from_percent: 0.0, to_percent: 100.0 };
    let all_reduce =
        Traffic::Collective { op: CollectiveOp::AllReduce, bytes: 67_108_864, over: None };
    let pairs = Traffic::Pairs { bytes: 1 << 28, streams: 1, both_ways: false, quiet: false };
    Plan {
        name: "local".to_owned(),
        requires: BTreeSet::from([Requirement::Compute, Requirement::DataPlane]),
        seed: 1,
        limits: Limits::default(),
        least_seconds: 60.0,
        least_rating_percent: None,
        experiments: Vec::new(),
        phases: vec![
            phase("idle", PhaseKind::Idle, None, None),
            phase("rise", ramp, Some(Kernel::FmaF64), None),
            phase("fp64", PhaseKind::Hold, Some(Kernel::FmaF64), None),
            phase("fp32", PhaseKind::Hold, Some(Kernel::FmaF32), None),
            phase("stream", PhaseKind::Hold, Some(Kernel::Stream), None),
            phase("reduce", PhaseKind::Collective, None, Some(all_reduce)),
            phase("pairs", PhaseKind::Pairs, None, Some(pairs)),
        ],
    }
}

pub(crate) fn node(index: u32) -> NodeName {
    NodeName(format!("n{}", index + 1))
}

/// A share close to one, the same for the same arguments: 0.2 % at most.
fn jitter(device: u32, window: i64, salt: i64) -> f64 {
    let mixed = (i64::from(device) * 7919 + window * 104_729 + salt * 1_299_709) % 1000;
    1.0 + (mixed as f64 / 1000.0 - 0.5) * 0.004
}

impl Scenario {
    pub(crate) fn terms(&self) -> analysis::Terms<'_> {
        analysis::Terms { plan: &self.plan, site: None, policy: &self.policy }
    }

    /// Nodes with one device each that do all that the plan asks, without sensors for power
    /// and temperature.
    pub(crate) fn healthy(nodes: u32) -> Self {
        let plan = plan();
        let mut facts = RunFacts {
            run: RunId("01990000-test".to_owned()),
            site: None,
            folder: Some("/var/lib/loadbank/runs/01990000-test".to_owned()),
            started_unix_ns: START_NS,
            ended_unix_ns: Some(START_NS + 142 * SECOND),
            end: RunEnd::Finished,
            phases_completed: plan.phases.iter().map(|phase| phase.name.clone()).collect(),
            ..RunFacts::default()
        };
        let mut batches = Vec::new();
        let ports = vec!["eth0".to_owned(), "tcp".to_owned()];
        let still = PortCounts { time_ns: START_NS, ports, ..PortCounts::default() };
        for index in 0..nodes {
            let devices = BTreeMap::from([(0, Some("test-cpu".to_owned()))]);
            let instance = format!("instance-{}", node(index));
            let made = BTreeMap::from([(instance.clone(), plan.phases.len() as u64)]);
            let known =
                NodeFacts { devices, joined: true, batches_made: made, ..NodeFacts::default() };
            facts.nodes.insert(node(index), known);
            for (position, phase) in plan.phases.iter().enumerate() {
                let begin = START_NS + position as i64 * WINDOWS * SECOND;
                if phase.load.is_some() {
                    facts.starts.push(StartFact {
                        phase: phase.name.clone(),
                        node: node(index),
                        commanded_unix_ns: begin,
                        offset_ns: i64::from(index) * 1000,
                        claimed_error_ns: 40_000,
                    });
                }
                batches.push(Records {
                    node: node(index),
                    instance: instance.clone(),
                    boot_id: format!("boot-{}", node(index)),
                    seq: position as u64 + 1,
                    records: phase_records(phase, index, nodes, begin),
                });
            }
            let last = batches.last_mut().expect("a plan has phases");
            last.records.push(Record::Ports(still.clone()));
        }
        Self { plan, facts, policy: Policy::default(), batches }
    }

    /// Says one more thing on a node, in its first batch.
    pub(crate) fn say(&mut self, node: &NodeName, record: Record) {
        let batch = self.batches.iter_mut().find(|batch| batch.node == *node);
        batch.expect("the node has a batch").records.push(record);
    }

    /// Changes every record.
    pub(crate) fn change(&mut self, mut change: impl FnMut(&NodeName, &mut Record)) {
        for batch in &mut self.batches {
            for record in &mut batch.records {
                change(&batch.node, record);
            }
        }
    }

    /// Makes one node's device slower by a share in every kernel.
    pub(crate) fn slow(&mut self, slow: &NodeName, share: f64) {
        self.change(|node, record| {
            if let (true, Record::Work(work)) = (node == slow, record) {
                work.flops *= share;
                work.bytes *= share;
            }
        });
    }

    /// An event on a node in a phase.
    pub(crate) fn event(
        &mut self,
        node: &NodeName,
        kind: EventKind,
        phase: &str,
        text: &str,
    ) -> &mut Event {
        let event = Event {
            time_ns: START_NS + 61 * SECOND,
            kind,
            phase: phase.to_owned(),
            device: Some(0),
            core: None,
            injected: false,
            text: text.to_owned(),
        };
        self.say(node, Record::Event(event));
        let batch = self.batches.iter_mut().find(|batch| batch.node == *node);
        match batch.and_then(|batch| batch.records.last_mut()) {
            Some(Record::Event(event)) => event,
            _ => unreachable!("just said"),
        }
    }
}

fn phase_records(phase: &Phase, index: u32, nodes: u32, begin: i64) -> Vec<Record> {
    let mut records = Vec::new();
    if phase.load.is_some() {
        records.push(Record::Start(Start {
            phase: phase.name.clone(),
            device: 0,
            intended_ns: begin + i64::from(index) * 1000,
            actual_ns: begin + i64::from(index) * 1000 + 30_000 + i64::from(index) * 11_000,
            claimed_error_ns: 40_000,
        }));
    }
    for window in 0..WINDOWS {
        let from = begin + window * SECOND;
        records.push(Record::Sample(sample(phase, index, window, from)));
        if let Some(load) = phase.load {
            records.push(Record::Work(work(phase, load.kernel, index, window, from)));
        }
    }
    for peer in (0..nodes).filter(|peer| *peer != index) {
        records.push(Record::Latency(latency(phase, peer, begin)));
        if let Some(Traffic::Pairs { bytes, streams, both_ways, .. }) = phase.traffic {
            records.push(Record::Transfer(Transfer {
                time_ns: begin,
                phase: phase.name.clone(),
                round: peer,
                peer: node(peer),
                source_port: 40_000 + peer,
                dest_port: 7000,
                seconds: 0.1 * jitter(index, i64::from(peer), 3),
                bytes,
                streams,
                both_ways,
                retransmits: Reading::Value(0),
                congestion: "cubic".to_owned(),
                via: None,
            }));
        }
    }
    if let Some(Traffic::Collective { op, bytes, .. }) = phase.traffic {
        let mut durations = LatencyHistogram::default();
        for at in 0..100 {
            durations.record(50_000_000 + u64::from(index) * 1_000_000, begin + at);
        }
        records.push(Record::Collective(CollectiveWindow {
            from_ns: begin,
            to_ns: begin + WINDOWS * SECOND,
            phase: phase.name.clone(),
            op,
            over: Transport::Tcp,
            bytes,
            rank: index,
            world_size: nodes,
            operations: 100,
            wrong: 0,
            durations,
        }));
    }
    records
}

fn sample(phase: &Phase, index: u32, window: i64, from: i64) -> Sample {
    let busy = if phase.load.is_some() { 0.99 } else { 0.02 };
    Sample {
        time_ns: from + SECOND,
        device: 0,
        phase: phase.name.clone(),
        power_w: Reading::Absent(Absence::NotPresent),
        temp_c: Reading::Absent(Absence::NotPermitted),
        clock_mhz: Reading::Value(2900.0 * jitter(index, window, 1)),
        busy: if window == 0 { Reading::Absent(Absence::NotYet) } else { Reading::Value(busy) },
        gpu: None,
    }
}

fn work(phase: &Phase, kernel: Kernel, index: u32, window: i64, from: i64) -> Work {
    let level = match phase.kind {
        PhaseKind::Ramp { .. } => (window as f64 + 0.5) / WINDOWS as f64,
        _ => 1.0,
    };
    let rate = level * jitter(index, window, 2);
    let (flops, bytes) = match kernel {
        Kernel::FmaF64 => (250e9, 0.0),
        Kernel::FmaF32 => (500e9, 0.0),
        Kernel::Stream => (1e9, 24e9),
        Kernel::Mix => (100e9, 10e9),
        gpu => panic!("{gpu:?} is no load of these nodes"),
    };
    Work {
        from_ns: from,
        to_ns: from + SECOND,
        device: 0,
        phase: phase.name.clone(),
        kernel,
        level,
        busy_ns: (level * 0.98 * f64::from(CORES) * SECOND as f64) as u64,
        cores: CORES,
        flops: flops * rate,
        bytes: bytes * rate,
        blocks: 1000,
        verified: 1000,
        mismatches: 0,
    }
}

fn latency(phase: &Phase, peer: u32, begin: i64) -> Latency {
    let loaded = phase.load.is_some() || phase.traffic.is_some();
    let base: u64 = if loaded { 90_000 } else { 30_000 };
    let mut histogram = LatencyHistogram::default();
    for probe in 0..200_u64 {
        let tail = if probe == 117 { base * 9 } else { 0 };
        histogram.record(base + probe * 50 + tail, begin + probe as i64 * SECOND / 10);
    }
    Latency {
        from_ns: begin,
        to_ns: begin + WINDOWS * SECOND,
        phase: phase.name.clone(),
        peer: node(peer),
        loaded,
        lost: 0,
        histogram,
    }
}
