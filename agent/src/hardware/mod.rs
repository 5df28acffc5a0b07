//! The `Hardware` port: what makes heat, and what it feels.
//!
//! Owns the contract between the agent and a kind of device. The supervisor asks
//! `devices` and `sense`; `run` is only ever called in a worker process, which may be
//! killed at any instant.

pub mod cpu;
pub mod cuda;
pub mod node;
mod programme;
mod scale;

use std::sync::mpsc::{Receiver, Sender};

use model::gauge::Gauge;
use model::load::{Kernel, Waveform};
use model::reading::Reading;
use model::record::GpuSample;
use proto::v1;

use crate::time_base::TimeBase;

pub use scale::{Ceiling, Scale};

/// One device that can be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Index in its node, from 0.
    pub index: u32,
    /// `cpu` or `cuda`.
    pub kind: String,
    /// Model name as the hardware gives it.
    pub model: String,
    /// Logical cores of the device, in the kernel's numbering; of a GPU, those of its NUMA
    /// node that its host thread may use.
    pub cores: Vec<u32>,
    /// UUID of a GPU as its driver writes it (`GPU-8-4-4-4-12`); `None` for a CPU. What
    /// CUDA and NVML number differently is told apart by this, never by an ordinal.
    pub uuid: Option<String>,
    /// The power limit in force, where a driver says one.
    pub power_limit_mw: Option<u64>,
}

impl Device {
    /// Wire form.
    #[must_use]
    pub fn to_wire(&self) -> v1::Device {
        v1::Device {
            index: self.index,
            kind: self.kind.clone(),
            model: self.model.clone(),
            cores: self.cores.clone(),
            uuid: self.uuid.clone().unwrap_or_default(),
            power_limit_mw: self.power_limit_mw,
        }
    }

    /// From the wire.
    #[must_use]
    pub fn from_wire(wire: &v1::Device) -> Self {
        Self {
            index: wire.index,
            kind: wire.kind.clone(),
            model: wire.model.clone(),
            cores: wire.cores.clone(),
            uuid: Some(wire.uuid.clone()).filter(|uuid| !uuid.is_empty()),
            power_limit_mw: wire.power_limit_mw,
        }
    }
}

/// What a device feels now. Every field is a value or a reason why not.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sensed {
    pub power_w: Reading<f64>,
    pub temp_c: Reading<f64>,
    pub clock_mhz: Reading<f64>,
    /// Share of the device's cores that were busy since the last call, 0..=1.
    pub busy: Reading<f64>,
    /// What only a GPU says; `None` for a CPU.
    pub gpu: Option<Box<GpuSensed>>,
}

/// What a GPU's driver says beside power, temperature and clock.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct GpuSensed {
    pub sample: GpuSample,
    /// Slow figures; empty when it was not their turn.
    pub health: Vec<(Gauge, Reading<f64>)>,
    /// Processes that compute on it, ours among them; `None` when it was not their turn.
    pub processes: Option<Vec<u32>>,
    /// The driver gave the card up, in words.
    pub gone: Option<&'static str>,
    /// What became unmeasurable just now, in words.
    pub lost: Vec<String>,
}

/// A load with its start. Instants are CLOCK_MONOTONIC nanoseconds of this machine.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadOrder {
    pub kernel: Kernel,
    pub waveform: Waveform,
    /// The first block begins here; the waveform's time 0.
    pub start_ns: u64,
    /// The load ends here by itself (idle), unless another order begins first.
    pub end_ns: u64,
    /// Nanoseconds of the waveform's time gained per second, until a correction comes.
    pub drift_ppb: i64,
    /// Hidden: corrupt results to prove that the check works.
    pub inject: Option<Injection>,
    /// The scale with which a load that holds watts begins, 0..=1; `None` for all others.
    pub power_scale: Option<f64>,
}

