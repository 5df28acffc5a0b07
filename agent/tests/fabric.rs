//! The data plane as its caller sees it: ranks are threads, the wire is loopback.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use agent::fabric::clock::now_ns;
use agent::fabric::endpoint::EndpointConfig;
use agent::fabric::hello::{Hello, Purpose, TOKEN_BYTES, Token};
use agent::fabric::ring::RingInjection;
use agent::fabric::socket::Tuning;
use agent::fabric::tcp::TcpFabric;
use agent::fabric::{
    Fabric, FabricCommand, FabricOrder, FabricReport, PeerAddress, ProbePlan, Traffic,
};
use model::id::NodeName;

const TOKEN: Token = Token([3; TOKEN_BYTES]);
/// Long enough for a machine that is busy with other tests.
const STALL_NS: u64 = 5_000_000_000;
const WAIT: Duration = Duration::from_secs(60);

struct Rank {
    fabric: Arc<TcpFabric>,
    commands: Sender<FabricCommand>,
    reports: Receiver<FabricReport>,
    thread: JoinHandle<()>,
}

impl Rank {
    fn start() -> Self {
        let listen = "127.0.0.1:0".parse().unwrap();
        let tuning = Tuning { source_port_base: Some(41_000), ..Tuning::default() };
        let config = EndpointConfig { listen, token: TOKEN, tuning, stall_ns: STALL_NS };
        let fabric = Arc::new(TcpFabric::bind(config).unwrap());
        let (commands, inbox) = channel();
        let (outbox, reports) = channel();
        let runs = Arc::clone(&fabric);
        let thread = std::thread::spawn(move || runs.run(inbox, outbox));
        Self { fabric, commands, reports, thread }
    }

    /// Everything said until idle.
    fn until_idle(&self) -> Vec<FabricReport> {
        let mut said = Vec::new();
        loop {
            let report = self.reports.recv_timeout(WAIT).expect("neither idle nor failed");
            if matches!(report, FabricReport::Idle { .. }) {
                return said;
            }
            said.push(report);
        }
    }

    fn end(self) {
        drop(self.commands);
        self.thread.join().unwrap();
    }
}

fn world(size: u32) -> Vec<Rank> {
    (0..size).map(|_| Rank::start()).collect()
}

fn name(rank: usize) -> NodeName {
    NodeName(format!("n{rank}"))
}

fn order_of(ranks: &[Rank], rank: usize, traffic: Traffic, millis: u64) -> FabricOrder {
    let start_ns = now_ns() + 50_000_000;
    let peers = (0..ranks.len())
        .filter(|other| *other != rank)
        .map(|other| PeerAddress {
            rank: other as u32,
            node: name(other),
            address: ranks[other].fabric.address(),
        })
        .collect();
    FabricOrder {
        epoch: 1,
        phase: "test".into(),
        start_ns,
        end_ns: start_ns + millis * 1_000_000,
        duration_ns: millis * 1_000_000,
        rank: rank as u32,
        world_size: ranks.len() as u32,
        peers,
        leaves: vec![(0..ranks.len()).collect()],
        traffic,
        probe: None,
    }
}

fn begin(ranks: &[Rank], change: impl Fn(&mut FabricOrder), traffic: Traffic, millis: u64) {
    for (rank, seat) in ranks.iter().enumerate() {
        let mut order = order_of(ranks, rank, traffic, millis);
        change(&mut order);
        seat.commands.send(FabricCommand::Begin(order)).unwrap();
    }
}

fn failures(reports: &[FabricReport]) -> Vec<&FabricReport> {
    reports.iter().filter(|report| matches!(report, FabricReport::Failed { .. })).collect()
}

/// Operations and wrong operations of all windows.
fn operations(reports: &[FabricReport]) -> (u64, u64) {
    reports.iter().fold((0, 0), |(all, bad), report| match report {
        FabricReport::Collective { operations, wrong, durations, .. } => {
            assert_eq!(durations.count(), *operations);
            (all + operations, bad + wrong)
        }
        _ => (all, bad),
    })
}

