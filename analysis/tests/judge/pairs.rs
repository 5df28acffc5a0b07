//! Tables of pairs: who is named, who is not, and what no table makes the judge say.

use std::collections::BTreeSet;

use analysis::{Digest, Terms};
use model::finding::{Finding, FindingKind, Standing};
use model::plan::Plan;
use model::policy::Policy;
use model::site::{Domain, DomainKind, Link, Nic, Node, Site, SiteDraft};
use model::table::PairRow;
use model::{Report, RunFacts};
use proptest::prelude::*;

const LEAVES: usize = 6;
const HOSTS: usize = 2;
const SPINES: usize = 2;
const ROUNDS: usize = 80;

fn host(leaf: usize, place: usize) -> String {
    format!("n{}", leaf * HOSTS + place + 1)
}

/// Leaves under spines; without leaves the nodes hang on nothing.
fn site(leaves: bool) -> Site {
    let mut draft = SiteDraft { name: "hall".to_owned(), ..SiteDraft::default() };
    for leaf in (0..LEAVES).filter(|_| leaves) {
        draft.domains.push(Domain::new(DomainKind::Leaf, format!("leaf-{}", leaf + 1)));
    }
    for spine in (0..SPINES).filter(|_| leaves) {
        draft.domains.push(Domain::new(DomainKind::Spine, format!("spine-{}", spine + 1)));
        for leaf in 0..LEAVES {
            let (a, b) = (format!("leaf-{}", leaf + 1), format!("spine-{}", spine + 1));
            draft.links.push(Link { a, b, gbps: 100.0, count: 1 });
        }
    }
    for (leaf, place) in (0..LEAVES).flat_map(|leaf| (0..HOSTS).map(move |place| (leaf, place))) {
        let name = format!("leaf-{}", leaf + 1);
        let mut node = Node::new(host(leaf, place), &[]);
        let leaf = leaves.then_some(name);
        node.nics = vec![Nic { name: "mlx5_0".to_owned(), leaf, ..Nic::default() }];
        draft.nodes.push(node);
    }
    Site::new(draft).expect("a sound site")
}

/// A quiet sweep: in each round every leaf sends one flow to another leaf, alone on its
/// links. `rate` says what a flow gets, of 100, from round, leaf, spine and leaf.
fn sweep(rate: impl Fn(usize, [usize; 3], &str, &str) -> f64) -> Vec<PairRow> {
    let mut rows = Vec::new();
    for round in 0..ROUNDS {
        let shift = 1 + round % (LEAVES - 1);
        for from in 0..LEAVES {
            let to = (from + shift) % LEAVES;
            // Any rule that mixes does for a hash.
            let mixed = (round * 7919 + from * 104_729 + to * 1_299_709) % 1009;
            let spine = mixed % SPINES;
            let (src, dst) = (host(from, mixed / 2 % HOSTS), host(to, mixed / 4 % HOSTS));
            let noise = 1.0 + (mixed as f64 / 1009.0 - 0.5) * 0.04;
            rows.push(PairRow {
                time_ns: 1_760_000_000_000_000_000 + round as i64 * 1_000_000_000,
                round: round as u32,
                gbps: Some(rate(round, [from, spine, to], &src, &dst) * noise),
                sport: Some(50_000 + round as u64),
                via: Some(format!("spine-{}", spine + 1)),
                src,
                dst,
                ..PairRow::default()
            });
        }
    }
    rows
}

fn healthy() -> Vec<PairRow> {
    sweep(|_, _, _, _| 100.0)
}

fn bad_uplink() -> Vec<PairRow> {
    sweep(|_, path, _, _| if path[..2] == [1, 0] { 45.0 } else { 100.0 })
}

fn plan() -> Plan {
    Plan {
        name: "pairs".to_owned(),
        requires: BTreeSet::new(),
        seed: 1,
        limits: Default::default(),
        least_seconds: 0.0,
        least_rating_percent: None,
        experiments: Vec::new(),
        phases: Vec::new(),
    }
}

