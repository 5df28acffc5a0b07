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