#[test]
fn all_reduce_is_right_for_any_world_and_size_and_all_ranks_stop_together() {
    for size in [2, 3, 4, 5] {
        for bytes in [4, 12, 4 * 1_001, 4 * 100_003, 5 << 20] {
            let ranks = world(size);
            begin(&ranks, |_| (), Traffic::AllReduce { bytes, inject: None }, 60);
            let all: Vec<_> = ranks.iter().map(Rank::until_idle).collect();
            for reports in &all {
                assert!(failures(reports).is_empty(), "{size} {bytes} {reports:?}");
                let (count, wrong) = operations(reports);
                assert_eq!((count, wrong), (operations(&all[0]).0, 0), "{size} {bytes}");
                assert!(count > 0);
            }
            ranks.into_iter().for_each(Rank::end);
        }
    }
}

#[test]
fn an_injected_error_is_found_by_every_rank() {
    let ranks = world(3);
    let injects = |order: &mut FabricOrder| {
        let inject = (order.rank == 1).then_some(RingInjection { operation: 2 });
        order.traffic = Traffic::AllReduce { bytes: 400_000, inject };
    };
    begin(&ranks, injects, Traffic::ProbeOnly, 100);
    for (rank, reports) in ranks.iter().map(Rank::until_idle).enumerate() {
        assert_eq!(operations(&reports).1, 1);
        let wrong = reports.iter().find_map(|report| match report {
            FabricReport::Wrong { operation, elements, injected, .. } => {
                Some((*operation, *elements, *injected))
            }
            _ => None,
        });
        assert_eq!(wrong, Some((2, 1, rank == 1)));
    }
    ranks.into_iter().for_each(Rank::end);
}

#[test]
fn a_peer_that_dies_is_a_report_and_not_a_hang() {
    let mut ranks = world(3);
    begin(&ranks, |_| (), Traffic::AllReduce { bytes: 1 << 20, inject: None }, 600_000);
    std::thread::sleep(Duration::from_millis(300));
    ranks.remove(2).end();
    for rank in &ranks {
        assert_eq!(failures(&rank.until_idle()).len(), 1);
    }
    ranks.into_iter().for_each(Rank::end);
}

#[test]
fn a_peer_that_never_comes_is_a_report() {
    let ranks = world(2);
    let mut order = order_of(&ranks, 0, Traffic::AllReduce { bytes: 64, inject: None }, 100);
    // Nobody listens on the discard port.
    order.peers[0].address = "127.0.0.1:9".parse().unwrap();
    ranks[0].commands.send(FabricCommand::Begin(order)).unwrap();
    assert_eq!(failures(&ranks[0].until_idle()).len(), 1);
    ranks.into_iter().for_each(Rank::end);
}

#[test]
fn stop_ends_at_once_without_a_failure() {
    let ranks = world(2);
    begin(&ranks, |_| (), Traffic::AllReduce { bytes: 1 << 20, inject: None }, 600_000);
    std::thread::sleep(Duration::from_millis(200));
    for rank in &ranks {
        rank.commands.send(FabricCommand::Stop).unwrap();
    }
    for rank in &ranks {
        let reports = rank.until_idle();
        assert!(failures(&reports).is_empty(), "{reports:?}");
    }
    ranks.into_iter().for_each(Rank::end);
}

#[test]
fn pairs_report_every_direction_with_the_tuple_really_used() {
    let worlds =
        [(2, 1, false, false), (3, 2, true, false), (4, 3, false, false), (3, 1, false, true)];
    for (size, streams, both_ways, quiet) in worlds {
        let ranks = world(size);
        let traffic = Traffic::Pairs { bytes: 3_000_001, streams, both_ways, quiet };
        begin(&ranks, |_| (), traffic, 3_000);
        let mut directions = Vec::new();
        for (rank, reports) in ranks.iter().map(Rank::until_idle).enumerate() {
            assert!(failures(&reports).is_empty(), "{reports:?}");
            for report in reports {
                let FabricReport::Transfer { peer, source_port, dest_port, bytes, .. } = &report
                else {
                    panic!("{report:?}")
                };
                assert!(*bytes > 0 && *source_port > 0, "{report:?}");
                let FabricReport::Transfer { seconds, congestion, retransmits, .. } = &report
                else {
                    unreachable!()
                };
                assert!(*seconds > 0.0 && !congestion.is_empty());
                assert!(retransmits.value().is_some());
                let named = (0..size as usize).find(|other| name(*other) == *peer).unwrap();
                assert_eq!(*dest_port, ranks[named].fabric.address().port());
                directions.push((rank, named));
            }
        }
        directions.sort_unstable();
        directions.dedup();
        assert_eq!(directions.len() as u32, size * (size - 1));
        ranks.into_iter().for_each(Rank::end);
    }
}

