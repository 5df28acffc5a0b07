//! The table of checks: number, what it is about, the policy's gate, where values come from.

use super::Look::{At, Never};
use super::{Check, Look, building, devices, fabric};

const fn check(number: u32, about: &'static str, gate: &'static str, look: Look) -> Check {
    Check { number: Some(number), about, gate, look }
}

const COPIES_BOTH_WAYS: &str = "copies are measured both ways at once (kernel copy), which is less \
                                a way than this limit of one way alone";
const NO_SWITCHES: &str = "no counters of switches and ports are read";

/// The 25 checks of an acceptance, several limits for some, and limits of our own last.
pub(super) const CHECKS: [Check; 42] = [
    check(1, "inventory", "devices_missing_most", At(devices::missing)),
    check(2, "PCIe", "pcie_gb_per_s_least", Never(COPIES_BOTH_WAYS)),
    check(3, "NVLink", "nvlink_inactive_most", At(devices::nvlinks_down)),
    check(4, "ECC", "ecc_uncorrected_most", At(devices::ecc)),
    check(5, "Xid", "xid_critical_most", At(devices::xids)),
    check(6, "numerics", "sdc_blocks_most", At(devices::wrong_blocks)),
    check(6, "numerics", "collective_wrong_most", At(fabric::wrong_operations)),
    check(7, "memory bandwidth", "memory_ratio_least", At(devices::memory_ratio)),
    check(
        8,
        "all-reduce inside a node",
        "node_busbw_gb_per_s_least",
        Never("no collective runs inside one node"),
    ),
    check(
        9,
        "all-reduce over nodes",
        "collective_busbw_ratio_least",
        Never("nothing says which bus bandwidth this fabric should reach"),
    ),
    check(10, "pair bandwidth", "pair_ratio_least", At(fabric::pair_ratio)),
    check(10, "pair round trips", "rtt_lost_percent_most", At(fabric::rtt_lost_percent)),
    check(
        11,
        "uplinks",
        "uplink_ratio_least",
        Never("the bandwidth of single uplinks is not measured; findings judge them"),
    ),
    check(12, "link errors", "link_errors_most", Never(NO_SWITCHES)),
    check(13, "link flaps", "link_flaps_most", Never(NO_SWITCHES)),
    check(14, "straggler", "perf_ratio_least", At(devices::perf_ratio)),
    check(15, "sustained clock", "clock_ratio_least", At(devices::clock_ratio)),
    check(16, "thermal throttle", "thermal_throttle_seconds_most", At(devices::thermal_seconds)),
    check(16, "hardware slowdown", "hw_slowdown_seconds_most", At(devices::slowdown_seconds)),
    check(17, "power brake", "power_brake_seconds_most", At(devices::brake_seconds)),
    check(18, "reaches rated power", "power_ratio_least", At(devices::power_ratio)),
    check(18, "power inside a supply", "power_spread_percent_most", At(building::power_spread)),
    check(19, "temperature margin", "temp_margin_k_least", At(devices::temp_margin)),
    check(20, "supply air", "air_inlet_c_least", At(building::air)),
    check(20, "supply air", "air_inlet_c_most", At(building::air)),
    check(20, "supply air", "air_spread_k_most", At(building::air_spread)),
    check(20, "supply coolant", "coolant_supply_c_least", At(building::coolant)),
    check(20, "supply coolant", "coolant_supply_c_most", At(building::coolant)),
    check(20, "dew point", "dew_margin_k_least", At(building::dew_margin)),
    check(21, "coolant rise", "coolant_rise_k_least", At(building::rise)),
    check(21, "coolant rise", "coolant_rise_k_most", At(building::rise)),
    check(21, "flow", "flow_lpm_per_kw_least", At(building::flow)),
    check(21, "flow", "flow_lpm_per_kw_most", At(building::flow)),
    check(21, "heat balance", "heat_balance_percent_most", At(building::heat_balance)),
    check(21, "approach", "approach_k_most", At(building::approach)),
    check(22, "thermal resistance", "r_th_ratio_most", At(devices::r_th_ratio)),
    check(23, "phase balance", "phase_imbalance_percent_most", At(building::imbalance)),
    check(23, "breaker headroom", "breaker_percent_most", At(building::breaker)),
    check(23, "feed lost", "failover_percent_most", At(building::failover)),
    check(24, "voltage", "sag_percent_most", At(building::sag)),
    check(
        25,
        "both halves together",
        "interaction_percent_most",
        Never("the plan has no phases with each half alone and then both"),
    ),
    Check {
        number: None,
        about: "start skew",
        gate: "start_skew_ms_most",
        look: At(fabric::start_skew_ms),
    },
];
