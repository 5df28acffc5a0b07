//! Agents of earlier releases with the coordinator of today: what such an agent sent in a
//! run was recorded once, and is said again here.
//!
//! `tests/data/sessions` has a folder for each release, and in it `hold.txt` what an agent of
//! that release sent, a message a line: the stream (`session` or `upload`), then the message
//! in hex.
//! `LOADBANK_UPDATE=1` records that of the present release anew; those of earlier releases
//! are never changed.

#![allow(clippy::unwrap_used, reason = "a test that meets nothing ends there")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prost::Message;
use proto::v1;
use proto::v1::agent_message::Kind;
use proto::v1::agent_service_client::AgentServiceClient;
use proto::v1::agent_service_server::{AgentService, AgentServiceServer};
use proto::v1::coordinator_message::Kind as Told;
use system_tests::bank::RUN_PATIENCE;
use system_tests::{Bank, Process, binary, data, plans};
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::transport::Channel;
use tonic::{Request, Response, Status, Streaming};

/// Seconds of the load that is recorded.
const HOLD_S: u32 = 3;
/// A lease is asked for, and a status told, this often.
const BEAT: Duration = Duration::from_secs(1);

/// What an agent sent, in its order.
#[derive(Debug, Clone, Default)]
struct Recording {
    session: Vec<v1::AgentMessage>,
    upload: Vec<v1::Batch>,
}

impl Recording {
    fn text(&self) -> String {
        let session = self.session.iter().map(|message| ("session", message.encode_to_vec()));
        let upload = self.upload.iter().map(|batch| ("upload", batch.encode_to_vec()));
        session.chain(upload).fold(String::new(), |mut text, (stream, bytes)| {
            write!(text, "{stream} ").unwrap();
            bytes.iter().for_each(|byte| write!(text, "{byte:02x}").unwrap());
            text + "\n"
        })
    }

    fn parse(text: &str) -> Self {
        let mut found = Self::default();
        for line in text.lines() {
            let (stream, hex) = line.split_once(' ').unwrap();
            let digits = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
            let bytes: Vec<u8> = (0..hex.len()).step_by(2).map(digits).collect();
            match stream {
                "session" => found.session.push(v1::AgentMessage::decode(&bytes[..]).unwrap()),
                "upload" => found.upload.push(v1::Batch::decode(&bytes[..]).unwrap()),
                other => panic!("no such stream: {other}"),
            }
        }
        found
    }

    /// The first message that a question gets out of the recording.
    fn find<T>(&self, of: impl Fn(&Kind) -> Option<T>) -> T {
        self.session.iter().filter_map(|message| message.kind.as_ref()).find_map(of).unwrap()
    }
}

/// Stands between an agent and its coordinator, and writes down what the agent says.
struct Tap {
    coordinator: Channel,
    heard: Arc<Mutex<Recording>>,
}

#[tonic::async_trait]
impl AgentService for Tap {
    type SessionStream = Streaming<v1::CoordinatorMessage>;
    type UploadStream = Streaming<v1::BatchAck>;

    async fn session(
        &self,
        said: Request<Streaming<v1::AgentMessage>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let heard = self.heard.clone();
        let said = said.into_inner().map_while(move |message| {
            let message = message.ok()?;
            heard.lock().unwrap().session.push(message.clone());
            Some(message)
        });
        AgentServiceClient::new(self.coordinator.clone()).session(said).await
    }

    async fn upload(
        &self,
        said: Request<Streaming<v1::Batch>>,
    ) -> Result<Response<Self::UploadStream>, Status> {
        let heard = self.heard.clone();
        let said = said.into_inner().map_while(move |batch| {
            let batch = batch.ok()?;
            heard.lock().unwrap().upload.push(batch.clone());
            Some(batch)
        });
        AgentServiceClient::new(self.coordinator.clone()).upload(said).await
    }
}

