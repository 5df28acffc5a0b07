//! What a Redfish resource says, in points of the building: pure.

use serde_json::Value;

use super::walk::{Role, kind, named};
use crate::meter::alarm::worst;

/// What one resource brought.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Said {
    pub(super) readings: Vec<Spoken>,
    /// Whether it raises an alarm; the inner `None` where it should say and doesn't.
    pub(super) alarm: Option<Option<bool>>,
}

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Spoken {
    pub(super) point: String,
    pub(super) value: f64,
    /// When it was read, where the resource says so, nanoseconds since the Unix epoch.
    pub(super) stamp_ns: Option<i64>,
}

/// Watts, of a point in kilowatts.
const KILO: f64 = 1e-3;

/// Reads one resource.
pub(super) fn say(resource: &Value, role: &Role) -> Said {
    let prefix = match role.is_branch {
        true => named("branch", resource),
        false => role.prefix.clone(),
    };
    let mut said = Saying { resource, prefix, said: Said::default() };
    if is_away(resource) {
        return said.said;
    }
    match kind(resource) {
        "EnvironmentMetrics" => {
            said.take("PowerWatts", "power_kw", KILO);
            said.take("DewPointCelsius", "dew_point_c", 1.0);
            let air = if role.of_cdu { "ambient_c" } else { "inlet_air_c" };
            said.take("TemperatureCelsius", air, 1.0);
        }
        "PowerSupplyMetrics" => {
            said.take("InputPowerWatts", "power_kw", KILO);
            said.take("InputVoltage", "voltage_v", 1.0);
            said.take("InputCurrentAmps", "current_a", 1.0);
        }
        "PowerDistributionMetrics" => said.take("PowerWatts", "power_kw", KILO),
        "Circuit" => said.circuit(),
        "CoolantConnector" => {
            said.take("SupplyTemperatureCelsius", "supply_c", 1.0);
            said.take("ReturnTemperatureCelsius", "return_c", 1.0);
            said.take("FlowLitersPerMinute", "flow_lpm", 1.0);
            said.take("DeltaPressurekPa", "dp_kpa", 1.0);
            said.take("HeatRemovedkW", "heat_kw", 1.0);
        }
        "LeakDetector" => said.said.alarm = Some(leak(&resource["DetectorState"])),
        "LeakDetection" => said.leak_groups(),
        "Sensor" => said.sensor(),
        "Power" => said.old_power(),
        "Thermal" => said.old_thermal(),
        _ => {}
    }
    said.said
}

/// A part that is not plugged in says nothing, whatever its numbers are.
fn is_away(resource: &Value) -> bool {
    matches!(
        resource["Status"]["State"].as_str(),
        Some("Absent" | "Disabled" | "UnavailableOffline")
    )
}

/// What a detector of leaks says; `None` for no word that is known.
fn leak(state: &Value) -> Option<bool> {
    match state.as_str()? {
        "OK" => Some(false),
        // A trace of moisture is a leak that has just begun.
        "Warning" | "Critical" => Some(true),
        _ => None,
    }
}

struct Saying<'r> {
    resource: &'r Value,
    prefix: String,
    said: Said,
}

