//! Counters that a network driver tells through ethtool's ioctl alone: pauses by priority, and what
//! the physical layer lost.
//!
//! `linux/ethtool.h`: how many names there are (`ETHTOOL_GSSET_INFO`), the names
//! (`ETHTOOL_GSTRINGS`), the values (`ETHTOOL_GSTATS`). Every driver has names of its own; what they
//! mean for `mlx5` is in the kernel's documentation
//! (networking/device_drivers/ethernet/mellanox/mlx5/counters).

use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

const SIOCETHTOOL: libc::Ioctl = 0x8946;
const GET_SET_INFO: u32 = 0x37;
const GET_STRINGS: u32 = 0x1b;
const GET_STATS: u32 = 0x1d;
/// The set of names of counters.
const SET_OF_STATS: u32 = 1;
const NAME_BYTES: usize = 32;
/// Room for so many counters is always given, because the kernel fills in as many as the driver
/// has: a queue for each of hundreds of cores makes some thousands.
const COUNTERS_MAX: usize = 65_536;

/// Counters of the physical layer and of packets that found no room.
const WANTED: [&str; 7] = [
    "link_down_events_phy",
    "rx_symbol_err_phy",
    "rx_pcs_symbol_err_phy",
    "rx_crc_errors_phy",
    "rx_discards_phy",
    "tx_discards_phy",
    "rx_out_of_buffer",
];

/// Whether a counter is kept: those above, and every count of pauses.
fn is_wanted(name: &str) -> bool {
    let pauses = name.contains("pause") || name.contains("pfc");
    let times = name.contains("duration") || name.contains("transition");
    WANTED.contains(&name) || (pauses && !times)
}

/// An interface whose driver counts for ethtool something that is wanted.
#[derive(Debug)]
pub(super) struct Ethtool {
    socket: OwnedFd,
    interface: [libc::c_char; libc::IFNAMSIZ],
    /// Of all its counters, these: place and name.
    wanted: Vec<(usize, String)>,
    count: usize,
}

impl Ethtool {
    /// Asks for an interface's names; `None` where there is none that is wanted.
    pub(super) fn of(interface: &str) -> Option<Self> {
        Self::with(interface, is_wanted)
    }

    fn with(interface: &str, is_wanted: fn(&str) -> bool) -> Option<Self> {
        let mut bytes = [0; libc::IFNAMSIZ];
        // The last one stays zero: the kernel reads up to there.
        let room = bytes[..libc::IFNAMSIZ - 1].get_mut(..interface.len())?;
        room.iter_mut().zip(interface.bytes()).for_each(|(to, from)| *to = from as libc::c_char);
        let flags = SockFlag::SOCK_CLOEXEC;
        let socket = socket(AddressFamily::Inet, SockType::Datagram, flags, None).ok()?;
        let mut ethtool = Self { socket, interface: bytes, wanted: Vec::new(), count: 0 };
        ethtool.count = ethtool.count_now()?;
        let names = ethtool.names()?.into_iter().enumerate();
        ethtool.wanted = names.filter(|(_, name)| is_wanted(name)).collect();
        (!ethtool.wanted.is_empty()).then_some(ethtool)
    }

    /// The wanted counters now; none where the driver no longer answers as it did.
    pub(super) fn read(&self) -> Vec<(&str, u64)> {
        let mut words = vec![0; 1 + COUNTERS_MAX];
        words[0] = pair(GET_STATS, self.count as u32);
        let answered = self.ask(&mut words).is_some();
        if !answered || words[0] != pair(GET_STATS, self.count as u32) {
            return Vec::new();
        }
        self.wanted.iter().map(|(at, name)| (name.as_str(), words[1 + at])).collect()
    }

    /// How many counters there are.
    fn count_now(&self) -> Option<usize> {
        // Command, mask of sets, then a number for each set that the kernel knows.
        let mut words = [u64::from(GET_SET_INFO), 1 << SET_OF_STATS, 0];
        self.ask(&mut words)?;
        let count = usize::try_from(low(words[2])).ok()?;
        (words[1] != 0 && (1..=COUNTERS_MAX).contains(&count)).then_some(count)
    }

