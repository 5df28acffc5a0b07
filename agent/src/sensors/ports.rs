//! Error counters of the node's network ports, as the kernel keeps them.
//!
//! With adaptive routing a bad link costs everybody a few percent and nobody much: what shows
//! it are counters. InfiniBand and RoCE: `ABI/stable/sysfs-class-infiniband` of the kernel's
//! documentation; Ethernet: `ABI/testing/sysfs-class-net-statistics`, and what only ethtool's
//! ioctl tells, such as pauses by priority ([`Ethtool`]).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::ethtool::Ethtool;
use super::sysfs::{entries, file_name, read_number, read_text};

/// Of `/sys/class/infiniband/DEVICE/ports/N/counters`.
const INFINIBAND: [&str; 9] = [
    "symbol_error",
    "link_downed",
    "link_error_recovery",
    "local_link_integrity_errors",
    "excessive_buffer_overrun_errors",
    "port_rcv_errors",
    "port_rcv_remote_physical_errors",
    "port_xmit_discards",
    "port_xmit_wait",
];
/// Of `hw_counters` beside it: losses of RoCE, and how often congestion was told.
const ROCE: [&str; 9] = [
    "out_of_sequence",
    "packet_seq_err",
    "local_ack_timeout_err",
    "rnr_nak_retry_err",
    "rx_icrc_encapsulated",
    "roce_adp_retrans",
    "np_ecn_marked_roce_packets",
    "np_cnp_sent",
    "rp_cnp_handled",
];
/// Of `/sys/class/net/INTERFACE/statistics`.
const ETHERNET: [&str; 8] = [
    "rx_errors",
    "tx_errors",
    "rx_dropped",
    "tx_dropped",
    "rx_crc_errors",
    "rx_missed_errors",
    "rx_fifo_errors",
    "tx_carrier_errors",
];
/// Of `/sys/class/net/INTERFACE`.
const CARRIER: &str = "carrier_down_count";
/// Columns of `Tcp:` in `/proc/net/snmp`, and of `TcpExt:` in `/proc/net/netstat` (RFC 4022).
const TCP: [(&str, &str, &str); 3] = [
    ("proc/net/snmp", "Tcp:", "RetransSegs"),
    ("proc/net/netstat", "TcpExt:", "TCPTimeouts"),
    ("proc/net/netstat", "TcpExt:", "TCPLostRetransmit"),
];
/// The port under which the node's own TCP is told.
const TCP_PORT: &str = "tcp";

/// Counts by port and counter.
pub type PortCounters = BTreeMap<(String, String), u64>;

/// The counters that this node has.
#[derive(Debug, Default)]
pub struct Ports {
    /// Port, counter, file.
    files: Vec<(String, &'static str, PathBuf)>,
    /// By interface.
    drivers: Vec<(String, Ethtool)>,
    root: PathBuf,
}

impl Ports {
    /// Looks for ports below `root` (`/` on a real machine). Interfaces without a device of
    /// their own (bridges, tunnels, loopback) are none.
    #[must_use]
    pub fn discover(root: &Path) -> Self {
        let mut files = Vec::new();
        let mut add = |port: &str, folder: &Path, names: &[&'static str]| {
            let there = names.iter().map(|name| (port.to_owned(), *name, folder.join(name)));
            files.extend(there.filter(|(_, _, file)| read_number::<u64>(file).is_ok()));
        };
        for device in entries(&root.join("sys/class/infiniband")) {
            for port in entries(&device.join("ports")) {
                let name = format!("{}/{}", file_name(&device), file_name(&port));
                add(&name, &port.join("counters"), &INFINIBAND);
                add(&name, &port.join("hw_counters"), &ROCE);
            }
        }
        let mut drivers = Vec::new();
        for interface in entries(&root.join("sys/class/net")) {
            if interface.join("device").exists() {
                let name = file_name(&interface);
                add(name, &interface.join("statistics"), &ETHERNET);
                add(name, &interface, &[CARRIER]);
                drivers.extend(Ethtool::of(name).map(|driver| (name.to_owned(), driver)));
            }
        }
        Self { files, drivers, root: root.to_owned() }
    }

    /// Every counter now; one that can't be read is left out. May block where a driver does.
    #[must_use]
    pub fn read(&self) -> PortCounters {
        let of_ports = self.files.iter().filter_map(|(port, counter, file)| {
            Some(((port.clone(), (*counter).to_owned()), read_number(file).ok()?))
        });
        let of_tcp = TCP.iter().filter_map(|(file, line, column)| {
            let text = read_text(&self.root.join(file)).ok()?;
            Some(((TCP_PORT.to_owned(), (*column).to_owned()), cell(&text, line, column)?))
        });
        let of_drivers = self.drivers.iter().flat_map(|(port, driver)| {
            let counts = driver.read().into_iter();
            counts.map(move |(counter, count)| ((port.clone(), counter.to_owned()), count))
        });
        of_ports.chain(of_tcp).chain(of_drivers).collect()
    }
}

/// A number of a table whose lines come in pairs: names, then values.
fn cell(text: &str, line: &str, column: &str) -> Option<u64> {
    let mut lines = text.lines().filter_map(|of| of.strip_prefix(line));
    let (names, values) = (lines.next()?, lines.next()?);
    let at = names.split_whitespace().position(|name| name == column)?;
    values.split_whitespace().nth(at)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::super::fake::Tree;
    use super::*;

    #[test]
    fn counters_of_real_ports_are_read_and_others_are_left_out() {
        let tree = Tree::new();
        let port = "sys/class/infiniband/mlx5_0/ports/1";
        tree.put(&format!("{port}/counters/symbol_error"), "7\n");
        tree.put(&format!("{port}/counters/port_xmit_data"), "99\n");
        tree.put(&format!("{port}/hw_counters/np_cnp_sent"), "12\n");
        tree.put(&format!("{port}/counters/link_downed"), "N/A (no PMA)\n");
        tree.put("sys/class/net/eth0/device/vendor", "0x15b3\n");
        tree.put("sys/class/net/eth0/statistics/rx_crc_errors", "3\n");
        tree.put("sys/class/net/eth0/carrier_down_count", "1\n");
        tree.put("sys/class/net/br0/statistics/rx_crc_errors", "5\n");
        tree.put("proc/net/snmp", "Ip: A B\nIp: 1 2\nTcp: X RetransSegs Y\nTcp: 4 55 6\n");
        let read = Ports::discover(tree.root()).read();
        let told: Vec<String> =
            read.iter().map(|((port, name), count)| format!("{port} {name} {count}")).collect();
        assert_eq!(
            told,
            [
                "eth0 carrier_down_count 1",
                "eth0 rx_crc_errors 3",
                "mlx5_0/1 np_cnp_sent 12",
                "mlx5_0/1 symbol_error 7",
                "tcp RetransSegs 55",
            ]
        );
        assert!(Ports::discover(&tree.root().join("none")).read().is_empty());
    }

    #[test]
    fn a_table_that_is_cut_says_nothing() {
        for text in
            ["", "Tcp: RetransSegs", "Tcp: A RetransSegs\nTcp: 1", "Tcp: RetransSegs\nTcp: x"]
        {
            assert_eq!(cell(text, "Tcp:", "RetransSegs"), None, "{text}");
        }
    }
}
