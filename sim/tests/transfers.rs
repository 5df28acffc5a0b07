//! Transfers between pairs over the fabric that a site describes.

mod laboratory;

use std::collections::{BTreeMap, BTreeSet};

use laboratory::{phase, plan, world};
use model::plan::{Phase, PhaseKind, Plan, Traffic};
use model::site::{Domain, DomainKind, Node, Site, SiteDraft};
use model::table::PairRow;
use sim::fabric::NoFabric;
use sim::hall::HallShape;
use sim::world::START_NS;

const STREAMS: u32 = 4;

fn pairs(seconds: f64, both_ways: bool) -> Phase {
    let traffic = Traffic::Pairs { bytes: 1 << 28, streams: STREAMS, both_ways, quiet: false };
    Phase { traffic: Some(traffic), ..phase("pairs", PhaseKind::Pairs, seconds, None) }
}

#[test]
fn a_quiet_sweep_has_one_flow_on_any_uplink_of_a_leaf() {
    let site = room();
    let traffic = Traffic::Pairs { bytes: 1, streams: 1, both_ways: false, quiet: true };
    let phase = Phase { traffic: Some(traffic), ..phase("pairs", PhaseKind::Pairs, 60.0, None) };
    let mut leaves: BTreeMap<(u32, String, bool), BTreeSet<(String, String)>> = BTreeMap::new();
    for row in rows(&site, &plan(vec![phase]), &[], 5) {
        let (from, to) = (leaf_of(&site, &row.src), leaf_of(&site, &row.dst));
        if from != to {
            let pair = (row.src.clone(), row.dst.clone());
            leaves.entry((row.round, from, true)).or_default().insert(pair.clone());
            leaves.entry((row.round, to, false)).or_default().insert(pair);
        }
    }
    assert!(!leaves.is_empty());
    assert!(leaves.values().all(|pairs| pairs.len() == 1), "{leaves:?}");
}

fn exchange(seconds: f64) -> Plan {
    plan(vec![phase("idle", PhaseKind::Idle, 100.0, None), pairs(seconds, true)])
}

fn room() -> Site {
    HallShape::room_32().site().expect("a site")
}

fn rows(site: &Site, plan: &Plan, faults: &[&str], seed: u64) -> Vec<PairRow> {
    world(site, plan, faults, seed).pairs().expect("a fabric")
}

fn mean(rows: &[PairRow], keep: impl Fn(&PairRow) -> bool) -> f64 {
    let kept: Vec<f64> = rows.iter().filter(|row| keep(row)).filter_map(|row| row.gbps).collect();
    assert!(!kept.is_empty());
    kept.iter().sum::<f64>() / kept.len() as f64
}

fn leaf_of(site: &Site, node: &str) -> String {
    let node = site.node_named(node).expect("a node of the site");
    node.nics[0].leaf.clone().expect("plugged in")
}

#[test]
fn every_row_is_of_the_site_and_one_seed_makes_one_table() {
    let (site, plan) = (room(), exchange(60.0));
    let table = rows(&site, &plan, &[], 3);
    assert_eq!(table, rows(&site, &plan, &[], 3));
    assert_ne!(table, rows(&site, &plan, &[], 4));
    for row in &table {
        assert!(row.time_ns >= START_NS + 100_000_000_000, "before its phase");
        assert!(row.gbps.is_some_and(|gbps| gbps > 0.0 && gbps < 480.0), "{row:?}");
        assert_eq!(row.load.as_deref(), Some("idle"));
        let crosses = leaf_of(&site, &row.src) != leaf_of(&site, &row.dst);
        let spine = row.via.as_deref().and_then(|via| site.domain_ix(via));
        assert_eq!(spine.map(|ix| site.domain(ix).kind), crosses.then_some(DomainKind::Spine));
    }
    let sent = |name: &str| table.iter().filter(|row| row.round == 0 && row.src == name).count();
    assert!(site.nodes().iter().all(|node| sent(&node.name) == STREAMS as usize));
}

#[test]
fn one_after_the_other_a_node_sends_or_receives_and_all_pairs_meet_both_ways() {
    let (site, plan) = (room(), plan(vec![pairs(200.0, false)]));
    let table = rows(&site, &plan, &[], 3);
    for row in table.iter().filter(|row| row.round == 0) {
        assert!(!table.iter().any(|other| other.round == 0 && other.dst == row.src));
    }
    let met: BTreeSet<_> = table.iter().map(|row| (&row.src, &row.dst)).collect();
    assert_eq!(met.len(), 32 * 31);
}

