//! One agent of the swarm: what a real one says, without heat, disk or sensors.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow};
use proto::dial::{Dialer, Security};
use proto::v1;
use proto::v1::agent_message::Kind as Said;
use proto::v1::agent_service_client::AgentServiceClient;
use proto::v1::coordinator_message::Kind as Told;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;

use crate::args::Args;

/// A real agent says its status, and spools a batch, once a second.
const SECOND: Duration = Duration::from_secs(1);
/// Messages that wait for the wire, as in the agent.
const QUEUE_MAX: usize = 256;

/// A clock that is wrong: the true one, off by an offset and by a rate.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FalseClock {
    born_ns: i64,
    offset_ns: i64,
    drift_ppm: f64,
}

impl FalseClock {
    /// Offsets up to 50 ms and drifts up to 50 ppm, spread evenly over the agents.
    pub(crate) fn of(at: usize) -> Self {
        // Two sequences without a common pattern: multiples of the golden ratio and of √2.
        let spread = |factor: f64| ((at + 1) as f64 * factor).fract() * 2.0 - 1.0;
        Self {
            born_ns: true_ns(),
            offset_ns: (spread(0.618_033_988_749_895) * 50e6) as i64,
            drift_ppm: spread(std::f64::consts::SQRT_2) * 50.0,
        }
    }

    fn now_ns(&self) -> i64 {
        let now = true_ns();
        now + self.offset_ns + ((now - self.born_ns) as f64 * self.drift_ppm * 1e-6) as i64
    }

    /// The true instant at which this clock shows a time.
    fn true_at(&self, shown_ns: i64) -> i64 {
        let since = (shown_ns - self.born_ns - self.offset_ns) as f64;
        self.born_ns + (since / (1.0 + self.drift_ppm * 1e-6)) as i64
    }
}

fn true_ns() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// What all agents of the swarm share.
pub(crate) struct Swarm {
    pub(crate) args: Args,
    pub(crate) address: String,
    pub(crate) sent: AtomicU64,
    pub(crate) acked: AtomicU64,
    /// Upload to acknowledgement in µs, and true instants of GO.
    pub(crate) ack_us: Mutex<Vec<u32>>,
    pub(crate) go_ns: Mutex<Vec<i64>>,
    /// The run whose records are to be said; none yet while it is empty.
    pub(crate) run: watch::Sender<String>,
    /// The last instant at which a batch is said.
    pub(crate) until: watch::Sender<Option<Instant>>,
}

