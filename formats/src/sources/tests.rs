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
fn the_example_is_read_with_its_maps() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/examples/meters");
    let read = read(&Path::new(folder).join("meters.toml")).unwrap();
    let kinds: Vec<(&str, &str)> =
        read.sources.iter().map(|source| (source.name.as_str(), source.kind.word())).collect();
    let expected = [("pdus", "snmp"), ("old-pdus", "snmp"), ("busway", "snmp"), ("cdus", "modbus")];
    assert!(expected.iter().all(|kind| kinds.contains(kind)), "{kinds:?}");
    let of = |name: &str| read.sources.iter().find(|source| source.name == name).unwrap();
    let SourceKind::Snmp(chain) = &of("old-pdus").kind else { panic!("{read:?}") };
    let units: Vec<u32> = chain.targets.iter().map(|target| target.unit).collect();
    assert_eq!(units, [1, 2]);
    let SourceKind::Modbus(cdus) = &of("cdus").kind else { panic!("{read:?}") };
    assert_eq!(cdus.map.points.len(), 8);
}
