//! Records and batches.

use model::NodeName;
use model::collective::{CollectiveOp, Transport};
use model::histogram::{LatencyHistogram, Longest};
use model::record::{
    Checksum, CollectiveWindow, Event, EventKind, Latency, Loss, MeterReading, PortCount,
    PortCounts, Record, Records, Start, Transfer, Work,
};
use prost::Message;

use super::reading::{reading_from_wire, reading_to_wire};
use super::sample::{health_from_wire, health_to_wire, sample_from_wire, sample_to_wire};
use super::{ConvertError, kernel_from_word};
use crate::v1;
use v1::record::Kind;

/// The encoded form of a batch's records.
#[must_use]
pub fn records_to_bytes(records: &[Record]) -> Vec<u8> {
    v1::RecordList { records: records.iter().map(record_to_wire).collect() }.encode_to_vec()
}

/// Everything in one batch.
///
/// # Errors
/// When the bytes are no record list, or one of its records does not make sense.
pub fn records_from_batch(batch: &v1::Batch) -> Result<Records, ConvertError> {
    let list = v1::RecordList::decode(batch.records.as_slice())
        .map_err(|error| ConvertError::Undecodable(error.to_string()))?;
    let records = list.records.iter().map(record_from_wire).collect::<Result<_, _>>()?;
    Ok(Records {
        node: NodeName(batch.node.clone()),
        instance: batch.instance.clone(),
        boot_id: batch.boot_id.clone(),
        seq: batch.seq,
        records,
    })
}

fn histogram_to_wire(histogram: &LatencyHistogram) -> Option<v1::Histogram> {
    let longest = histogram.longest();
    Some(v1::Histogram {
        v2: histogram.to_v2(),
        overflows: histogram.overflows(),
        longest_ns: longest.map(|l| l.latency_ns),
        longest_at_ns: longest.map_or(0, |l| l.at_ns),
    })
}

fn histogram_from_wire(wire: Option<&v1::Histogram>) -> Result<LatencyHistogram, ConvertError> {
    let wire = wire.ok_or(ConvertError::Missing("histogram"))?;
    let longest =
        wire.longest_ns.map(|latency_ns| Longest { latency_ns, at_ns: wire.longest_at_ns });
    Ok(LatencyHistogram::from_v2(&wire.v2, wire.overflows, longest)?)
}

/// Wire form of a record.
#[must_use]
pub fn record_to_wire(record: &Record) -> v1::Record {
    let kind = match record {
        Record::Sample(sample) => Kind::Sample(sample_to_wire(sample)),
        Record::Work(work) => Kind::Work(work_to_wire(work)),
        Record::Start(start) => Kind::Start(v1::Start {
            phase: start.phase.clone(),
            device: start.device,
            intended_ns: start.intended_ns,
            actual_ns: start.actual_ns,
            claimed_error_ns: start.claimed_error_ns,
        }),
        Record::Event(event) => Kind::Event(event_to_wire(event)),
        Record::Latency(latency) => Kind::Latency(v1::Latency {
            from_ns: latency.from_ns,
            to_ns: latency.to_ns,
            phase: latency.phase.clone(),
            peer: latency.peer.0.clone(),
            loaded: latency.loaded,
            lost: latency.lost,
            histogram: histogram_to_wire(&latency.histogram),
        }),
        Record::Transfer(transfer) => Kind::Transfer(transfer_to_wire(transfer)),
        Record::Collective(window) => Kind::Collective(collective_to_wire(window)),
        Record::Loss(loss) => Kind::Loss(v1::Loss {
            time_ns: loss.time_ns,
            instance: loss.instance.clone(),
            from_seq: loss.from_seq,
            to_seq: loss.to_seq,
            records: loss.records,
            why: loss.why.clone(),
        }),
        Record::Health(health) => Kind::Health(health_to_wire(health)),
        Record::Meter(meter) => Kind::Meter(v1::Meter {
            time_ns: meter.time_ns,
            domain: meter.domain.clone(),
            point: meter.point.clone(),
            value: meter.value,
            unit: meter.unit.clone(),
            quality: meter.quality.clone(),
            clock_error_ms: meter.clock_error_ms,
        }),
        Record::Checksum(checksum) => Kind::Checksum(v1::Checksum {
            time_ns: checksum.time_ns,
            device: checksum.device,
            phase: checksum.phase.clone(),
            key: checksum.key.clone(),
            value: checksum.value,
        }),
        Record::Ports(ports) => Kind::Ports(ports_to_wire(ports)),
    };
    v1::Record { kind: Some(kind) }
}