    fn names(&self) -> Option<Vec<String>> {
        // Command, set, length, then the names right behind.
        let mut words = vec![0; 2 + COUNTERS_MAX * NAME_BYTES / 8];
        words[0] = pair(GET_STRINGS, SET_OF_STATS);
        words[1] = pair(self.count as u32, 0);
        self.ask(&mut words)?;
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let told = u32::from_ne_bytes(*bytes[8..].first_chunk()?);
        let names = bytes[12..].chunks_exact(NAME_BYTES).take(self.count);
        (told as usize == self.count).then(|| names.map(name_of).collect())
    }

    /// One question, answered in the same words.
    fn ask(&self, words: &mut [u64]) -> Option<()> {
        // SAFETY: `ifreq` is plain data, for which zeros are a value.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        request.ifr_name = self.interface;
        request.ifr_ifru.ifru_data = words.as_mut_ptr().cast();
        // SAFETY: the kernel reads the request and writes what the command says to `words`, which
        // live through the call. `count_now` gets one number. The others get as many names or
        // counters as the driver has, for which there is room as long as it has no more than
        // COUNTERS_MAX; it told a number below that before.
        let done = unsafe { libc::ioctl(self.socket.as_raw_fd(), SIOCETHTOOL, &mut request) };
        (done == 0).then_some(())
    }
}

/// Two numbers of the kernel's structs in one word, in the order of memory.
fn pair(first: u32, second: u32) -> u64 {
    let [a, b, c, d] = first.to_ne_bytes();
    let [e, f, g, h] = second.to_ne_bytes();
    u64::from_ne_bytes([a, b, c, d, e, f, g, h])
}

/// The first of the two.
fn low(word: u64) -> u32 {
    let [a, b, c, d, ..] = word.to_ne_bytes();
    u32::from_ne_bytes([a, b, c, d])
}

fn name_of(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_by_priority_are_wanted_and_their_lengths_are_not() {
        for name in ["rx_prio3_pause", "tx_pause_ctrl_phy", "rx_pfc_ena_frames_pri5"] {
            assert!(is_wanted(name), "{name}");
        }
        for name in ["rx_prio3_pause_duration", "rx_prio3_bytes", "rx_packets"] {
            assert!(!is_wanted(name), "{name}");
        }
    }

    #[test]
    fn words_hold_pairs_as_memory_does() {
        assert_eq!(low(pair(7, 9)), 7);
        assert_eq!(pair(7, 9).to_ne_bytes()[4..], 9_u32.to_ne_bytes());
        assert_eq!(name_of(b"rx_prio3_pause\0\0\0"), "rx_prio3_pause");
        assert_eq!(name_of(&[b'a'; NAME_BYTES]).len(), NAME_BYTES);
    }

    #[test]
    fn an_interface_that_is_none_or_does_not_count_is_left_out() {
        assert!(Ethtool::of("no-such-if").is_none());
        assert!(Ethtool::of("a-name-of-more-than-fifteen").is_none());
        // Loopback has no driver that counts.
        assert!(Ethtool::of("lo").is_none());
    }

    /// What the kernel's own drivers answer to the ioctl; on machines that have such a one.
    #[test]
    fn counters_of_a_driver_that_counts_are_read() {
        let folders = super::super::sysfs::entries(std::path::Path::new("/sys/class/net"));
        let names = folders.iter().map(|folder| super::super::sysfs::file_name(folder));
        let Some(counting) = names.filter_map(|name| Ethtool::with(name, |_| true)).next() else {
            println!("SKIPPED: no interface here counts for ethtool");
            return;
        };
        let read = counting.read();
        assert_eq!(read.len(), counting.count);
        assert!(read.iter().all(|(name, _)| !name.is_empty()), "{read:?}");
    }
}
