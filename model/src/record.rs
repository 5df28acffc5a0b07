//! Records: what agents (and simulated halls, and other people's tables) say.
//!
//! Times are nanoseconds since the Unix epoch on the clock of whoever recorded; a
//! [`Records`] envelope says whose that is and how far it lies from the coordinator's.

use crate::collective::{CollectiveOp, Transport};
use crate::gauge::Gauge;
use crate::histogram::LatencyHistogram;
use crate::id::NodeName;
use crate::load::Kernel;
use crate::reading::Reading;

/// Records of one batch of one life of one agent.
#[derive(Debug, Clone, PartialEq)]
pub struct Records {
    pub node: NodeName,
    /// The agent instance that said it.
    pub instance: String,
    /// The kernel's boot id at that time.
    pub boot_id: String,
    /// Position in the instance's stream, from 1 without holes.
    pub seq: u64,
    pub records: Vec<Record>,
}

/// One thing said.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    Sample(Sample),
    Work(Work),
    Start(Start),
    Event(Event),
    Latency(Latency),
    Transfer(Transfer),
    Collective(CollectiveWindow),
    Loss(Loss),
    Meter(MeterReading),
    Checksum(Checksum),
    Health(Health),
    Ports(PortCounts),
}

/// What one device felt over one interval.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sample {
    /// End of the interval.
    pub time_ns: i64,
    pub device: u32,
    /// Name of the phase, empty outside of phases.
    pub phase: String,
    /// Mean over the interval, in watts.
    pub power_w: Reading<f64>,
    pub temp_c: Reading<f64>,
    pub clock_mhz: Reading<f64>,
    /// Share of the device's cores that were busy, 0..=1, by the kernel's own count.
    pub busy: Reading<f64>,
    /// What only a GPU feels; `None` for a CPU.
    pub gpu: Option<Box<GpuSample>>,
}

/// What a GPU's driver says beside power, temperature and clock. Counters count since
/// whenever: only their differences mean anything.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct GpuSample {
    pub mem_temp_c: Reading<f64>,
    /// Kelvin to the nearest temperature at which the card slows down.
    pub margin_c: Reading<f64>,
    /// The limit in force, in watts, by whomever it was set.
    pub power_limit_w: Reading<f64>,
    /// Energy counter, in joules.
    pub energy_j: Reading<f64>,
    /// Counters of seconds by reason of a lowered clock.
    pub sw_power_cap_s: Reading<f64>,
    pub sw_thermal_s: Reading<f64>,
    pub hw_thermal_s: Reading<f64>,
    pub power_brake_s: Reading<f64>,
    /// NVML's bit mask, unknown bits included.
    pub clock_event_reasons: Reading<u64>,
    /// Counter of uncorrectable memory errors.
    pub ecc_uncorrected: Reading<u64>,
    /// An Xid that the driver reported at this instant.
    pub xid: Option<u64>,
}

/// Slow counters and states of one device, each a value or a reason why not.
#[derive(Debug, Clone, PartialEq)]
pub struct Health {
    pub time_ns: i64,
    pub device: u32,
    pub phase: String,
    pub gauges: Vec<(Gauge, Reading<f64>)>,
}

/// What one device's load did over one window.
#[derive(Debug, Clone, PartialEq)]
pub struct Work {
    pub from_ns: i64,
    pub to_ns: i64,
    pub device: u32,
    pub phase: String,
    pub kernel: Kernel,
    /// Mean of the commanded level over the window, 0..=1.
    pub level: f64,
    /// Core-nanoseconds in the kernel.
    pub busy_ns: u64,
    /// Cores that worked.
    pub cores: u32,
    pub flops: f64,
    pub bytes: f64,
    pub blocks: u64,
    /// Blocks whose result was compared; equal to `blocks` unless something is broken.
    pub verified: u64,
    pub mismatches: u64,
}

/// When a device's load really started.
#[derive(Debug, Clone, PartialEq)]
pub struct Start {
    pub phase: String,
    pub device: u32,
    /// The instant that the agent was told, on its clock.
    pub intended_ns: i64,
    /// When the first block began, on the same clock.
    pub actual_ns: i64,
    /// Half-width of the coordinator's claim about this agent's clock.
    pub claimed_error_ns: u64,
}

/// Something happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub time_ns: i64,
    pub kind: EventKind,
    pub phase: String,
    pub device: Option<u32>,
    pub core: Option<u32>,
    /// Provoked by an injection switch.
    pub injected: bool,
    /// What a person should read.
    pub text: String,
}