#[test]
fn a_transfer_that_never_ends_is_counted_when_its_slot_does() {
    let ranks = world(2);
    let bytes = 1 << 50;
    let traffic = Traffic::Pairs { bytes, streams: 2, both_ways: true, quiet: false };
    begin(&ranks, |_| (), traffic, 2_000);
    for reports in ranks.iter().map(Rank::until_idle) {
        assert!(failures(&reports).is_empty(), "{reports:?}");
        let counted = reports.iter().filter_map(|report| match report {
            FabricReport::Transfer { bytes, seconds, .. } => Some((*bytes, *seconds)),
            _ => None,
        });
        let counted: Vec<_> = counted.collect();
        assert!(!counted.is_empty(), "{reports:?}");
        for (bytes, seconds) in counted {
            assert!(bytes > 0 && (0.0..2.0).contains(&seconds), "{bytes} in {seconds} s");
        }
    }
    ranks.into_iter().for_each(Rank::end);
}

#[test]
fn a_partner_that_never_comes_is_missed_slot_by_slot_and_named_at_the_end() {
    let ranks = world(2);
    let traffic = Traffic::Pairs { bytes: 1000, streams: 1, both_ways: true, quiet: false };
    let order = order_of(&ranks, 0, traffic, 4_000);
    ranks[0].commands.send(FabricCommand::Begin(order)).unwrap();
    let reports = ranks[0].until_idle();
    let missed = reports.iter().filter(|report| matches!(report, FabricReport::Missed { .. }));
    assert_eq!(missed.count(), 4, "{reports:?}");
    let failures = failures(&reports);
    assert_eq!(failures.len(), 1, "{failures:?}");
    assert!(format!("{failures:?}").contains("in none of 4 slots"), "{failures:?}");
    ranks.into_iter().for_each(Rank::end);
}

#[test]
fn probes_run_beside_traffic_and_none_is_forgotten() {
    let ranks = world(3);
    for (epoch, spin) in [(1, false), (2, true)] {
        let change = |order: &mut FabricOrder| {
            order.epoch = epoch;
            order.probe = Some(ProbePlan { interval_ns: 2_000_000, loaded: true, spin });
        };
        begin(&ranks, change, Traffic::AllReduce { bytes: 1 << 16, inject: None }, 400);
        for reports in ranks.iter().map(Rank::until_idle) {
            assert!(failures(&reports).is_empty(), "{reports:?}");
            let seen: Vec<_> = reports
                .iter()
                .filter_map(|report| match report {
                    FabricReport::Latency { lost, histogram, loaded: true, .. } => {
                        Some((histogram.count(), *lost))
                    }
                    _ => None,
                })
                .collect();
            assert_eq!(seen.len(), 2);
            // A probe that is due is answered or lost; how many are due depends on the
            // instant at which a busy machine let us begin.
            let all: u64 = seen.iter().map(|(count, lost)| count + lost).sum();
            assert!((1..=200).contains(&all), "{seen:?}");
        }
    }
    ranks.into_iter().for_each(Rank::end);
}

#[test]
fn a_stranger_is_refused_and_counted_and_the_traffic_goes_on() {
    let ranks = world(2);
    begin(&ranks, |_| (), Traffic::AllReduce { bytes: 4096, inject: None }, 300);
    let mut stranger = TcpStream::connect(ranks[0].fabric.address()).unwrap();
    let hello = Hello { epoch: 1, rank: 1, purpose: Purpose::Ring };
    stranger.write_all(&[hello.encode(&[4; 32]).as_slice(), &[5; 32]].concat()).unwrap();
    let reports = ranks[0].until_idle();
    assert!(failures(&reports).is_empty());
    let refused = reports.iter().find_map(|report| match report {
        FabricReport::Refused { count, from, .. } => Some((*count, from.is_loopback())),
        _ => None,
    });
    assert_eq!(refused, Some((1, true)));
    ranks.into_iter().for_each(Rank::end);
}
