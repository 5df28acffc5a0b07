//! Tests of the site graph.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::plan::Selector;

fn domain(kind: DomainKind, id: &str, within: &[&str]) -> Domain {
    let within = within.iter().map(|&id| id.to_owned()).collect();
    Domain { within, ..Domain::new(kind, id) }
}

fn hall() -> SiteDraft {
    SiteDraft {
        name: "hall".into(),
        domains: vec![
            domain(DomainKind::Pdu, "pdu-1", &["ups-1"]),
            domain(DomainKind::Ups, "ups-1", &[]),
            domain(DomainKind::Rack, "rack-1", &["row-1"]),
            domain(DomainKind::Rack, "rack-2", &["row-1"]),
            domain(DomainKind::Row, "row-1", &[]),
            domain(DomainKind::Leaf, "leaf-1", &[]),
            domain(DomainKind::Spine, "spine-1", &[]),
        ],
        links: vec![Link { a: "leaf-1".into(), b: "spine-1".into(), gbps: 400.0, count: 2 }],
        nodes: vec![Node::new("n1", &["rack-1", "pdu-1"]), Node::new("n2", &["rack-2", "pdu-1"])],
    }
}

fn problems(draft: SiteDraft) -> Vec<String> {
    Site::new(draft).unwrap_err().iter().map(ToString::to_string).collect()
}

#[test]
fn a_node_hangs_on_everything_above_its_domains() {
    let site = Site::new(hall()).unwrap();
    let node = site.node_ix("n1").unwrap();
    let ids: Vec<_> = site.ancestors(node).iter().map(|&ix| site.domain(ix).id.as_str()).collect();
    assert_eq!(ids, ["pdu-1", "ups-1", "rack-1", "row-1"]);
    let ups = site.domain_ix("ups-1").unwrap();
    assert_eq!(site.members(ups).len(), 2);
    assert_eq!(site.of_kind(DomainKind::Rack).count(), 2);
    assert_eq!(site.ancestors_of_kind(node, DomainKind::Row).count(), 1);
    assert_eq!(site.node_named("n2").unwrap().name, "n2");
    assert_eq!(site.devices(), 2);
}

#[test]
fn a_card_makes_its_node_a_member_of_its_leaf() {
    let mut draft = hall();
    draft.nodes[1].nics =
        vec![Nic { name: "eth0".into(), leaf: Some("leaf-1".into()), ..Nic::default() }];
    let site = Site::new(draft).unwrap();
    let leaf = site.domain_ix("leaf-1").unwrap();
    assert_eq!(site.members(leaf), [site.node_ix("n2").unwrap()]);
}

#[test]
fn budgets_come_from_the_rating_unless_given() {
    let mut pdu = domain(DomainKind::Pdu, "p", &[]);
    assert_eq!(pdu.budget_kw(), None);
    pdu.rating_kw = Some(10.0);
    assert_eq!(pdu.budget_kw(), Some(8.0));
    pdu.continuous = Some(1.0);
    assert_eq!(pdu.budget_kw(), Some(10.0));
    pdu.budget_kw = Some(3.0);
    assert_eq!(pdu.budget_kw(), Some(3.0));
}

#[test]
fn a_cycle_is_named_in_full() {
    let mut draft = hall();
    draft.domains[1].within = vec!["pdu-1".into()];
    assert_eq!(
        problems(draft),
        ["domain \"pdu-1\": a cycle in within: pdu-1 > ups-1 > pdu-1; \
          within names what a domain hangs from, never what hangs on it"]
    );
    let mut draft = hall();
    draft.domains[0].within = vec!["pdu-1".into()];
    assert!(problems(draft)[0].contains("pdu-1 > pdu-1"));
}

#[test]
fn a_tower_of_domains_is_refused() {
    for upwards in [true, false] {
        let mut draft = hall();
        for level in 0..=LEVELS_MAX {
            let over = if upwards { level + 1 } else { level.wrapping_sub(1) };
            let last = if upwards { level == LEVELS_MAX } else { level == 0 };
            let parent = format!("t{over}");
            let within = if last { vec![] } else { vec![parent.as_str()] };
            draft.domains.push(domain(DomainKind::Breaker, &format!("t{level}"), &within));
        }
        draft.domains.push(domain(
            DomainKind::Breaker,
            "under",
            &[if upwards { "t0" } else { "t64" }],
        ));
        assert!(problems(draft)[0].contains("more than 64 levels"));
    }
}

#[test]
fn a_node_stands_in_one_rack() {
    let mut draft = hall();
    draft.nodes[0].domains.push("rack-2".into());
    let said = problems(draft);
    assert_eq!(said.len(), 1);
    assert!(said[0].starts_with("node \"n1\": one node in two domains of kind rack"), "{said:?}");
}