impl Swarm {
    pub(crate) fn new(args: &Args, address: &str) -> Arc<Self> {
        Arc::new(Self {
            args: args.clone(),
            address: address.to_owned(),
            sent: AtomicU64::new(0),
            acked: AtomicU64::new(0),
            ack_us: Mutex::default(),
            go_ns: Mutex::default(),
            run: watch::channel(String::new()).0,
            until: watch::channel(None).0,
        })
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One agent.
pub(crate) struct Agent {
    swarm: Arc<Swarm>,
    node: String,
    instance: String,
    clock: FalseClock,
    wire: mpsc::Sender<v1::AgentMessage>,
    /// Where in a second it speaks.
    phase: Duration,
    last_seq: Arc<AtomicU64>,
}

/// Connects an agent; what it then does goes on by itself.
///
/// # Errors
/// When the coordinator does not take it.
pub(crate) async fn join(
    swarm: Arc<Swarm>,
    at: usize,
    node: String,
    security: Security,
) -> Result<()> {
    let channel = connect(&swarm.address, security.clone()).await?;
    let for_upload = match swarm.args.connections {
        1 => channel.clone(),
        _ => connect(&swarm.address, security).await?,
    };
    let (wire, queue) = mpsc::channel(QUEUE_MAX);
    let agent = Agent {
        node,
        instance: format!("00000000-0000-4000-8000-{at:012x}"),
        clock: FalseClock::of(at),
        wire,
        phase: SECOND.mul_f64(at as f64 / swarm.args.agents as f64),
        last_seq: Arc::default(),
        swarm,
    };
    agent.say(Said::Hello(agent.hello())).await;
    let request = ReceiverStream::new(queue);
    let mut client = AgentServiceClient::new(channel);
    let inbox = client.session(request).await.context("no session")?.into_inner();
    tokio::spawn(agent.live(inbox, for_upload));
    Ok(())
}

async fn connect(address: &str, security: Security) -> Result<Channel> {
    let dialer = Dialer::new(address, security);
    let endpoint = dialer.endpoint()?;
    dialer.connect(&endpoint).await.map_err(|error| anyhow!("{error}"))
}

impl Agent {
    async fn say(&self, kind: Said) {
        let _ = self.wire.send(v1::AgentMessage { kind: Some(kind) }).await;
    }

    fn hello(&self) -> v1::Hello {
        v1::Hello {
            protocol_version: proto::PROTOCOL_VERSION,
            node: self.node.clone(),
            instance: self.instance.clone(),
            boot_id: format!("boot of {}", self.node),
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            devices: vec![v1::Device {
                index: 0,
                kind: "cpu".to_owned(),
                model: "simulated".to_owned(),
                cores: vec![0],
                ..v1::Device::default()
            }],
            ..v1::Hello::default()
        }
    }

    async fn live(self, mut inbox: tonic::Streaming<v1::CoordinatorMessage>, channel: Channel) {
        let telling =
            tokio::spawn(tell_status(self.swarm.run.subscribe(), self.wire.clone(), self.phase));
        let speaking = tokio::spawn(speak(Speaker {
            swarm: self.swarm.clone(),
            node: self.node.clone(),
            instance: self.instance.clone(),
            clock: self.clock,
            phase: self.phase,
            last_seq: self.last_seq.clone(),
            channel,
        }));
        while let Ok(Some(message)) = inbox.message().await {
            if let Some(kind) = message.kind {
                self.hear(kind).await;
            }
        }
        speaking.abort();
        telling.abort();
    }

    async fn hear(&self, kind: Told) {
        match kind {
            Told::ClockProbe(probe) => {
                let received_ns = self.clock.now_ns();
                let reply = v1::ClockReply {
                    probe_id: probe.probe_id,
                    probe_sent_ns: probe.sent_ns,
                    received_ns,
                    replied_ns: self.clock.now_ns(),
                };
                self.say(Said::ClockReply(reply)).await;
            }
            Told::Prepare(prepare) => {
                let prepared = v1::Prepared {
                    run_id: prepare.run_id,
                    ok: true,
                    data_address: "127.0.0.1:1".to_owned(),
                    ..v1::Prepared::default()
                };
                self.say(Said::Prepared(prepared)).await;
            }
            Told::Arm(arm) => {
                let ready = v1::Ready {
                    run_id: arm.run_id,
                    phase_index: arm.phase_index,
                    attempt: arm.attempt,
                    ok: true,
                    ..v1::Ready::default()
                };
                self.say(Said::Ready(ready)).await;
            }
            Told::Go(go) => {
                locked(&self.swarm.go_ns).push(self.clock.true_at(go.start_ns));
                self.swarm.run.send_if_modified(|run| {
                    let is_new = *run != go.run_id;
                    run.clone_from(&go.run_id);
                    is_new
                });
            }
            Told::Finish(finish) => {
                let closed = v1::Closed {
                    run_id: finish.run_id,
                    instance: self.instance.clone(),
                    last_seq: self.last_seq.load(Ordering::Relaxed),
                };
                self.say(Said::Closed(closed)).await;
            }
            _ => {}
        }
    }
}

/// The part of an agent that says something once a second.
struct Speaker {
    swarm: Arc<Swarm>,
    node: String,
    instance: String,
    clock: FalseClock,
    phase: Duration,
    last_seq: Arc<AtomicU64>,
    channel: Channel,
}

/// Says a status once a second, from the session's beginning on: who is silent for longer than a
/// lease is lost.
async fn tell_status(
    run: watch::Receiver<String>,
    wire: mpsc::Sender<v1::AgentMessage>,
    phase: Duration,
) {
    tokio::time::sleep(phase).await;
    let mut beat = tokio::time::interval(SECOND);
    for count in 0_u64.. {
        beat.tick().await;
        let status = v1::Status {
            run_id: run.borrow().clone(),
            phase: "idle".to_owned(),
            power_w: Some(90.0 + (count % 17) as f64),
            temp_c_max: Some(40.0),
            ..v1::Status::default()
        };
        if wire.send(v1::AgentMessage { kind: Some(Said::Status(status)) }).await.is_err() {
            return;
        }
    }
}

async fn speak(speaker: Speaker) {
    let mut run = speaker.swarm.run.subscribe();
    if run.wait_for(|run| !run.is_empty()).await.is_err() {
        return;
    }
    let run_id = run.borrow().clone();
    let (batches, queue) = mpsc::channel(QUEUE_MAX);
    let mut client = AgentServiceClient::new(speaker.channel.clone());
    let Ok(acks) = client.upload(ReceiverStream::new(queue)).await else { return };
    let on_the_way: Arc<Mutex<BTreeMap<u64, Instant>>> = Arc::default();
    tokio::spawn(count_acks(speaker.swarm.clone(), acks.into_inner(), on_the_way.clone()));
    let mut until = speaker.swarm.until.subscribe();
    let Ok(end) = until.wait_for(Option::is_some).await.map(|end| *end) else { return };
    tokio::time::sleep(speaker.phase).await;
    let mut beat = tokio::time::interval(SECOND);
    while end.is_some_and(|end| Instant::now() < end) {
        beat.tick().await;
        let seq = speaker.last_seq.fetch_add(1, Ordering::Relaxed) + 1;
        let batch = speaker.batch(&run_id, seq);
        locked(&on_the_way).insert(seq, Instant::now());
        if batches.send(batch).await.is_err() {
            return;
        }
        speaker.swarm.sent.fetch_add(1, Ordering::Relaxed);
    }
    // The stream stays open until its acknowledgements are there.
    let _ = batches.closed().await;
}

async fn count_acks(
    swarm: Arc<Swarm>,
    mut acks: tonic::Streaming<v1::BatchAck>,
    on_the_way: Arc<Mutex<BTreeMap<u64, Instant>>>,
) {
    while let Ok(Some(ack)) = acks.message().await {
        let sent = locked(&on_the_way).remove(&ack.seq);
        let (Some(sent), false) = (sent, ack.unknown_run) else { continue };
        let us = u32::try_from(sent.elapsed().as_micros()).unwrap_or(u32::MAX);
        locked(&swarm.ack_us).push(us);
        swarm.acked.fetch_add(1, Ordering::Relaxed);
    }
}

impl Speaker {
    /// A batch of the asked length, of samples that change as sensors do.
    fn batch(&self, run_id: &str, seq: u64) -> v1::Batch {
        use prost::Message;
        let value =
            |value: f64| Some(v1::Reading { reading: Some(v1::reading::Reading::Value(value)) });
        let mut list = v1::RecordList::default();
        while list.encoded_len() < self.swarm.args.bytes {
            let at = seq * 31 + list.records.len() as u64;
            let sample = v1::Sample {
                time_ns: self.clock.now_ns(),
                device: list.records.len() as u32,
                phase: "idle".to_owned(),
                power_w: value(90.0 + (at * 7919 % 1000) as f64 / 50.0),
                temp_c: value(40.0 + (at % 8) as f64),
                clock_mhz: value(1800.0 + (at * 104_729 % 400) as f64),
                busy: value((at * 1_299_709 % 1000) as f64 / 1000.0),
                gpu: None,
            };
            list.records.push(v1::Record { kind: Some(v1::record::Kind::Sample(sample)) });
        }
        v1::Batch {
            run_id: run_id.to_owned(),
            node: self.node.clone(),
            instance: self.instance.clone(),
            boot_id: format!("boot of {}", self.node),
            seq,
            records: list.encode_to_vec(),
        }
    }
}
