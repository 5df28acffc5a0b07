//! What comes over the network and over the pipe to a worker: any bytes as each message, and what
//! is made of those that are one.

#![no_main]

use agent::fabric::hello::{HELLO_BYTES, Hello};
use libfuzzer_sys::fuzz_target;
use prost::Message;
use proto::v1;

fuzz_target!(|data: &[u8]| {
    if let Ok(message) = v1::CoordinatorMessage::decode(data)
        && let Some(v1::coordinator_message::Kind::Arm(arm)) = message.kind
        && let Some(load) = &arm.load
    {
        let _ = proto::convert::load_from_wire(load);
    }
    let _ = v1::AgentMessage::decode(data);
    let _ = v1::BatchAck::decode(data);
    let _ = v1::WorkerReport::decode(data);
    let _ = v1::SubmitRequest::decode(data);
    if let Ok(command) = v1::WorkerCommand::decode(data)
        && let Some(v1::worker_command::Kind::Load(order)) = command.kind
        && let Some(load) = &order.load
        && let Ok((_, waveform)) = proto::convert::load_from_wire(load)
    {
        // Whatever was accepted must have a level at every time.
        for seconds in [0_u64, 1, 3_600, 1 << 40] {
            let level = waveform.level_at(seconds.saturating_mul(1_000_000_000));
            assert!((0.0..=1.0).contains(&level), "{level} of {waveform:?}");
        }
    }
    if let Some(bytes) = data.first_chunk::<HELLO_BYTES>() {
        let _ = Hello::decode(bytes);
    }
});
