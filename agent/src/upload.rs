//! The upload of the spool, on a thread of its own: it may wait for the disk, and the session
//! must not. It shares the session's connection, so that ten thousand agents are ten thousand
//! connections.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use model::id::{AgentInstance, RunId};
use proto::channel::MESSAGE_BYTES_MAX;
use proto::v1;
use proto::v1::agent_service_client::AgentServiceClient;
use tokio::sync::{Notify, mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;

use crate::spool::{Entry, Spool, StreamKey};

/// Waits between attempts.
const RETRY: Duration = Duration::from_millis(500);
/// Batches that wait for the wire.
const WIRE_QUEUE_MAX: usize = 64;
/// Bytes of the spool that one look takes.
const LOOK_BYTES_MAX: usize = 1024 * 1024;
/// Without a sign from the spooler the spool is looked at this often.
const LOOK_PAUSE: Duration = Duration::from_millis(500);

/// Uploads for as long as the process lives.
///
/// # Errors
/// When the thread can't be made.
pub(crate) fn start(
    mut connection: watch::Receiver<Option<Channel>>,
    node: String,
    spool: Arc<Mutex<Spool>>,
    spooled: Arc<Notify>,
) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let work = move || {
        runtime.block_on(async {
            // Without a session nobody stores anything; the session says why there is none.
            while let Some(channel) = next_channel(&mut connection).await {
                tokio::select! {
                    outcome = upload(channel, &node, &spool, &spooled) => {
                        if let Err(status) = outcome {
                            tracing::info!(why = %status.message(), "upload broke");
                        }
                    }
                    // The next session's connection is another.
                    _ = connection.wait_for(Option::is_none) => {}
                }
                tokio::time::sleep(RETRY).await;
            }
        });
    };
    std::thread::Builder::new().name("upload".into()).spawn(work)?;
    Ok(())
}

/// The session's connection, once there is one; nothing when there will be none any more.
async fn next_channel(connection: &mut watch::Receiver<Option<Channel>>) -> Option<Channel> {
    connection.wait_for(Option::is_some).await.ok()?.clone()
}

/// Sends everything that is not acknowledged, in order, and what comes after it.
async fn upload(
    channel: Channel,
    node: &str,
    spool: &Mutex<Spool>,
    spooled: &Notify,
) -> Result<(), tonic::Status> {
    let mut client = AgentServiceClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
    let (wire, queue) = mpsc::channel(WIRE_QUEUE_MAX);
    let mut acks = client.upload(ReceiverStream::new(queue)).await?.into_inner();
    let mut sent = BTreeMap::new();
    loop {
        let batches = next_batches(spool, &mut sent)?;
        if batches.is_empty() {
            tokio::select! {
                outcome = take_ack(&mut acks, spool) => outcome?,
                () = spooled.notified() => {}
                () = tokio::time::sleep(LOOK_PAUSE) => {}
            }
        }
        for entry in batches {
            let batch = batch(node, entry);
            tokio::select! {
                permit = wire.reserve() => match permit {
                    Ok(permit) => permit.send(batch),
                    Err(_) => return Ok(()),
                },
                // A full queue moves once acks are taken; the batch is looked up again.
                outcome = take_ack(&mut acks, spool) => {
                    outcome?;
                    sent.insert(key(&batch), batch.seq - 1);
                    break;
                }
            }
        }
    }
}

/// Batches that were not sent on this stream yet, each agent instance in order.
fn next_batches(
    spool: &Mutex<Spool>,
    sent: &mut BTreeMap<StreamKey, u64>,
) -> Result<Vec<Entry>, tonic::Status> {
    let mut spool = locked(spool);
    for pending in spool.pending() {
        let after = sent.get(&pending.stream).copied().unwrap_or(0);
        let entries = spool
            .unacked(&pending.stream, after, LOOK_BYTES_MAX)
            .map_err(|error| tonic::Status::internal(error.to_string()))?;
        if let Some(last) = entries.last() {
            sent.insert(pending.stream.clone(), last.seq);
            return Ok(entries);
        }
    }
    Ok(Vec::new())
}

fn batch(node: &str, entry: Entry) -> v1::Batch {
    v1::Batch {
        run_id: entry.stream.run.0,
        node: node.to_owned(),
        instance: entry.stream.instance.0,
        boot_id: entry.boot_id,
        seq: entry.seq,
        records: entry.payload,
    }
}

fn key(batch: &v1::Batch) -> StreamKey {
    StreamKey { run: RunId(batch.run_id.clone()), instance: AgentInstance(batch.instance.clone()) }
}

async fn take_ack(
    acks: &mut tonic::Streaming<v1::BatchAck>,
    spool: &Mutex<Spool>,
) -> Result<(), tonic::Status> {
    let ack = acks.message().await?.ok_or_else(|| tonic::Status::unavailable("upload closed"))?;
    // A run that this coordinator does not know may be known to another: keep it.
    if !ack.unknown_run {
        let stream = StreamKey { run: RunId(ack.run_id), instance: AgentInstance(ack.instance) };
        if let Err(error) = locked(spool).ack(&stream, ack.seq) {
            tracing::warn!(%error, "an acknowledgement was not written down");
        }
    }
    Ok(())
}

fn locked(spool: &Mutex<Spool>) -> std::sync::MutexGuard<'_, Spool> {
    spool.lock().unwrap_or_else(PoisonError::into_inner)
}
