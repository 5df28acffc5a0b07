//! What the results of devices add up to, by key: the ballots of the fleet's vote.

use std::collections::{BTreeMap, BTreeSet};

use model::record::Checksum;
use model::{DeviceId, NodeName};

/// Keys kept of one device: far more than kernels and phases of a plan, and a bound on what
/// one agent can make of the evidence. The first in alphabetical order stay, so that the order
/// of batches leaves no mark.
const KEYS_PER_DEVICE: usize = 64;

/// Values of each device, by key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Checksums {
    by_device: BTreeMap<DeviceId, BTreeMap<String, BTreeSet<u64>>>,
}

impl Checksums {
    pub(super) fn add(&mut self, node: &NodeName, checksum: &Checksum) {
        let device = DeviceId { node: node.clone(), index: checksum.device };
        self.put(device, checksum.key.clone(), [checksum.value]);
    }

    pub(super) fn merge(&mut self, other: Self) {
        for (device, keys) in other.by_device {
            for (key, values) in keys {
                self.put(device.clone(), key, values);
            }
        }
    }

    fn put(&mut self, device: DeviceId, key: String, values: impl IntoIterator<Item = u64>) {
        let keys = self.by_device.entry(device).or_default();
        keys.entry(key).or_default().extend(values);
        while keys.len() > KEYS_PER_DEVICE {
            keys.pop_last();
        }
    }

    /// The ballots: for every key the devices that said something under it.
    #[must_use]
    pub fn by_key(&self) -> BTreeMap<&str, BTreeMap<&DeviceId, &BTreeSet<u64>>> {
        let mut ballots: BTreeMap<&str, BTreeMap<_, _>> = BTreeMap::new();
        for (device, keys) in &self.by_device {
            for (key, values) in keys {
                ballots.entry(key).or_default().insert(device, values);
            }
        }
        ballots
    }
}