/// A record from the wire.
///
/// # Errors
/// When a part that the record needs is missing or unknown.
pub fn record_from_wire(record: &v1::Record) -> Result<Record, ConvertError> {
    Ok(match record.kind.as_ref().ok_or(ConvertError::Missing("record"))? {
        Kind::Sample(sample) => Record::Sample(sample_from_wire(sample)),
        Kind::Work(work) => Record::Work(work_from_wire(work)?),
        Kind::Start(start) => Record::Start(Start {
            phase: start.phase.clone(),
            device: start.device,
            intended_ns: start.intended_ns,
            actual_ns: start.actual_ns,
            claimed_error_ns: start.claimed_error_ns,
        }),
        Kind::Event(event) => Record::Event(event_from_wire(event)?),
        Kind::Latency(latency) => Record::Latency(Latency {
            from_ns: latency.from_ns,
            to_ns: latency.to_ns,
            phase: latency.phase.clone(),
            peer: NodeName(latency.peer.clone()),
            loaded: latency.loaded,
            lost: latency.lost,
            histogram: histogram_from_wire(latency.histogram.as_ref())?,
        }),
        Kind::Transfer(transfer) => Record::Transfer(transfer_from_wire(transfer)),
        Kind::Collective(window) => Record::Collective(collective_from_wire(window)?),
        Kind::Loss(loss) => Record::Loss(Loss {
            time_ns: loss.time_ns,
            instance: loss.instance.clone(),
            from_seq: loss.from_seq,
            to_seq: loss.to_seq,
            records: loss.records,
            why: loss.why.clone(),
        }),
        Kind::Health(health) => Record::Health(health_from_wire(health)),
        Kind::Meter(meter) => Record::Meter(MeterReading {
            time_ns: meter.time_ns,
            domain: meter.domain.clone(),
            point: meter.point.clone(),
            value: meter.value,
            unit: meter.unit.clone(),
            quality: meter.quality.clone(),
            clock_error_ms: meter.clock_error_ms,
        }),
        Kind::Checksum(checksum) => Record::Checksum(Checksum {
            time_ns: checksum.time_ns,
            device: checksum.device,
            phase: checksum.phase.clone(),
            key: checksum.key.clone(),
            value: checksum.value,
        }),
        Kind::Ports(ports) => Record::Ports(ports_from_wire(ports)),
    })
}

fn ports_to_wire(ports: &PortCounts) -> v1::PortCounts {
    let grown = ports.grown.iter().map(|grown| v1::PortCount {
        port: grown.port.clone(),
        counter: grown.counter.clone(),
        count: grown.count,
    });
    v1::PortCounts {
        time_ns: ports.time_ns,
        span_ns: ports.span_ns,
        phase: ports.phase.clone(),
        ports: ports.ports.clone(),
        grown: grown.collect(),
    }
}

fn ports_from_wire(ports: &v1::PortCounts) -> PortCounts {
    let grown = ports.grown.iter().map(|grown| PortCount {
        port: grown.port.clone(),
        counter: grown.counter.clone(),
        count: grown.count,
    });
    PortCounts {
        time_ns: ports.time_ns,
        span_ns: ports.span_ns,
        phase: ports.phase.clone(),
        ports: ports.ports.clone(),
        grown: grown.collect(),
    }
}

