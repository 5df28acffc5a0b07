//! The digest: a streaming fold from records to evidence.
//!
//! Owns counting. Whatever order batches come in, however they are spread over digests
//! that are merged, the evidence is the same to the last bit: counts and integer sums,
//! sketches, histograms, and the few earliest texts. Memory grows with devices, phases
//! and pairs, never with samples. Refuses to judge.

pub mod checksums;
pub mod device;
pub mod events;
pub mod fabric;
pub mod meters;
pub mod pairs;
pub mod ports;
pub mod sequence;
pub mod series;
pub mod sketch;
pub mod stream;
pub mod telemetry;
pub mod work;

use std::collections::BTreeMap;

use model::plan::{PhaseKind, Plan};
use model::record::{Event, MeterReading, Record, Records};
use model::table::{MeterRow, PairRow};
use model::{NodeName, RunFacts, SampleColumns};

use checksums::Checksums;
use device::{DeviceEvidence, DevicePhase};
use events::{EventGroup, EventKey, EventLog};
use fabric::{CollectiveKey, LatencyEvidence, LatencyKey, Pair, Ranks, TransferEvidence};
use meters::Meters;
use pairs::{PairPhase, Pairs, flow_row, pair_phases};
use ports::Ports;
use stream::Stream;
use telemetry::{Fold, Telemetry};

/// Frozen evidence: all that the judge looks at.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    pub facts: RunFacts,
    pub seen: Seen,
}

/// What the records said, folded.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Seen {
    pub nodes: BTreeMap<NodeName, NodeEvidence>,
    pub latencies: BTreeMap<LatencyKey, LatencyEvidence>,
    /// By pair and phase.
    pub transfers: BTreeMap<(Pair, String), TransferEvidence>,
    pub collectives: BTreeMap<CollectiveKey, Ranks>,
    /// Readings of the building, from tables and from the coordinator.
    pub meters: Meters,
    /// What nodes say of their own supplies, by the node's name.
    pub node_meters: Meters,
    /// What sensors said: rows of sample tables and samples of agents.
    pub telemetry: Telemetry,
    /// Rows of pair tables.
    pub pairs: Pairs,
    /// What the results of devices add up to.
    pub checksums: Checksums,
    /// Error counters of network ports.
    pub ports: Ports,
}

/// What one node said about itself.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct NodeEvidence {
    pub devices: BTreeMap<u32, DeviceEvidence>,
    pub events: EventLog,
    /// By agent instance.
    pub streams: BTreeMap<String, Stream>,
}

/// Two digests hold the same batch, and counts can't be subtracted again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("batch {seq} of agent instance {instance} on {node} is in both digests")]
pub struct Overlap {
    pub node: NodeName,
    pub instance: String,
    pub seq: u64,
}

/// The fold. Make one per thread, give each batch to one of them, merge.
#[derive(Debug, Clone, PartialEq)]
pub struct Digest {
    /// Phases of the plan: what arrives under another name counts as outside of phases,
    /// so that no agent can make the evidence grow.
    phases: BTreeMap<String, PhaseKind>,
    /// Phases with transfers between pairs.
    pair_phases: BTreeMap<String, PairPhase>,
    seen: Seen,
    samples: Fold,
}

impl Digest {
    /// An empty digest for a plan's records.
    #[must_use]
    pub fn new(plan: &Plan) -> Self {
        let phases = plan.phases.iter().map(|phase| (phase.name.clone(), phase.kind)).collect();
        let (seen, samples) = (Seen::default(), Fold::default());
        Self { phases, pair_phases: pair_phases(plan), seen, samples }
    }

    /// Counts one batch; a batch that is here already (same instance, same seq) falls away.
    pub fn add(&mut self, batch: &Records) {
        // What the coordinator itself heard of the building is of no node.
        if batch.node.0.is_empty() {
            for record in batch.records.iter().filter(|r| matches!(r, Record::Meter(_))) {
                self.add_record(batch, record);
            }
            return;
        }
        let node = self.seen.nodes.entry(batch.node.clone()).or_default();
        let stream = node.streams.entry(batch.instance.clone()).or_default();
        if stream.seen.contains(batch.seq) {
            return;
        }
        stream.seen.insert(batch.seq, batch.seq);
        stream.records += batch.records.len() as u64;
        if !batch.boot_id.is_empty() {
            stream.boot_ids.insert(batch.boot_id.clone());
        }
        for record in &batch.records {
            self.add_record(batch, record);
        }
    }

    /// Counts rows of a table of samples.
    pub fn add_samples(&mut self, columns: &SampleColumns) {
        self.samples.add_columns(columns);
    }

    /// Counts rows of a table of meters.
    pub fn add_meters(&mut self, rows: &[MeterRow]) {
        self.seen.meters.add_rows(rows);
    }

    /// Counts rows of a table of pairs.
    pub fn add_pairs(&mut self, rows: &[PairRow]) {
        self.seen.pairs.add(rows);
    }

    /// Adds another digest of the same plan.
    ///
    /// # Errors
    /// When both hold one batch. Nothing was added then; give each batch to one digest.
    pub fn merge(&mut self, other: Self) -> Result<(), Overlap> {
        self.refuse_overlap(&other)?;
        self.seen.merge(other.seen);
        self.samples.merge(other.samples);
        Ok(())
    }

    /// Freezes what was seen, beside what the coordinator knows.
    #[must_use]
    pub fn finish(self, facts: RunFacts) -> Evidence {
        let telemetry = self.samples.freeze();
        Evidence { facts, seen: Seen { telemetry, ..self.seen } }
    }

