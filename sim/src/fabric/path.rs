//! Which links a five-tuple crosses.

use super::dice::mix;
use super::schedule::Transfer;
use super::shape::Shape;

/// Positions of directed links in one table of capacities.
pub(super) struct Links<'a> {
    shape: &'a Shape,
    hosts: usize,
    leaf_links: usize,
    super_links: usize,
}

/// The switches that a flow crossed between its leaves, and the links.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Path {
    pub(super) links: Vec<usize>,
    /// Names of what lies between the leaves, in order; empty inside a leaf.
    pub(super) switches: Vec<String>,
}

impl<'a> Links<'a> {
    pub(super) fn new(shape: &'a Shape) -> Self {
        let super_links = if shape.pods > 1 { shape.pods * shape.spines * shape.supers } else { 0 };
        let leaf_links = shape.pods * shape.leaves * shape.spines;
        Self { shape, hosts: shape.all_hosts(), leaf_links, super_links }
    }

    pub(super) fn host_up(&self, host: usize) -> usize {
        host
    }

    pub(super) fn host_down(&self, host: usize) -> usize {
        self.hosts + host
    }

    pub(super) fn leaf_up(&self, leaf: usize, spine: usize) -> usize {
        2 * self.hosts + leaf * self.shape.spines + spine
    }

    pub(super) fn leaf_down(&self, leaf: usize, spine: usize) -> usize {
        self.leaf_up(leaf, spine) + self.leaf_links
    }

    fn pod_up(&self, pod: usize, plane: usize, index: usize) -> usize {
        let within = (pod * self.shape.spines + plane) * self.shape.supers + index;
        2 * (self.hosts + self.leaf_links) + within
    }

    fn pod_down(&self, pod: usize, plane: usize, index: usize) -> usize {
        self.pod_up(pod, plane, index) + self.super_links
    }

    /// Capacity of every link, in Gbit/s, without any fault.
    pub(super) fn capacities(&self) -> Vec<f64> {
        let mut all = vec![self.shape.nic_gbps; 2 * self.hosts];
        all.extend(std::iter::repeat_n(self.shape.uplink_gbps(), 2 * self.leaf_links));
        all.extend(std::iter::repeat_n(self.shape.super_gbps(), 2 * self.super_links));
        all
    }

    /// The path that the switches' hashes choose for a flow. Each stage hashes the same
    /// tuple with a seed of its own, as switches do that are set up well.
    pub(super) fn path(&self, flow: &Transfer, seed: u64) -> Path {
        let (from, to) = (self.shape.leaf_of(flow.src), self.shape.leaf_of(flow.dst));
        let (first, last) = (self.host_up(flow.src), self.host_down(flow.dst));
        if from == to {
            return Path { links: vec![first, last], switches: Vec::new() };
        }
        let tuple = mix(mix(mix(seed ^ flow.src as u64) ^ flow.dst as u64) ^ u64::from(flow.sport));
        let spine = (tuple % self.shape.spines as u64) as usize;
        let (from_pod, to_pod) = (self.shape.pod_of_leaf(from), self.shape.pod_of_leaf(to));
        let (up, down) = (self.leaf_up(from, spine), self.leaf_down(to, spine));
        let mut switches = vec![self.shape.spine_name(from_pod, spine)];
        if from_pod == to_pod {
            return Path { links: vec![first, up, down, last], switches };
        }
        let index = (mix(tuple) % self.shape.supers as u64) as usize;
        switches.push(self.shape.super_name(spine, index));
        switches.push(self.shape.spine_name(to_pod, spine));
        let over = self.pod_up(from_pod, spine, index);
        let links = vec![first, up, over, self.pod_down(to_pod, spine, index), down, last];
        Path { links, switches }
    }
}
