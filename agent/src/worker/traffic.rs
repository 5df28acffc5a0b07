//! Pipe messages to and from the fabric port. Instants stay CLOCK_MONOTONIC.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use model::NodeName;
use model::record::{CollectiveWindow, Event, EventKind, Latency, Record, Transfer};
use proto::convert::record_to_wire;
use proto::v1;

use crate::fabric::endpoint::{EndpointConfig, STALL_NS};
use crate::fabric::hello::Token;
use crate::fabric::socket::Tuning;
use crate::fabric::{FabricCommand, FabricOrder, FabricReport, PeerAddress, ProbePlan, Traffic};

/// A probe every millisecond, to the peers in turn: 10^4 samples, what a p99.9 needs, in
/// ten seconds, and a load of its own below a thousandth of a core.
const PROBE_INTERVAL_NS: u64 = 1_000_000;

/// In a quiet sweep the flows that are measured are to be alone.
const QUIET_INTERVAL_NS: u64 = 20_000_000;

/// Where to listen, when the command says so.
pub(super) fn endpoint(
    command: &v1::worker_command::Kind,
) -> Option<Result<EndpointConfig, String>> {
    let v1::worker_command::Kind::Listen(listen) = command else { return None };
    let config = || {
        let address: SocketAddr =
            listen.address.parse().map_err(|_| format!("{:?} is no address", listen.address))?;
        let token = listen.data_token.as_slice().try_into().map_err(|_| "a token has 32 bytes")?;
        let congestion = Some(listen.congestion.clone()).filter(|name| !name.is_empty());
        let source_port_base = u16::try_from(listen.source_port_base).ok().filter(|port| *port > 0);
        Ok(EndpointConfig {
            listen: address,
            token: Token(token),
            tuning: Tuning { congestion, buffer_bytes: None, source_port_base },
            stall_ns: STALL_NS,
        })
    };
    Some(config())
}

/// An order for the data plane; `None` for commands of devices and for nonsense.
pub(super) fn command(command: &v1::worker_command::Kind) -> Option<FabricCommand> {
    use v1::worker_command::Kind;
    match command {
        Kind::Traffic(order) => traffic_order(order).map(FabricCommand::Begin),
        Kind::Drop(_) => Some(FabricCommand::Stop),
        Kind::Load(_)
        | Kind::Ramp(_)
        | Kind::Scale(_)
        | Kind::Power(_)
        | Kind::Time(_)
        | Kind::Lease(_)
        | Kind::Mix(_)
        | Kind::Listen(_)
        | Kind::NewId(_) => None,
    }
}

fn traffic_order(order: &v1::WorkerTraffic) -> Option<FabricOrder> {
    let peers: Option<Vec<PeerAddress>> = order
        .peers
        .iter()
        .filter(|peer| peer.rank != order.rank)
        .map(|peer| {
            let address = peer.data_address.parse().ok()?;
            Some(PeerAddress { rank: peer.rank, node: NodeName(peer.node.clone()), address })
        })
        .collect();
    use v1::phase_traffic::Kind;
    let traffic = match order.traffic.as_ref()?.kind.as_ref()? {
        Kind::Collective(collective) => {
            Traffic::AllReduce { bytes: collective.bytes, inject: None }
        }
        Kind::Pairs(pairs) => Traffic::Pairs {
            bytes: pairs.bytes,
            streams: pairs.streams,
            both_ways: pairs.both_ways,
            quiet: pairs.quiet,
        },
        Kind::ProbesOnly(_) => Traffic::ProbeOnly,
    };
    let quiet = matches!(traffic, Traffic::Pairs { quiet: true, .. });
    let interval_ns = if quiet { QUIET_INTERVAL_NS } else { PROBE_INTERVAL_NS };
    let probe = Some(ProbePlan { interval_ns, loaded: order.loaded, spin: false });
    Some(FabricOrder {
        epoch: order.epoch,
        phase: order.phase.clone(),
        start_ns: order.start_ns,
        end_ns: order.end_ns,
        duration_ns: order.duration_ns,
        rank: order.rank,
        world_size: order.world_size,
        peers: peers?,
        leaves: leaves(&order.peers),
        traffic,
        probe,
    })
}

