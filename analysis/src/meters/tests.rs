use std::collections::BTreeSet;

use model::finding::{FindingKind, Standing};
use model::plan::Plan;
use model::site::{Domain, DomainKind, Node, Site, SiteDraft};
use model::table::{MeterRow, SampleRow};
use model::{Finding, Policy, Report, RunFacts, SampleColumns};
use proptest::prelude::*;

use super::supply::imbalance_percent;
use crate::{Digest, Terms};

const SECOND: i64 = 1_000_000_000;
const SECONDS: i64 = 1200;

/// Four PDUs a side on one UPS a side, two nodes on each pair, four loops of two nodes.
fn site() -> Site {
    let mut domains = Vec::new();
    for side in ["A", "B"] {
        domains.push(Domain::new(DomainKind::Ups, format!("ups-{side}")));
        for i in 1..=4 {
            domains.push(Domain {
                within: vec![format!("ups-{side}")],
                side: Some(side.to_owned()),
                rating_kw: Some(40.0),
                phases: Some(3),
                ..Domain::new(DomainKind::Pdu, format!("pdu-{side}{i}"))
            });
        }
    }
    domains.extend((1..=4).map(|i| Domain::new(DomainKind::Loop, format!("loop-{i}"))));
    let nodes = (0..8).map(|i| {
        let pair = i / 2 + 1;
        let on = [format!("pdu-A{pair}"), format!("pdu-B{pair}"), format!("loop-{pair}")];
        Node::new(format!("n{i}"), &on.each_ref().map(String::as_str))
    });
    let draft =
        SiteDraft { name: "hall".to_owned(), domains, links: vec![], nodes: nodes.collect() };
    Site::new(draft).expect("a valid site")
}

/// What the building does: each PDU 2 kW idle and `load_kw` under load.
#[derive(Clone)]
struct Hall {
    load_kw: f64,
    /// Milliohm of each PDU's own cable.
    milliohm: fn(&str) -> f64,
    supply_c: fn(&str) -> f64,
    lpm: fn(&str) -> f64,
}

fn healthy() -> Hall {
    Hall {
        load_kw: 12.0,
        milliohm: |id| if id.ends_with('1') { 21.0 } else { 20.0 },
        supply_c: |_| 30.0,
        lpm: |_| 24.0,
    }
}

fn row(time_s: i64, domain: &str, point: &str, value: f64) -> MeterRow {
    MeterRow {
        time_ns: time_s * SECOND,
        domain: domain.to_owned(),
        point: point.to_owned(),
        value: Some(value),
        ..MeterRow::default()
    }
}

impl Hall {
    fn rows(&self) -> Vec<MeterRow> {
        let mut rows = Vec::new();
        for t in (0..SECONDS).step_by(10) {
            let kw = if (t / 200) % 2 == 0 { 2.0 } else { self.load_kw };
            for side in ["A", "B"] {
                // The UPS sags for all of its PDUs, and so does the utility in time.
                let upstream = 415.0 - 0.02 * 4.0 * kw + (t as f64 / 100.0).sin();
                for i in 1..=4 {
                    let id = format!("pdu-{side}{i}");
                    let volts = upstream - (self.milliohm)(&id) * kw / 415.0;
                    rows.push(row(t, &id, "power_kw", kw));
                    rows.push(row(t + 3, &id, "voltage_v", (volts * 10.0).round() / 10.0));
                }
            }
            for i in 1..=4 {
                let id = format!("loop-{i}");
                let (supply, lpm) = ((self.supply_c)(&id), (self.lpm)(&id));
                rows.push(row(t, &id, "supply_c", supply));
                rows.push(row(t, &id, "flow_lpm", lpm));
                // Two PDUs feed it; the water takes 80 % of their heat.
                rows.push(row(t, &id, "return_c", supply + 0.8 * 2.0 * kw * 14.4 / lpm));
            }
        }
        rows
    }
}

fn plan() -> Plan {
    Plan {
        name: "acceptance".to_owned(),
        requires: BTreeSet::new(),
        seed: 1,
        limits: model::plan::Limits::default(),
        least_seconds: 0.0,
        least_rating_percent: None,
        experiments: Vec::new(),
        phases: vec![],
    }
}

fn report(rows: &[MeterRow], samples: &[SampleRow]) -> Report {
    let (site, plan, policy) = (site(), plan(), Policy::default());
    let mut digest = Digest::new(&plan);
    digest.add_meters(rows);
    digest.add_samples(&SampleColumns::from_rows(samples));
    let terms = Terms { plan: &plan, site: Some(&site), policy: &policy };
    crate::judge(&terms, &digest.finish(RunFacts::default()))
}

fn of_building(report: &Report) -> Vec<&Finding> {
    let kinds = [FindingKind::WeakPower, FindingKind::WeakCooling];
    report.findings.iter().filter(|finding| kinds.contains(&finding.kind)).collect()
}

fn value(report: &Report, what: &str, id: &str) -> f64 {
    let line = report.measured.iter().find(|line| line.what == what && line.at.id == id);
    line.unwrap_or_else(|| panic!("no {what} of {id}")).value
}

#[test]
fn a_healthy_hall_is_measured_and_nobody_is_accused() {
    let report = report(&healthy().rows(), &[]);
    assert!(of_building(&report).is_empty(), "{:#?}", of_building(&report));
    // 20 milliohm of its own and 80 millivolt a kilowatt from the UPS.
    let sag = value(&report, "sag_v_per_kw", "pdu-A2");
    assert!((sag + 0.08 + 0.020 * 1000.0 / 415.0).abs() < 0.02, "{sag}");
    assert!((value(&report, "heat_kw", "loop-1") - 19.2).abs() < 0.2);
    assert!((value(&report, "capture_ratio", "loop-1") - 0.8).abs() < 0.02);
    assert!((value(&report, "flow_lpm_per_kw", "loop-1") - 1.0).abs() < 0.03);
    assert!((value(&report, "breaker_percent", "pdu-A1") - 30.0).abs() < 0.1);
    assert!((value(&report, "failover_percent", "pdu-A1") - 60.0).abs() < 0.1);
    assert!((value(&report, "feed_share_percent", "pdu-A1") - 50.0).abs() < 0.1);
}

