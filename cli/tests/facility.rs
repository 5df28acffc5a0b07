//! Goldens of findings about the building: does an engineer see at first sight what is
//! blamed, how sure that is, what else it may be, and who must act.

use loadbank_cli::report::text;
use model::finding::{
    Blame, Effect, Finding, FindingKind, Members, Severity, Standing, Suspect, Verdict,
};
use model::report::{Coverage, DomainCoverage, NotMeasured, Report, RunHeader, SCHEMA};
use model::{Requirement, Source};

fn finding(kind: FindingKind, suspect: Suspect) -> Finding {
    Finding {
        id: "F1".to_owned(),
        kind,
        blame: Blame::Facility,
        standing: Standing::Confirmed,
        severity: Severity::Critical,
        suspect,
        cannot_exclude: Vec::new(),
        confidence: Some(0.97),
        p_value: Some(0.0002),
        q_value: Some(0.0031),
        effect: None,
        members: None,
        injected: false,
        evidence: Vec::new(),
        action: String::new(),
        next_experiment: None,
    }
}

fn report(verdict: Verdict, reasons: &[&str], findings: Vec<Finding>) -> Report {
    let kinds = [("pdu", 16, 16), ("rack", 16, 15), ("loop", 4, 4)];
    let domains =
        kinds.map(|(kind, total, loaded)| (kind.to_owned(), DomainCoverage { total, loaded }));
    Report {
        schema: SCHEMA.to_owned(),
        verdict,
        exit_code: verdict.exit_code(),
        reasons: reasons.iter().map(|reason| (*reason).to_owned()).collect(),
        requires: vec![Requirement::Power, Requirement::Temperature],
        run: RunHeader {
            id: "soak.parquet".to_owned(),
            plan: "implied".to_owned(),
            site: Some("hall-b".to_owned()),
            source: Source::Tables.word().to_owned(),
            seconds: Some(2700),
            state: "finished".to_owned(),
            ..RunHeader::default()
        },
        findings,
        gates: Vec::new(),
        measured: Vec::new(),
        coverage: Coverage {
            nodes_planned: 128,
            nodes_reporting: 124,
            devices_planned: 1024,
            devices_reporting: 992,
            phases_planned: 1,
            phases_completed: 1,
            rows: 2_678_400,
            domains: domains.into_iter().collect(),
            ..Coverage::default()
        },
        not_measured: vec![NotMeasured {
            what: "meters".to_owned(),
            why: "no meter of the building was read".to_owned(),
            requirement: None,
            needed: false,
        }],
    }
}

fn check(name: &str, report: &Report) {
    let text = text::render(report);
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    insta::assert_snapshot!(name, text);
}

#[test]
fn a_weak_pdu_that_holds_the_nodes_of_a_rack() {
    let mut pdu = finding(FindingKind::WeakPower, Suspect::new("pdu", "pdu-b07"));
    pdu.cannot_exclude = vec![Suspect::new("rack", "rack-7"), Suspect::new("manifold", "m-7")];
    pdu.effect = Some(Effect {
        metric: "power_w".to_owned(),
        relative: Some(-0.061),
        absolute: Some(-43.0),
        unit: "W".to_owned(),
    });
    pdu.members = Some(Members { hit: 7, reporting: 8, total: 8 });
    pdu.evidence = vec![
        "power brake in 31 % of the samples of 7 nodes, in none of 116 others".to_owned(),
        "clock -6.4 %, temperature -3.1 K: power is short, not cooling".to_owned(),
    ];
    pdu.action = "measure voltage and current of every phase of pdu-b07 under this load".to_owned();
    pdu.next_experiment =
        Some("swap the power cords of half of rack-7 to another pdu and repeat".to_owned());
    let reasons = ["F1 weak_power: pdu pdu-b07"];
    check("weak_pdu", &report(Verdict::NotReady, &reasons, vec![pdu]));
}

#[test]
fn a_weak_cooling_loop() {
    let mut cooling = finding(FindingKind::WeakCooling, Suspect::new("loop", "loop-3"));
    cooling.effect = Some(Effect {
        metric: "r_th_k_per_w".to_owned(),
        relative: Some(0.142),
        absolute: Some(0.0061),
        unit: "K/W".to_owned(),
    });
    cooling.members = Some(Members { hit: 29, reporting: 31, total: 32 });
    cooling.p_value = Some(0.000_05);
    cooling.evidence = vec!["supply 3.4 K above the other loops'".to_owned()];
    cooling.action = "check pump, filter and flow of loop-3".to_owned();
    let reasons = ["F1 weak_cooling: loop loop-3"];
    check("weak_loop", &report(Verdict::NotReady, &reasons, vec![cooling]));
}

#[test]
fn a_slow_uplink() {
    let mut link = finding(FindingKind::SlowUplink, Suspect::new("link", "leaf-4>spine-2"));
    link.severity = Severity::Major;
    link.cannot_exclude = vec![Suspect::new("link", "leaf-4>spine-6")];
    link.effect = Some(Effect {
        metric: "bandwidth".to_owned(),
        relative: Some(-0.48),
        absolute: None,
        unit: "Gbit/s".to_owned(),
    });
    link.members = Some(Members { hit: 12, reporting: 14, total: 14 });
    link.next_experiment = Some("pin 8 flows of leaf-4 to spine-2 and 8 to spine-6".to_owned());
    let reasons = ["F1 slow_uplink: link leaf-4>spine-2"];
    check("slow_uplink", &report(Verdict::NotReady, &reasons, vec![link]));
}

#[test]
fn the_whole_fleet_moved() {
    let mut shift = finding(FindingKind::FleetShift, Suspect::new("fleet", "all"));
    (shift.blame, shift.severity, shift.confidence) = (Blame::None, Severity::Minor, None);
    shift.effect = Some(Effect {
        metric: "clock_mhz".to_owned(),
        relative: Some(-0.03),
        absolute: Some(-41.0),
        unit: "MHz".to_owned(),
    });
    shift.members = Some(Members { hit: 122, reporting: 124, total: 128 });
    let reasons = ["not measured: load: nobody vouches that the load was commanded"];
    check("fleet_shift", &report(Verdict::Inconclusive, &reasons, vec![shift]));
}

#[test]
fn a_rack_to_watch() {
    let mut watch = finding(FindingKind::WeakCooling, Suspect::new("rack", "c008"));
    (watch.standing, watch.severity) = (Standing::Watch, Severity::Major);
    (watch.p_value, watch.q_value, watch.confidence) = (Some(0.011), Some(0.17), None);
    watch.effect = Some(Effect {
        metric: "temp_c".to_owned(),
        relative: None,
        absolute: Some(4.0),
        unit: "K".to_owned(),
    });
    watch.members = Some(Members { hit: 1, reporting: 12, total: 12 });
    watch.evidence = vec!["11 of its 12 nodes were measured within 2.3 h".to_owned()];
    watch.next_experiment = Some("repeat with racks interleaved in time".to_owned());
    let reasons = ["not measured: load: nobody vouches that the load was commanded"];
    check("rack_watch", &report(Verdict::Inconclusive, &reasons, vec![watch]));
}
