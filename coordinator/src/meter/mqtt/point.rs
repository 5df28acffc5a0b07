//! Which point of ours a point of the schema is: pure.

use super::payload::Metadata;
use super::topic::Topic;
use crate::meter::named_point::{NamedPoint, on_line};

/// The word of a point; a type that has none of ours keeps its own, in our spelling.
///
/// # Errors
/// When metadata lack what tells it apart, in words.
pub(super) fn word(topic: Topic<'_>, metadata: &Metadata) -> Result<String, String> {
    let sided = |point: &str| match metadata.has("processArea", "Primary") {
        true => format!("primary_{point}"),
        false => point.to_owned(),
    };
    let phased = |point: &str| match metadata.text("phase") {
        None => Ok(point.to_owned()),
        Some(phase) => on_line(point, phase).ok_or(format!("phase {phase:?} is no line")),
    };
    Ok(match topic.point {
        "RackLiquidSupplyTemperature" => "supply_c".to_owned(),
        "RackLiquidReturnTemperature" => "return_c".to_owned(),
        "RackLiquidFlow" => "flow_lpm".to_owned(),
        "RackLiquidDifferentialPressure" => "dp_kpa".to_owned(),
        "RackLeakDetect" | "RackLeakDetectTray" | "LeakDetect" => "alarm".to_owned(),
        "RackPower" => "power_kw".to_owned(),
        "ActivePower" => phased("power_kw")?,
        "Voltage" => phased("voltage_v")?,
        "Current" => phased("current_a")?,
        "PhaseCurrent" if metadata.text("phase").is_some() => phased("current_a")?,
        "PhaseCurrent" => return Err("no phase is said".to_owned()),
        "LiquidTemperature" if metadata.has("processArea", "Supply") => sided("supply_c"),
        "LiquidTemperature" if metadata.has("processArea", "Return") => sided("return_c"),
        "LiquidFlow" => sided("flow_lpm"),
        "LiquidDifferentialPressure" => sided("dp_kpa"),
        other => own_word(other, metadata),
    })
}

/// Points of ours are measured in their unit's word; the building's own have none.
pub(super) fn meaning(point: &str, metadata: &Metadata) -> Result<NamedPoint, String> {
    let unit = metadata.text("engUnit").unwrap_or_default();
    let is_ours = analysis::digest::meters::Point::of(point).is_some();
    NamedPoint::new(point, if is_ours { unit } else { "" }, 1.0)
}

/// `PumpSpeed` in the process area Primary: `primary_pump_speed`.
fn own_word(point: &str, metadata: &Metadata) -> String {
    let areas = metadata.fields.get("processArea").and_then(|areas| areas.as_array());
    let areas = areas.into_iter().flatten().filter_map(|area| area.as_str());
    let words: Vec<String> = areas.chain([point]).map(snake).collect();
    words.join("_").chars().take(64).collect()
}

fn snake(camel: &str) -> String {
    let mut word = String::new();
    let mut was_lower = false;
    for c in camel.chars() {
        if c.is_ascii_uppercase() && was_lower {
            word.push('_');
        }
        was_lower = c.is_ascii_lowercase() || c.is_ascii_digit();
        word.push(if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' });
    }
    word
}

#[cfg(test)]
mod tests {
    use super::super::payload::metadata;
    use super::*;

    fn word_of(object_and_point: &str, said: &str) -> Result<String, String> {
        let topic = format!("P/Value/{object_and_point}/tag");
        word(Topic::of("P", &topic).unwrap(), &metadata(said.as_bytes()).unwrap())
    }

    #[test]
    fn points_of_the_schema_have_words_of_ours() {
        let cases = [
            ("Rack/RackPower", "{}", "power_kw"),
            ("PowerMeter/PhaseCurrent", r#"{"phase":"B"}"#, "current_a.l2"),
            ("PowerMeter/Voltage", r#"{"phase":"3"}"#, "voltage_v.l3"),
            ("CDU/LiquidTemperature", r#"{"processArea":["Secondary","Supply"]}"#, "supply_c"),
            (
                "CDU/LiquidTemperature",
                r#"{"processArea":["Primary","Supply"]}"#,
                "primary_supply_c",
            ),
            ("CDU/LiquidFlow", r#"{"processArea":["Secondary"]}"#, "flow_lpm"),
            ("CDU/LeakDetect", "{}", "alarm"),
            ("CDU/PumpSpeed", r#"{"processArea":["Primary"]}"#, "primary_pump_speed"),
        ];
        for (topic, said, expected) in cases {
            assert_eq!(word_of(topic, said).as_deref(), Ok(expected), "{topic} {said}");
        }
        // Current of an unknown line is no current of the whole.
        assert!(word_of("PowerMeter/PhaseCurrent", "{}").is_err());
        assert!(word_of("PowerMeter/Voltage", r#"{"phase":"N"}"#).is_err());
    }

    #[test]
    fn a_unit_that_does_not_fit_is_refused() {
        let said = |unit: &str| metadata(format!("{{\"engUnit\":\"{unit}\"}}").as_bytes()).unwrap();
        assert_eq!(meaning("supply_c", &said("degF")).unwrap().value(212.0), Some(100.0));
        assert!(meaning("supply_c", &said("kPa")).is_err());
        assert!(meaning("pump_speed", &said("rpm")).is_ok());
    }
}
