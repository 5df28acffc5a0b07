//! Payloads of the DSX Exchange BMS schema: pure.

use serde_json::{Map, Value};

/// What a value says.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Said {
    /// `None`: it has no value at present.
    pub(super) value: Option<f64>,
    /// When it was read, nanoseconds since the Unix epoch.
    pub(super) stamp_ns: Option<i64>,
    pub(super) good: bool,
    /// A field that the schema does not have.
    pub(super) unknown: Option<String>,
}

/// What is known of a point before its values come.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Metadata {
    pub(super) fields: Map<String, Value>,
}

/// Reads a value.
///
/// # Errors
/// When it is none, in words.
pub(super) fn value(payload: &[u8]) -> Result<Said, String> {
    let fields = object(payload)?;
    let value = match fields.get("value") {
        None => return Err("no field value".to_owned()),
        Some(Value::Null) => None,
        Some(value) => Some(value.as_f64().ok_or("its value is no number")?),
    };
    let stamp_ns = fields.get("timestamp").and_then(Value::as_f64).map(stamp_ns);
    let known = ["value", "timestamp", "quality"];
    Ok(Said {
        value,
        stamp_ns,
        good: fields.get("quality").and_then(Value::as_f64) == Some(1.0),
        unknown: fields.keys().find(|key| !known.contains(&key.as_str())).cloned(),
    })
}

/// Reads metadata.
///
/// # Errors
/// When they are none, in words.
pub(super) fn metadata(payload: &[u8]) -> Result<Metadata, String> {
    Ok(Metadata { fields: object(payload)? })
}

impl Metadata {
    /// A text, or the only one of a list.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        match self.fields.get(key)? {
            Value::String(text) => Some(text.as_str()),
            Value::Array(list) if list.len() == 1 => list[0].as_str(),
            _ => None,
        }
        .filter(|text| !text.is_empty())
    }

    /// Whether a text is in a list.
    pub(super) fn has(&self, key: &str, wanted: &str) -> bool {
        let list = self.fields.get(key).and_then(Value::as_array);
        list.into_iter().flatten().any(|text| text.as_str() == Some(wanted))
    }

    /// Whether it is what somebody wants and nobody measured.
    pub(super) fn is_setpoint(&self) -> bool {
        self.fields.get("isSetpoint").and_then(Value::as_bool).unwrap_or(false)
    }
}

fn object(payload: &[u8]) -> Result<Map<String, Value>, String> {
    match serde_json::from_slice(payload) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err("no JSON object".to_owned()),
        Err(_) => Err("no JSON".to_owned()),
    }
}

/// Milliseconds; what lies beyond the years of `i64` ends at its ends.
fn stamp_ns(milliseconds: f64) -> i64 {
    (milliseconds.round() as i64).saturating_mul(1_000_000)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_value_has_a_number_an_instant_and_a_quality() {
        let said = value(br#"{"value":31.5,"timestamp":1700000000123,"quality":1}"#).unwrap();
        assert_eq!((said.value, said.stamp_ns), (Some(31.5), Some(1_700_000_000_123_000_000)));
        assert!(said.good && said.unknown.is_none());
        let said = value(br#"{"value":null,"timestamp":1,"quality":0,"x":2}"#).unwrap();
        assert_eq!((said.value, said.good), (None, false));
        assert_eq!(said.unknown.as_deref(), Some("x"));
        // What does not say that it is good is not good.
        assert!(!value(br#"{"value":1}"#).unwrap().good);
        for wrong in [&b"{}"[..], b"[1]", b"31.5", b"{\"value\":\"31\"}", b"", b"{\"value\":1"] {
            assert!(value(wrong).is_err());
        }
    }

    proptest! {
        #[test]
        fn bytes_of_anybody_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            drop(value(&bytes));
            drop(metadata(&bytes));
        }

        #[test]
        fn numbers_of_anybody_do_not_panic(number in any::<f64>(), stamp in any::<f64>()) {
            drop(value(format!("{{\"value\":{number:?},\"timestamp\":{stamp:?}}}").as_bytes()));
        }
    }
}
