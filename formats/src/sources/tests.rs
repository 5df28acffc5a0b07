#![allow(clippy::unwrap_used, reason = "a test that meets nothing ends there")]

use super::*;

fn wrong(text: &str) -> String {
    parse("meters.toml", text).unwrap_err().to_string()
}

#[test]
fn a_source_has_a_name_a_kind_and_targets() {
    let text = "schema = 1\n[[source]]\nname = \"ups\"\nkind = \"table\"\npath = \"ups.csv\"\n\
                every_seconds = 5\n";
    let read = parse("site/meters.toml", text).unwrap();
    assert_eq!(read.sources.len(), 1);
    let source = &read.sources[0];
    assert_eq!((source.name.as_str(), source.line), ("ups", 3));
    assert_eq!(source.every, Duration::from_secs(5));
    // Paths are relative to the document.
    let SourceKind::Table(table) = &source.kind else { panic!("{source:?}") };
    assert_eq!(table.path, Path::new("site/ups.csv"));
}

#[test]
fn every_problem_has_its_line_and_its_mend() {
    let text = "schema = 1\n[[source]]\nname = \"a\"\nkind = \"snpm\"\n[[source]]\nname = \"a\"\n\
                kind = \"table\"\npath = \"x.csv\"\npassword = \"secret\"\n";
    let told = wrong(text);
    assert!(told.contains("meters.toml:4") && told.contains("did you mean \"snmp\"?"), "{told}");
    assert!(told.contains("meters.toml:6") && told.contains("a second source"), "{told}");
    assert!(told.contains("meters.toml:9") && told.contains("unknown key \"password\""), "{told}");
    assert!(!told.contains("secret"), "{told}");
}

#[test]
fn the_examples_are_read_with_their_maps() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/examples/meters");
    let read = |name: &str| read(&Path::new(folder).join(name)).unwrap().sources;
    let [pdus, chain, busway] = &read("snmp.toml")[..] else { panic!("three sources") };
    let snmp = |source: &Source| match &source.kind {
        SourceKind::Snmp(snmp) => snmp.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!((snmp(pdus).device, snmp(pdus).targets.len()), (Device::RaritanPdu2, 2));
    let units: Vec<u32> = snmp(chain).targets.iter().map(|target| target.unit).collect();
    assert_eq!(units, [1, 2]);
    let Device::Mapped(map) = snmp(busway).device else { panic!("a map") };
    assert_eq!(map.points.len(), 3);
    let [cdus] = &read("modbus.toml")[..] else { panic!("one source") };
    let SourceKind::Modbus(modbus) = &cdus.kind else { panic!("{cdus:?}") };
    assert_eq!(modbus.map.points.len(), 8);
}

fn with(kind: &str, rest: &str) -> String {
    format!("schema = 1\n[[source]]\nname = \"a\"\nkind = \"{kind}\"\n{rest}")
}

fn target(address: &str) -> String {
    format!("[[source.target]]\naddress = \"{address}\"\ndomain = \"d\"\n")
}

#[test]
fn who_is_believed_must_be_said_and_fit_the_address() {
    let series = "[[source.series]]\nquery = \"up\"\npoint = \"alarm\"\n";
    let nobody = wrong(&with("prometheus", &(target("https://x") + series)));
    assert!(nobody.contains("nothing says whose certificate is believed"), "{nobody}");
    let plain = wrong(&with("redfish", &("ca_file = \"ca\"\n".to_owned() + &target("http://x"))));
    assert!(plain.contains("meters.toml:7") && plain.contains("readable by everybody"), "{plain}");
    let both = "plain_text = true\nca_file = \"ca\"\n".to_owned() + &target("http://x");
    assert!(wrong(&with("redfish", &both)).contains("beside plain_text"));
    for address in ["https://", "x", "https://u@x", "https://x?y"] {
        let text = with("redfish", &("ca_file = \"ca\"\n".to_owned() + &target(address)));
        assert!(wrong(&text).contains("is no URL"), "{address}");
    }
    let print = "fingerprint_sha256 = [\"12:34\"]\n".to_owned() + &target("https://x");
    assert!(wrong(&with("redfish", &print)).contains("is no SHA-256"));
    let half = "ca_file = \"ca\"\nuser = \"u\"\n".to_owned() + &target("https://x");
    assert!(wrong(&with("redfish", &half)).contains("a user without a password"));
}

#[test]
fn a_bus_is_called_by_host_and_port_and_fails_after_its_heartbeat() {
    let text = with("mqtt", &("plain_text = true\n".to_owned() + &target("broker:1883")));
    let read = parse("meters.toml", &text).unwrap();
    assert_eq!(read.sources[0].deadline, Duration::from_secs(40));
    let SourceKind::Mqtt(mqtt) = &read.sources[0].kind else { panic!("{read:?}") };
    assert_eq!((mqtt.prefix.as_str(), mqtt.domain_from.len()), ("BMS/v1/PUB", 2));
    for address in ["broker", "broker:0", ":1883", "mqtt://broker:1883"] {
        let text = with("mqtt", &("plain_text = true\n".to_owned() + &target(address)));
        assert!(wrong(&text).contains("is no HOST:PORT"), "{address}");
    }
    let from =
        "plain_text = true\ndomain_from = [\"rackLocationID\"]\n".to_owned() + &target("b:1");
    assert!(wrong(&with("mqtt", &from)).contains("did you mean \"rackLocationId\"?"));
}

#[test]
fn the_examples_of_the_manual_are_documents() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/examples/meters");
    for name in ["prometheus.toml", "redfish.toml", "dsx.toml"] {
        let read = read(&folder.join(name)).unwrap_or_else(|errors| panic!("{errors}"));
        assert!(!read.sources.is_empty(), "{name}");
    }
}
