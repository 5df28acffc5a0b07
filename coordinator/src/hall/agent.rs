//! One agent as the coordinator sees it.

use proto::v1;
use tokio::sync::mpsc;

use crate::budget::Reading;
use crate::clock::OffsetEstimator;

/// Tells one connection of an agent from the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SessionId(pub u64);

/// An agent that is or was here.
pub(crate) struct Agent {
    pub hello: v1::Hello,
    pub session: SessionId,
    /// `None` when the session ended.
    pub outbox: Option<mpsc::Sender<v1::CoordinatorMessage>>,
    pub clock: OffsetEstimator,
    /// When it was last told what is known of its clock.
    pub(crate) corrected_ns: i64,
    pub last_seen_ns: i64,
    pub status: Option<v1::Status>,
    /// When it came, on the coordinator's clock.
    pub(crate) status_ns: i64,
    /// The last power that it said, with the level beside it.
    pub(crate) power: Option<Reading>,
    pub probes: u64,
    /// Probes that follow the answer which is due.
    pub(crate) probes_to_follow: u32,
}

impl Agent {
    pub(crate) fn connected(
        hello: v1::Hello,
        session: SessionId,
        outbox: mpsc::Sender<v1::CoordinatorMessage>,
        now_ns: i64,
    ) -> Self {
        Self {
            hello,
            session,
            outbox: Some(outbox),
            clock: OffsetEstimator::default(),
            corrected_ns: 0,
            last_seen_ns: now_ns,
            status: None,
            status_ns: 0,
            power: None,
            probes: 0,
            probes_to_follow: 0,
        }
    }
}

/// Longest node name taken: longer than any host name may be.
const NODE_NAME_BYTES_MAX: usize = 255;
/// Most devices an agent may announce: four times the densest node on sale.
const DEVICES_MAX: usize = 256;

/// Whether an agent may come in.
pub(crate) fn check_hello(hello: &v1::Hello, known: Option<&Agent>) -> Result<(), v1::Refusal> {
    let refuse = |retry: bool, why: String| Err(v1::Refusal { why, retry });
    if hello.protocol_version != proto::PROTOCOL_VERSION {
        return refuse(
            false,
            format!(
                "agent {} speaks protocol version {}, this coordinator speaks {}: install the same release on both",
                hello.node,
                hello.protocol_version,
                proto::PROTOCOL_VERSION
            ),
        );
    }
    if hello.node.is_empty() || hello.node.len() > NODE_NAME_BYTES_MAX {
        return refuse(false, "a node name has 1 to 255 bytes".to_owned());
    }
    if hello.devices.is_empty() || hello.devices.len() > DEVICES_MAX {
        return refuse(
            false,
            format!("{} devices: 1 to {DEVICES_MAX} are taken", hello.devices.len()),
        );
    }
    if let Some(known) = known
        && known.outbox.as_ref().is_some_and(|outbox| !outbox.is_closed())
        && known.hello.instance != hello.instance
    {
        return refuse(
            true,
            format!("node {} is connected already (instance {})", hello.node, known.hello.instance),
        );
    }
    Ok(())
}

/// Queues a message. A full queue is an agent that does not read: its lease decides.
pub(crate) fn send(agent: &mut Agent, kind: v1::coordinator_message::Kind) {
    if let Some(outbox) = &agent.outbox
        && outbox.try_send(to_wire(kind)).is_err()
    {
        tracing::warn!(node = %agent.hello.node, "message not delivered: queue full or closed");
    }
}

pub(crate) fn to_wire(kind: v1::coordinator_message::Kind) -> v1::CoordinatorMessage {
    v1::CoordinatorMessage { kind: Some(kind) }
}
