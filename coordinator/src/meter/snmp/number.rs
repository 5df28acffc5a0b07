//! The number in a value of SNMP.

use async_snmp::Value;

/// A float in a wrapping that SNMP does not know: tag, length and four bytes.
const WRAPPED_FLOAT: [u8; 3] = [0x9f, 0x78, 0x04];

/// What a value holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Raw {
    Number(f64),
    /// The device has no such object.
    Absent,
    /// Something else than a number.
    Other,
}

pub(super) fn raw(value: &Value) -> Raw {
    let number = match value {
        Value::Integer(number) => f64::from(*number),
        Value::Counter32(number)
        | Value::Gauge32(number)
        | Value::UInteger32(number)
        | Value::TimeTicks(number) => f64::from(*number),
        Value::Counter64(number) => *number as f64,
        Value::OctetString(text) => return text_number(text),
        Value::Opaque(bytes) => return wrapped_float(bytes),
        Value::NoSuchObject | Value::NoSuchInstance | Value::EndOfMibView => return Raw::Absent,
        _ => return Raw::Other,
    };
    Raw::Number(number)
}

/// Some devices write their decimals as text.
fn text_number(text: &[u8]) -> Raw {
    let number = std::str::from_utf8(text).ok().and_then(|text| text.trim().parse::<f64>().ok());
    number.filter(|number| number.is_finite()).map_or(Raw::Other, Raw::Number)
}

fn wrapped_float(bytes: &[u8]) -> Raw {
    let float = bytes.strip_prefix(&WRAPPED_FLOAT).and_then(|rest| rest.try_into().ok());
    let number = float.map(|bytes| f64::from(f32::from_be_bytes(bytes)));
    number.filter(|number| number.is_finite()).map_or(Raw::Other, Raw::Number)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_come_in_many_types() {
        assert_eq!(raw(&Value::Integer(-7)), Raw::Number(-7.0));
        assert_eq!(raw(&Value::Gauge32(u32::MAX)), Raw::Number(4_294_967_295.0));
        assert_eq!(raw(&Value::OctetString(" 231.4".into())), Raw::Number(231.4));
        assert_eq!(raw(&Value::NoSuchInstance), Raw::Absent);
        for text in ["", "NaN", "inf", "12 A", "0x10"] {
            assert_eq!(raw(&Value::OctetString(text.into())), Raw::Other, "{text}");
        }
        let float = [&WRAPPED_FLOAT[..], &50.25_f32.to_be_bytes()].concat();
        assert_eq!(raw(&Value::Opaque(float.into())), Raw::Number(50.25));
    }

    proptest! {
        #[test]
        fn random_bytes_are_a_finite_number_or_none(bytes in prop::collection::vec(any::<u8>(), 0..16)) {
            for value in [Value::OctetString(bytes.clone().into()), Value::Opaque(bytes.into())] {
                if let Raw::Number(number) = raw(&value) {
                    prop_assert!(number.is_finite());
                }
            }
        }
    }
}
