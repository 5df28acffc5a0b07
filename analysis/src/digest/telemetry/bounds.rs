//! What a device can show: values beyond are slips of units, stand-ins such as -1 for "no
//! value", or broken sensors. They are counted and not measured.

use model::Metric;

/// Colder than any hall, C.
const TEMP_LEAST_C: f64 = -40.0;
/// Solder melts at 217 C (SAC305, its data sheet), and a sensor that fails says 255.
const TEMP_MOST_C: f64 = 217.0;
/// No device draws a megawatt; a figure in milliwatts may read so.
const POWER_MOST_W: f64 = 1e6;
/// A hundred gigahertz: a figure in hertz reads beyond.
const CLOCK_MOST_MHZ: f64 = 1e5;
/// Work per second in whatever unit: what sums still hold exactly enough.
const PERF_MOST: f64 = 1e18;

/// A kilowatt for thirty years is 1e12 J; a counter that ran over reads beyond.
const COUNTER_MOST: f64 = 1e13;

/// Whether a device can show such a value.
pub(super) fn is_possible(metric: Metric, value: f64) -> bool {
    let (least, most) = match metric {
        Metric::TempC
        | Metric::TempMaxC
        | Metric::MemTempC
        | Metric::InletAirC
        | Metric::CoolantSupplyC => (TEMP_LEAST_C, TEMP_MOST_C),
        Metric::PowerW | Metric::PowerLimitW => (0.0, POWER_MOST_W),
        Metric::ClockMhz | Metric::ClockMinMhz => (0.0, CLOCK_MOST_MHZ),
        // A card that slowed down is beyond its margin.
        Metric::MarginC => (-TEMP_MOST_C, TEMP_MOST_C),
        Metric::EnergyJ
        | Metric::SwPowerCapS
        | Metric::SwThermalS
        | Metric::HwThermalS
        | Metric::PowerBrakeS => (0.0, COUNTER_MOST),
        Metric::Busy | Metric::Perf => (0.0, PERF_MOST),
    };
    (least..=most).contains(&value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stand_ins_and_slips_of_units_are_impossible() {
        for (metric, value) in [
            (Metric::PowerW, -1.0),
            (Metric::PowerW, 2e6),
            (Metric::TempC, 255.0),
            (Metric::TempC, -273.0),
            (Metric::ClockMhz, 1.4e9),
            (Metric::Perf, f64::MAX),
            (Metric::Perf, f64::NAN),
        ] {
            assert!(!is_possible(metric, value), "{metric:?} {value}");
        }
        assert!(is_possible(Metric::PowerW, 0.0) && is_possible(Metric::TempC, 110.0));
    }
}
