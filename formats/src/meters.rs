//! Meters: what the building says.

use crate::table::{Column, Row, Slot, TableFollower, TableReader, TableWriter};

pub use model::table::MeterRow;

/// Reads meters in batches.
pub type MeterReader = TableReader<MeterRow>;
/// Reads meters that are being written.
pub type MeterFollower = TableFollower<MeterRow>;
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