    fn add_record(&mut self, batch: &Records, record: &Record) {
        let node = &batch.node;
        match record {
            Record::Sample(sample) => {
                self.device(node, sample.device, &sample.phase).sensors.add(sample);
                let phase = self.phase(&sample.phase);
                self.samples.add_sample(&node.0, &phase, sample);
            }
            Record::Work(work) => {
                let steady = matches!(self.phases.get(&work.phase), Some(PhaseKind::Hold));
                let phase = self.device(node, work.device, &work.phase);
                phase.work.entry(work.kernel).or_default().add(work, steady);
            }
            Record::Start(start) => self.device(node, start.device, &start.phase).add_start(start),
            Record::Event(event) => self.add_event(node, event),
            Record::Health(health) => {
                self.device(node, health.device, &health.phase).add_health(health);
            }
            Record::Latency(latency) => {
                let pair = Pair { from: node.clone(), to: latency.peer.clone() };
                let (loaded, phase) = (latency.loaded, self.phase(&latency.phase));
                for key in [LatencyKey::Pair { pair, loaded }, LatencyKey::Phase { phase, loaded }]
                {
                    self.seen.latencies.entry(key).or_default().add(latency);
                }
            }
            Record::Transfer(transfer) => {
                let pair = Pair { from: node.clone(), to: transfer.peer.clone() };
                let key = (pair, self.phase(&transfer.phase));
                self.seen.transfers.entry(key).or_default().add(transfer);
                if let Some(phase) = self.pair_phases.get(&transfer.phase) {
                    self.seen.pairs.add(&[flow_row(node, phase, transfer)]);
                }
            }
            Record::Collective(window) => {
                let key = CollectiveKey {
                    phase: self.phase(&window.phase),
                    op: window.op,
                    over: window.over,
                    bytes: window.bytes,
                    world_size: window.world_size,
                };
                let ranks = self.seen.collectives.entry(key).or_default();
                ranks.entry((window.rank, node.clone())).or_default().add(window);
            }
            Record::Loss(loss) => {
                // An agent also tells what an earlier life of it lost.
                let whose = match loss.instance.as_str() {
                    "" => batch.instance.clone(),
                    other => other.to_owned(),
                };
                let node = self.seen.nodes.entry(node.clone()).or_default();
                node.streams.entry(whose).or_default().add_loss(loss);
            }
            Record::Meter(reading) if node.0.is_empty() => self.seen.meters.add_reading(reading),
            // An agent speaks of its own node, whatever domain it names.
            Record::Meter(reading) => {
                let own = MeterReading { domain: node.0.clone(), ..reading.clone() };
                self.seen.node_meters.add_reading(&own);
            }
            Record::Checksum(checksum) => self.seen.checksums.add(node, checksum),
            Record::Ports(counts) => {
                let phase = self.phase(&counts.phase);
                self.seen.ports.add(node, phase, counts);
            }
        }
    }

    fn add_event(&mut self, node: &NodeName, event: &Event) {
        let key = EventKey {
            kind: event.kind,
            device: event.device,
            core: event.core,
            phase: self.phase(&event.phase),
            injected: event.injected,
        };
        let log = &mut self.seen.nodes.entry(node.clone()).or_default().events;
        events::put(log, key, EventGroup::of(event));
    }

    fn phase(&self, name: &str) -> String {
        if self.phases.contains_key(name) { name.to_owned() } else { String::new() }
    }

    fn device(&mut self, node: &NodeName, device: u32, phase: &str) -> &mut DevicePhase {
        let phase = self.phase(phase);
        let node = self.seen.nodes.entry(node.clone()).or_default();
        node.devices.entry(device).or_default().entry(phase).or_default()
    }

    fn refuse_overlap(&self, other: &Self) -> Result<(), Overlap> {
        for (name, node) in &other.seen.nodes {
            for (instance, stream) in &node.streams {
                let ours = self.seen.nodes.get(name).and_then(|node| node.streams.get(instance));
                if let Some(seq) = ours.and_then(|ours| ours.seen.overlap(&stream.seen)) {
                    let (node, instance) = (name.clone(), instance.clone());
                    return Err(Overlap { node, instance, seq });
                }
            }
        }
        Ok(())
    }
}

impl Seen {
    fn merge(&mut self, other: Self) {
        for (name, node) in other.nodes {
            self.nodes.entry(name).or_default().merge(node);
        }
        for (key, latency) in other.latencies {
            self.latencies.entry(key).or_default().merge(&latency);
        }
        for (key, transfer) in other.transfers {
            self.transfers.entry(key).or_default().merge(&transfer);
        }
        for (key, ranks) in other.collectives {
            let ours = self.collectives.entry(key).or_default();
            for (rank, evidence) in ranks {
                ours.entry(rank).or_default().merge(&evidence);
            }
        }
        self.meters.merge(other.meters);
        self.node_meters.merge(other.node_meters);
        self.pairs.merge(other.pairs);
        self.checksums.merge(other.checksums);
        self.ports.merge(other.ports);
    }
}

impl NodeEvidence {
    fn merge(&mut self, other: Self) {
        for (device, phases) in other.devices {
            let ours = self.devices.entry(device).or_default();
            for (phase, evidence) in phases {
                ours.entry(phase).or_default().merge(&evidence);
            }
        }
        for (key, group) in other.events {
            events::put(&mut self.events, key, group);
        }
        for (instance, stream) in other.streams {
            self.streams.entry(instance).or_default().merge(&stream);
        }
    }
}
