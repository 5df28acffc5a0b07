//! The session with the coordinator. It decides nothing; it comes back by itself.

use std::time::Duration;

use proto::channel::{
    CONNECTION_WINDOW_BYTES, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT, MESSAGE_BYTES_MAX,
    STREAM_WINDOW_BYTES,
};
use proto::dial::{DialError, Dialer};
use proto::v1;
use proto::v1::agent_service_client::AgentServiceClient;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};

use crate::clock::AgentClock;
use crate::supervisor::Event;

/// Waits between attempts to connect: short, because a run may be waiting; doubled up to
/// the longest, because ten thousand agents may come back at once.
const RETRY_FIRST: Duration = Duration::from_millis(200);
/// See [`RETRY_FIRST`].
const RETRY_LAST: Duration = Duration::from_secs(5);
/// Messages that wait for the wire.
const WIRE_QUEUE_MAX: usize = 256;
/// A goodbye gets this long to leave.
const GOODBYE_PAUSE: Duration = Duration::from_millis(100);

/// What a session is made of.
pub(crate) struct SessionParts {
    pub(crate) dialer: Dialer,
    pub(crate) endpoint: Endpoint,
    pub hello: v1::Hello,
    pub clock: AgentClock,
    pub hear: std::sync::mpsc::Sender<Event>,
    /// The connection while the coordinator has welcomed us on it: the upload shares it.
    pub(crate) connection: watch::Sender<Option<Channel>>,
}

/// Why a session can never be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SessionError {
    #[error(transparent)]
    Address(#[from] DialError),
    #[error("the coordinator refuses this agent: {0}")]
    Refused(String),
}

/// Where the coordinator is and how to speak to it.
///
/// # Errors
/// When the address is none.
pub(crate) fn endpoint(dialer: &Dialer) -> Result<Endpoint, SessionError> {
    let endpoint = dialer
        .endpoint()?
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true);
    Ok(endpoint)
}

/// How one session ended.
enum Over {
    Lost(String),
    /// The supervisor closed its outbox: the agent ends.
    Left,
    Refused(String),
}

/// What one session leaves to the next.
struct Memory {
    pause: Duration,
    /// The coordinator's process that welcomed us last.
    coordinator: String,
}

impl Memory {
    fn welcomed(&mut self, parts: &SessionParts, welcome: v1::Welcome) {
        self.pause = RETRY_FIRST;
        let (address, process) = (parts.dialer.address(), &welcome.coordinator);
        tracing::info!(coordinator = %address, %process, "session open");
        if !self.coordinator.is_empty() && self.coordinator != *process {
            tracing::warn!(
                coordinator = %address,
                "another coordinator process than before: a run of the earlier one waits for \
                 `loadbank resume`"
            );
        }
        self.coordinator = welcome.coordinator;
    }
}

/// Keeps a session until the supervisor is gone.
///
/// # Errors
/// When the coordinator refuses us for good.
pub(crate) async fn run(
    parts: SessionParts,
    mut outbox: mpsc::Receiver<v1::AgentMessage>,
) -> Result<(), SessionError> {
    let endpoint = parts.endpoint.clone();
    let mut memory = Memory { pause: RETRY_FIRST, coordinator: String::new() };
    let mut said = String::new();
    loop {
        let over = one_session(&endpoint, &parts, &mut outbox, &mut memory).await;
        parts.connection.send_replace(None);
        match over {
            Over::Left => return Ok(()),
            Over::Refused(why) => return Err(SessionError::Refused(why)),
            Over::Lost(why) if why != said => {
                tracing::warn!(coordinator = %parts.dialer.address(), %why, "no session; trying again");
                said = why;
            }
            Over::Lost(_) => {}
        }
        // What was meant for the coordinator while there is none is stale when it is back.
        if drain_for(&mut outbox, memory.pause).await {
            return Ok(());
        }
        memory.pause = (memory.pause * 2).min(RETRY_LAST);
    }
}

/// Throws messages away for a while; true when the supervisor is gone.
async fn drain_for(outbox: &mut mpsc::Receiver<v1::AgentMessage>, pause: Duration) -> bool {
    let until = tokio::time::Instant::now() + pause;
    loop {
        match tokio::time::timeout_at(until, outbox.recv()).await {
            Ok(Some(_)) => {}
            Ok(None) => return true,
            Err(_) => return false,
        }
    }
}

async fn one_session(
    endpoint: &Endpoint,
    parts: &SessionParts,
    outbox: &mut mpsc::Receiver<v1::AgentMessage>,
    memory: &mut Memory,
) -> Over {
    let channel = match parts.dialer.connect(endpoint).await {
        Ok(channel) => channel,
        Err(error) => return Over::Lost(error.to_string()),
    };
    let mut client =
        AgentServiceClient::new(channel.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX);
    let (wire, queue) = mpsc::channel(WIRE_QUEUE_MAX);
    let hello = v1::agent_message::Kind::Hello(parts.hello.clone());
    let _ = wire.send(v1::AgentMessage { kind: Some(hello) }).await;
    let mut inbox = match client.session(ReceiverStream::new(queue)).await {
        Ok(response) => response.into_inner(),
        Err(status) => return Over::Lost(status.message().to_owned()),
    };
    loop {
        tokio::select! {
            incoming = inbox.message() => match incoming {
                Ok(Some(message)) => {
                    use v1::coordinator_message::Kind;
                    match message.kind {
                        Some(Kind::ClockProbe(probe)) => answer_probe(parts, &wire, &probe),
                        Some(Kind::Welcome(welcome)) => {
                            memory.welcomed(parts, welcome);
                            parts.connection.send_replace(Some(channel.clone()));
                        }
                        Some(Kind::Refusal(refusal)) if refusal.retry => break Over::Lost(refusal.why),
                        Some(Kind::Refusal(refusal)) => break Over::Refused(refusal.why),
                        _ => { let _ = parts.hear.send(Event::Message(message)); }
                    }
                }
                Ok(None) => break Over::Lost("the coordinator closed the session".to_owned()),
                Err(status) => break Over::Lost(status.message().to_owned()),
            },
            outgoing = outbox.recv() => match outgoing {
                Some(message) => { let _ = wire.try_send(message); }
                None => {
                    let why = "the agent ends".to_owned();
                    let goodbye = v1::agent_message::Kind::Goodbye(v1::Goodbye { why });
                    let _ = wire.send(v1::AgentMessage { kind: Some(goodbye) }).await;
                    tokio::time::sleep(GOODBYE_PAUSE).await;
                    break Over::Left;
                }
            },
        }
    }
}

/// Stamps as near to the wire as we are.
fn answer_probe(
    parts: &SessionParts,
    wire: &mpsc::Sender<v1::AgentMessage>,
    probe: &v1::ClockProbe,
) {
    let received_ns = parts.clock.now_ns();
    let reply = v1::ClockReply {
        probe_id: probe.probe_id,
        probe_sent_ns: probe.sent_ns,
        received_ns,
        replied_ns: parts.clock.now_ns(),
    };
    let kind = Some(v1::agent_message::Kind::ClockReply(reply));
    let _ = wire.try_send(v1::AgentMessage { kind });
}
