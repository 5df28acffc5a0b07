//! What a number of the building means: which point, in which unit, on which line.

use analysis::digest::meters::Point;

/// A point as a document names it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NamedPoint {
    /// The word, without a line that only the answer tells.
    pub(crate) point: String,
    /// Empty: the point's own.
    unit: String,
    scale: f64,
}

impl NamedPoint {
    /// Checks that the unit fits the point.
    ///
    /// # Errors
    /// In words, when it doesn't: nobody would take such a reading.
    pub(crate) fn new(point: &str, unit: &str, scale: f64) -> Result<Self, String> {
        if point.is_empty() || point.len() > 64 || !point.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(format!("\"{}\" is no word for a point", point.escape_debug()));
        }
        match Point::of(point) {
            Some(known) => {
                known.value(0.0, unit).map_err(|_| format!("{unit} is no unit of {point}"))?;
            }
            // A point of the building's own has its own unit, and nobody converts it.
            None if !unit.is_empty() => {
                return Err(format!("{point} is no point of loadbank: no unit is known for it"));
            }
            None => {}
        }
        Ok(Self { point: point.to_owned(), unit: unit.to_owned(), scale })
    }

    /// A number in the point's own unit; `None` for what is no number.
    pub(crate) fn value(&self, number: f64) -> Option<f64> {
        let scaled = number * self.scale;
        match Point::of(&self.point) {
            Some(known) => known.value(scaled, &self.unit).ok(),
            None => Some(scaled).filter(|value| value.is_finite()),
        }
    }
}

/// The point of one line of a supply: `None` when the building's word for the line is unknown.
pub(crate) fn on_line(point: &str, line: &str) -> Option<String> {
    let suffix = match line.trim().to_ascii_lowercase().as_str() {
        "l1" | "a" | "1" => "l1",
        "l2" | "b" | "2" => "l2",
        "l3" | "c" | "3" => "l3",
        _ => return None,
    };
    Some(format!("{point}.{suffix}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watts_of_a_point_in_kilowatts_are_converted_and_a_unit_that_does_not_fit_is_refused() {
        let power = NamedPoint::new("power_kw", "W", 10.0).unwrap();
        assert_eq!(power.value(250.0), Some(2.5));
        assert_eq!(power.value(f64::NAN), None);
        assert!(NamedPoint::new("power_kw", "C", 1.0).unwrap_err().contains("no unit of power_kw"));
        assert!(NamedPoint::new("pump_speed", "rpm", 1.0).is_err());
        assert_eq!(NamedPoint::new("pump_speed", "", 1.0).unwrap().value(40.0), Some(40.0));
    }

    #[test]
    fn lines_have_many_names() {
        assert_eq!(on_line("current_a", " B "), Some("current_a.l2".to_owned()));
        assert_eq!(on_line("current_a", "N"), None);
    }
}
