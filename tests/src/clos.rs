//! A leaf-spine fabric of a test's own: 2 pods, 4 leaves, 2 spines, 8 hosts, in network
//! namespaces with shaped links, routed with ECMP over the five-tuple. Needs root.
//!
//! A spine is two halves, one for each pod, with a trunk between them: what crosses from pod
//! to pod goes over the trunk, so a pod's cut can be tapered without its leaves. The hosts'
//! management links are those of [`Network`]; here is the fabric beside them.

use std::fmt::Write as _;

use crate::network::{Network, ip, tc};

/// Leaves in all, of which the first half is in the first pod.
pub const LEAVES: usize = 4;
/// Spines, each reached from every leaf.
pub const SPINES: usize = 2;
/// Hosts of a leaf.
pub const HOSTS: usize = 2;
/// Speed of every cable, in Mbit/s: what two cores carry with all hosts busy.
pub const MBIT: f64 = 100.0;
/// A bucket holds so much: a few packets, so that a slot's rate is the link's.
const BURST: &str = "16kb";
/// Both ends of the cable between a spine's halves.
const TRUNK: &str = "trunk";
/// What waits longer is lost: short, so that a full link costs milliseconds.
const LATENCY: &str = "20ms";

/// A shaped, directed place of the fabric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// From a leaf to a spine; both from 1.
    Up(usize, usize),
    /// From a spine to a leaf.
    Down(usize, usize),
    /// A host's card, sending; hosts from 1.
    HostUp(usize),
    /// The same, receiving.
    HostDown(usize),
    /// From one pod to the other (1 or 2), on every spine.
    Cut(usize),
}

/// The fabric's switches and links. Gone with the network's namespaces.
pub struct Clos<'a> {
    network: &'a Network,
}

fn leaf_of(host: usize) -> usize {
    (host - 1) / HOSTS + 1
}

fn pod_of(leaf: usize) -> usize {
    (leaf - 1) / (LEAVES / 2) + 1
}

/// A host's address on the fabric.
#[must_use]
pub fn address(host: usize) -> String {
    format!("10.80.{}.{}", leaf_of(host), 10 + host)
}

fn leaf(number: usize) -> String {
    format!("leaf{number}")
}

fn half(spine: usize, pod: usize) -> String {
    format!("spine{spine}p{pod}")
}

/// Ends of the cable between a leaf and its half of a spine: the leaf's and the spine's.
fn ends(leaf: usize, spine: usize) -> (String, String) {
    let ends = |host: usize| format!("10.81.{spine}.{}", 4 * leaf + host);
    (ends(1), ends(2))
}

/// A trunk carries what the uplinks of a pod's leaves bring: 1:1.
fn speed(device: &str) -> f64 {
    if device == TRUNK { MBIT * (LEAVES / 2) as f64 } else { MBIT }
}

/// Ends of a spine's trunk, by pod.
fn trunk(spine: usize, pod: usize) -> String {
    format!("10.82.{spine}.{pod}")
}

impl<'a> Clos<'a> {
    /// The fabric of a network that has one.
    #[must_use]
    pub fn of(network: &'a Network) -> Self {
        Self { network }
    }

    /// Builds it between the nodes `n1` to `n8`.
    ///
    /// # Panics
    /// When this process may not make it.
    pub(crate) fn build(network: &'a mut Network) {
        for number in 1..=LEAVES {
            network.router(&leaf(number));
        }
        for (spine, pod) in (1..=SPINES).flat_map(|spine| [(spine, 1), (spine, 2)]) {
            network.router(&half(spine, pod));
        }
        let clos = Self { network };
        clos.hosts();
        clos.uplinks();
        clos.trunks();
        clos.routes();
    }

    fn hosts(&self) {
        for number in 1..=LEAVES {
            let space = self.network.name(&leaf(number));
            ip(&["-n", &space, "link", "add", "br0", "type", "bridge"]);
            let own = format!("10.80.{number}.1/24");
            ip(&["-n", &space, "addr", "add", &own, "dev", "br0"]);
            ip(&["-n", &space, "link", "set", "br0", "up"]);
        }
        for host in 1..=LEAVES * HOSTS {
            let (node, leaf) = (format!("n{host}"), leaf(leaf_of(host)));
            self.cable((&node, "fab0"), (&leaf, &node));
            let space = self.network.name(&leaf);
            ip(&["-n", &space, "link", "set", &node, "master", "br0"]);
            let space = self.network.name(&node);
            let own = format!("{}/24", address(host));
            ip(&["-n", &space, "addr", "add", &own, "dev", "fab0"]);
            let gateway = format!("10.80.{}.1", leaf_of(host));
            ip(&["-n", &space, "route", "add", "10.80.0.0/16", "via", &gateway]);
        }
    }

    fn uplinks(&self) {
        for (number, spine) in (1..=LEAVES).flat_map(|l| (1..=SPINES).map(move |s| (l, s))) {
            let (above, below) = (half(spine, pod_of(number)), leaf(number));
            let (up, down) = (format!("up{spine}"), format!("down{number}"));
            self.cable((&below, &up), (&above, &down));
            let (ours, theirs) = ends(number, spine);
            self.number(&below, &up, &ours);
            self.number(&above, &down, &theirs);
        }
    }