fn judged(site: Option<&Site>, parts: &[&[PairRow]]) -> Report {
    let plan = plan();
    let mut whole = Digest::new(&plan);
    for rows in parts {
        let mut digest = Digest::new(&plan);
        digest.add_pairs(rows);
        whole.merge(digest).expect("tables never overlap");
    }
    let terms = Terms { plan: &plan, site, policy: &Policy::default() };
    analysis::judge(&terms, &whole.finish(RunFacts::default()))
}

fn report(rows: &[PairRow]) -> Report {
    judged(Some(&site(true)), &[rows])
}

fn confirmed(report: &Report) -> Vec<&Finding> {
    report.findings.iter().filter(|f| f.standing == Standing::Confirmed).collect()
}

fn only(report: &Report) -> &Finding {
    let confirmed = confirmed(report);
    assert_eq!(confirmed.len(), 1, "{:#?}", report.findings);
    confirmed[0]
}

fn open<'a>(report: &'a Report, what: &str) -> Vec<&'a str> {
    report.not_measured.iter().filter(|l| l.what == what).map(|l| l.why.as_str()).collect()
}

#[test]
fn a_sound_fabric_accuses_nobody() {
    let report = report(&healthy());
    assert!(report.findings.is_empty(), "{:#?}", report.findings);
    assert!(open(&report, "fabric_links").is_empty(), "every link was crossed");
}

#[test]
fn a_slow_uplink_is_named_in_its_direction() {
    let report = report(&bad_uplink());
    let finding = only(&report);
    assert_eq!(finding.kind, FindingKind::SlowUplink);
    assert_eq!(
        (finding.suspect.kind.as_str(), finding.suspect.id.as_str()),
        ("link", "leaf-2>spine-1")
    );
    let relative = finding.effect.as_ref().and_then(|effect| effect.relative).expect("an effect");
    assert!((-0.60..-0.50).contains(&relative), "{relative}");
    assert!(finding.next_experiment.is_some() && !finding.evidence.is_empty());
}

#[test]
fn a_slow_card_is_a_card_whatever_it_talks_to() {
    let report = report(&sweep(|_, _, _, dst| if dst == "n5" { 60.0 } else { 100.0 }));
    let finding = only(&report);
    assert_eq!((finding.kind, finding.suspect.id.as_str()), (FindingKind::SlowNic, "n5/mlx5_0"));
    assert!(finding.evidence[0].contains("receive"), "{:?}", finding.evidence);
}

#[test]
fn all_cables_of_a_leaf_one_way_are_the_leaf() {
    let report = report(&sweep(|_, path, _, _| if path[0] == 3 { 50.0 } else { 100.0 }));
    let finding = only(&report);
    assert_eq!((finding.suspect.kind.as_str(), finding.suspect.id.as_str()), ("leaf", "leaf-4"));
}

#[test]
fn a_link_that_comes_and_goes_is_flaky_though_most_rounds_pass() {
    let report = report(&sweep(
        |round, path, _, _| {
            if path[1..] == [1, 2] && round % 3 == 0 { 20.0 } else { 100.0 }
        },
    ));
    let finding = only(&report);
    assert_eq!(
        (finding.kind, finding.suspect.id.as_str()),
        (FindingKind::FlakyLink, "spine-2>leaf-3")
    );
}

#[test]
fn without_paths_the_leaf_and_its_side_are_named() {
    let mut rows = sweep(|_, path, _, _| if path[..2] == [1, 0] { 30.0 } else { 100.0 });
    rows.iter_mut().for_each(|row| row.via = None);
    let report = report(&rows);
    let finding = only(&report);
    assert_eq!((finding.suspect.kind.as_str(), finding.suspect.id.as_str()), ("leaf", "leaf-2"));
    assert!(finding.evidence[0].contains("transmit"), "{:?}", finding.evidence);
    assert!(!open(&report, "fabric_links").is_empty(), "no link was tested as such");
}

#[test]
fn without_leaves_a_card_is_still_judged() {
    let rows = sweep(|_, _, src, _| if src == "n3" { 50.0 } else { 100.0 });
    let report = judged(Some(&site(false)), &[&rows]);
    assert_eq!(only(&report).suspect.id, "n3/mlx5_0");
}