/// Flip one bit of one block's result on one core, once after `after_blocks`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Injection {
    /// A core of a CPU, a tile of a GPU.
    pub core: u32,
    pub after_blocks: u64,
    /// Every block from the first on, the first right result of a GPU included: what only
    /// the fleet's vote can see.
    pub always: bool,
}

/// What a worker is told. Orders queue: each takes over at its own start.
#[derive(Debug, Clone, PartialEq)]
pub enum LoadCommand {
    Begin(LoadOrder),
    /// From the present level straight to zero over this time, then idle.
    Ramp {
        over_ns: u64,
    },
    /// Every level times this, of the present order and of those to come.
    Scale {
        to: f64,
        over_ns: u64,
        /// No level rises above where it is, until a scale without this.
        no_rise: bool,
    },
    /// The scale of the present order, if it holds watts: the lower of both scales counts.
    Power {
        to: f64,
        over_ns: u64,
    },
    /// Until when heat is allowed, on CLOCK_MONOTONIC, and over what it ends then.
    Lease {
        expires_ns: u64,
        ramp_ns: u64,
    },
    /// Tensor work of `mix`, per mille, from now on; what has no such share passes it over.
    Mix {
        per_mille: u32,
    },
    /// The time of the order that was to start at this instant.
    Time {
        start_ns: u64,
        base: TimeBase,
    },
    /// Idle at once.
    Drop,
}

/// What one core did in a window.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CoreWindow {
    pub core: u32,
    /// Nanoseconds inside kernels.
    pub busy_ns: u64,
    pub blocks: u64,
    pub verified: u64,
    pub mismatches: u64,
    /// Of `mismatches`, those that an injection made.
    pub injected: u64,
    /// Floating-point operations (an FMA counts two).
    pub flops: u64,
    /// Bytes read and written by streaming.
    pub bytes: u64,
}

/// What a worker says.
#[derive(Debug, Clone, PartialEq)]
pub enum LoadReport {
    /// The first block of an order began at `actual_ns` (latest core); where the waveform
    /// begins at zero, the instant at which the order took over.
    Started { intended_ns: u64, actual_ns: u64 },
    /// About once a second while an order runs, and once at its end.
    Window { kernel: Kernel, from_ns: u64, to_ns: u64, level: f64, cores: Vec<CoreWindow> },
    /// A block's result was wrong. At most [`MISMATCHES_REPORTED_MAX`] a core and window.
    Mismatch { at_ns: u64, kernel: Kernel, core: u32, injected: bool, detail: String },
    /// No block runs any more, and none will before the next `Begin`.
    Idle { at_ns: u64 },
    /// What a GPU's results add up to, once an order: equal keys must have equal values on
    /// every GPU of the fleet.
    Checksum { at_ns: u64, key: String, value: u64 },
    /// The device gives no load any more, with its driver's number; the process ends.
    /// `refused`: it was never loaded, for a reason around it rather than in it.
    Failed { at_ns: u64, code: i32, text: String, refused: bool },
    /// What the load itself measured of its device.
    Gauges { at_ns: u64, gauges: Vec<(Gauge, f64)> },
    /// Free-standing information, such as a kernel path that was passed over.
    Note { at_ns: u64, text: String },
}

/// A broken core mismatches in every block: enough to see the pattern, not to flood.
pub const MISMATCHES_REPORTED_MAX: u32 = 4;

/// A kind of device. One of three ports; implementation: `cpu`; a GPU has
/// no sensors of this port and runs through [`cuda::run`].
pub trait Hardware: Send + Sync {
    /// The devices that this agent may load.
    fn devices(&self) -> Vec<Device>;

    /// Reads a device's sensors. May block; the sampler calls it from a thread of its own.
    fn sense(&self, device: u32) -> Sensed;

    /// Runs orders on a device until `commands` closes, then returns (dropping the load).
    /// Called in a worker process only.
    fn run(&self, device: u32, commands: Receiver<LoadCommand>, reports: Sender<LoadReport>);
}
