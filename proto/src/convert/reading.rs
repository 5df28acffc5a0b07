//! Readings: values and reasons.

use model::reading::{Absence, Reading};

use crate::v1;

/// Wire form of a reason.
#[must_use]
pub fn absence_to_wire(why: Absence) -> v1::Absence {
    match why {
        Absence::NotPresent => v1::Absence::NotPresent,
        Absence::NotPermitted => v1::Absence::NotPermitted,
        Absence::Failed => v1::Absence::Failed,
        Absence::TimedOut => v1::Absence::TimedOut,
        Absence::NotYet => v1::Absence::NotYet,
    }
}

/// A reason from the wire; one that we don't know is a failure to read.
#[must_use]
pub fn absence_from_wire(why: i32) -> Absence {
    match v1::Absence::try_from(why) {
        Ok(v1::Absence::NotPresent) => Absence::NotPresent,
        Ok(v1::Absence::NotPermitted) => Absence::NotPermitted,
        Ok(v1::Absence::TimedOut) => Absence::TimedOut,
        Ok(v1::Absence::NotYet) => Absence::NotYet,
        Ok(v1::Absence::Failed | v1::Absence::Unspecified) | Err(_) => Absence::Failed,
    }
}

pub(super) fn reading_to_wire(reading: Reading<f64>) -> Option<v1::Reading> {
    use v1::reading::Reading as Wire;
    let reading = match reading {
        Reading::Value(value) => Wire::Value(value),
        Reading::Absent(why) => Wire::Absence(absence_to_wire(why) as i32),
    };
    Some(v1::Reading { reading: Some(reading) })
}

pub(super) fn reading_from_wire(reading: Option<&v1::Reading>) -> Reading<f64> {
    use v1::reading::Reading as Wire;
    match reading.and_then(|r| r.reading.as_ref()) {
        // A value that is no number is a sensor that failed, never a number.
        Some(Wire::Value(value)) if value.is_finite() => Reading::Value(*value),
        Some(Wire::Value(_)) => Reading::Absent(Absence::Failed),
        Some(Wire::Absence(why)) => Reading::Absent(absence_from_wire(*why)),
        None => Reading::Absent(Absence::NotPresent),
    }
}

/// Whole numbers keep every bit: a mask is no real.
pub(super) fn count_to_wire(count: Reading<u64>) -> Option<v1::Count> {
    use v1::count::Reading as Wire;
    let reading = match count {
        Reading::Value(value) => Wire::Value(value),
        Reading::Absent(why) => Wire::Absence(absence_to_wire(why) as i32),
    };
    Some(v1::Count { reading: Some(reading) })
}

pub(super) fn count_from_wire(count: Option<&v1::Count>) -> Reading<u64> {
    use v1::count::Reading as Wire;
    match count.and_then(|count| count.reading.as_ref()) {
        Some(Wire::Value(value)) => Reading::Value(*value),
        Some(Wire::Absence(why)) => Reading::Absent(absence_from_wire(*why)),
        None => Reading::Absent(Absence::NotPresent),
    }
}