impl Saying<'_> {
    /// The excerpt of a sensor under a name.
    fn take(&mut self, name: &str, point: &str, scale: f64) {
        self.add(&self.resource[name], point, scale);
    }

    /// An excerpt; one without a number is no reading.
    fn add(&mut self, excerpt: &Value, point: &str, scale: f64) {
        let Some(value) = excerpt["Reading"].as_f64() else { return };
        let time =
            [&excerpt["ReadingTime"], &self.resource["ReadingTime"], &self.resource["DateTime"]];
        let stamp_ns = time.into_iter().find_map(stamp);
        self.push(point, value * scale, stamp_ns);
    }

    fn push(&mut self, point: &str, value: f64, stamp_ns: Option<i64>) {
        let point = format!("{}{point}", self.prefix);
        self.said.readings.push(Spoken { point, value, stamp_ns });
    }

    fn circuit(&mut self) {
        let resource = self.resource;
        self.take("PowerWatts", "power_kw", KILO);
        // Of one phase, or of the only one.
        self.take("Voltage", "voltage_v", 1.0);
        self.take("CurrentAmps", "current_a", 1.0);
        for line in 1..=3 {
            let neutral = format!("Line{line}ToNeutral");
            let of = |what: &str| format!("{what}.l{line}");
            self.add(&resource["PolyPhaseVoltage"][&neutral], &of("voltage_v"), 1.0);
            self.add(&resource["PolyPhasePowerWatts"][&neutral], &of("power_kw"), KILO);
            let wire = format!("Line{line}");
            self.add(&resource["PolyPhaseCurrentAmps"][&wire], &of("current_a"), 1.0);
        }
        let neutral = &resource["PolyPhaseCurrentAmps"]["Neutral"];
        self.add(neutral, "current_neutral_a", 1.0);
        // One that somebody switched off is no alarm: where it should heat, its power is missing.
        self.said.alarm =
            resource.get("BreakerState").filter(|state| !state.is_null()).map(|state| match state
                .as_str()
            {
                Some("Normal" | "Off") => Some(false),
                Some("Tripped") => Some(true),
                _ => None,
            });
    }

    fn leak_groups(&mut self) {
        let groups = self.resource["LeakDetectorGroups"].as_array().into_iter().flatten();
        let detectors = groups.filter_map(|group| group["Detectors"].as_array()).flatten();
        let states: Vec<Option<bool>> = detectors
            .filter(|detector| !is_away(detector))
            .map(|detector| leak(&detector["DetectorState"]))
            .collect();
        if !states.is_empty() {
            self.said.alarm = Some(worst(states));
        }
    }

    fn sensor(&mut self) {
        let context = self.resource["PhysicalContext"].as_str().unwrap_or_default();
        let kind = self.resource["ReadingType"].as_str().unwrap_or_default();
        let resource = self.resource;
        match (kind, context) {
            ("Temperature", "Intake" | "Room") => self.add(resource, "inlet_air_c", 1.0),
            ("Power", "Chassis" | "") => self.add(resource, "power_kw", KILO),
            _ => {}
        }
    }

    /// `Power` of before 2020: the sum, and every supply's input.
    fn old_power(&mut self) {
        let control = self.resource["PowerControl"].as_array().and_then(|list| list.first());
        if let Some(watts) = control.and_then(|control| control["PowerConsumedWatts"].as_f64()) {
            self.push("power_kw", watts * KILO, None);
        }
        let supplies = self.resource["PowerSupplies"].as_array().into_iter().flatten();
        for supply in supplies.filter(|supply| !is_away(supply)) {
            let prefix = named("psu", supply);
            let of =
                [("LineInputVoltage", "voltage_v", 1.0), ("PowerInputWatts", "power_kw", KILO)];
            for (name, point, scale) in of {
                if let Some(value) = supply[name].as_f64() {
                    self.push(&format!("{prefix}{point}"), value * scale, None);
                }
            }
        }
    }

    /// `Thermal` of before 2020: the air that comes in.
    fn old_thermal(&mut self) {
        let temperatures = self.resource["Temperatures"].as_array().into_iter().flatten();
        let intake = temperatures
            .filter(|of| !is_away(of) && of["PhysicalContext"].as_str() == Some("Intake"))
            .find_map(|of| of["ReadingCelsius"].as_f64());
        if let Some(celsius) = intake {
            self.push("inlet_air_c", celsius, None);
        }
    }
}

fn stamp(value: &Value) -> Option<i64> {
    let instant: jiff::Timestamp = value.as_str()?.parse().ok()?;
    i64::try_from(instant.as_nanosecond()).ok()
}