/// Records an agent of today through a run.
fn record() -> Recording {
    let mut bank = Bank::new();
    bank.serve();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let heard = Arc::<Mutex<Recording>>::default();
    let address = runtime.block_on(async {
        let uri = format!("http://{}", bank.address());
        let coordinator = Channel::from_shared(uri).unwrap().connect().await.unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let tap = AgentServiceServer::new(Tap { coordinator, heard: heard.clone() });
        let server = tonic::transport::Server::builder().add_service(tap);
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        address
    });
    let dir = bank.agent_dir("n1").display().to_string();
    let arguments = ["--insecure-loopback", "--coordinator", &address, "--node", "n1"];
    let own = ["--cores", "0", "--state-dir", &dir];
    let arguments =
        [arguments.as_slice(), &own].concat().into_iter().map(str::to_owned).collect::<Vec<_>>();
    let _agent = Process::start(&binary("loadbank-agent"), &arguments, bank.folder(), "n1");
    bank.wait_for_agents(1);
    let (mut run, _watch, _id) = bank.begin(&plans::hold(HOLD_S));
    let done = run.finish(RUN_PATIENCE);
    assert!(matches!(done.code, Some(0 | 3)), "{done:?}");
    let heard = heard.lock().unwrap().clone();
    drop(bank);
    runtime.shutdown_background();
    heard
}

/// An agent of an earlier release, as far as its recording goes.
struct Replayed {
    recording: Recording,
    wire: mpsc::Sender<v1::AgentMessage>,
    run: String,
    lease: String,
    beats: u64,
}

impl Replayed {
    async fn say(&self, kind: Kind) {
        // A coordinator that has what it wants hangs up.
        let _ = self.wire.send(v1::AgentMessage { kind: Some(kind) }).await;
    }

    /// Lives until the run is closed; the sequence numbers that were acknowledged.
    async fn live(recording: Recording, address: String) -> Vec<u64> {
        let uri = format!("http://{address}");
        let channel = Channel::from_shared(uri).unwrap().connect().await.unwrap();
        let mut client = AgentServiceClient::new(channel.clone());
        let (wire, queue) = mpsc::channel(64);
        let hello = recording.find(|kind| match kind {
            Kind::Hello(hello) => Some(hello.clone()),
            _ => None,
        });
        let (run, lease) = (String::new(), String::new());
        let mut own = Self { recording, wire, run, lease, beats: 0 };
        own.say(Kind::Hello(hello)).await;
        let mut told = client.session(ReceiverStream::new(queue)).await.unwrap().into_inner();
        let mut beat = tokio::time::interval(BEAT);
        loop {
            tokio::select! {
                _ = beat.tick() => own.beat().await,
                message = told.message() => {
                    let kind = message.unwrap().expect("the session goes on").kind;
                    if let Some(Told::Finish(_)) = &kind {
                        let acked = own.upload(&channel).await;
                        own.close().await;
                        // The run's end is seen by `run`; the session may stay for it.
                        tokio::time::sleep(BEAT).await;
                        return acked;
                    }
                    own.answer(kind).await;
                }
            }
        }
    }

    async fn beat(&mut self) {
        if self.lease.is_empty() {
            return;
        }
        self.beats += 1;
        let (run_id, lease_id, request_id) = (self.run.clone(), self.lease.clone(), self.beats);
        let request = v1::LeaseRequest { request_id, run_id, lease_id };
        self.say(Kind::LeaseRequest(request)).await;
        let status = self.recording.find(|kind| match kind {
            Kind::Status(status) if !status.run_id.is_empty() => Some(status.clone()),
            _ => None,
        });
        self.say(Kind::Status(v1::Status { run_id: self.run.clone(), ..status })).await;
    }

