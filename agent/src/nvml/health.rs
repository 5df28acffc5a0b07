//! States of a card's memory and links.

use model::gauge::Gauge;
use model::reading::Reading;

use super::card::{CLOCK_MEMORY, CORRECTED, Card};
use super::fields::{
    GPU_MAX_TLIMIT, MEMORY_MAX_TLIMIT, NVLINK_ERRORS, NVLINK_RECOVERIES, RECOVERY_ACTION,
    REMAP_FAILED, REMAP_PENDING, REMAPPED_CORRECTABLE, REMAPPED_UNCORRECTABLE, SHUTDOWN_TLIMIT,
    SLOWDOWN_TLIMIT,
};

/// Gauges that are fields, as they are.
const FIELDS: [(Gauge, u32); 10] = [
    (Gauge::RemappedCorrectable, REMAPPED_CORRECTABLE),
    (Gauge::RemappedUncorrectable, REMAPPED_UNCORRECTABLE),
    (Gauge::RemapPending, REMAP_PENDING),
    (Gauge::RemapFailed, REMAP_FAILED),
    (Gauge::NvlinkRecoveries, NVLINK_RECOVERIES),
    (Gauge::ShutdownLimitC, SHUTDOWN_TLIMIT),
    (Gauge::SlowdownLimitC, SLOWDOWN_TLIMIT),
    (Gauge::MemoryLimitC, MEMORY_MAX_TLIMIT),
    (Gauge::GpuLimitC, GPU_MAX_TLIMIT),
    (Gauge::RecoveryAction, RECOVERY_ACTION),
];

/// Every state, each a value or a reason why not.
pub(super) fn states(card: &Card) -> Vec<(Gauge, Reading<f64>)> {
    let mut states: Vec<(Gauge, Reading<f64>)> = card
        .fields(FIELDS.map(|(_, number)| number))
        .into_iter()
        .zip(FIELDS)
        .map(|(field, (gauge, _))| (gauge, field.value))
        .collect();
    let [generation, generation_max, width, width_max] = card.pcie_link();
    let (active, inactive) = card.nvlinks();
    states.extend([
        (Gauge::MemoryClockMhz, card.clock(CLOCK_MEMORY)),
        (Gauge::EccCorrected, card.ecc(CORRECTED).map(|count| count as f64)),
        (Gauge::PcieReplays, card.pcie_replays()),
        (Gauge::PcieGeneration, generation),
        (Gauge::PcieGenerationMax, generation_max),
        (Gauge::PcieWidth, width),
        (Gauge::PcieWidthMax, width_max),
        (Gauge::NvlinkActive, active),
        (Gauge::NvlinkInactive, inactive),
        (Gauge::NvlinkErrors, nvlink_errors(card)),
    ]);
    states
}

/// The sum of those that the card has.
fn nvlink_errors(card: &Card) -> Reading<f64> {
    let counts = card.fields(NVLINK_ERRORS).map(|field| field.value);
    let known: Vec<f64> = counts.iter().filter_map(|count| count.value()).collect();
    if known.is_empty() { counts[0] } else { Reading::Value(known.iter().sum()) }
}
