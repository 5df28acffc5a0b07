//! Xids: the numbers by which NVIDIA's driver names what went wrong with a GPU (NVIDIA's Xid
//! catalogue; classes as DCGM 4.6 `DcgmHealthWatch.cpp` has them).

/// What an Xid accuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Accused {
    /// The GPU's memory.
    Memory,
    /// The GPU, its firmware or its links.
    Device,
    /// A program, a driver, the host: no hardware by itself.
    Nobody,
}

/// What one Xid means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Xid {
    pub code: u64,
    pub words: &'static str,
    pub accused: Accused,
    /// No load may go on on this GPU.
    pub fatal: bool,
}

const fn xid(code: u64, words: &'static str, accused: Accused, fatal: bool) -> Xid {
    Xid { code, words, accused, fatal }
}

/// The codes that a burn may meet. The family 144 to 150 belongs to NVLink 5.
const KNOWN: [Xid; 31] = [
    xid(13, "graphics engine fault", Accused::Nobody, false),
    xid(31, "memory page fault", Accused::Nobody, false),
    xid(32, "invalid or corrupted push buffer", Accused::Nobody, false),
    xid(38, "driver firmware error", Accused::Nobody, false),
    xid(43, "GPU stopped processing", Accused::Nobody, false),
    xid(45, "preemptive cleanup after an earlier error", Accused::Nobody, false),
    xid(48, "double-bit ECC error", Accused::Memory, true),
    xid(61, "microcontroller breakpoint", Accused::Device, true),
    xid(62, "microcontroller halt", Accused::Device, true),
    xid(63, "row remapping recorded", Accused::Memory, false),
    xid(64, "row remapping failed", Accused::Memory, true),
    xid(74, "NVLink error", Accused::Device, true),
    xid(79, "GPU fell off the bus", Accused::Device, true),
    xid(92, "excessive single-bit ECC errors", Accused::Memory, true),
    xid(94, "contained memory error", Accused::Memory, true),
    xid(95, "uncontained memory error", Accused::Memory, true),
    xid(119, "GSP time-out", Accused::Device, true),
    xid(120, "GSP error", Accused::Device, true),
    xid(121, "corrected error of the chip-to-chip link", Accused::Nobody, false),
    xid(140, "unrecovered ECC error", Accused::Memory, true),
    xid(144, "NVLink error", Accused::Device, true),
    xid(145, "NVLink error", Accused::Device, true),
    xid(146, "NVLink error", Accused::Device, true),
    xid(147, "NVLink error", Accused::Device, true),
    xid(148, "NVLink error", Accused::Device, true),
    xid(149, "NVLink error", Accused::Device, true),
    xid(150, "NVLink error", Accused::Device, true),
    xid(154, "the driver names a recovery action", Accused::Nobody, false),
    xid(39, "PCIe fault", Accused::Nobody, false),
    xid(42, "PCIe fault", Accused::Nobody, false),
    xid(999, "unknown to the driver itself", Accused::Nobody, false),
];

impl Xid {
    /// What is known of a code; of an unknown one nothing is accused.
    #[must_use]
    pub fn of(code: u64) -> Self {
        let known = KNOWN.iter().find(|known| known.code == code).copied();
        known.unwrap_or(xid(code, "not known to this version", Accused::Nobody, false))
    }
}

impl std::fmt::Display for Xid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Xid {}: {}", self.code, self.words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_listed_once_and_only_hardware_is_fatal() {
        for (at, known) in KNOWN.iter().enumerate() {
            assert!(KNOWN[..at].iter().all(|other| other.code != known.code), "{known}");
            assert!(!known.fatal || known.accused != Accused::Nobody, "{known}");
        }
        assert_eq!(Xid::of(79).to_string(), "Xid 79: GPU fell off the bus");
        assert_eq!(Xid::of(48).accused, Accused::Memory);
        assert!(!Xid::of(7777).fatal);
    }
}