#[test]
fn every_problem_is_told_at_once() {
    let mut draft = hall();
    draft.nodes.push(Node::new("n1", &["pdu-9"]));
    draft.domains[0].rating_kw = Some(-1.0);
    draft.domains[1].continuous = Some(f64::NAN);
    draft.domains[2].within.push("row-9".into());
    draft.domains.push(domain(DomainKind::Loop, "ups-1", &[]));
    draft.links.push(Link { a: "spine-1".into(), b: "leaf-1".into(), gbps: 0.0, count: 0 });
    draft.links.push(Link { a: "pdu-1".into(), b: "leaf-1".into(), gbps: 1.0, count: 1 });
    let said = problems(draft);
    for part in [
        "second node named \"n1\"",
        "unknown domain \"pdu-9\"",
        "rating_kw = -1 is impossible",
        "continuous = NaN is impossible",
        "unknown domain \"row-9\"",
        "second domain with the id \"ups-1\"",
        "second link between",
        "gbps = 0 is impossible",
        "count = 0 is impossible",
        "\"pdu-1\" is a pdu, not a leaf or spine",
    ] {
        assert_eq!(said.iter().filter(|line| line.contains(part)).count(), 1, "{part}: {said:#?}");
    }
}

#[test]
fn a_selector_takes_nodes_of_the_site() {
    let site = Site::new(hall()).unwrap();
    let names = |selector: Selector| {
        let nodes = site.selected(&selector)?;
        Ok(nodes.into_iter().map(|node| site.node(node).name.as_str()).collect::<Vec<_>>())
    };
    let on = |kind: &str, id: &str| Selector::Domain(kind.into(), id.into());
    assert_eq!(names(Selector::All), Ok(vec!["n1", "n2"]));
    assert_eq!(names(Selector::Percent(1)), Ok(vec!["n1"]));
    assert_eq!(names(Selector::Percent(51)), Ok(vec!["n1", "n2"]));
    assert_eq!(names(on("rack", "rack-2")), Ok(vec!["n2"]));
    assert_eq!(names(on("ups", "ups-1")), Ok(vec!["n1", "n2"]));
    assert_eq!(names(Selector::Nodes(vec!["n2".into(), "n2".into()])), Ok(vec!["n2"]));
    let both = Selector::Any(vec![Selector::Nodes(vec!["n2".into()]), Selector::Percent(1)]);
    assert_eq!(names(both.clone()), Ok(vec!["n1", "n2"]));
    assert_eq!(names(Selector::Share(50, Box::new(both))), Ok(vec!["n1"]));
    let missing = names(Selector::Nodes(vec!["n9".into()]));
    assert_eq!(missing, Err(SelectError::UnknownNode("n9".into())));
    assert!(matches!(names(on("pdu", "rack-2")), Err(SelectError::UnknownDomain { .. })));
    assert!(matches!(names(on("spine", "spine-1")), Err(SelectError::Empty { .. })));
}

proptest! {
    /// Domains hang on earlier ones only; the closure must equal a plain walk upwards.
    #[test]
    fn the_closure_is_what_a_walk_upwards_finds(
        parents in prop::collection::vec(prop::collection::vec(any::<prop::sample::Index>(), 0..3), 1..30),
        hangs in prop::collection::vec(any::<prop::sample::Index>(), 1..10),
    ) {
        let parents: Vec<Vec<usize>> = parents.iter().enumerate()
            .map(|(at, list)| list.iter().filter(|_| at > 0).map(|index| index.index(at)).collect())
            .collect();
        let domains = parents.iter().enumerate().map(|(at, list)| {
            let ids: Vec<_> = list.iter().map(|parent| format!("d{parent}")).collect();
            Domain { within: ids, ..Domain::new(DomainKind::Breaker, format!("d{at}")) }
        }).collect();
        let nodes = hangs.iter().enumerate()
            .map(|(at, on)| Node::new(format!("n{at}"), &[&format!("d{}", on.index(parents.len()))]))
            .collect();
        let draft = SiteDraft { name: "s".into(), domains, links: vec![], nodes };
        let site = Site::new(draft).unwrap();
        for (node, on) in site.node_ixs().zip(&hangs) {
            let mut walked = BTreeSet::new();
            let mut open = vec![on.index(parents.len())];
            while let Some(domain) = open.pop() {
                if walked.insert(domain) { open.extend(&parents[domain]); }
            }
            let closure: BTreeSet<_> = site.ancestors(node).iter().map(|ix| ix.index()).collect();
            prop_assert_eq!(&closure, &walked);
            for domain in site.domain_ixs() {
                prop_assert_eq!(site.members(domain).contains(&node), walked.contains(&domain.index()));
            }
        }
    }

    /// One edge that closes a ring is always found.
    #[test]
    fn a_ring_of_any_length_is_a_cycle(length in 1_usize..40) {
        let domains = (0..length).map(|at| {
            let over = format!("d{}", (at + 1) % length);
            domain(DomainKind::Ups, &format!("d{at}"), &[&over])
        }).collect();
        let draft = SiteDraft { name: "s".into(), domains, links: vec![], nodes: vec![Node::new("n", &["d0"])] };
        prop_assert!(Site::new(draft).unwrap_err()[0].what.starts_with("a cycle in within"));
    }
}
