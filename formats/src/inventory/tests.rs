use super::*;

const DEVICES: &str = r#"{"count": 5, "next": null, "previous": null, "results": [
  {"id": 1, "url": "https://n/api/dcim/devices/1/", "name": "gpu001", "role": {"slug": "gpu-node"},
   "rack": {"name": "r1"}, "status": {"value": "active"}},
  {"id": 2, "url": "https://n/api/dcim/devices/2/", "name": "gpu002", "device_role": {"slug": "gpu-node"},
   "rack": {"name": "r1"}, "status": {"value": "active"}},
  {"id": 3, "url": "https://n/api/dcim/devices/3/", "name": "gpu003", "role": {"slug": "gpu-node"},
   "rack": null, "status": {"value": "planned"}},
  {"id": 4, "url": "https://n/api/dcim/devices/4/", "name": "pdu-a1", "role": {"slug": "pdu"},
   "rack": {"name": "r1"}, "status": {"value": "active"}},
  {"id": 5, "url": "https://n/api/dcim/devices/5/", "name": null, "role": {"slug": "gpu-node"},
   "rack": null, "status": {"value": "active"}}]}"#;
const PORTS: &str = r#"[
  {"url": "https://n/api/dcim/power-ports/1/", "name": "PSU1", "device": {"name": "gpu001"},
   "connected_endpoints_type": "dcim.poweroutlet",
   "connected_endpoints": [{"name": "1", "device": {"name": "pdu-a1"}}]},
  {"url": "https://n/api/dcim/power-ports/2/", "name": "PSU1", "device": {"name": "gpu002"},
   "connected_endpoints_type": "dcim.poweroutlet",
   "connected_endpoints": [{"name": "2", "device": {"name": "pdu-a1"}}]},
  {"url": "https://n/api/dcim/power-ports/3/", "name": "PSU2", "device": {"name": "gpu002"},
   "connected_endpoints_type": null, "connected_endpoints": null},
  {"url": "https://n/api/dcim/power-ports/4/", "name": "inlet", "device": {"name": "pdu-a1"},
   "connected_endpoints_type": "dcim.powerfeed",
   "connected_endpoints": [{"name": "feed-a", "url": "https://n/api/dcim/power-feeds/1/"}]}]"#;
const FEEDS: &str = r#"{"count": 9, "next": "https://n/api/dcim/power-feeds/?offset=1", "results": [
  {"url": "https://n/api/dcim/power-feeds/1/", "name": "feed-a", "type": {"value": "primary"},
   "phase": {"value": "three-phase"}, "voltage": 415, "amperage": 400}]}"#;
const DSX: &str = r#"BMS/v1/PUB/Metadata/CDU/Status/hall/cdu-3 {"objectId": "cdu-3", "servesId": ["r1", "r9"]}
BMS/v1/PUB/Metadata/Rack/RackPower/hall/r1 {"rackLocationId": "r1", "engUnit": "kW"}
BMS/v1/PUB/Metadata/PowerMeter/ActivePower/x {"objectId": "pdu-a1", "servesId": "r1"}
BMS/v1/PUB/Metadata/PowerMeter/ActivePower/y {"objectId": "leg-2", "associateId": "pdu-a1"}
BMS/v1/PUB/Metadata/Valve/ValvePosition/v {"objectId": "v-1"}
"#;

fn roles() -> Vec<String> {
    vec!["gpu-node".to_owned()]
}

/// Ports before devices: lists come in any order.
fn netbox() -> Inventory {
    let mut inventory = Inventory::default();
    for (file, text) in [("ports", PORTS), ("feeds", FEEDS), ("devices", DEVICES)] {
        inventory.add_netbox(file, text, &roles()).unwrap();
    }
    inventory.finish();
    inventory
}

fn site(text: &str) -> model::Site {
    crate::site::parse("site.toml", text).unwrap()
}

#[test]
fn a_netbox_becomes_a_site_that_is_read_back_without_a_difference() {
    let inventory = netbox();
    let text = inventory.site_toml("hall \"7\"");
    let site = site(&text);
    assert_eq!(site.name(), "hall \"7\"");
    assert_eq!(inventory.differences(&site), Vec::<String>::new());
    let node = site.node_ix("gpu001").unwrap();
    let on: Vec<&str> =
        site.ancestors(node).iter().map(|at| site.domain(*at).id.as_str()).collect();
    assert_eq!(BTreeSet::from_iter(on), BTreeSet::from(["feed-a", "pdu-a1", "r1"]));
    let feed = site.domain(site.domain_ix("feed-a").unwrap());
    assert_eq!(
        (feed.side.as_deref(), feed.volts, feed.amps),
        (Some("A"), Some(415.0), Some(400.0))
    );
    let notes: Vec<&str> = inventory.notes.iter().map(String::as_str).collect();
    assert_eq!(
        notes,
        [
            "device 5 of role gpu-node has no name: not used",
            "feeds: a page of 1 objects of 9; ask with ?limit=0",
            "gpu002: PSU2 is connected to nothing",
            "gpu003 is planned: not used",
        ]
    );
}

