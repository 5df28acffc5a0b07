//! A reading as interlocks take it: who said what, and when.

use model::interlock::DeviceReading;
use model::table::MeterRow;
use proto::v1;

/// Who says it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source {
    Device {
        node: String,
        device: u32,
        what: What,
    },
    Meter {
        domain: String,
        point: String,
    },
    /// A source of meters by its name in their document; `None`: any of them.
    Beat(Option<String>),
}

/// What a device says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum What {
    TempC,
    MemTempC,
    PowerW,
    Reasons,
}

impl What {
    /// What a rule needs of a device.
    pub(super) fn of(reading: DeviceReading) -> Self {
        match reading {
            DeviceReading::TempC => Self::TempC,
            DeviceReading::MemTempC => Self::MemTempC,
            DeviceReading::PowerW => Self::PowerW,
            DeviceReading::Throttle(_) => Self::Reasons,
        }
    }
}

/// What was read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Value {
    Number(f64),
    Bits(u64),
}

/// A reading that came in.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Heard {
    pub(crate) source: Source,
    pub(crate) value: Value,
    /// When it was read, on the coordinator's clock as well as that is known.
    pub(crate) read_ns: i64,
    /// What its meter doubts can trip a rule, and is no sign of life.
    pub(crate) trusted: bool,
}

/// Readings of an agent's status. `offset_ns`: the coordinator's clock minus the agent's.
pub(crate) fn of_status(node: &str, status: &v1::Status, offset_ns: i64) -> Vec<Heard> {
    let mut heard = Vec::new();
    for reading in &status.readings {
        let mut add = |what, value: Option<Value>| {
            let source = Source::Device { node: node.to_owned(), device: reading.device, what };
            let read_ns = reading.read_ns.saturating_add(offset_ns);
            heard.extend(value.map(|value| Heard { source, value, read_ns, trusted: true }));
        };
        add(What::TempC, reading.temp_c.map(Value::Number));
        add(What::MemTempC, reading.mem_temp_c.map(Value::Number));
        add(What::PowerW, reading.power_w.map(Value::Number));
        add(What::Reasons, reading.clock_event_reasons.map(Value::Bits));
    }
    heard
}

/// A meter's reading in its point's own unit; nothing for an empty cell, or a unit that
/// nobody can convert.
pub(crate) fn of_meter(row: &MeterRow) -> Option<Heard> {
    let value = row.value?;
    let unit = row.unit.as_deref().unwrap_or_default();
    let value = match analysis::digest::meters::Point::of(&row.point) {
        Some(point) => point.value(value, unit).ok()?,
        // A point of the building's own: in whatever unit its rule is written.
        None => value,
    };
    Some(Heard {
        source: Source::Meter { domain: row.domain.clone(), point: row.point.clone() },
        value: Value::Number(value),
        read_ns: row.time_ns,
        trusted: is_trusted(row),
    })
}

/// Whether its meter does not doubt a row.
pub(crate) fn is_trusted(row: &MeterRow) -> bool {
    let quality = row.quality.as_deref().unwrap_or_default();
    quality.is_empty() || quality.eq_ignore_ascii_case("good")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(value: Option<f64>, unit: &str, quality: &str) -> MeterRow {
        MeterRow {
            time_ns: 5,
            domain: "loop-1".to_owned(),
            point: "supply_c".to_owned(),
            value,
            unit: Some(unit.to_owned()),
            quality: Some(quality.to_owned()),
            clock_error_ms: None,
        }
    }

    #[test]
    fn a_meter_is_held_in_its_points_own_unit() {
        let heard = of_meter(&row(Some(113.0), "F", "")).unwrap();
        assert!(matches!(heard.value, Value::Number(c) if (c - 45.0).abs() < 1e-9), "{heard:?}");
        assert_eq!(of_meter(&row(Some(1.0), "furlong", "")), None);
        assert_eq!(of_meter(&row(None, "C", "")), None);
    }

    #[test]
    fn what_its_meter_doubts_is_not_trusted() {
        let trusted = |quality: &str| of_meter(&row(Some(1.0), "", quality)).unwrap().trusted;
        assert_eq!(["", "good", "suspect"].map(trusted), [true, true, false]);
    }

    #[test]
    fn a_status_says_only_what_was_read_and_on_our_clock() {
        let reading = v1::DeviceReading {
            device: 3,
            read_ns: 100,
            temp_c: Some(61.0),
            clock_event_reasons: Some(0x84),
            ..v1::DeviceReading::default()
        };
        let status = v1::Status { readings: vec![reading], ..v1::Status::default() };
        let heard = of_status("n1", &status, -40);
        assert_eq!(heard.len(), 2);
        assert_eq!((heard[0].value, heard[0].read_ns), (Value::Number(61.0), 60));
        assert_eq!(heard[1].value, Value::Bits(0x84));
    }
}
