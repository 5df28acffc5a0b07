//! Samples: one row per device and instant.
//!
//! [`SampleReader`] gives rows; [`SampleChunks`] and [`fold`] give columns, for many.

mod chunks;
mod clocks;
mod columns;
mod duplicates;
mod facts;

use crate::table::{Column, Row, Slot, TableReader, TableWriter};

pub use chunks::{CHUNK_ROWS, SampleChunks, fold};
pub use duplicates::DUPLICATE_ROWS_MAX;
pub use facts::SampleFacts;
pub use model::table::SampleRow;

/// Reads samples in batches.
pub type SampleReader = TableReader<SampleRow>;
/// Writes samples.
pub type SampleWriter = TableWriter<SampleRow>;

#[cfg(test)]
mod tests;

impl Row for SampleRow {
    const COLUMNS: &'static [Column<Self>] = &[
        Column::needed("time", Slot::Time(|row| &mut row.time_ns)),
        Column::needed("node", Slot::Name(|row| &mut row.node)),
        Column::needed("device", Slot::Index(|row| &mut row.device)),
        Column::optional("phase", Slot::Text(|row| &mut row.phase)),
        Column::optional("block", Slot::Text(|row| &mut row.block)),
        Column::optional("uuid", Slot::Text(|row| &mut row.uuid)),
        Column::optional("kernel", Slot::Text(|row| &mut row.kernel)),
        Column::optional("power_w", Slot::Real(|row| &mut row.power_w)),
        Column::optional("temp_c", Slot::Real(|row| &mut row.temp_c)),
        Column::optional("temp_max_c", Slot::Real(|row| &mut row.temp_max_c)),
        Column::optional("mem_temp_c", Slot::Real(|row| &mut row.mem_temp_c)),
        Column::optional("inlet_air_c", Slot::Real(|row| &mut row.inlet_air_c)),
        Column::optional("coolant_supply_c", Slot::Real(|row| &mut row.coolant_supply_c)),
        Column::optional("clock_mhz", Slot::Real(|row| &mut row.clock_mhz)),
        Column::optional("clock_min_mhz", Slot::Real(|row| &mut row.clock_min_mhz)),
        Column::optional("busy", Slot::Real(|row| &mut row.busy)),
        Column::optional("perf", Slot::Real(|row| &mut row.perf)),
        Column::optional("power_limit_w", Slot::Real(|row| &mut row.power_limit_w)),
        Column::optional("margin_c", Slot::Real(|row| &mut row.margin_c)),
        Column::optional("energy_j", Slot::Real(|row| &mut row.energy_j)),
        Column::optional("sw_power_cap_s", Slot::Real(|row| &mut row.sw_power_cap_s)),
        Column::optional("sw_thermal_s", Slot::Real(|row| &mut row.sw_thermal_s)),
        Column::optional("hw_thermal_s", Slot::Real(|row| &mut row.hw_thermal_s)),
        Column::optional("power_brake_s", Slot::Real(|row| &mut row.power_brake_s)),
        Column::optional("clock_event_reasons", Slot::Whole(|row| &mut row.clock_event_reasons)),
        Column::optional("ecc_uncorrected", Slot::Whole(|row| &mut row.ecc_uncorrected)),
        Column::optional("xid", Slot::Whole(|row| &mut row.xid)),
    ];
}