    async fn answer(&mut self, told: Option<Told>) {
        match told {
            Some(Told::Refusal(refusal)) => panic!("refused: {}", refusal.why),
            Some(Told::ClockProbe(probe)) => {
                let now_ns = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
                let (received_ns, replied_ns) = (now_ns as i64, now_ns as i64);
                let (probe_id, probe_sent_ns) = (probe.probe_id, probe.sent_ns);
                let reply = v1::ClockReply { probe_id, probe_sent_ns, received_ns, replied_ns };
                self.say(Kind::ClockReply(reply)).await;
            }
            Some(Told::Prepare(prepare)) => {
                (self.run, self.lease) = (prepare.run_id.clone(), prepare.lease_id);
                let run_id = prepare.run_id;
                let prepared = self.recording.find(|kind| match kind {
                    Kind::Prepared(prepared) => Some(prepared.clone()),
                    _ => None,
                });
                self.say(Kind::Prepared(v1::Prepared { run_id, ..prepared })).await;
                self.beat().await;
            }
            Some(Told::Arm(arm)) => {
                let ready = self.recording.find(|kind| match kind {
                    Kind::Ready(ready) if ready.phase_index == arm.phase_index => {
                        Some(ready.clone())
                    }
                    _ => None,
                });
                let (run_id, attempt) = (arm.run_id, arm.attempt);
                self.say(Kind::Ready(v1::Ready { run_id, attempt, ..ready })).await;
            }
            Some(Told::Stop(stop)) => {
                let idle = self.recording.find(|kind| match kind {
                    Kind::Idle(idle) => Some(idle.clone()),
                    _ => None,
                });
                self.say(Kind::Idle(v1::Idle { run_id: stop.run_id, ..idle })).await;
            }
            _ => {}
        }
    }

    async fn upload(&self, channel: &Channel) -> Vec<u64> {
        let run = self.run.clone();
        let batches = self.recording.upload.clone();
        let count = batches.len();
        let batches = batches.into_iter().map(move |b| v1::Batch { run_id: run.clone(), ..b });
        let mut client = AgentServiceClient::new(channel.clone());
        let said = tokio_stream::iter(batches).chain(tokio_stream::pending());
        let mut acks = client.upload(said).await.unwrap().into_inner();
        let mut acked = Vec::new();
        while acked.last().is_none_or(|last| *last < count as u64) {
            let ack = acks.message().await.unwrap().expect("every batch is acknowledged");
            assert!(!ack.unknown_run, "{ack:?}");
            acked.push(ack.seq);
        }
        acked
    }

    async fn close(&self) {
        let closed = self.recording.find(|kind| match kind {
            Kind::Closed(closed) => Some(closed.clone()),
            _ => None,
        });
        self.say(Kind::Closed(v1::Closed { run_id: self.run.clone(), ..closed })).await;
    }
}

fn replay(recording: &Recording) {
    let mut bank = Bank::new();
    bank.serve();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let agent = runtime.spawn(Replayed::live(recording.clone(), bank.address().to_owned()));
    bank.wait_for_agents(1);
    let (mut run, _watch, id) = bank.begin(&plans::hold(HOLD_S));
    let acked = runtime.block_on(agent).unwrap();
    let last = recording.upload.iter().map(|batch| batch.seq).max().unwrap();
    assert_eq!(acked.last(), Some(&last));
    let done = run.finish(RUN_PATIENCE);
    assert!(matches!(done.code, Some(0 | 1 | 3)), "{done:?}");
    let folder = bank.run_folder(&id).display().to_string();
    let report = bank.loadbank(&["report", &folder, "--json"]).finish(RUN_PATIENCE).json();
    assert!(report["verdict"].is_string(), "{report}");
    let coverage = &report["coverage"];
    assert_eq!(coverage["nodes_reporting"], 1, "{coverage}");
    assert_eq!(coverage["batches_stored"], recording.upload.len(), "{coverage}");
    assert_eq!(coverage["batches_missing"], 0, "{coverage}");
}

/// The releases that were recorded, each with its file.
fn releases() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(data("sessions")).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path().join("hold.txt")).collect();
    files.sort();
    files
}

#[test]
fn an_agent_of_every_recorded_release_is_admitted_stored_and_reported() {
    if std::env::var_os("LOADBANK_UPDATE").is_some() {
        let release = env!("CARGO_PKG_VERSION").rsplit_once('.').unwrap().0;
        let folder = Path::new(&data("sessions")).join(release);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("hold.txt"), record().text()).unwrap();
    }
    let releases = releases();
    assert!(!releases.is_empty());
    for file in releases {
        println!("{}", file.display());
        let recording = Recording::parse(&std::fs::read_to_string(file).unwrap());
        assert!(recording.upload.len() > 2, "{} batches", recording.upload.len());
        replay(&recording);
    }
}