fn work_to_wire(work: &Work) -> v1::Work {
    v1::Work {
        from_ns: work.from_ns,
        to_ns: work.to_ns,
        device: work.device,
        phase: work.phase.clone(),
        kernel: work.kernel.word().to_owned(),
        level: work.level,
        busy_ns: work.busy_ns,
        cores: work.cores,
        flops: work.flops,
        bytes: work.bytes,
        blocks: work.blocks,
        verified: work.verified,
        mismatches: work.mismatches,
    }
}

fn work_from_wire(work: &v1::Work) -> Result<Work, ConvertError> {
    Ok(Work {
        from_ns: work.from_ns,
        to_ns: work.to_ns,
        device: work.device,
        phase: work.phase.clone(),
        kernel: kernel_from_word(&work.kernel)?,
        level: work.level,
        busy_ns: work.busy_ns,
        cores: work.cores,
        flops: work.flops,
        bytes: work.bytes,
        blocks: work.blocks,
        verified: work.verified,
        mismatches: work.mismatches,
    })
}

fn event_to_wire(event: &Event) -> v1::Event {
    v1::Event {
        time_ns: event.time_ns,
        kind: event_kind_to_wire(event.kind) as i32,
        phase: event.phase.clone(),
        device: event.device,
        core: event.core,
        injected: event.injected,
        text: event.text.clone(),
    }
}

fn event_from_wire(event: &v1::Event) -> Result<Event, ConvertError> {
    let unknown = || ConvertError::Unknown { what: "event kind", word: event.kind.to_string() };
    let kind = v1::EventKind::try_from(event.kind).map_err(|_| unknown())?;
    Ok(Event {
        time_ns: event.time_ns,
        kind: event_kind_from_wire(kind).ok_or_else(unknown)?,
        phase: event.phase.clone(),
        device: event.device,
        core: event.core,
        injected: event.injected,
        text: event.text.clone(),
    })
}

fn event_kind_to_wire(kind: EventKind) -> v1::EventKind {
    match kind {
        EventKind::Sdc => v1::EventKind::Sdc,
        EventKind::WorkerDied => v1::EventKind::WorkerDied,
        EventKind::GuardTrip => v1::EventKind::GuardTrip,
        EventKind::LeaseLost => v1::EventKind::LeaseLost,
        EventKind::SensorLost => v1::EventKind::SensorLost,
        EventKind::SensorAbsent => v1::EventKind::SensorAbsent,
        EventKind::Busy => v1::EventKind::Busy,
        EventKind::DataPlaneRefused => v1::EventKind::DataPlaneRefused,
        EventKind::DataPlaneFailed => v1::EventKind::DataPlaneFailed,
        EventKind::TransferMissed => v1::EventKind::TransferMissed,
        EventKind::CollectiveWrong => v1::EventKind::CollectiveWrong,
        EventKind::Idle => v1::EventKind::Idle,
        EventKind::Note => v1::EventKind::Note,
        EventKind::Injection => v1::EventKind::Injection,
        EventKind::DeviceRefused => v1::EventKind::DeviceRefused,
        EventKind::DeviceFailed => v1::EventKind::DeviceFailed,
    }
}

fn event_kind_from_wire(kind: v1::EventKind) -> Option<EventKind> {
    Some(match kind {
        v1::EventKind::Unspecified => return None,
        v1::EventKind::Sdc => EventKind::Sdc,
        v1::EventKind::WorkerDied => EventKind::WorkerDied,
        v1::EventKind::GuardTrip => EventKind::GuardTrip,
        v1::EventKind::LeaseLost => EventKind::LeaseLost,
        v1::EventKind::SensorLost => EventKind::SensorLost,
        v1::EventKind::SensorAbsent => EventKind::SensorAbsent,
        v1::EventKind::Busy => EventKind::Busy,
        v1::EventKind::DataPlaneRefused => EventKind::DataPlaneRefused,
        v1::EventKind::DataPlaneFailed => EventKind::DataPlaneFailed,
        v1::EventKind::TransferMissed => EventKind::TransferMissed,
        v1::EventKind::CollectiveWrong => EventKind::CollectiveWrong,
        v1::EventKind::Idle => EventKind::Idle,
        v1::EventKind::Note => EventKind::Note,
        v1::EventKind::Injection => EventKind::Injection,
        v1::EventKind::DeviceRefused => EventKind::DeviceRefused,
        v1::EventKind::DeviceFailed => EventKind::DeviceFailed,
    })
}

