use formats::sources::Device;
use proptest::prelude::*;

use super::super::super::port::Round;
use super::*;

fn walk(name: &str) -> BTreeMap<Oid, Value> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/meters");
    let text = std::fs::read_to_string(format!("{folder}/{name}.walk")).unwrap();
    fake_plant::walk::parse(&text).into_iter().collect()
}

fn round(device: &Device, rows: &BTreeMap<Oid, Value>, unit: u32, inlet: u32) -> Round {
    let question = Table::of(device).unwrap().question(Place { unit, inlet }, rows);
    let answers = question.oids().into_iter();
    let answers = answers.filter_map(|oid| Some((oid.clone(), rows.get(&oid)?.clone())));
    question.round("here", &answers.collect())
}

/// Points and values of a round, by point; values to the ten thousandth.
fn points(round: &Round) -> Vec<(&str, f64)> {
    let rounded = |value: f64| (value * 1e4).round() / 1e4;
    let mut points: Vec<(&str, f64)> = round
        .readings
        .iter()
        .map(|reading| (reading.point.as_str(), rounded(reading.value)))
        .collect();
    points.sort_by(|a, b| a.0.cmp(b.0));
    assert_eq!(round.wrong, Vec::<String>::new());
    points
}

#[test]
fn each_apc_of_a_chain_has_its_own_rows() {
    let rows = walk("apc_rpdu2");
    let first = round(&Device::ApcRpdu2, &rows, 1, 1);
    let expected = [
        ("alarm", 0.0),
        ("current_a.l1", 12.8),
        ("current_a.l2", 13.1),
        ("current_a.l3", 12.6),
        ("load_state", 2.0),
        ("phase_state.l1", 2.0),
        ("phase_state.l2", 2.0),
        ("phase_state.l3", 2.0),
        ("power_kw", 8.84),
        ("power_kw.l1", 2.94),
        ("power_kw.l2", 3.02),
        ("power_kw.l3", 2.88),
        ("voltage_v.l1", 230.0),
        ("voltage_v.l2", 231.0),
        ("voltage_v.l3", 229.0),
    ];
    assert_eq!(points(&first), expected);

    let second = round(&Device::ApcRpdu2, &rows, 2, 1);
    let second = points(&second);
    assert!(second.contains(&("alarm", 1.0)) && second.contains(&("power_kw", 14.31)));
    assert!(second.contains(&("current_a.l1", 26.2)), "{second:?}");
    // Not measured is no reading, and not -1 V.
    assert!(!second.iter().any(|(point, _)| *point == "voltage_v.l3"), "{second:?}");
}

#[test]
fn a_near_overload_of_one_breaker_is_the_devices_alarm() {
    let mut rows = walk("apc_rpdu2");
    for state in ["4.3.1.4.2", "6.3.1.4.4"] {
        rows.insert(oid("1.3.6.1.4.1.318.1.1.26").join(state), Value::Integer(2));
    }
    assert!(points(&round(&Device::ApcRpdu2, &rows, 2, 1)).contains(&("alarm", 1.0)));
    rows.insert(oid("1.3.6.1.4.1.318.1.1.26").join("8.3.1.4.1"), Value::Integer(2));
    assert!(points(&round(&Device::ApcRpdu2, &rows, 2, 1)).contains(&("alarm", 0.0)));
}

#[test]
fn a_pdu_of_one_phase_does_not_claim_to_know_which() {
    let mut rows = walk("apc_rpdu2");
    rows.retain(|oid, _| {
        let row = oid.arcs().last().copied();
        !oid.to_string().contains(".26.6.3.1.") || row == Some(2)
    });
    let found = round(&Device::ApcRpdu2, &rows, 1, 1);
    let expected = [
        ("alarm", 0.0),
        ("current_a", 13.1),
        ("load_state", 2.0),
        ("phase_state", 2.0),
        ("power_kw", 8.84),
        ("voltage_v", 231.0),
    ];
    assert_eq!(points(&found), expected);
}

#[test]
fn raritan_digits_are_read_and_an_unavailable_sensor_is_not_zero() {
    let rows = walk("raritan_pdu2");
    let found = round(&Device::RaritanPdu2, &rows, 1, 1);
    let expected = [
        ("alarm", 1.0),
        ("current_a.l1", 5.421),
        ("current_a.l2", 5.388),
        ("power_kw", 3.602),
        ("power_kw.l1", 1.22),
        ("power_kw.l2", 1.211),
        ("power_kw.l3", 1.171),
        ("voltage_v.l1", 230.1),
        ("voltage_v.l2", 229.6),
        ("voltage_v.l3", 230.9),
    ];
    assert_eq!(points(&found), expected);
    let nothing = Table::of(&Device::RaritanPdu2).unwrap();
    assert_eq!(nothing.question(Place { unit: 1, inlet: 2 }, &rows), Question::default());
}

