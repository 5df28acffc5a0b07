use std::collections::BTreeSet;

use model::Kernel;
use model::plan::{Limits, PhaseLoad, Selector};
use model::site::{Domain, Node, SiteDraft};

use super::*;

fn phase(name: &str, kind: PhaseKind, percent: f64, on: Selector) -> Phase {
    let load = kind.heats().then_some(PhaseLoad::of(Kernel::Mix, percent));
    Phase { name: name.to_owned(), kind, seconds: 600.0, on, load, traffic: None, act: None }
}

fn plan(phases: Vec<Phase>) -> Plan {
    Plan {
        name: "soak".to_owned(),
        requires: BTreeSet::new(),
        seed: 1,
        limits: Limits::default(),
        least_seconds: 0.0,
        least_rating_percent: None,
        experiments: Vec::new(),
        phases,
    }
}

/// Two racks of four, each with its own pair of PDUs; two nodes of a third rack; one loop.
fn hall() -> Site {
    let mut domains = Vec::new();
    for (kind, id, side) in [
        (DomainKind::Pdu, "pdu-a1", Some("A")),
        (DomainKind::Pdu, "pdu-b1", Some("B")),
        (DomainKind::Pdu, "pdu-a2", Some("A")),
        (DomainKind::Pdu, "pdu-b2", Some("B")),
    ] {
        let mut domain = Domain::new(kind, id);
        domain.side = side.map(str::to_owned);
        domain.rating_kw = Some(50.0);
        domains.push(domain);
    }
    for (kind, id) in [
        (DomainKind::Loop, "loop-1"),
        (DomainKind::Rack, "r1"),
        (DomainKind::Rack, "r2"),
        (DomainKind::Rack, "r3"),
    ] {
        let mut domain = Domain::new(kind, id);
        domain.rating_kw = (kind == DomainKind::Loop).then_some(200.0);
        domains.push(domain);
    }
    let node =
        |name: String, domains: &[&str]| Node { max_kw: Some(10.0), ..Node::new(name, domains) };
    let mut nodes = Vec::new();
    for at in 0..4 {
        nodes.push(node(format!("a{at}"), &["r1", "pdu-a1", "pdu-b1", "loop-1"]));
        nodes.push(node(format!("b{at}"), &["r2", "pdu-a2", "pdu-b2", "loop-1"]));
    }
    nodes.push(node("c0".to_owned(), &["r3", "pdu-a2", "pdu-b2", "loop-1"]));
    nodes.push(node("c1".to_owned(), &["r3", "pdu-a2", "pdu-b2", "loop-1"]));
    Site::new(SiteDraft { name: "hall".to_owned(), domains, links: Vec::new(), nodes }).unwrap()
}

fn soak(percent: f64) -> Review {
    let plan = plan(vec![phase("soak", PhaseKind::Hold, percent, Selector::All)]);
    review(&plan, &hall(), &Policy::default()).unwrap()
}

#[test]
fn a_feed_is_held_to_what_it_carries_alone() {
    let review = soak(100.0);
    let pdu = |id: &str| review.load.iter().find(|load| load.id == id).unwrap();
    let first = pdu("pdu-a1");
    assert_eq!((first.kw, first.kw_alone, first.limit_kw), (20.0, 40.0, Some(40.0)));
    // Six nodes: 30 kW of 40 with both feeds, 60 with one.
    assert_eq!((pdu("pdu-b2").kw, pdu("pdu-b2").kw_alone), (30.0, 60.0));
    assert_eq!(review.over_budget.len(), 2, "{:?}", review.over_budget);
    assert!(review.over_budget[0].contains("pdu-a2 may give 40.0 kW; its 6 nodes draw 60.0 kW"));
    assert_eq!(soak(60.0).over_budget, Vec::<String>::new());
}

