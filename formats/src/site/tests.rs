//! Tests of site documents.

use model::site::DomainKind;

use super::*;

const HALL: &str = include_str!("hall.toml");

#[test]
fn the_design_example_reads() {
    let site = parse("site.toml", HALL).unwrap();
    assert_eq!(site.name(), "hall-b");
    assert_eq!(site.nodes().len(), 8);
    assert_eq!(site.devices(), 64);
    let pdu = site.domain(site.domain_ix("pdu-a1").unwrap());
    assert_eq!((pdu.kind, pdu.budget_kw()), (DomainKind::Pdu, Some(30.0)));
    let feed = site.domain(site.domain_ix("pdu-b1").unwrap());
    assert_eq!(feed.budget_kw(), Some(34.5 * 0.8));
    let node = site.node_ix("gpu008").unwrap();
    let ups = site.domain_ix("ups-1").unwrap();
    let rail = site.domain_ix("rail-0").unwrap();
    assert!(site.ancestors(node).contains(&ups) && site.ancestors(node).contains(&rail));
    assert_eq!(site.node(node).nics[0].gbps, Some(400.0));
    assert_eq!(site.links()[0].count, 2);
}

#[test]
fn five_thousand_nodes_load() {
    let mut text = "schema = 1\nname = \"large\"\n".to_owned();
    for rack in 0..625 {
        let pdu = rack / 5;
        text += &format!(
            "[[domain]]\nkind = \"rack\"\nid = \"rack-{rack}\"\nwithin = [\"pdu-{pdu}\"]\n\
             [[nodes]]\nnames = \"gpu[{:04}-{:04}]\"\ndomains = [\"rack-{rack}\"]\ndevices = 8\n",
            rack * 8,
            rack * 8 + 7
        );
    }
    for pdu in 0..125 {
        text += &format!("[[domain]]\nkind = \"pdu\"\nid = \"pdu-{pdu}\"\n");
    }
    let site = parse("site.toml", &text).unwrap();
    assert_eq!(site.nodes().len(), 5_000);
    assert_eq!(site.members(site.domain_ix("pdu-7").unwrap()).len(), 40);
}

#[test]
fn wrong_parts_are_told_with_their_lines() {
    let wrong = HALL
        .replace("\"ups-1\"]", "\"ups1\"]")
        .replace("kind = \"loop\"", "kind = \"lop\"")
        .replace("devices = 8", "device = 8");
    insta::assert_snapshot!(parse("site.toml", &wrong).unwrap_err());
}

#[test]
fn a_wrong_graph_is_told_with_its_lines() {
    let wrong = HALL
        .replace("within = [\"ups-1\"]", "within = [\"ups1\"]")
        .replace("rating_kw = 34.5", "rating_kw = -34.5")
        .replace("gbps = 400\ncount", "gbps = inf\ncount")
        .replace("\"loop-1\", \"leaf-1\"]", "\"loop-9\", \"leaf-1\"]");
    let said = parse("site.toml", &wrong).unwrap_err();
    insta::assert_snapshot!(said);
}

#[test]
fn two_racks_and_a_cycle_are_told_once_a_place() {
    let two = HALL.replace("domains = [\"rack-1\"", "domains = [\"rack-1\", \"rack-2\"");
    let ring = HALL.replace("id = \"ups-1\"", "id = \"ups-1\"\nwithin = [\"pdu-a1\"]");
    let said = [two, ring].map(|text| parse("site.toml", &text).unwrap_err().to_string());
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn a_flood_of_nodes_and_problems_is_bounded() {
    let table =
        |at: usize| format!("[[nodes]]\nnames = \"n{at}x[1-99999]\"\ndomains = [\"d{at}\"]\n");
    let text: String = (0..3).map(table).collect();
    let said = parse("site.toml", &format!("schema = 1\nname = \"s\"\n{text}")).unwrap_err();
    assert!(said.to_string().contains("199998 nodes are over the limit of 100000"), "{said}");
    let keys: String = (0..5_000).map(|at| format!("k{at} = 1\n")).collect();
    assert_eq!(parse("site.toml", &keys).unwrap_err().0.len(), 100);
}
