//! The `Fabric` port: traffic between nodes, and how long an answer takes.
//!
//! Owns the contract between the agent and a kind of network. `run` is only ever called in
//! a worker process, which may be killed at any instant. All instants are CLOCK_MONOTONIC
//! nanoseconds of this machine; who stores a report converts them.

pub mod clock;
pub mod collective;
pub mod endpoint;
pub mod error;
pub mod hello;
pub mod layout;
pub mod listener;
pub mod nccl;
pub mod operand;
pub mod pair;
pub mod path;
pub mod patience;
pub mod probe;
pub mod progress;
pub mod ring;
pub mod schedule;
pub mod socket;
pub mod sums;
pub mod tcp;

use std::net::{IpAddr, SocketAddr};
use std::sync::mpsc::{Receiver, Sender};

use model::collective::{CollectiveOp, Transport};
use model::histogram::LatencyHistogram;
use model::id::NodeName;
use model::reading::Reading;

use path::Hops;
use ring::RingInjection;

/// Another rank, and where it listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerAddress {
    pub rank: u32,
    pub node: NodeName,
    pub address: SocketAddr,
}

/// One phase's traffic, the same on all ranks but for `rank`, `peers` and clocks.
#[derive(Debug, Clone, PartialEq)]
pub struct FabricOrder {
    /// Tells the connections of one order from those of another: the same number on all
    /// ranks, never used twice in a run.
    pub epoch: u32,
    /// Name of the phase, for the reports.
    pub phase: String,
    pub start_ns: u64,
    pub end_ns: u64,
    /// Length by the plan, the same number on all ranks: what is counted off is counted off
    /// alike everywhere, whatever the clocks drift.
    pub duration_ns: u64,
    pub rank: u32,
    pub world_size: u32,
    /// All ranks but this one, or those near to it where the traffic needs no others.
    pub peers: Vec<PeerAddress>,
    /// The ranks of each leaf, this one's included; a single group where leaves aren't known.
    pub leaves: Vec<Vec<usize>>,
    pub traffic: Traffic,
    /// Round-trip probes beside the traffic, on connections and a thread of their own.
    pub probe: Option<ProbePlan>,
}

impl FabricOrder {
    /// The peer with a rank.
    #[must_use]
    pub fn peer(&self, rank: u32) -> Option<&PeerAddress> {
        self.peers.iter().find(|peer| peer.rank == rank)
    }
}

/// What to send.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Traffic {
    /// Sum of `f32` over all ranks, again and again until the end, every element checked.
    AllReduce {
        /// Bytes of the operand: a multiple of 4.
        bytes: u64,
        /// Hidden: corrupt a result to prove that the check works.
        inject: Option<RingInjection>,
    },
    /// Every pair in turn; see [`schedule::Timetable`].
    Pairs {
        /// Bytes of one transfer, all streams together; a transfer also ends with its slot.
        bytes: u64,
        streams: u32,
        /// Both directions at once; otherwise each direction has a slot of its own.
        both_ways: bool,
        /// No two flows on one uplink of a leaf, by [`FabricOrder::leaves`].
        quiet: bool,
    },
    /// Nothing but probes.
    ProbeOnly,
}

/// Round-trip probes of 64 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProbePlan {
    /// A probe every so many nanoseconds, to the peers in turn.
    pub interval_ns: u64,
    /// Whether devices or traffic are loaded meanwhile; only passed on.
    pub loaded: bool,
    /// Burn a core instead of sleeping: shortest times, no wake-up in them.
    pub spin: bool,
}

/// What a worker is told. Orders queue: the next begins when the one before has ended.
#[derive(Debug, Clone, PartialEq)]
pub enum FabricCommand {
    Begin(FabricOrder),
    /// Silence at once; forgets queued orders.
    Stop,
}

/// What a worker says.
#[derive(Debug, Clone, PartialEq)]
pub enum FabricReport {
    /// About once a second, and once at the end.
    Collective {
        from_ns: u64,
        to_ns: u64,
        phase: String,
        op: CollectiveOp,
        over: Transport,
        bytes: u64,
        rank: u32,
        world_size: u32,
        operations: u64,
        /// Operations with a wrong element.
        wrong: u64,
        durations: LatencyHistogram,
    },
    /// An operation's result was wrong. At most [`WRONG_REPORTED_MAX`] a window.
    Wrong { at_ns: u64, phase: String, operation: u64, elements: u64, injected: bool },
    /// One directed transfer, said by the sender; counted by the receiver.
    Transfer {
        at_ns: u64,
        phase: String,
        round: u32,
        peer: NodeName,
        /// The tuple of stream 0 as the kernel really used it.
        source_port: u16,
        dest_port: u16,
        /// The measured part: warm-up excluded, and only while all streams (and with
        /// `both_ways` both directions) were active.
        seconds: f64,
        bytes: u64,
        streams: u32,
        both_ways: bool,
        retransmits: Reading<u64>,
        congestion: String,
        /// Addresses of the routers that carried it, where they said so.
        via: Option<Hops>,
    },
    /// Two that should have met in a slot did not: not measured, and nobody's fault yet.
    Missed { at_ns: u64, phase: String, round: u32, peer: NodeName, text: String },
    /// Round trips to one peer, from the intended send time.
    Latency {
        from_ns: u64,
        to_ns: u64,
        phase: String,
        peer: NodeName,
        loaded: bool,
        lost: u64,
        histogram: LatencyHistogram,
    },
    /// Strangers at the door since the last report.
    Refused { at_ns: u64, count: u64, from: IpAddr },
    /// Something failed; whose end of it is known when `peer` is.
    Failed { at_ns: u64, phase: String, text: String, peer: Option<NodeName> },
    /// No order runs or waits.
    Idle { at_ns: u64 },
}

/// A broken adder is wrong in every operation: enough to see the pattern, not to flood.
pub const WRONG_REPORTED_MAX: u64 = 4;

/// A kind of network. One of three ports; implementations: `tcp`, and beside
/// it `nccl` for collectives between GPUs, a process a job.
pub trait Fabric: Send + Sync {
    /// Where peers reach this node.
    fn address(&self) -> SocketAddr;

    /// Runs orders until `commands` closes, then returns (silent).
    /// Called in a worker process only.
    fn run(&self, commands: Receiver<FabricCommand>, reports: Sender<FabricReport>);
}
