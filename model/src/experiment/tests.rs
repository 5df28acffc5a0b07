//! Tests of expansion.

use std::collections::BTreeSet;

use super::*;
use crate::load::Kernel;
use crate::plan::{Limits, PhaseKind, Plan};
use crate::site::DomainKind;
use crate::site::{Domain, Node, SiteDraft};

/// Six nodes: three racks of two on PDU pairs, two loops across all racks, feeds A and B.
fn site(feed_kw: Option<f64>) -> Site {
    let mut domains = Vec::new();
    for side in ["a", "b"] {
        let mut feed = Domain::new(DomainKind::Feed, format!("feed-{side}"));
        feed.side = Some(side.to_uppercase());
        feed.budget_kw = feed_kw;
        domains.push(feed);
        for rack in 1..=3 {
            let mut pdu = Domain::new(DomainKind::Pdu, format!("pdu-{side}{rack}"));
            pdu.within = vec![format!("feed-{side}")];
            domains.push(pdu);
        }
    }
    for (kind, word, count) in [(DomainKind::Rack, "rack", 3), (DomainKind::Loop, "loop", 2)] {
        domains.extend((1..=count).map(|at| Domain::new(kind, format!("{word}-{at}"))));
    }
    let node = |at: usize| {
        let (rack, circuit) = (at / 2 + 1, at % 2 + 1);
        let on = [
            format!("rack-{rack}"),
            format!("pdu-a{rack}"),
            format!("pdu-b{rack}"),
            format!("loop-{circuit}"),
        ];
        let mut node = Node::new(format!("n{}", at + 1), &on.each_ref().map(String::as_str));
        node.max_kw = Some(10.0);
        node
    };
    let nodes = (0..6).map(node).collect();
    Site::new(SiteDraft { name: "s".to_owned(), domains, nodes, ..SiteDraft::default() })
        .expect("a site")
}

fn plan(kind: ExperimentKind, by: &[By]) -> Plan {
    let experiment = Experiment {
        name: kind.word().to_owned(),
        kind,
        by: by.to_vec(),
        step_seconds: 60.0,
        rest_seconds: 30.0,
        on: Selector::All,
        load: PhaseLoad::of(Kernel::Mix, 100.0),
        after_phases: 1,
        groups: Vec::new(),
        steps: Vec::new(),
    };
    let idle = |name: &str| Phase {
        name: name.to_owned(),
        kind: PhaseKind::Idle,
        seconds: 5.0,
        on: Selector::All,
        load: None,
        traffic: None,
        act: None,
    };
    Plan {
        name: "p".to_owned(),
        requires: BTreeSet::new(),
        seed: 1,
        limits: Limits::default(),
        least_seconds: 0.0,
        least_rating_percent: None,
        phases: vec![idle("first"), idle("last")],
        experiments: vec![experiment],
    }
}

fn of(kind: DomainKind) -> By {
    By::Domain(kind)
}

#[test]
fn isolated_loads_each_group_alone_then_all_and_stands_where_it_was_written() {
    let site = site(None);
    let plan = plan(ExperimentKind::Isolated, &[of(DomainKind::Pdu)]);
    let expanded = plan.clone().expanded(Some(&site)).expect("it fits");
    let names: Vec<&str> = expanded.phases.iter().map(|phase| phase.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "first",
            "isolated:rest-1",
            "isolated:pdu=pdu-a1",
            "isolated:rest-2",
            "isolated:pdu=pdu-a2",
            "isolated:rest-3",
            "isolated:pdu=pdu-a3",
            "isolated:rest-4",
            "isolated:together",
            "last"
        ]
    );
    // The PDUs of both feeds hold the same nodes: one group.
    assert_eq!(expanded.experiments[0].groups[0].ids, ["pdu-a1", "pdu-b1"]);
    assert_eq!(expanded.phases[2].on, Selector::Nodes(vec!["n1".to_owned(), "n2".to_owned()]));
    assert_eq!(expanded.attending(&expanded.phases[2]), &Selector::All);
    assert_eq!(expanded.seconds(), 10.0 + 4.0 * 90.0);
    assert_eq!(plan.expanded(Some(&site)).expect("the same"), expanded);
}

#[test]
fn with_halves_each_node_works_in_half_of_the_steps_and_domains_in_part() {
    let site = site(None);
    let by = [of(DomainKind::Pdu), of(DomainKind::Loop)];
    let plan = plan(ExperimentKind::Halves, &by).expanded(Some(&site)).expect("it fits");
    let steps: Vec<&Step> =
        plan.experiments[0].steps.iter().filter(|step| step.role != Role::Rest).collect();
    assert_eq!(steps.len(), 8);
    assert_eq!(steps[0].role, Role::Together);
    for node in site.nodes() {
        let works = steps.iter().filter(|step| step.nodes.contains(&node.name)).count();
        assert_eq!(works, 4, "{}", node.name);
    }
    // n1 and n2 share a PDU and no loop.
    let apart = |step: &&&Step| {
        step.nodes.contains(&"n1".to_owned()) != step.nodes.contains(&"n2".to_owned())
    };
    assert_eq!(steps.iter().filter(apart).count(), 4);
}

#[test]
fn what_does_not_fit_is_refused_with_the_mend() {
    let refusal = |plan: Plan, site: Option<&Site>| plan.expanded(site).expect_err("refused");
    let isolated = || plan(ExperimentKind::Isolated, &[By::Node]);
    assert!(refusal(isolated(), None).contains("give --site"));
    let mut clash = isolated();
    clash.phases[0].name = "isolated:together".to_owned();
    assert!(refusal(clash, Some(&site(None))).contains("rename it"));
    let row = plan(ExperimentKind::Isolated, &[of(DomainKind::Row)]);
    assert!(refusal(row, Some(&site(None))).contains("hangs on no row"));
    let mut long = isolated();
    long.least_seconds = 1e6;
    assert!(refusal(long, Some(&site(None))).contains("least_seconds"));
    let feeds = || plan(ExperimentKind::FeedCheck, &[of(DomainKind::Feed)]);
    assert!(refusal(feeds(), Some(&site(None))).contains("feed feed-a has no rating_kw"));
    let weak = refusal(feeds(), Some(&site(Some(45.0))));
    assert!(weak.contains("may give 45.0 kW and would carry 60.0 kW alone"), "{weak}");
    assert!(weak.contains("percent = 75"), "{weak}");
    assert!(feeds().expanded(Some(&site(Some(60.0)))).is_ok());
}

#[test]
fn an_experiment_has_a_bound() {
    let nodes = (0..=STEPS_MAX / 2).map(|at| Node::new(format!("n{at}"), &[])).collect();
    let draft = SiteDraft { name: "large".to_owned(), nodes, ..SiteDraft::default() };
    let site = Site::new(draft).expect("a site");
    let why = plan(ExperimentKind::Isolated, &[By::Node]).expanded(Some(&site)).expect_err("long");
    assert!(why.contains("use at most 512"), "{why}");
}