#[test]
fn differences_are_listed_and_what_records_are_silent_about_is_none() {
    let other = "schema = 1\nname = \"h\"\n\
        [[domain]]\nkind = \"feed\"\nid = \"feed-a\"\namps = 630\nside = \"B\"\n\
        [[domain]]\nkind = \"pdu\"\nid = \"pdu-a1\"\nwithin = [\"feed-a\"]\n\
        [[domain]]\nkind = \"pdu\"\nid = \"pdu-b1\"\n\
        [[domain]]\nkind = \"rack\"\nid = \"r1\"\n\
        [[domain]]\nkind = \"loop\"\nid = \"loop-1\"\n\
        [[nodes]]\nnames = \"gpu001\"\ndomains = [\"r1\", \"pdu-a1\", \"loop-1\"]\n\
        [[nodes]]\nnames = \"gpu[002,004]\"\ndomains = [\"r1\", \"pdu-b1\"]\n";
    assert_eq!(
        netbox().differences(&site(other)),
        [
            "feed-a: amps 630 by the site file, 400 by the records",
            "feed-a: side B by the site file, A by the records",
            "pdu pdu-b1: in the site file, and not recorded",
            "node gpu002: feed none by the site file, feed-a by the records",
            "node gpu002: pdu pdu-b1 by the site file, pdu-a1 by the records",
            "node gpu004: in the site file, and not recorded",
        ]
    );
}

#[test]
fn metadata_of_the_bus_say_what_serves_what() {
    let mut inventory = netbox();
    inventory.add_dsx("bus", DSX).unwrap();
    inventory.finish();
    let site = site(&inventory.site_toml("h"));
    let node = site.node_ix("gpu002").unwrap();
    let of = |kind| site.ancestors_of_kind(node, kind).map(|at| site.domain(at).id.clone());
    assert_eq!(of(DomainKind::Cdu).collect::<Vec<_>>(), ["cdu-3"]);
    assert_eq!(of(DomainKind::Pdu).collect::<Vec<_>>(), ["pdu-a1"]);
    let notes = inventory.notes.iter().map(String::as_str).collect::<Vec<_>>().join("\n");
    for told in ["cdu-3 serves r9", "leg-2 is a part", "objects of type Valve"] {
        assert!(notes.contains(told), "{notes}");
    }
}

#[test]
fn what_is_no_record_is_refused_with_its_place() {
    let mut inventory = Inventory::default();
    let wrong = |text: &str| Inventory::default().add_netbox("f.json", text, &[]).unwrap_err();
    assert!(wrong("{").starts_with("f.json: "));
    assert!(wrong("{}").contains("no list of objects"));
    let told = inventory
        .add_dsx("f.txt", "a/Metadata/Rack/x {\"rackLocationId\": \"r\"}\nno")
        .unwrap_err();
    assert!(told.starts_with("f.txt:2: no topic"), "{told}");
    let told = inventory.add_dsx("f.txt", "a/Value/Rack/x {}").unwrap_err();
    assert!(told.contains("no topic of metadata"), "{told}");
}

proptest::proptest! {
    #[test]
    fn no_record_panics_and_every_site_that_is_written_is_readable_or_refused(
        text in "\\PC{0,200}", names in proptest::collection::vec("[a-z\"\\\\\\[\\]0-9 ]{0,6}", 0..6),
    ) {
        let mut inventory = Inventory::default();
        let _ = inventory.add_dsx("f", &text);
        let _ = inventory.add_netbox("f", &text, &roles());
        for (at, name) in names.iter().enumerate() {
            let url = ["https://n/api/dcim/devices/1/", "https://n/api/dcim/power-feeds/1/"][at % 2];
            let object = serde_json::json!([{ "url": url, "name": name, "role": { "slug": "gpu-node" },
                "rack": { "name": names[0] }, "voltage": at }]);
            let _ = inventory.add_netbox("f", &object.to_string(), &roles());
        }
        inventory.finish();
        if let Ok(site) = crate::site::parse("site.toml", &inventory.site_toml("h")) {
            let told = inventory.differences(&site);
            proptest::prop_assert!(told.is_empty(), "{:?}", told);
        }
    }
}