/// The kinds of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventKind {
    /// A block's result had other bits than it must have.
    Sdc,
    /// A worker process ended though nobody asked it to.
    WorkerDied,
    /// The guard dropped a device.
    GuardTrip,
    /// A lease ran out and the load was ramped down.
    LeaseLost,
    /// A sensor that could be read no longer can.
    SensorLost,
    /// A sensor that this machine never had, said once.
    SensorAbsent,
    /// Other processes use the device.
    Busy,
    /// A stranger knocked at the data port and was refused.
    DataPlaneRefused,
    /// A transfer, probe or collective failed.
    DataPlaneFailed,
    /// Two that should have met in a slot of a pairs phase did not: not measured.
    TransferMissed,
    /// A collective's result was wrong.
    CollectiveWrong,
    /// The load reached idle after a stop.
    Idle,
    /// Free-standing information (kernel path chosen, congestion control, spool state).
    Note,
    /// An injection switch was on.
    Injection,
    /// A device is here and is not loaded: in use by others, partitioned, not understood.
    DeviceRefused,
    /// A device's driver gave up, or did not come back, with its number and words.
    DeviceFailed,
}

/// Latencies of one window between two nodes, recorded from the intended send time.
#[derive(Debug, Clone, PartialEq)]
pub struct Latency {
    pub from_ns: i64,
    pub to_ns: i64,
    pub phase: String,
    pub peer: NodeName,
    /// Whether devices or traffic were loaded in the window.
    pub loaded: bool,
    /// Probes that were due and got no answer in time.
    pub lost: u64,
    pub histogram: LatencyHistogram,
}

/// One directed transfer.
#[derive(Debug, Clone, PartialEq)]
pub struct Transfer {
    pub time_ns: i64,
    pub phase: String,
    pub round: u32,
    pub peer: NodeName,
    pub source_port: u32,
    pub dest_port: u32,
    pub seconds: f64,
    pub bytes: u64,
    pub streams: u32,
    pub both_ways: bool,
    pub retransmits: Reading<u64>,
    pub congestion: String,
    /// Addresses of the routers that carried it, in order; `None` where they did not say.
    pub via: Option<Vec<String>>,
}

/// A window of one collective, as one rank saw it.
#[derive(Debug, Clone, PartialEq)]
pub struct CollectiveWindow {
    pub from_ns: i64,
    pub to_ns: i64,
    pub phase: String,
    pub op: CollectiveOp,
    pub over: Transport,
    pub bytes: u64,
    pub rank: u32,
    pub world_size: u32,
    /// Operations that completed.
    pub operations: u64,
    /// Operations whose result had a wrong element.
    pub wrong: u64,
    /// Duration of each operation on this rank.
    pub durations: LatencyHistogram,
}

/// Records that were made and given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    pub time_ns: i64,
    /// The agent instance whose batches they were; empty for the one that says so.
    pub instance: String,
    /// First and last batch given up.
    pub from_seq: u64,
    pub to_seq: u64,
    pub records: u64,
    pub why: String,
}

/// What one device's results of one kernel add up to. Equal keys must have equal values on
/// every device: the fleet's vote names the one that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checksum {
    pub time_ns: i64,
    pub device: u32,
    pub phase: String,
    /// Everything that the bits depend on: kernel, image, model, seed, work, compiler.
    pub key: String,
    pub value: u64,
}

/// By how much the error counters of a node's network ports grew, over one phase.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PortCounts {
    /// End of the span, and its length.
    pub time_ns: i64,
    pub span_ns: u64,
    pub phase: String,
    /// Ports that were looked at, such as `mlx5_0/1` and `eth0`; `tcp` is the whole node's.
    pub ports: Vec<String>,
    /// Counters that grew; those that are not here stood still.
    pub grown: Vec<PortCount>,
}

/// One counter of one port that grew.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PortCount {
    pub port: String,
    /// The kernel's own name, such as `symbol_error`.
    pub counter: String,
    pub count: u64,
}

/// What the building says.
#[derive(Debug, Clone, PartialEq)]
pub struct MeterReading {
    pub time_ns: i64,
    pub domain: String,
    pub point: String,
    pub value: f64,
    pub unit: String,
    pub quality: String,
    pub clock_error_ms: Option<f64>,
}
