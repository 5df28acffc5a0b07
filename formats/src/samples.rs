//! Samples: one row per device and instant.

use crate::table::{Column, Row, Slot, TableReader, TableWriter};

/// What one device felt; `None` is not measured, never zero.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SampleRow {
    /// Nanoseconds since the Unix epoch.
    pub time_ns: i64,
    /// Empty when the location is unknown.
    pub node: String,
    /// Index in the node.
    pub device: u32,
    pub phase: Option<String>,
    /// A job or repetition: rows of one block are compared with each other.
    pub block: Option<String>,
    pub uuid: Option<String>,
    /// The word of the kernel that made the heat.
    pub kernel: Option<String>,
    /// Mean over the row's interval, in watts.
    pub power_w: Option<f64>,
    /// In degrees Celsius, like every temperature here.
    pub temp_c: Option<f64>,
    pub temp_max_c: Option<f64>,
    pub mem_temp_c: Option<f64>,
    pub inlet_air_c: Option<f64>,
    pub coolant_supply_c: Option<f64>,
    pub clock_mhz: Option<f64>,
    pub clock_min_mhz: Option<f64>,
    /// Share of the device that was busy, 0..=1.
    pub busy: Option<f64>,
    /// Work per second, higher is better.
    pub perf: Option<f64>,
    pub power_limit_w: Option<f64>,
    /// NVML's bit mask.
    pub clock_event_reasons: Option<u64>,
    pub ecc_uncorrected: Option<u64>,
    pub xid: Option<u64>,
}

/// Reads samples in batches.
pub type SampleReader = TableReader<SampleRow>;
/// Writes samples.
pub type SampleWriter = TableWriter<SampleRow>;

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
        Column::optional("clock_event_reasons", Slot::Whole(|row| &mut row.clock_event_reasons)),
        Column::optional("ecc_uncorrected", Slot::Whole(|row| &mut row.ecc_uncorrected)),
        Column::optional("xid", Slot::Whole(|row| &mut row.xid)),
    ];
}
