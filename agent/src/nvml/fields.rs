//! Numbers of NVML's fields, and the one range of them that changed its meaning.
//!
//! With driver 580.82 (CUDA 13.0 Update 1) the numbers 251 to 273 were dealt anew: the
//! counter of brake time became 271, and 253 became a flag of power smoothing. Whoever reads
//! 253 there sees a braked GPU as clean (NVIDIA's NVML known issues).

pub(super) const PERF_POLICY_POWER: u32 = 74;
pub(super) const PERF_POLICY_SYNC_BOOST: u32 = 76;
pub(super) const MEMORY_TEMP: u32 = 82;
pub(super) const NVLINK_ERRORS: [u32; 3] = [38, 45, 52];
pub(super) const NVLINK_RECOVERIES: u32 = 59;
pub(super) const REMAPPED_CORRECTABLE: u32 = 142;
pub(super) const REMAPPED_UNCORRECTABLE: u32 = 143;
pub(super) const REMAP_PENDING: u32 = 144;
pub(super) const REMAP_FAILED: u32 = 145;
pub(super) const POWER_AVERAGE: u32 = 185;
pub(super) const POWER_INSTANT: u32 = 186;
pub(super) const POWER_CURRENT_LIMIT: u32 = 190;
pub(super) const POWER_REQUESTED_LIMIT: u32 = 192;
pub(super) const SHUTDOWN_TLIMIT: u32 = 193;
pub(super) const SLOWDOWN_TLIMIT: u32 = 194;
pub(super) const MEMORY_MAX_TLIMIT: u32 = 195;
pub(super) const GPU_MAX_TLIMIT: u32 = 196;
pub(super) const RECOVERY_ACTION: u32 = 230;
/// By the old numbering, like the two that follow.
const SW_THERMAL: u32 = 251;
const HW_THERMAL: u32 = 252;
const POWER_BRAKE: u32 = 253;
/// How far the three moved.
const MOVED_BY: u32 = 18;

/// Which numbering a driver has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Numbering {
    /// Before 580.82.
    V12,
    /// From 580.82 on.
    V13Update1,
}

impl Numbering {
    /// By the driver's version; `None` where that can't be read: then nobody knows what the
    /// numbers mean, and the counters are not measured.
    pub(super) fn of(driver: &str) -> Option<Self> {
        let (major, minor) = version(driver)?;
        Some(if (major, minor) >= (580, 82) { Self::V13Update1 } else { Self::V12 })
    }

    /// Software thermal, hardware thermal, power brake.
    pub(super) fn throttle_counters(self) -> [u32; 3] {
        let by = if self == Self::V12 { 0 } else { MOVED_BY };
        [SW_THERMAL, HW_THERMAL, POWER_BRAKE].map(|field| field + by)
    }
}

/// Major and minor number of a driver such as `580.95.05`.
pub(super) fn version(driver: &str) -> Option<(u32, u32)> {
    let mut parts = driver.trim().split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_follow_the_drivers_version() {
        let cases = [
            ("535.104.05", [251, 252, 253]),
            ("580.65.06", [251, 252, 253]),
            ("580.82.07", [269, 270, 271]),
            ("590.10", [269, 270, 271]),
        ];
        for (driver, fields) in cases {
            assert_eq!(Numbering::of(driver).map(Numbering::throttle_counters), Some(fields));
        }
        for driver in ["", "open", "580", "580.x"] {
            assert_eq!(Numbering::of(driver), None, "{driver}");
        }
    }
}
