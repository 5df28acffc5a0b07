//! APC rack PDUs of the second generation: PowerNet-MIB, rPDU2.
//!
//! Devices, phases and banks have running numbers over a chain of PDUs; other columns say which
//! PDU and which phase each is. Currents of banks and outlets are ignored: no word names them.
//! Load states of banks are parts of the alarm, because a bank is what a breaker feeds.

use super::{Column, Index, Table};

const OF_DEVICE: &[Index] = &[Index::Row { unit: "1.3.6.1.4.1.318.1.1.26.4.3.1.2", line: None }];
const OF_PHASE: &[Index] = &[Index::Row {
    unit: "1.3.6.1.4.1.318.1.1.26.6.3.1.2",
    line: Some("1.3.6.1.4.1.318.1.1.26.6.3.1.3"),
}];
const OF_BANK: &[Index] = &[Index::Row { unit: "1.3.6.1.4.1.318.1.1.26.8.3.1.2", line: None }];

/// Not supported, which denies nothing; no value.
const UNKNOWN: &[i64] = &[-1, 5];
/// nearOverload and overload; 1 is low, 2 normal.
const OVERLOAD: &[i64] = &[3, 4];

pub(super) static TABLE: Table = Table {
    columns: &[
        // Hundredths of a kilowatt, whole volts, tenths of an ampere.
        Column::gauge("1.3.6.1.4.1.318.1.1.26.4.3.1.5", OF_DEVICE, "power_kw", 0.01),
        Column::gauge("1.3.6.1.4.1.318.1.1.26.6.3.1.6", OF_PHASE, "voltage_v", 1.0),
        Column::gauge("1.3.6.1.4.1.318.1.1.26.6.3.1.5", OF_PHASE, "current_a", 0.1),
        Column::gauge("1.3.6.1.4.1.318.1.1.26.6.3.1.7", OF_PHASE, "power_kw", 0.01),
        Column::state("1.3.6.1.4.1.318.1.1.26.4.3.1.4", OF_DEVICE, "load_state", UNKNOWN, OVERLOAD),
        Column::state("1.3.6.1.4.1.318.1.1.26.6.3.1.4", OF_PHASE, "phase_state", UNKNOWN, OVERLOAD),
        Column::state("1.3.6.1.4.1.318.1.1.26.8.3.1.4", OF_BANK, "", UNKNOWN, OVERLOAD),
    ],
    sums_power: true,
};
