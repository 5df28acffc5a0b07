//! Recorded walks: what `snmpwalk -On` prints.

use async_snmp::{Oid, Value};

/// Reads a walk; lines that begin with `#` are remarks.
#[must_use]
pub fn parse(text: &str) -> Vec<(Oid, Value)> {
    let lines = text.lines().map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).map(row).collect()
}

fn row(line: &str) -> (Oid, Value) {
    let (oid, value) = line.split_once(" = ").unwrap_or_else(|| panic!("no row: {line}"));
    let (kind, value) = value.split_once(": ").unwrap_or_else(|| panic!("no value: {line}"));
    let whole = || value.parse::<i64>().unwrap_or_else(|_| panic!("no number: {line}"));
    let value = match kind {
        "INTEGER" => Value::Integer(whole().try_into().unwrap()),
        "Gauge32" => Value::Gauge32(whole().try_into().unwrap()),
        "Counter32" => Value::Counter32(whole().try_into().unwrap()),
        "STRING" => Value::OctetString(value.trim_matches('"').to_owned().into()),
        other => panic!("{other} in {line}"),
    };
    (Oid::parse(oid.trim_start_matches('.')).unwrap(), value)
}
