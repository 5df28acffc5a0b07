//! Which GPUs are here, asked of the driver in a process that ends at once.
//!
//! The supervisor never loads the driver: a context, a hang or a crash must not live there.

use std::fs;
use std::path::Path;

use super::super::Device;
use super::driver::{Driver, GpuFacts};
use crate::node_facts::parse_core_list;

/// What the asking process found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    /// In the order of their PCI addresses.
    pub devices: Vec<Device>,
    /// What a person should know: slices, forbidden GPUs, no driver.
    pub notes: Vec<String>,
}

/// Asks the driver. In a short-lived process only.
#[must_use]
pub fn ask(library: &Path) -> Found {
    let asked = Driver::open(library).map_err(|error| error.to_string());
    let gpus = asked.and_then(|driver| driver.gpus().map_err(|error| error.to_string()));
    match gpus {
        Ok(gpus) => found(gpus, Path::new("/")),
        Err(why) => Found { devices: Vec::new(), notes: vec![why] },
    }
}

fn found(mut gpus: Vec<GpuFacts>, root: &Path) -> Found {
    gpus.sort_by(|a, b| a.pci.cmp(&b.pci));
    let slices: Vec<String> = gpus.iter().filter(|gpu| gpu.is_mig).map(slice_note).collect();
    let whole = gpus.into_iter().filter(|gpu| !gpu.is_mig);
    let device = |(index, gpu): (u32, GpuFacts)| Device {
        index,
        kind: "cuda".to_owned(),
        model: gpu.name,
        cores: near_cores(root, &gpu.pci),
        uuid: Some(gpu.uuid),
        power_limit_mw: None,
    };
    Found { devices: (0..).zip(whole).map(device).collect(), notes: slices }
}

fn slice_note(gpu: &GpuFacts) -> String {
    format!("{} at {} is a slice (MIG) and is not loaded", gpu.name, gpu.pci)
}

/// The cores of the GPU's NUMA node; empty where the kernel does not say.
fn near_cores(root: &Path, pci: &str) -> Vec<u32> {
    let path = root.join("sys/bus/pci/devices").join(pci).join("local_cpulist");
    let list = fs::read_to_string(path).unwrap_or_default();
    parse_core_list(list.trim()).unwrap_or_default()
}