fn transfer_to_wire(transfer: &Transfer) -> v1::Transfer {
    v1::Transfer {
        time_ns: transfer.time_ns,
        phase: transfer.phase.clone(),
        round: transfer.round,
        peer: transfer.peer.0.clone(),
        source_port: transfer.source_port,
        dest_port: transfer.dest_port,
        seconds: transfer.seconds,
        bytes: transfer.bytes,
        streams: transfer.streams,
        both_ways: transfer.both_ways,
        retransmits: reading_to_wire(transfer.retransmits.map(|count| count as f64)),
        congestion: transfer.congestion.clone(),
        via: transfer.via.clone().unwrap_or_default(),
        path_known: transfer.via.is_some(),
    }
}

fn transfer_from_wire(transfer: &v1::Transfer) -> Transfer {
    Transfer {
        time_ns: transfer.time_ns,
        phase: transfer.phase.clone(),
        round: transfer.round,
        peer: NodeName(transfer.peer.clone()),
        source_port: transfer.source_port,
        dest_port: transfer.dest_port,
        seconds: transfer.seconds,
        bytes: transfer.bytes,
        streams: transfer.streams,
        both_ways: transfer.both_ways,
        retransmits: reading_from_wire(transfer.retransmits.as_ref()).map(|count| count as u64),
        congestion: transfer.congestion.clone(),
        via: transfer.path_known.then(|| transfer.via.clone()),
    }
}

fn collective_to_wire(window: &CollectiveWindow) -> v1::CollectiveWindow {
    v1::CollectiveWindow {
        from_ns: window.from_ns,
        to_ns: window.to_ns,
        phase: window.phase.clone(),
        op: window.op.word().to_owned(),
        transport: window.over.word().to_owned(),
        bytes: window.bytes,
        rank: window.rank,
        world_size: window.world_size,
        operations: window.operations,
        wrong: window.wrong,
        durations: histogram_to_wire(&window.durations),
    }
}

/// Earlier releases knew TCP only and said nothing.
fn transport_from_wire(word: &str) -> Result<Transport, ConvertError> {
    let unknown = || ConvertError::Unknown { what: "transport", word: word.to_owned() };
    if word.is_empty() {
        Ok(Transport::Tcp)
    } else {
        Transport::from_word(word).ok_or_else(unknown)
    }
}

