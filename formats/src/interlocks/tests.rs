use super::*;

const WHOLE: &str = r#"schema = 1

[[rule]]
name = "supply_temp"
source = "meter"
point = "supply_c"
of = "loop"
above = 45
clear = 43
for_seconds = 2
action = "shed"

[[rule]]
name = "gpu_hot"
source = "device"
reading = "temp_c"
on = "rack=r1"
above = 88.5
unread = "allow"
shed_by = "rack"
action = "shed"

[[rule]]
name = "brake"
source = "device"
reading = "throttle"
reasons = ["power_brake", "hw_thermal"]
action = "stop_drop"

[[rule]]
name = "bms"
source = "heartbeat"
silent_seconds = 20
action = "stop_ramp"

[[rule]]
name = "pdu_gone"
source = "agents"
lost = 3
of = "pdu=pdu-a1"
action = "stop_drop"
"#;

fn problems(text: &str) -> Vec<String> {
    parse("interlocks.toml", text).unwrap_err().0.iter().map(ToString::to_string).collect()
}

#[test]
fn every_kind_of_rule_reads_with_its_line() {
    let rules = parse("interlocks.toml", WHOLE).unwrap().rules;
    let lines: Vec<(&str, usize)> = rules.iter().map(|r| (r.name.as_str(), r.line)).collect();
    let expected =
        [("supply_temp", 4), ("gpu_hot", 14), ("brake", 24), ("bms", 31), ("pdu_gone", 37)];
    assert_eq!(lines, expected);
    let [supply, hot, brake, bms, gone] = &rules[..] else { panic!() };
    let limit = Limit { above: Some(45.0), clear: Some(43.0), below: None };
    assert_eq!((supply.limit, supply.for_ns), (Some(limit), 2_000_000_000));
    assert_eq!((supply.silent_ns, supply.allow_unread), (15_000_000_000, false));
    let of = Scope::Kind(DomainKind::Loop);
    assert_eq!(supply.watches, Watches::Meter { point: "supply_c".to_owned(), of });
    assert_eq!((hot.silent_ns, hot.allow_unread), (5_000_000_000, true));
    assert!(matches!(
        &hot.watches,
        Watches::Device { reading: DeviceReading::TempC, shed_by: Some(DomainKind::Rack), .. }
    ));
    let reading = DeviceReading::Throttle(0xc0);
    let on = Selector::All;
    assert_eq!(brake.watches, Watches::Device { reading, on, shed_by: None });
    assert_eq!(brake.limit.and_then(|limit| limit.passed_by(1.0)), Some(0.0));
    assert_eq!((bms.limit, bms.silent_ns), (None, 20_000_000_000));
    let of = Scope::One(DomainKind::Pdu, "pdu-a1".to_owned());
    assert_eq!(gone.watches, Watches::Agents { lost: 3, within_ns: 10_000_000_000, of });
}

#[test]
fn a_meter_without_a_limit_is_watched_for_silence() {
    let text = "schema = 1\n[[rule]]\nname = \"a\"\nsource = \"meter\"\npoint = \"flow_lpm\"\n\
                of = \"loop=l1\"\naction = \"hold\"\n";
    assert_eq!(parse("i.toml", text).unwrap().rules[0].limit, None);
}

#[test]
fn problems_name_line_and_mend() {
    let cases = [
        ("above = 45\n", "abve = 45\n", "interlocks.toml:8: unknown key \"abve\" in [[rule]]; did"),
        ("\"shed\"", "\"shad\"", "unknown action \"shad\"; did you mean \"shed\"?"),
        ("\"meter\"", "\"metre\"", "unknown source \"metre\"; did you mean \"meter\"?"),
        ("of = \"loop\"", "of = \"lop\"", "unknown domain kind \"lop\"; did you mean \"loop\"?"),
        ("of = \"loop\"", "of = \"loop=\"", "names no domain; write loop=ID, or loop for each"),
        ("of = \"loop\"\n", "of = \"all\"\n", "a meter belongs to a domain"),
        ("of = \"loop\"\n", "", "missing key \"of\" in [[rule]]"),
        ("clear = 43", "clear = 46", "clear lies beyond the limit; use a value on its safe side"),
        ("above = 45\n", "above = 45\nbelow = 50\n", "nothing lies between 50 and 45"),
        ("above = 45\nclear = 43\n", "", "for_seconds without a limit; add above or below"),
        ("for_seconds = 2", "for_seconds = -2", "use a number from 0 to 3600 seconds"),
        ("silent_seconds = 20", "silent_seconds = 0", "use a number from 1 to 3600 seconds"),
        ("\"gpu_hot\"", "\"bms\"", "a second rule \"bms\"; give every rule a name of its own"),
        ("\"gpu_hot\"", "\"gpu hot\"", "\"gpu hot\" is no name"),
        ("\"hw_thermal\"]", "\"hot\"]", "unknown reason \"hot\"; use some of sw_power_cap"),
        ("[\"power_brake\", \"hw_thermal\"]", "[]", "no reason is named"),
        ("\"throttle\"", "\"temp_c\"\nabove = 3", "belongs to reading = \"throttle\""),
        ("unread = \"allow\"", "unread = \"yes\"", "unknown unread \"yes\""),
        ("lost = 3", "lost = 0", "use a whole number from 1"),
        ("lost = 3", "above = 3", "unknown key \"above\""),
        ("schema = 1\n", "schema = 2\n", "schema 2 is not known here"),
    ];
    for (from, to, expected) in cases {
        let text = WHOLE.replacen(from, to, 1);
        assert_ne!(text, WHOLE, "{from}");
        let told = problems(&text).join("\n");
        assert!(told.contains(expected), "{from} -> {to}\n{told}");
    }
}

#[test]
fn a_document_without_rules_is_a_mistake() {
    assert!(problems("schema = 1\n").join("\n").contains("missing key \"rule\""));
    assert!(problems("schema = 1\nrule = []\n").join("\n").contains("rule is empty"));
}
