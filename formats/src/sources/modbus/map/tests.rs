#![allow(clippy::unwrap_used, reason = "a test that meets nothing ends there")]

use proptest::prelude::*;

use super::*;

fn wrong(point: &str) -> String {
    let text = format!("schema = 1\n[[point]]\n{point}");
    ModbusMap::parse("cdu.toml", &text).unwrap_err().to_string()
}

#[test]
fn a_register_has_function_address_type_and_meaning() {
    let text = "schema = 1\n[[point]]\npoint = \"supply_c\"\nunit_id = 7\nfc = 4\naddress = 100\n\
                type = \"i16\"\nscale = 0.1\nnone = -32768\n[[point]]\npoint = \"flow_lpm\"\n\
                fc = 3\naddress = 0x20\ntype = \"f32\"\nword_order = \"low_first\"\n\
                unit = \"l/s\"\n";
    let map = ModbusMap::parse("cdu.toml", text).unwrap();
    let [supply, flow] = &map.points[..] else { panic!("{map:?}") };
    assert_eq!((supply.unit_id, supply.function, supply.address), (7, Function::Input, 100));
    assert_eq!((supply.mapped.scale, &supply.mapped.none[..]), (0.1, &[-32_768][..]));
    assert_eq!((flow.unit_id, flow.function.code(), flow.address), (1, 3, 32));
    assert_eq!((flow.low_first, flow.mapped.unit), (true, "l/s"));
}

#[test]
fn no_map_can_ask_for_a_write() {
    for code in [1, 2, 5, 6, 15, 16, 22, 23] {
        let told =
            wrong(&format!("point = \"supply_c\"\nfc = {code}\naddress = 1\ntype = \"u16\"\n"));
        assert!(told.contains("cdu.toml:4") && told.contains("nothing is ever written"), "{told}");
    }
}

#[test]
fn what_is_wrong_is_told_with_its_line() {
    let cases = [
        ("point = \"Supply C\"\nfc = 4\naddress = 1\ntype = \"u16\"\n", "cdu.toml:3", "no point"),
        ("point = \"a\"\nfc = 4\naddress = 65535\ntype = \"u32\"\n", "cdu.toml:5", "65534"),
        ("point = \"a\"\nfc = 4\naddress = 1\ntype = \"u64\"\n", "cdu.toml:6", "unknown type"),
        ("point = \"a\"\nfc = 4\naddress = 1\ntype = \"u16\"\nscale = 0\n", "cdu.toml:7", "scale"),
        ("point = \"a\"\nfc = 4\naddress = 1\ntype = \"u16\"\nunit = \"kwh\"\n", ":7", "\"kw\"?"),
        ("point = \"a\"\nfc = 4\naddress = 1\ntype = \"i16\"\nbit = 2\n", ":7", "no u16"),
        ("point = \"a\"\nfc = 4\naddress = 1\ntype = \"u16\"\nnone = 1.5\n", ":7", "whole"),
        ("point = \"a\"\nfc = 4\naddress = 1\n", "cdu.toml:2", "missing key \"type\""),
    ];
    for (point, place, what) in cases {
        let told = wrong(point);
        assert!(told.contains(place) && told.contains(what), "{point}: {told}");
    }
}

#[test]
fn only_alarms_may_be_given_twice() {
    let twice = |point: &str, more: &str| {
        let entry = format!("[[point]]\npoint = \"{point}\"\nfc = 4\naddress = 1\n{more}");
        ModbusMap::parse("cdu.toml", &format!("schema = 1\n{entry}{entry}"))
    };
    let told = twice("supply_c", "type = \"u16\"\n").unwrap_err().to_string();
    assert!(told.contains("cdu.toml:8") && told.contains("line 3"), "{told}");
    assert!(twice("alarm", "type = \"u16\"\nbit = 1\n").is_ok());
    assert!(twice("alarm", "type = \"u16\"\nalarm_when = [3, 4]\n").is_ok());
    assert!(twice("alarm", "type = \"u16\"\n").is_err());
}

proptest! {
    #[test]
    fn random_text_is_refused_and_panics_nowhere(text in "(?s).{0,200}") {
        prop_assert!(ModbusMap::parse("cdu.toml", &text).is_err());
    }

    #[test]
    fn random_values_are_read_or_refused(
        fc in any::<i64>(), address in any::<i64>(), scale in any::<f64>(), bit in any::<i8>()
    ) {
        let text = format!(
            "schema = 1\n[[point]]\npoint = \"a\"\nfc = {fc}\naddress = {address}\n\
             type = \"u16\"\nscale = {scale:?}\nbit = {bit}\n"
        );
        prop_assert!(ModbusMap::parse("cdu.toml", &text).is_err());
    }
}