#[test]
fn domains_with_the_same_nodes_are_named_with_what_separates_them() {
    let review = soak(50.0);
    let classes: Vec<Vec<&str>> = review
        .aliases
        .iter()
        .map(|alias| alias.domains.iter().map(|member| member.id.as_str()).collect())
        .collect();
    assert_eq!(classes, [vec!["pdu-a1", "pdu-b1", "r1"], vec!["pdu-a2", "pdu-b2"]]);
    assert!(review.aliases.iter().all(|alias| alias.whole_site));
    assert!(review.aliases[1].experiment.contains("feed A alone"));
    let nested: Vec<_> =
        review.nested.iter().map(|n| (n.inner.as_str(), n.outer.as_str())).collect();
    assert!(nested.contains(&("rack", "loop")) && !nested.contains(&("loop", "rack")));
}

#[test]
fn what_shows_in_traffic_is_not_mixed_up_with_what_shows_in_heat() {
    let mut draft = SiteDraft { name: "hall".to_owned(), ..SiteDraft::default() };
    for (kind, id) in [(DomainKind::Pdu, "p"), (DomainKind::Leaf, "l"), (DomainKind::Rack, "r")] {
        draft.domains.push(Domain::new(kind, id));
    }
    draft.nodes = (0..3).map(|at| Node::new(format!("n{at}"), &["p", "l", "r"])).collect();
    let site = Site::new(draft).unwrap();
    let plan = plan(vec![
        phase("soak", PhaseKind::Hold, 50.0, Selector::All),
        phase("pairs", PhaseKind::Pairs, 0.0, Selector::All),
    ]);
    let review = review(&plan, &site, &Policy::default()).unwrap();
    let kinds = |alias: &Alias| -> Vec<String> {
        alias.domains.iter().map(|member| member.kind.clone()).collect()
    };
    let told: Vec<Vec<String>> = review.aliases.iter().map(kinds).collect();
    assert_eq!(told, [["pdu", "rack"], ["leaf", "rack"]]);
}

#[test]
fn a_selection_that_hides_a_difference_says_so() {
    let on = Selector::Nodes(vec!["b0".to_owned(), "b1".to_owned(), "b2".to_owned()]);
    let plan = plan(vec![phase("soak", PhaseKind::Hold, 50.0, on)]);
    let review = review(&plan, &hall(), &Policy::default()).unwrap();
    let alias = &review.aliases[0];
    assert!(!alias.whole_site && alias.experiment.contains("select more nodes"));
    assert!(review.warnings.iter().any(|line| line.contains("no domain can be tested")));
}

#[test]
fn small_groups_and_lone_ones_are_not_tested() {
    let review = soak(50.0);
    let kind = |word: &str| review.phases[0].kinds.iter().find(|kind| kind.kind == word).unwrap();
    assert_eq!(kind("rack").too_few, ["r3"]);
    assert_eq!(kind("rack").testable, 2);
    assert_eq!(kind("loop").nothing_beside, ["loop-1"]);
    assert_eq!(kind("loop").detectable, None);
    let rack = kind("rack").detectable.unwrap();
    assert_eq!((rack.nodes_in, rack.nodes_out), (4, 6));
    assert!(rack.temp_k > 4.0 && rack.clock_percent >= 2.0, "{rack:?}");
}

#[test]
fn what_is_not_rated_is_refused_like_a_run_of_it() {
    let mut draft = SiteDraft { name: "bare".to_owned(), ..SiteDraft::default() };
    draft.domains = vec![Domain::new(DomainKind::Pdu, "p")];
    draft.nodes = (0..3).map(|at| Node::new(format!("n{at}"), &["p"])).collect();
    let site = Site::new(draft).unwrap();
    let plan = plan(vec![phase("soak", PhaseKind::Hold, 50.0, Selector::All)]);
    let review = review(&plan, &site, &Policy::default()).unwrap();
    assert!(review.unrated[0].contains("no rating_kw and no budget_kw on pdu p"));
}

#[test]
fn a_selector_that_does_not_fit_is_an_error() {
    let on = Selector::Domain("pdu".to_owned(), "nowhere".to_owned());
    let plan = plan(vec![phase("soak", PhaseKind::Hold, 50.0, on)]);
    assert!(review(&plan, &hall(), &Policy::default()).is_err());
}