#[test]
fn digits_that_no_meter_has_are_no_scale() {
    let mut rows = walk("raritan_pdu2");
    for digits in [Value::Gauge32(4_000_000), Value::Integer(-3), Value::OctetString("?".into())] {
        rows.insert(oid("1.3.6.1.4.1.13742.6.3.3.4.1.7.1.1.5"), digits);
        let found = round(&Device::RaritanPdu2, &rows, 1, 1);
        assert_eq!(found.wrong.len(), 1, "{found:?}");
        assert!(found.wrong[0].starts_with("power_kw ("), "{found:?}");
        assert!(!found.readings.iter().any(|reading| reading.point == "power_kw"));
    }
}

#[test]
fn a_cord_without_contact_says_nothing_of_its_load() {
    let rows = walk("sentry4");
    let expected = [
        ("alarm", 1.0),
        ("cord_status", 0.0),
        ("current_a.l1", 10.82),
        ("current_a.l2", 11.01),
        ("current_a.l3", 10.57),
        ("line_load_percent.l1", 45.1),
        ("line_load_percent.l2", 45.9),
        ("line_load_percent.l3", 44.0),
        ("power_kw", 7.412),
        ("voltage_v.l1", 231.2),
        ("voltage_v.l2", 230.8),
        ("voltage_v.l3", 229.9),
    ];
    assert_eq!(points(&round(&Device::Sentry4, &rows, 1, 1)), expected);
    // No zero watts, and no alarm that is known to be off.
    assert_eq!(points(&round(&Device::Sentry4, &rows, 1, 2)), []);
}

#[test]
fn a_ups_on_its_battery_is_an_alarm_and_its_power_is_the_sum_of_its_lines() {
    let rows = walk("ups_mib");
    let found = round(&Device::UpsMib, &rows, 1, 1);
    let found = points(&found);
    for expected in [
        ("alarm", 1.0),
        ("battery_status", 2.0),
        ("current_a.l2", 68.8),
        ("input_voltage_v.l1", 0.0),
        ("output_source", 5.0),
        ("power_kw", 45.32),
        ("power_kw.l3", 15.31),
        ("seconds_on_battery", 14.0),
        ("voltage_v.l1", 229.0),
    ] {
        assert!(found.contains(&expected), "{expected:?} in {found:?}");
    }
    assert_eq!(found.len(), 23);
}

#[test]
fn every_column_of_a_table_stands_in_its_walk() {
    let devices = [
        (Device::ApcRpdu2, "apc_rpdu2"),
        (Device::RaritanPdu2, "raritan_pdu2"),
        (Device::Sentry4, "sentry4"),
        (Device::UpsMib, "ups_mib"),
    ];
    for (device, name) in devices {
        let rows = walk(name);
        for root in Table::of(&device).unwrap().walked() {
            assert!(rows.keys().any(|oid| oid.starts_with(&root)), "{root} in {name}");
        }
    }
}

proptest! {
    #[test]
    fn values_of_any_kind_are_readings_or_none(
        at in 0_usize..70, number in any::<i32>(), kind in 0..5
    ) {
        let value = match kind {
            0 => Value::Integer(number),
            1 => Value::Gauge32(number as u32),
            2 => Value::Null,
            3 => Value::OctetString(number.to_string().into()),
            _ => Value::NoSuchInstance,
        };
        for (device, name) in [(Device::ApcRpdu2, "apc_rpdu2"), (Device::RaritanPdu2, "raritan_pdu2")] {
            let mut rows = walk(name);
            let oid = rows.keys().nth(at % rows.len()).unwrap().clone();
            rows.insert(oid, value.clone());
            for reading in round(&device, &rows, 1, 1).readings {
                prop_assert!(reading.value.is_finite());
            }
        }
    }
}

trait Join {
    fn join(&self, rest: &str) -> Oid;
}

impl Join for Oid {
    fn join(&self, rest: &str) -> Oid {
        Oid::parse(&format!("{self}.{rest}")).unwrap()
    }
}
