//! The CPU as a load: one pinned thread for each core, every block checked bit by bit.
//!
//! From the inside out: [`fma`], [`stream`] and [`mix`] are the logical blocks, the same
//! bits on every instruction set; [`block`] runs one and checks it against the constants of
//! [`expected`] and against the core's first; [`core`] serves a [`super::programme`] of orders with
//! them; [`run`] owns the threads and [`report`] gathers what they say.

mod block;
mod buffer;
mod clock;
mod core;
mod expected;
mod fma;
mod isa;
mod mix;
mod pattern;
mod report;
mod run;
mod stream;
mod topology;

use std::sync::mpsc::{Receiver, Sender};

use super::{Device, Hardware, LoadCommand, LoadReport, Sensed};

/// Reads the sensors of a device.
pub type Sense = Box<dyn Fn(u32) -> Sensed + Send + Sync>;

/// The processors of this machine: one device for each NUMA node.
pub struct CpuHardware {
    devices: Vec<Device>,
    sense: Sense,
    /// Most bytes that a core streams through.
    buffer_bytes_max: u64,
}

impl CpuHardware {
    /// The given cores, in the kernel's numbering, as one device for each NUMA node that
    /// they lie on. `sense` is asked with a device's index.
    #[must_use]
    pub fn new(cores: &[u32], sense: Sense) -> Self {
        let model = topology::model();
        let device = |(index, cores)| Device {
            index,
            kind: "cpu".to_owned(),
            model: model.clone(),
            cores,
            uuid: None,
            power_limit_mw: None,
        };
        let devices = (0..).zip(topology::by_node(cores)).map(device).collect();
        Self { devices, sense, buffer_bytes_max: buffer::BYTES_PER_CORE_MAX }
    }

    /// The instructions that the kernels will use here: `avx512f`, `avx2+fma` or `portable`.
    #[must_use]
    pub fn instructions() -> &'static str {
        isa::Isa::best().word()
    }
}

impl Hardware for CpuHardware {
    fn devices(&self) -> Vec<Device> {
        self.devices.clone()
    }

    fn sense(&self, device: u32) -> Sensed {
        (self.sense)(device)
    }

    fn run(&self, device: u32, commands: Receiver<LoadCommand>, reports: Sender<LoadReport>) {
        let Some(device) = self.devices.get(device as usize) else {
            tracing::error!(device, "no such device: nothing runs");
            return;
        };
        run::run(&device.cores, self.buffer_bytes_max, &commands, reports);
    }
}

#[cfg(test)]
mod tests;