#[test]
fn without_a_site_nobody_is_named_and_that_is_said() {
    let report = judged(None, &[&bad_uplink()]);
    assert!(report.findings.is_empty());
    assert!(!open(&report, "fabric").is_empty());
}

#[test]
fn names_that_the_site_lacks_are_listed_and_accuse_nobody() {
    let mut rows = bad_uplink();
    rows.iter_mut().for_each(|row| row.src = format!("other-{}", row.src));
    let report = report(&rows);
    assert!(report.findings.is_empty());
    assert!(open(&report, "fabric").iter().any(|why| why.contains("other-n1")));
}

#[test]
fn rows_without_a_rate_are_refused_and_counted() {
    let mut rows = healthy();
    for (row, gbps) in rows.iter_mut().zip([None, Some(f64::NAN), Some(-1.0), Some(f64::INFINITY)])
    {
        row.gbps = gbps;
    }
    let report = report(&rows);
    assert!(report.findings.is_empty(), "{:#?}", report.findings);
    assert!(open(&report, "pairs").iter().any(|why| why.starts_with("4 rows")));
}

#[test]
fn a_part_that_carried_nothing_at_all_is_found() {
    let report = report(&sweep(|_, path, _, _| if path[..2] == [1, 0] { 0.0 } else { 100.0 }));
    assert_eq!(only(&report).suspect.id, "leaf-2>spine-1");
}

#[test]
fn a_table_of_one_node_or_of_one_pair_says_nothing() {
    for rows in [healthy()[..1].to_vec(), vec![PairRow::default()], Vec::new()] {
        assert!(report(&rows).findings.is_empty());
    }
    let to_itself =
        PairRow { src: "n1".into(), dst: "n1".into(), gbps: Some(1.0), ..PairRow::default() };
    assert!(report(&[to_itself]).findings.is_empty());
}

#[test]
fn one_slow_round_of_collisions_that_repeats_is_one_proof() {
    // Forty rounds of the same tuples: what collides once collides in each.
    let mut rows = bad_uplink();
    rows.retain(|row| row.round == 0);
    let again: Vec<PairRow> = (0..40_u32)
        .flat_map(|round| rows.iter().map(move |row| PairRow { round, ..row.clone() }))
        .collect();
    assert!(confirmed(&report(&again)).is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn order_splits_and_repeated_rows_change_no_byte(
        order in Just((0..LEAVES * ROUNDS).collect::<Vec<_>>()).prop_shuffle(),
        cut in 0..LEAVES * ROUNDS,
    ) {
        let rows = bad_uplink();
        let shuffled: Vec<PairRow> = order.iter().map(|at| rows[*at].clone()).collect();
        let site = site(true);
        let (a, b) = shuffled.split_at(cut);
        let straight = judged(Some(&site), &[&rows]);
        let spread = judged(Some(&site), &[b, a, &b[..b.len() / 2]]);
        prop_assert_eq!(format!("{straight:?}"), format!("{spread:?}"));
    }

    #[test]
    fn no_row_panics(
        odd in prop::collection::vec(
            (any::<u32>(), 0_usize..14, 0_usize..14, any::<f64>(), any::<u64>(), any::<i64>(), 0_usize..6),
            0..60,
        ),
    ) {
        let vias = ["", "spine-1", "leaf-1>spine-2", ">>", "n1", "spine-2>spine-1>leaf-9"];
        let rows: Vec<PairRow> = odd.into_iter().map(|(round, src, dst, gbps, port, time_ns, via)| PairRow {
            time_ns,
            round: round % 5,
            src: format!("n{src}"),
            dst: format!("n{dst}"),
            sport: Some(port),
            gbps: Some(gbps.abs() % 500.0),
            via: Some(vias[via].to_owned()),
            ..PairRow::default()
        }).collect();
        let report = report(&rows);
        for finding in &report.findings {
            let effect = finding.effect.as_ref().and_then(|effect| effect.relative);
            prop_assert!(effect.is_none_or(f64::is_finite));
        }
    }
}
