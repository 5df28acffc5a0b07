//! Any UPS: UPS-MIB, RFC 1628.
//!
//! Volts, amperes and power are those of its output, which is what the hall hangs on; its input
//! has points of its own.

use super::{Column, Index, Table};

const SCALAR: &[Index] = &[Index::Is(0)];
const LINE: &[Index] = &[Index::Line];

pub(super) static TABLE: Table = Table {
    columns: &[
        // RMS volts, tenths of an ampere, watts.
        Column::gauge("1.3.6.1.2.1.33.1.4.4.1.2", LINE, "voltage_v", 1.0),
        Column::gauge("1.3.6.1.2.1.33.1.4.4.1.3", LINE, "current_a", 0.1),
        Column::gauge("1.3.6.1.2.1.33.1.4.4.1.4", LINE, "power_kw", 1e-3),
        Column::gauge("1.3.6.1.2.1.33.1.3.3.1.3", LINE, "input_voltage_v", 1.0),
        Column::gauge("1.3.6.1.2.1.33.1.3.3.1.4", LINE, "input_current_a", 0.1),
        Column::gauge("1.3.6.1.2.1.33.1.3.3.1.5", LINE, "input_power_kw", 1e-3),
        Column::gauge("1.3.6.1.2.1.33.1.2.2", SCALAR, "seconds_on_battery", 1.0),
        // Unknown, normal, low, depleted.
        Column::state("1.3.6.1.2.1.33.1.2.1", SCALAR, "battery_status", &[1], &[3, 4]),
        // Other, none, normal, bypass, battery, booster, reducer: without, or unprotected.
        Column::state("1.3.6.1.2.1.33.1.4.1", SCALAR, "output_source", &[], &[2, 4, 5]),
    ],
    sums_power: true,
};