fn collective_from_wire(window: &v1::CollectiveWindow) -> Result<CollectiveWindow, ConvertError> {
    Ok(CollectiveWindow {
        from_ns: window.from_ns,
        to_ns: window.to_ns,
        phase: window.phase.clone(),
        op: CollectiveOp::from_word(&window.op)
            .ok_or_else(|| ConvertError::Unknown { what: "collective", word: window.op.clone() })?,
        over: transport_from_wire(&window.transport)?,
        bytes: window.bytes,
        rank: window.rank,
        world_size: window.world_size,
        operations: window.operations,
        wrong: window.wrong,
        durations: histogram_from_wire(window.durations.as_ref())?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::record::Sample;
    use model::{Absence, Reading};
    use proptest::prelude::*;

    fn reading() -> impl Strategy<Value = Reading<f64>> {
        prop_oneof![
            (-1e9f64..1e9).prop_map(Reading::Value),
            Just(Reading::Absent(Absence::NotPresent)),
            Just(Reading::Absent(Absence::NotPermitted)),
            Just(Reading::Absent(Absence::Failed)),
            Just(Reading::Absent(Absence::TimedOut)),
            Just(Reading::Absent(Absence::NotYet)),
        ]
    }

    proptest! {
        #[test]
        fn samples_round_trip(time_ns: i64, device: u32, power_w in reading(), busy in reading()) {
            let sample = Sample { time_ns, device, phase: "soak".into(), power_w, busy, ..Sample::default() };
            let record = Record::Sample(sample);
            prop_assert_eq!(record_from_wire(&record_to_wire(&record)), Ok(record));
        }

        #[test]
        fn any_bytes_are_refused_or_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let batch = v1::Batch { records: bytes, ..v1::Batch::default() };
            let _ = records_from_batch(&batch);
        }

        #[test]
        fn a_batch_with_wrong_bytes_is_refused_or_read_without_panic(
            places in prop::collection::vec((any::<prop::sample::Index>(), 1u8..), 1..6),
        ) {
            let mut histogram = LatencyHistogram::default();
            histogram.record(1_234, 99);
            let latency = Latency { peer: "b".into(), histogram, ..latency_of_nobody() };
            let mut bytes = records_to_bytes(&[
                Record::Sample(Sample { phase: "soak".into(), ..Sample::default() }),
                Record::Latency(latency),
            ]);
            for (place, flip) in places {
                let at = place.index(bytes.len());
                bytes[at] ^= flip;
            }
            let batch = v1::Batch { records: bytes, ..v1::Batch::default() };
            let _ = records_from_batch(&batch);
        }
    }

    fn latency_of_nobody() -> Latency {
        Latency {
            from_ns: 1,
            to_ns: 2,
            phase: "rtt".into(),
            peer: "".into(),
            loaded: false,
            lost: 0,
            histogram: LatencyHistogram::default(),
        }
    }

    #[test]
    fn a_value_that_is_no_number_is_a_failed_reading() {
        let wire = reading_to_wire(Reading::Value(f64::NAN));
        assert_eq!(reading_from_wire(wire.as_ref()), Reading::Absent(Absence::Failed));
    }

    #[test]
    fn the_rarer_records_round_trip() {
        let mut histogram = LatencyHistogram::default();
        histogram.record(1_234, 99);
        let records = [
            Record::Latency(Latency {
                from_ns: 1,
                to_ns: 2,
                phase: "rtt".into(),
                peer: "b".into(),
                loaded: true,
                lost: 3,
                histogram: histogram.clone(),
            }),
            Record::Collective(CollectiveWindow {
                from_ns: 1,
                to_ns: 2,
                phase: "c".into(),
                op: CollectiveOp::ReduceScatter,
                over: Transport::Nccl,
                bytes: 4,
                rank: 0,
                world_size: 2,
                operations: 1,
                wrong: 0,
                durations: histogram,
            }),
            Record::Event(Event {
                time_ns: 5,
                kind: EventKind::Sdc,
                phase: "h".into(),
                device: Some(0),
                core: Some(1),
                injected: true,
                text: "bits".into(),
            }),
            Record::Loss(Loss {
                time_ns: 1,
                instance: String::new(),
                from_seq: 2,
                to_seq: 3,
                records: 4,
                why: "full".into(),
            }),
            Record::Checksum(Checksum {
                time_ns: 1,
                device: 3,
                phase: "h".into(),
                key: "bf16 on a card".into(),
                value: u64::MAX - 1,
            }),
            Record::Ports(PortCounts {
                time_ns: -3,
                span_ns: 9,
                phase: "h".into(),
                ports: vec!["mlx5_0/1".into(), "tcp".into()],
                grown: vec![PortCount {
                    port: "mlx5_0/1".into(),
                    counter: "symbol_error".into(),
                    count: u64::MAX,
                }],
            }),
        ];
        for record in records {
            assert_eq!(record_from_wire(&record_to_wire(&record)), Ok(record));
        }
    }
}
