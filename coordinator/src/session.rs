//! The agents' door: one session a life of an agent process, and the durable upload.

use std::pin::Pin;
use std::time::Duration;

use proto::v1;
use proto::v1::agent_service_server::AgentService;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};

use crate::door::{Peer, Reason, speaks_for};
use crate::hall::{Hall, SessionId, opening};
use crate::store::{Durable, StoredBatch};

/// Messages that wait for one agent. A run needs a dozen; more means it does not read.
const OUTBOX_MAX: usize = 256;
/// A connection that does not say Hello in this time is closed.
const HELLO_DEADLINE: Duration = Duration::from_secs(5);
/// Distance of clock probes while the error of an agent's clock is large.
const PROBE_FAST: Duration = Duration::from_millis(100);
/// And when it is small.
const PROBE_SLOW: Duration = Duration::from_millis(500);
/// Small: a quarter of the millisecond that two agents may begin apart, for either of them
/// and with room for a busy hour.
const ERROR_SMALL_NS: u64 = 250_000;
/// Probes of all agents together whose clocks are not known well yet: with the exchanges that
/// follow each of them a tenth of what two cores can carry. Ten thousand agents are probed
/// every seven seconds.
const PROBES_FAST_MAX: f64 = 1_500.0;
/// And of those whose clocks are: a fiftieth. An error that grows in between counts as large
/// again.
const PROBES_SLOW_MAX: f64 = 250.0;
/// Batches of one stream that are on their way to the disk; this also bounds the writer's
/// queue, at so many a connected agent.
const IN_FLIGHT_MAX: usize = 64;
/// A batch may not claim more than this beyond what the message limit already says.
const ID_BYTES_MAX: usize = 255;

/// The agents' service.
#[derive(Clone)]
pub(crate) struct AgentDoor {
    hall: Hall,
}

impl AgentDoor {
    /// The door to a hall.
    #[must_use]
    pub(crate) fn new(hall: Hall) -> Self {
        Self { hall }
    }
}

type Out<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl AgentService for AgentDoor {
    type SessionStream = Out<v1::CoordinatorMessage>;
    type UploadStream = Out<v1::BatchAck>;

    async fn session(
        &self,
        request: Request<Streaming<v1::AgentMessage>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let peer = request.extensions().get::<Peer>().cloned();
        let mut inbox = request.into_inner();
        let hello = first_hello(&self.hall, &mut inbox).await?;
        if let Err(why) = speaks_for(peer.as_ref(), &hello.node) {
            self.hall.refusals.note(Reason::WrongNode, &"an agent", &why);
            return Err(Status::permission_denied(why));
        }
        let (outbox, queue) = mpsc::channel(OUTBOX_MAX);
        let coordinator = self.hall.instance.to_string();
        let welcome = v1::Welcome { protocol_version: proto::PROTOCOL_VERSION, coordinator };
        let first = match self.hall.admit(&hello, outbox.clone()) {
            Ok(session) => {
                tracing::info!(node = %hello.node, instance = %hello.instance, "agent came");
                tokio::spawn(probe_clock(self.hall.clone(), hello.node.clone(), session));
                tokio::spawn(listen(self.hall.clone(), hello.node, session, inbox));
                v1::coordinator_message::Kind::Welcome(welcome)
            }
            Err(refusal) => {
                tracing::warn!(node = %hello.node, why = %refusal.why, "agent refused");
                v1::coordinator_message::Kind::Refusal(refusal)
            }
        };
        drop(outbox);
        let stream = tokio_stream::once(opening(first)).chain(ReceiverStream::new(queue)).map(Ok);
        Ok(Response::new(Box::pin(stream)))
    }

    async fn upload(
        &self,
        request: Request<Streaming<v1::Batch>>,
    ) -> Result<Response<Self::UploadStream>, Status> {
        let peer = request.extensions().get::<Peer>().cloned();
        let (waiting, durable) = mpsc::channel(IN_FLIGHT_MAX);
        let (acks, stream) = mpsc::channel(IN_FLIGHT_MAX);
        let receiving = receive(self.hall.clone(), peer, request.into_inner(), waiting);
        tokio::spawn(receiving);
        tokio::spawn(acknowledge(self.hall.clone(), durable, acks));
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }
}

