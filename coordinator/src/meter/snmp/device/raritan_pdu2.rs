//! Raritan and Legrand rack PDUs: PDU2-MIB.
//!
//! A row's index is PDU, inlet, then for poles the line, then the kind of sensor. Decimal
//! digits are read from the device beside every value. Outlets are ignored; so are peaks and
//! the inlet's own volts and amperes where its poles tell them.

use super::{Column, Index, Root, Table};

const VALUE: Root = "1.3.6.1.4.1.13742.6.5.2.3.1.4";
const STATE: Root = "1.3.6.1.4.1.13742.6.5.2.3.1.3";
const DIGITS: Root = "1.3.6.1.4.1.13742.6.3.3.4.1.7";
const POLE_VALUE: Root = "1.3.6.1.4.1.13742.6.5.2.4.1.4";
const POLE_STATE: Root = "1.3.6.1.4.1.13742.6.5.2.4.1.3";
const POLE_DIGITS: Root = "1.3.6.1.4.1.13742.6.3.3.6.1.7";

/// Kinds of sensors.
const CURRENT: Index = Index::Is(1);
const VOLTAGE: Index = Index::Is(4);
const POWER: Index = Index::Is(5);

/// The state "unavailable": the value beside it is zero and means nothing.
const UNAVAILABLE: &[i64] = &[-1];
/// Below lower critical and warning, above upper warning and critical, alarmed.
const BEYOND: &[i64] = &[2, 3, 5, 6, 11];

const fn inlet(index: &'static [Index], point: &'static str, scale: f64) -> Column {
    let unless = Some((STATE, UNAVAILABLE));
    // Only its state says that a sensor does not measure: -1 may be a value.
    Column { none: &[], digits: Some(DIGITS), unless, ..Column::gauge(VALUE, index, point, scale) }
}

const fn pole(index: &'static [Index], point: &'static str, scale: f64) -> Column {
    let unless = Some((POLE_STATE, UNAVAILABLE));
    let gauge = Column::gauge(POLE_VALUE, index, point, scale);
    Column { none: &[], digits: Some(POLE_DIGITS), unless, ..gauge }
}

pub(super) static TABLE: Table = Table {
    columns: &[
        // Watts, volts, amperes.
        inlet(&[Index::Unit, Index::Inlet, POWER], "power_kw", 1e-3),
        pole(&[Index::Unit, Index::Inlet, Index::Line, VOLTAGE], "voltage_v", 1.0),
        pole(&[Index::Unit, Index::Inlet, Index::Line, CURRENT], "current_a", 1.0),
        pole(&[Index::Unit, Index::Inlet, Index::Line, POWER], "power_kw", 1e-3),
        inlet(&[Index::Unit, Index::Inlet, VOLTAGE], "voltage_v", 1.0),
        inlet(&[Index::Unit, Index::Inlet, CURRENT], "current_a", 1.0),
        state(STATE, &[Index::Unit, Index::Inlet, POWER]),
        state(STATE, &[Index::Unit, Index::Inlet, VOLTAGE]),
        state(STATE, &[Index::Unit, Index::Inlet, CURRENT]),
        state(POLE_STATE, &[Index::Unit, Index::Inlet, Index::Line, VOLTAGE]),
        state(POLE_STATE, &[Index::Unit, Index::Inlet, Index::Line, CURRENT]),
    ],
    sums_power: true,
};

const fn state(root: Root, index: &'static [Index]) -> Column {
    Column::state(root, index, "", UNAVAILABLE, BEYOND)
}