    fn trunks(&self) {
        for spine in 1..=SPINES {
            let (first, second) = (half(spine, 1), half(spine, 2));
            self.cable((&first, TRUNK), (&second, TRUNK));
            self.number(&first, TRUNK, &trunk(spine, 1));
            self.number(&second, TRUNK, &trunk(spine, 2));
        }
    }

    fn routes(&self) {
        for (from, to) in (1..=LEAVES).flat_map(|from| (1..=LEAVES).map(move |to| (from, to))) {
            if from == to {
                continue;
            }
            let net = format!("10.80.{to}.0/24");
            let over = |spine| ends(from, spine).1;
            let hops: Vec<String> = (1..=SPINES).map(over).collect();
            let mut words = vec!["route".to_owned(), "add".to_owned(), net];
            for hop in hops {
                words.extend(["nexthop".to_owned(), "via".to_owned(), hop]);
            }
            self.ip_in(&leaf(from), &words);
        }
        for (spine, pod) in (1..=SPINES).flat_map(|spine| [(spine, 1), (spine, 2)]) {
            for to in 1..=LEAVES {
                let via = match pod_of(to) == pod {
                    true => ends(to, spine).0,
                    false => trunk(spine, 3 - pod),
                };
                let net = format!("10.80.{to}.0/24");
                let words = ["route", "add", &net, "via", &via].map(str::to_owned);
                self.ip_in(&half(spine, pod), &words);
            }
        }
    }

    fn ip_in(&self, space: &str, words: &[String]) {
        let space = self.network.name(space);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        ip(&[&["-n", space.as_str()], words.as_slice()].concat());
    }

    fn number(&self, space: &str, device: &str, address: &str) {
        let address = format!("{address}/30");
        self.ip_in(space, &["addr", "add", &address, "dev", device].map(str::to_owned));
    }

    /// A cable with a shaped end in each of two namespaces.
    fn cable(&self, a: (&str, &str), b: (&str, &str)) {
        let (left, right) = (self.network.name(a.0), self.network.name(b.0));
        let pair = ["link", "add", a.1, "type", "veth", "peer", "name", b.1, "netns"];
        ip(&[&["-n", left.as_str()], pair.as_slice(), &[&right]].concat());
        for (space, (_, device)) in [(&left, a), (&right, b)] {
            ip(&["-n", space, "link", "set", device, "up"]);
            self.shape("add", space, device, speed(device));
        }
    }

    fn shape(&self, verb: &str, space: &str, device: &str, mbit: f64) {
        let rate = format!("{}kbit", (mbit * 1000.0) as u64);
        let bucket = ["root", "tbf", "rate", &rate, "burst", BURST, "latency", LATENCY];
        tc(&[&["-n", space, "qdisc", verb, "dev", device], bucket.as_slice()].concat());
    }

    /// Makes a place carry this share of what its like carry; 1 mends it.
    pub fn limit(&self, place: Place, share: f64) {
        let ends: Vec<(String, String)> = match place {
            Place::Up(number, spine) => vec![(leaf(number), format!("up{spine}"))],
            Place::Down(number, spine) => {
                vec![(half(spine, pod_of(number)), format!("down{number}"))]
            }
            Place::HostUp(host) => vec![(format!("n{host}"), "fab0".to_owned())],
            Place::HostDown(host) => vec![(leaf(leaf_of(host)), format!("n{host}"))],
            Place::Cut(pod) => {
                (1..=SPINES).map(|spine| (half(spine, pod), TRUNK.to_owned())).collect()
            }
        };
        for (space, device) in ends {
            self.shape("change", &self.network.name(&space), &device, speed(&device) * share);
        }
    }
}

/// The fabric as a site file, with the addresses from which its switches answer.
#[must_use]
pub fn site() -> String {
    let gbps = MBIT / 1000.0;
    let mut text = "schema = 1\nname = \"clos\"\n".to_owned();
    let mut domain = |kind: &str, id: &str, within: &str, addresses: &[String]| {
        let within = if within.is_empty() { "[]".to_owned() } else { format!("[\"{within}\"]") };
        let _ = write!(
            text,
            "\n[[domain]]\nkind = \"{kind}\"\nid = \"{id}\"\nwithin = {within}\naddresses = {addresses:?}\n"
        );
    };
    domain("pod", "pod-1", "", &[]);
    domain("pod", "pod-2", "", &[]);
    for number in 1..=LEAVES {
        let mut own = vec![format!("10.80.{number}.1")];
        own.extend((1..=SPINES).map(|spine| ends(number, spine).0));
        domain("leaf", &format!("leaf-{number}"), &format!("pod-{}", pod_of(number)), &own);
    }
    for spine in 1..=SPINES {
        let mut own = vec![trunk(spine, 1), trunk(spine, 2)];
        own.extend((1..=LEAVES).map(|leaf| ends(leaf, spine).1));
        domain("spine", &format!("spine-{spine}"), "", &own);
    }
    for (number, spine) in (1..=LEAVES).flat_map(|l| (1..=SPINES).map(move |s| (l, s))) {
        let _ = write!(
            text,
            "\n[[link]]\na = \"leaf-{number}\"\nb = \"spine-{spine}\"\ngbps = {gbps}\n"
        );
    }
    for host in 1..=LEAVES * HOSTS {
        let leaf = leaf_of(host);
        let _ = write!(
            text,
            "\n[[nodes]]\nnames = \"n{host}\"\nnics = [{{ name = \"fab0\", leaf = \"leaf-{leaf}\", gbps = {gbps} }}]\n"
        );
    }
    text
}