async fn first_hello(
    hall: &Hall,
    inbox: &mut Streaming<v1::AgentMessage>,
) -> Result<v1::Hello, Status> {
    let first = tokio::time::timeout(HELLO_DEADLINE, inbox.message()).await.map_err(|_| {
        hall.refusals.note(Reason::TooSlow, &"an agent", &"no Hello in time");
        Status::deadline_exceeded("no Hello in time")
    })?;
    let first = first.inspect_err(|status| note_too_large(hall, status))?;
    match first.and_then(|message| message.kind) {
        Some(v1::agent_message::Kind::Hello(hello)) => Ok(hello),
        _ => Err(Status::invalid_argument("the first message must be Hello")),
    }
}

/// The library has refused the message already; here it is counted.
fn note_too_large(hall: &Hall, status: &Status) {
    if status.code() == tonic::Code::OutOfRange {
        hall.refusals.note(Reason::TooLarge, &"an agent", &status.message());
    }
}

async fn listen(
    hall: Hall,
    node: String,
    session: SessionId,
    mut inbox: Streaming<v1::AgentMessage>,
) {
    let mut goodbye = None;
    loop {
        let message = match inbox.message().await {
            Ok(Some(message)) => message,
            Ok(None) => break,
            Err(status) => {
                note_too_large(&hall, &status);
                break;
            }
        };
        if let Some(v1::agent_message::Kind::Goodbye(bye)) = &message.kind {
            goodbye = Some(bye.why.clone());
        }
        hall.take(&node, session, message);
    }
    tracing::info!(%node, "session ended");
    hall.leave(&node, session, goodbye);
}

async fn probe_clock(hall: Hall, node: String, session: SessionId) {
    while let Some((error_ns, agents)) = hall.probe_clock(&node, session) {
        let small = error_ns.is_some_and(|error_ns| error_ns <= ERROR_SMALL_NS);
        let (wished, most) =
            if small { (PROBE_SLOW, PROBES_SLOW_MAX) } else { (PROBE_FAST, PROBES_FAST_MAX) };
        let fair = Duration::from_secs_f64(agents as f64 / most);
        tokio::time::sleep(wished.max(fair)).await;
    }
}

/// A batch on its way to the disk.
struct Pending {
    run: String,
    node: String,
    instance: String,
    seq: u64,
    /// `None`: the run is not known here.
    durable: Option<oneshot::Receiver<Durable>>,
}

async fn receive(
    hall: Hall,
    peer: Option<Peer>,
    mut inbox: Streaming<v1::Batch>,
    waiting: mpsc::Sender<Pending>,
) {
    loop {
        let batch = match inbox.message().await {
            Ok(Some(batch)) => batch,
            Ok(None) => return,
            Err(status) => return note_too_large(&hall, &status),
        };
        if let Err(why) = speaks_for(peer.as_ref(), &batch.node) {
            return hall.refusals.note(Reason::WrongNode, &"an upload", &why);
        }
        if [&batch.run_id, &batch.node, &batch.instance].iter().any(|id| id.len() > ID_BYTES_MAX) {
            return;
        }
        let run = batch.run_id.clone();
        let (node, instance, seq) = (batch.node.clone(), batch.instance.clone(), batch.seq);
        let durable = if hall.knows_run(&run) {
            let stored = StoredBatch { batch, received_ns: hall.clock.now_ns() };
            Some(hall.writer.batch(&run, stored))
        } else {
            None
        };
        if waiting.send(Pending { run, node, instance, seq, durable }).await.is_err() {
            return;
        }
    }
}

async fn acknowledge(
    hall: Hall,
    mut waiting: mpsc::Receiver<Pending>,
    acks: mpsc::Sender<Result<v1::BatchAck, Status>>,
) {
    while let Some(pending) = waiting.recv().await {
        let ack = v1::BatchAck {
            run_id: pending.run.clone(),
            instance: pending.instance.clone(),
            seq: pending.seq,
            unknown_run: pending.durable.is_none(),
        };
        if let Some(durable) = pending.durable {
            let outcome = durable.await.unwrap_or(Err(crate::store::WriteError::Closed));
            if let Err(error) = outcome {
                // Not stored is not acknowledged: the agent keeps it and tries again.
                let _ = acks.send(Err(Status::unavailable(error.to_string()))).await;
                return;
            }
            hall.stored(&pending.run, &pending.node, &pending.instance, pending.seq);
        }
        if acks.send(Ok(ack)).await.is_err() {
            return;
        }
    }
}