#[test]
fn a_slow_uplink_is_slow_in_its_direction_and_from_its_onset() {
    let (site, plan) = (room(), exchange(120.0));
    let table = rows(&site, &plan, &["slow_uplink:leaf-2>spine-3=90%@160"], 3);
    let bad = |row: &PairRow| row.via.as_deref() == Some("spine-3");
    let late = |row: &PairRow| row.time_ns > START_NS + 160_000_000_000;
    let from = |row: &PairRow| leaf_of(&site, &row.src) == "leaf-2";
    let to = |row: &PairRow| leaf_of(&site, &row.dst) == "leaf-2";
    let before = mean(&table, |row| bad(row) && from(row) && !late(row));
    let after = mean(&table, |row| bad(row) && from(row) && late(row));
    let back = mean(&table, |row| bad(row) && to(row) && late(row));
    assert!(after < before * 0.4, "{before} then {after}");
    assert!(back > before * 0.8, "{before} and back {back}");
}

#[test]
fn a_slow_card_is_slow_both_ways_and_an_island_one_way() {
    let (site, plan) = (room(), exchange(120.0));
    let table = rows(&site, &plan, &["slow_nic:gpu-0007/mlx5_0=50%"], 3);
    let healthy = rows(&site, &plan, &[], 3);
    for end in [|row: &PairRow| row.src == "gpu-0007", |row: &PairRow| row.dst == "gpu-0007"] {
        let share = mean(&table, end) / mean(&healthy, end);
        assert!((0.45..0.65).contains(&share), "{share}");
    }
    let table = rows(&site, &plan, &["network_island:pod-1>pod-2=60%"], 3);
    let pod = |node: &str| if leaf_of(&site, node).as_str() <= "leaf-2" { 1 } else { 2 };
    let across = |from, to| move |row: &PairRow| pod(&row.src) == from && pod(&row.dst) == to;
    let (out, back) = (mean(&table, across(1, 2)), mean(&table, across(2, 1)));
    assert!((out * f64::from(STREAMS) / 160.0 - 1.0).abs() < 0.1, "{out}");
    assert!(back > out * 1.8, "{back} beside {out}");
}

#[test]
fn a_node_that_is_lost_meets_nobody() {
    let (site, plan) = (room(), exchange(60.0));
    let table = rows(&site, &plan, &["node_lost:gpu-0003@130"], 3);
    let its = |row: &&PairRow| row.src == "gpu-0003" || row.dst == "gpu-0003";
    let last = table.iter().filter(its).map(|row| row.time_ns).max().expect("it was there");
    assert!(last < START_NS + 131_000_000_000);
    assert!(table.iter().any(|row| row.time_ns > last));
}

#[test]
fn a_large_hall_makes_no_more_rows_than_a_judge_can_read() {
    let site = HallShape::hall_1024().site().expect("a site");
    let table = rows(&site, &exchange(300.0), &[], 3);
    assert!((20_000..100_000).contains(&table.len()), "{}", table.len());
}

#[test]
fn a_site_without_a_fabric_says_so_and_a_plan_without_pairs_makes_none() {
    let (with, without) = (exchange(10.0), plan(vec![phase("p", PhaseKind::Idle, 10.0, None)]));
    let draft = |leaves: &[&str]| SiteDraft {
        name: "bare".to_owned(),
        domains: vec![Domain::new(DomainKind::Leaf, "leaf-1")],
        nodes: vec![Node::new("n1", leaves), Node::new("n2", leaves)],
        ..SiteDraft::default()
    };
    let bare = Site::new(draft(&["leaf-1"])).expect("a site");
    assert_eq!(world(&bare, &with, &[], 1).pairs(), Err(NoFabric::NoLinks));
    let mut linked = draft(&[]);
    linked.domains.push(Domain::new(DomainKind::Spine, "spine-1"));
    linked.links = vec![model::site::Link {
        a: "leaf-1".to_owned(),
        b: "spine-1".to_owned(),
        gbps: 400.0,
        count: 1,
    }];
    let floating = Site::new(linked).expect("a site");
    assert_eq!(world(&floating, &with, &[], 1).pairs(), Err(NoFabric::NoLeaves));
    assert_eq!(world(&room(), &without, &[], 1).pairs(), Ok(Vec::new()));
}