#[test]
fn a_loose_lug_shows_in_the_sag_and_nowhere_else() {
    let hall = Hall { milliohm: |id| if id == "pdu-B3" { 140.0 } else { 20.0 }, ..healthy() };
    let report = report(&hall.rows(), &[]);
    let found = of_building(&report);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!((found[0].suspect.id.as_str(), found[0].standing), ("pdu-B3", Standing::Confirmed));
    let effect = found[0].effect.as_ref().unwrap();
    // 120 milliohm at 415 V more than the others.
    assert!((effect.absolute.unwrap() + 0.289).abs() < 0.02, "{effect:?}");
}

#[test]
fn feeds_that_can_not_carry_each_other_are_named() {
    let hall = Hall { load_kw: 17.0, ..healthy() };
    let report = report(&hall.rows(), &[]);
    let found = of_building(&report);
    // 34 kW of 40 kW, where 32 kW may be drawn for hours.
    assert_eq!(found.len(), 8, "{found:#?}");
    assert!(found.iter().all(|f| f.effect.as_ref().unwrap().metric == "failover_percent"));
    assert!((value(&report, "failover_percent", "pdu-B2") - 85.0).abs() < 0.1);
}

#[test]
fn a_warm_loop_and_a_starved_one_are_told_apart() {
    let warm = Hall { supply_c: |id| if id == "loop-2" { 36.0 } else { 30.0 }, ..healthy() };
    let report_warm = report(&warm.rows(), &[]);
    let found = of_building(&report_warm);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0].suspect.id, "loop-2");
    assert_eq!(found[0].effect.as_ref().unwrap().metric, "supply_c");

    let starved = Hall { lpm: |id| if id == "loop-4" { 15.0 } else { 24.0 }, ..healthy() };
    let report_starved = report(&starved.rows(), &[]);
    let found = of_building(&report_starved);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0].suspect.id, "loop-4");
    assert_eq!(found[0].effect.as_ref().unwrap().metric, "flow_lpm_per_kw");
}

#[test]
fn a_source_answers_for_all_that_hangs_from_it() {
    let mut rows = healthy().rows();
    // UPS B is dead: its PDUs carry nothing, and A carries all.
    for row in rows.iter_mut().filter(|row| row.point == "power_kw") {
        let dead = row.domain.starts_with("pdu-B");
        row.value = row.value.map(|kw| if dead { 0.0 } else { 2.0 * kw });
    }
    let report = report(&rows, &[]);
    let found = of_building(&report);
    assert_eq!(found.len(), 1, "{found:#?}");
    let effect = found[0].effect.as_ref().unwrap();
    assert_eq!(
        (found[0].suspect.id.as_str(), effect.metric.as_str()),
        ("ups-B", "feed_share_percent")
    );
}

#[test]
fn device_watts_are_held_against_the_supplies() {
    let samples: Vec<SampleRow> = (0..8)
        .flat_map(|i| {
            (200..400).step_by(10).map(move |t| SampleRow {
                time_ns: t * SECOND,
                node: format!("n{i}"),
                power_w: Some(9000.0),
                temp_c: Some(75.0),
                ..SampleRow::default()
            })
        })
        .collect();
    let report = report(&healthy().rows(), &samples);
    // Two nodes with two cords each: 9 kW of the 12 kW of each PDU.
    let gain = value(&report, "power_gain_p50", "all");
    assert!((gain - 0.75).abs() < 0.01, "{gain}");
    let r_th = value(&report, "r_th_supply_k_per_w", "loop-1");
    assert!((r_th - 45.0 / 9000.0).abs() < 1e-4, "{r_th}");
}

#[test]
fn imbalance_is_the_highest_line_over_the_mean() {
    assert_eq!(imbalance_percent(&[10.0, 10.0, 13.0]).map(f64::round), Some(18.0));
    assert_eq!(imbalance_percent(&[10.0, 10.0, 10.0]), Some(0.0));
    assert_eq!(imbalance_percent(&[0.0, 0.0, 0.0]), None);
    assert_eq!(imbalance_percent(&[]), None);
}

#[test]
fn a_meter_of_another_building_is_a_gap() {
    let report = report(&[row(0, "pdu-Z9", "power_kw", 1e6)], &[]);
    assert!(of_building(&report).is_empty());
    let gap = report.not_measured.iter().find(|gap| gap.what == "meter_domains").unwrap();
    assert!(gap.why.contains("pdu-Z9"), "{}", gap.why);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn no_reading_panics_and_order_does_not_show(
        wild in prop::collection::vec(
            (any::<i64>(), 0usize..12, 0usize..8, any::<f64>()),
            0..120,
        ),
    ) {
        let site = site();
        let points = ["power_kw", "voltage_v", "current_a.l1", "current_a.l2", "current_a.l3",
            "supply_c", "return_c", "flow_lpm"];
        let mut rows: Vec<MeterRow> = wild
            .iter()
            .map(|(time_ns, domain, point, value)| MeterRow {
                time_ns: *time_ns,
                ..row(0, &site.domains()[*domain].id, points[*point], *value)
            })
            .collect();
        let forwards = report(&rows, &[]);
        rows.reverse();
        prop_assert_eq!(format!("{forwards:?}"), format!("{:?}", report(&rows, &[])));
    }
}
