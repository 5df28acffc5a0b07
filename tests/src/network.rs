//! Links of a test's own: a namespace for each agent, one for the coordinator and its
//! operators, a bridge between them. Needs root. Refuses to touch any other namespace.

use std::fs::File;
use std::path::PathBuf;
use std::process::Command;

/// Where the coordinator listens; nodes follow from [`NODE_HOST`] + 1 on.
const HUB_HOST: u8 = 1;
const NODE_HOST: usize = 10;
/// Most that a slow link holds back before it throws packets away.
const QUEUE: &str = "2s";

/// The namespaces of one test. Removed when dropped, also by a panic.
pub struct Network {
    prefix: String,
    nodes: Vec<String>,
    routers: Vec<String>,
}

impl Network {
    /// A hub and nodes `n1`, `n2`, ...
    ///
    /// # Panics
    /// When this process may not make them.
    #[must_use]
    pub fn new(count: usize) -> Self {
        let nodes = (1..=count).map(|number| format!("n{number}")).collect();
        let prefix = format!("lb{}", std::process::id());
        let network = Self { prefix, nodes, routers: Vec::new() };
        let hub = network.name("hub");
        ip(&["netns", "add", &hub]);
        ip(&["-n", &hub, "link", "set", "lo", "up"]);
        ip(&["-n", &hub, "link", "add", "br0", "type", "bridge"]);
        ip(&["-n", &hub, "addr", "add", &format!("{}/24", address(HUB_HOST.into())), "dev", "br0"]);
        ip(&["-n", &hub, "link", "set", "br0", "up"]);
        for (index, node) in network.nodes.iter().enumerate() {
            let space = network.name(node);
            let own = format!("{}/24", address(NODE_HOST + index + 1));
            ip(&["netns", "add", &space]);
            ip(&["-n", &space, "link", "set", "lo", "up"]);
            let pair = ["link", "add", node, "type", "veth", "peer", "name", "eth0", "netns"];
            ip(&[&["-n", &hub], pair.as_slice(), &[&space]].concat());
            ip(&["-n", &hub, "link", "set", node, "master", "br0", "up"]);
            ip(&["-n", &space, "addr", "add", &own, "dev", "eth0"]);
            ip(&["-n", &space, "link", "set", "eth0", "up"]);
        }
        network
    }

    /// The host under which agents reach the coordinator.
    #[must_use]
    pub fn host() -> String {
        address(HUB_HOST.into())
    }

    /// The namespace of a node, or of the `hub`: a process that enters it has its links.
    ///
    /// # Panics
    /// When there is none of this name.
    #[must_use]
    pub fn namespace(&self, node: &str) -> File {
        let path = PathBuf::from("/run/netns").join(self.name(node));
        File::open(path).expect("a namespace of this test")
    }

    /// Pulls a node's cable at the hub.
    pub fn cut(&self, node: &str) {
        ip(&["-n", &self.name("hub"), "link", "set", node, "down"]);
    }

    /// Puts it back.
    pub fn join(&self, node: &str) {
        ip(&["-n", &self.name("hub"), "link", "set", node, "up"]);
    }

    /// So much per second in both directions; what comes faster waits for up to two seconds
    /// and is lost beyond that. A token bucket: a kernel without netem has it too.
    pub fn slow(&self, node: &str, kbit_s: u64) {
        let rate = format!("{kbit_s}kbit");
        for (space, device) in [("hub", node), (node, "eth0")] {
            let bucket = ["tbf", "rate", &rate, "burst", "4kb", "latency", QUEUE];
            let place = ["qdisc", "add", "dev", device, "root"];
            let space = self.name(space);
            tc(&[&["-n", &space], place.as_slice(), &bucket].concat());
        }
    }

    /// As fast as the machine again.
    pub fn quicken(&self, node: &str) {
        for (space, device) in [("hub", node), (node, "eth0")] {
            tc(&["-n", &self.name(space), "qdisc", "del", "dev", device, "root"]);
        }
    }

    /// A namespace more, which passes packets on: by the five-tuple where it has a choice, and
    /// with a word to the sender of each that lived too short.
    pub(crate) fn router(&mut self, name: &str) {
        let space = self.name(name);
        ip(&["netns", "add", &space]);
        self.routers.push(name.to_owned());
        ip(&["-n", &space, "link", "set", "lo", "up"]);
        // Policy 1 takes the sending socket's own random number, which comes along inside one
        // kernel; policy 3 reads the packet, as a switch does: addresses, protocol and ports.
        let policy =
            ["net.ipv4.fib_multipath_hash_policy=3", "net.ipv4.fib_multipath_hash_fields=55"];
        let words = ["net.ipv4.ip_forward=1", policy[0], policy[1]];
        let more = ["net.ipv4.icmp_ratelimit=0", "net.ipv4.icmp_ratemask=0"];
        let words = [&["netns", "exec", &space, "sysctl", "-qw"], &words[..], &more[..]].concat();
        ip(&words);
    }

    pub(crate) fn name(&self, node: &str) -> String {
        format!("{}-{node}", self.prefix)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let nodes = self.nodes.iter().chain(&self.routers);
        for node in nodes.map(String::as_str).chain(["hub"]) {
            // One that was never made, because making it failed, is not there to remove.
            let _ = Command::new("ip").args(["netns", "del", &self.name(node)]).output();
        }
    }
}

fn address(host: usize) -> String {
    format!("10.77.0.{host}")
}

pub(crate) fn tc(arguments: &[&str]) {
    command("tc", arguments);
}

pub(crate) fn ip(arguments: &[&str]) {
    command("ip", arguments);
}

fn command(program: &str, arguments: &[&str]) {
    let done = Command::new(program).args(arguments).output();
    let done = done.unwrap_or_else(|error| panic!("{program}: {error}"));
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{program} {arguments:?}: {said}");
}
