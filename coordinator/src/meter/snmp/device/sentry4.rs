//! Server Technology PDUs: Sentry4-MIB.
//!
//! A row's index is PDU, cord and line. What a line carries of its breaker's rating has a point
//! of its own, `line_load_percent`, for interlocks. Branches and outlets are ignored.

use super::{Column, Index, Root, Table};

const CORD: &[Index] = &[Index::Unit, Index::Inlet];
const LINE: &[Index] = &[Index::Unit, Index::Inlet, Index::Line];

const CORD_STATUS: Root = "1.3.6.1.4.1.1718.4.1.3.3.1.2";
const LINE_STATUS: Root = "1.3.6.1.4.1.1718.4.1.4.3.1.2";
const PHASE_STATUS: Root = "1.3.6.1.4.1.1718.4.1.5.3.1.2";

/// Disabled, purged, being read or settled, not found, lost, not readable, no contact: what
/// stands beside them was not measured.
const BLIND: &[i64] = &[1, 2, 5, 6, 7, 8, 9, 10];
/// Power error, breaker tripped, fuse blown, the warnings and alarms, under and over limits.
const TROUBLE: &[i64] = &[11, 12, 13, 14, 15, 16, 17, 18, 19, 20];

const fn gauge(
    root: Root,
    index: &'static [Index],
    (point, scale): (&'static str, f64),
    status: Root,
) -> Column {
    Column { unless: Some((status, BLIND)), ..Column::gauge(root, index, point, scale) }
}

pub(super) static TABLE: Table = Table {
    columns: &[
        // Watts, tenths of a volt, hundredths of an ampere, tenths of a percent.
        gauge("1.3.6.1.4.1.1718.4.1.3.3.1.3", CORD, ("power_kw", 1e-3), CORD_STATUS),
        gauge("1.3.6.1.4.1.1718.4.1.5.3.1.3", LINE, ("voltage_v", 0.1), PHASE_STATUS),
        gauge("1.3.6.1.4.1.1718.4.1.4.3.1.3", LINE, ("current_a", 0.01), LINE_STATUS),
        gauge("1.3.6.1.4.1.1718.4.1.4.3.1.5", LINE, ("line_load_percent", 0.1), LINE_STATUS),
        Column::state(CORD_STATUS, CORD, "cord_status", BLIND, TROUBLE),
        Column::state(LINE_STATUS, LINE, "", BLIND, TROUBLE),
        Column::state(PHASE_STATUS, LINE, "", BLIND, TROUBLE),
    ],
    sums_power: false,
};
