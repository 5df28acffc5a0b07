//! Meters: what the building says.

use crate::table::{Column, Row, Slot, TableReader, TableWriter};

/// One reading of one meter; `None` is not measured, never zero.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MeterRow {
    /// Nanoseconds since the Unix epoch.
    pub time_ns: i64,
    /// Id of the domain in the site.
    pub domain: String,
    /// `power_kw`, `supply_c`, `current_a.l2`, ...
    pub point: String,
    pub value: Option<f64>,
    pub unit: Option<String>,
    /// `good` or `suspect`.
    pub quality: Option<String>,
    /// How far the meter's clock may be off, in milliseconds.
    pub clock_error_ms: Option<f64>,
}

/// Reads meters in batches.
pub type MeterReader = TableReader<MeterRow>;
/// Writes meters.
pub type MeterWriter = TableWriter<MeterRow>;

impl Row for MeterRow {
    const COLUMNS: &'static [Column<Self>] = &[
        Column::needed("time", Slot::Time(|row| &mut row.time_ns)),
        Column::needed("domain", Slot::Name(|row| &mut row.domain)),
        Column::needed("point", Slot::Name(|row| &mut row.point)),
        Column::needed("value", Slot::Real(|row| &mut row.value)),
        Column::optional("unit", Slot::Text(|row| &mut row.unit)),
        Column::optional("quality", Slot::Text(|row| &mut row.quality)),
        Column::optional("clock_error_ms", Slot::Real(|row| &mut row.clock_error_ms)),
    ];
}
