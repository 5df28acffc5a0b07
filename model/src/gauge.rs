//! Gauges: slow counters and states that a GPU's driver tells, by name.

/// What one figure of a device's health is. The word is its name on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Gauge {
    /// Mean power over the last second, in watts (NVML field 185).
    PowerAverageW,
    /// Power now, in watts (field 186).
    PowerInstantW,
    /// Power as the old call says it, in watts: a mean or an instant, by architecture.
    PowerUsageW,
    /// Shortest time between two steps of the energy counter that was seen.
    EnergyPeriodMs,
    /// The limit that was asked for on this node, in watts (field 192).
    PowerRequestedW,
    /// Clock of the memory.
    MemoryClockMhz,
    /// Seconds that a sibling held the clock (field 76).
    SyncBoostS,
    /// Corrected memory errors since the driver's start.
    EccCorrected,
    /// Memory rows remapped for corrected errors.
    RemappedCorrectable,
    /// Memory rows remapped for uncorrectable errors.
    RemappedUncorrectable,
    /// 1 where a remapping waits for a reset.
    RemapPending,
    /// 1 where a remapping failed: the card is to be replaced.
    RemapFailed,
    /// Replays on the PCIe link.
    PcieReplays,
    /// Generation of the PCIe link now.
    PcieGeneration,
    /// Generation that card and slot could have.
    PcieGenerationMax,
    /// Lanes of the PCIe link now.
    PcieWidth,
    /// Lanes that card and slot could have.
    PcieWidthMax,
    /// NVLinks that are up.
    NvlinkActive,
    /// NVLinks that are there and down.
    NvlinkInactive,
    /// CRC errors and replays of all NVLinks.
    NvlinkErrors,
    /// Recoveries of all NVLinks.
    NvlinkRecoveries,
    /// Margin at which the card switches off, in kelvin (field 193, raw).
    ShutdownLimitC,
    /// Margin at which the hardware slows down, in kelvin (field 194, raw).
    SlowdownLimitC,
    /// Margin at which the memory is at its maximum, in kelvin (field 195, raw).
    MemoryLimitC,
    /// Margin at which the GPU is at its maximum, in kelvin (field 196, raw).
    GpuLimitC,
    /// What the driver advises: 0 nothing, 1 reset, 2 reboot, 3 drain, 4 drain and reset.
    RecoveryAction,
    /// 1 while Xids of the device are waited for.
    XidWatched,
    /// Gigabytes a second from the host to the device while copies of ours ran both ways.
    CopyToDeviceGbS,
    /// The same from the device to the host.
    CopyFromDeviceGbS,
}

impl Gauge {
    /// Every gauge with its word.
    pub const WORDS: [(Self, &'static str); 29] = [
        (Self::PowerAverageW, "power_average_w"),
        (Self::PowerInstantW, "power_instant_w"),
        (Self::PowerUsageW, "power_usage_w"),
        (Self::EnergyPeriodMs, "energy_period_ms"),
        (Self::PowerRequestedW, "power_requested_w"),
        (Self::MemoryClockMhz, "memory_clock_mhz"),
        (Self::SyncBoostS, "sync_boost_s"),
        (Self::EccCorrected, "ecc_corrected"),
        (Self::RemappedCorrectable, "remapped_correctable"),
        (Self::RemappedUncorrectable, "remapped_uncorrectable"),
        (Self::RemapPending, "remap_pending"),
        (Self::RemapFailed, "remap_failed"),
        (Self::PcieReplays, "pcie_replays"),
        (Self::PcieGeneration, "pcie_generation"),
        (Self::PcieGenerationMax, "pcie_generation_max"),
        (Self::PcieWidth, "pcie_width"),
        (Self::PcieWidthMax, "pcie_width_max"),
        (Self::NvlinkActive, "nvlink_active"),
        (Self::NvlinkInactive, "nvlink_inactive"),
        (Self::NvlinkErrors, "nvlink_errors"),
        (Self::NvlinkRecoveries, "nvlink_recoveries"),
        (Self::ShutdownLimitC, "shutdown_limit_c"),
        (Self::SlowdownLimitC, "slowdown_limit_c"),
        (Self::MemoryLimitC, "memory_limit_c"),
        (Self::GpuLimitC, "gpu_limit_c"),
        (Self::RecoveryAction, "recovery_action"),
        (Self::XidWatched, "xid_watched"),
        (Self::CopyToDeviceGbS, "copy_to_device_gb_per_s"),
        (Self::CopyFromDeviceGbS, "copy_from_device_gb_per_s"),
    ];

    /// The name, with its unit.
    #[must_use]
    pub fn word(self) -> &'static str {
        Self::WORDS[self as usize].1
    }

    /// The gauge of this name.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::WORDS.iter().find(|(_, known)| *known == word).map(|(gauge, _)| *gauge)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_gauge_is_found_by_its_word() {
        for (position, (gauge, word)) in Gauge::WORDS.into_iter().enumerate() {
            assert_eq!((gauge as usize, gauge.word()), (position, word));
            assert_eq!(Gauge::from_word(word), Some(gauge));
        }
        assert_eq!(Gauge::from_word("of_tomorrow"), None);
    }
}
