//! All devices of a node: its GPUs first, then its processors.

use std::sync::mpsc::{Receiver, Sender};

use super::cpu::CpuHardware;
use super::{Device, Hardware, LoadCommand, LoadReport, Sensed};

/// Which devices an agent loads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum DeviceChoice {
    /// GPUs where there are any, else the CPU.
    Auto,
    Gpu,
    Cpu,
    All,
}

/// GPUs of index 0.. in the order of their PCI addresses, processors behind them.
pub struct NodeHardware {
    devices: Vec<Device>,
    gpus: u32,
    cpu: CpuHardware,
}

impl NodeHardware {
    /// Picks the devices. `cores` are those of the agent: the host threads of a GPU whose
    /// NUMA node the kernel does not tell may use all of them.
    #[must_use]
    pub fn compose(
        choice: DeviceChoice,
        gpus: Vec<Device>,
        cpu: CpuHardware,
        cores: &[u32],
    ) -> Self {
        let gpus: Vec<Device> = if choice == DeviceChoice::Cpu { Vec::new() } else { gpus };
        let with_cpu = match choice {
            DeviceChoice::Auto => gpus.is_empty(),
            DeviceChoice::Gpu => false,
            DeviceChoice::Cpu | DeviceChoice::All => true,
        };
        let gpu_count = gpus.len() as u32;
        let near = |gpu: Device| {
            let near: Vec<u32> = gpu.cores.iter().copied().filter(|c| cores.contains(c)).collect();
            Device { cores: if near.is_empty() { cores.to_vec() } else { near }, ..gpu }
        };
        let processors = cpu.devices().into_iter().filter(|_| with_cpu);
        let devices = gpus
            .into_iter()
            .map(near)
            .chain(processors.map(|d| Device { index: gpu_count + d.index, ..d }))
            .collect();
        Self { devices, gpus: gpu_count, cpu }
    }
}

impl Hardware for NodeHardware {
    fn devices(&self) -> Vec<Device> {
        self.devices.clone()
    }

    /// A GPU's sensors are NVML's, which is not read here.
    fn sense(&self, device: u32) -> Sensed {
        match device.checked_sub(self.gpus) {
            Some(processor) => self.cpu.sense(processor),
            None => Sensed::default(),
        }
    }

    /// Processors only; a GPU runs in its worker, by its UUID.
    fn run(&self, device: u32, commands: Receiver<LoadCommand>, reports: Sender<LoadReport>) {
        match device.checked_sub(self.gpus) {
            Some(processor) => self.cpu.run(processor, commands, reports),
            None => tracing::error!(device, "a GPU is loaded by its UUID: nothing runs"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gpu(index: u32, cores: &[u32]) -> Device {
        Device {
            index,
            kind: "cuda".into(),
            model: "H200".into(),
            cores: cores.to_vec(),
            uuid: Some(format!("GPU-{index}")),
            power_limit_mw: None,
        }
    }

    fn kinds(choice: DeviceChoice, gpus: Vec<Device>) -> Vec<(u32, String)> {
        let cpu = CpuHardware::new(&[0], Box::new(|_| Sensed::default()));
        let node = NodeHardware::compose(choice, gpus, cpu, &[0]);
        node.devices().into_iter().map(|device| (device.index, device.kind)).collect()
    }

    #[test]
    fn gpus_come_first_and_the_cpu_is_loaded_where_there_are_none_or_it_is_asked_for() {
        let two = || vec![gpu(0, &[0]), gpu(1, &[9])];
        let cuda = |index| (index, "cuda".to_owned());
        let cpu = |index| (index, "cpu".to_owned());
        assert_eq!(kinds(DeviceChoice::Auto, two()), [cuda(0), cuda(1)]);
        assert_eq!(kinds(DeviceChoice::Auto, Vec::new()), [cpu(0)]);
        assert_eq!(kinds(DeviceChoice::All, two()), [cuda(0), cuda(1), cpu(2)]);
        assert_eq!(kinds(DeviceChoice::Cpu, two()), [cpu(0)]);
        assert_eq!(kinds(DeviceChoice::Gpu, Vec::new()), []);
    }

    #[test]
    fn a_gpu_far_from_our_cores_gets_all_of_them() {
        let cpu = CpuHardware::new(&[0], Box::new(|_| Sensed::default()));
        let gpus = vec![gpu(0, &[8, 9])];
        let node = NodeHardware::compose(DeviceChoice::Auto, gpus, cpu, &[0, 1]);
        assert_eq!(node.devices()[0].cores, [0, 1]);
    }
}