/// Ranks by leaf. Where one leaf is not known none is: then nobody knows who shares an
/// uplink with whom, and all are of one group.
fn leaves(peers: &[v1::Peer]) -> Vec<Vec<usize>> {
    let known = peers.iter().all(|peer| peer.leaf > 0);
    let mut leaves: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for peer in peers {
        leaves.entry(if known { peer.leaf } else { 0 }).or_default().push(peer.rank as usize);
    }
    leaves.into_values().collect()
}

/// A report as it goes over the pipe.
pub(super) fn report(report: FabricReport) -> v1::WorkerReport {
    use v1::worker_report::Kind;
    let kind = match report {
        FabricReport::Idle { at_ns } => Kind::Idle(v1::WorkerIdle { at_ns }),
        other => Kind::Record(record_to_wire(&record(other))),
    };
    v1::WorkerReport { kind: Some(kind) }
}

fn record(report: FabricReport) -> Record {
    match report {
        FabricReport::Collective {
            from_ns,
            to_ns,
            phase,
            op,
            over,
            bytes,
            rank,
            world_size,
            operations,
            wrong,
            durations,
        } => Record::Collective(CollectiveWindow {
            from_ns: from_ns as i64,
            to_ns: to_ns as i64,
            phase,
            op,
            over,
            bytes,
            rank,
            world_size,
            operations,
            wrong,
            durations,
        }),
        FabricReport::Transfer {
            at_ns,
            phase,
            round,
            peer,
            source_port,
            dest_port,
            seconds,
            bytes,
            streams,
            both_ways,
            retransmits,
            congestion,
            via,
        } => Record::Transfer(Transfer {
            time_ns: at_ns as i64,
            phase,
            round,
            peer,
            source_port: u32::from(source_port),
            dest_port: u32::from(dest_port),
            seconds,
            bytes,
            streams,
            both_ways,
            retransmits,
            congestion,
            via: via.map(|hops| hops.iter().map(ToString::to_string).collect()),
        }),
        FabricReport::Latency { from_ns, to_ns, phase, peer, loaded, lost, histogram } => {
            let (from_ns, to_ns) = (from_ns as i64, to_ns as i64);
            Record::Latency(Latency { from_ns, to_ns, phase, peer, loaded, lost, histogram })
        }
        other => Record::Event(happening(other)),
    }
}

fn happening(report: FabricReport) -> Event {
    let event = |at_ns: u64, kind, phase, injected, text| Event {
        time_ns: at_ns as i64,
        kind,
        phase,
        device: None,
        core: None,
        injected,
        text,
    };
    match report {
        FabricReport::Wrong { at_ns, phase, operation, elements, injected } => {
            let text = format!("operation {operation}: {elements} wrong elements");
            event(at_ns, EventKind::CollectiveWrong, phase, injected, text)
        }
        FabricReport::Refused { at_ns, count, from } => {
            let text = format!("{count} connections from {from} without this run's token");
            event(at_ns, EventKind::DataPlaneRefused, String::new(), false, text)
        }
        FabricReport::Missed { at_ns, phase, round, peer, text } => {
            let text = format!("{peer}: round {round}: {text}");
            event(at_ns, EventKind::TransferMissed, phase, false, text)
        }
        FabricReport::Failed { at_ns, phase, text, peer } => {
            let text = match peer {
                Some(peer) => format!("{peer}: {text}"),
                None => text,
            };
            event(at_ns, EventKind::DataPlaneFailed, phase, false, text)
        }
        // The others are records of their own.
        _ => event(0, EventKind::Note, String::new(), false, String::new()),
    }
}
