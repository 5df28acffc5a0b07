//! The judge on a small hall: who is blamed for what, who is not, and what stays open.

#![allow(clippy::unwrap_used, reason = "a test that meets nothing ends there")]

mod hall;

use model::finding::{Finding, FindingKind, Standing};
use model::site::{Domain, DomainKind};
use model::{Report, SampleRow};
use proptest::prelude::*;

use hall::{Hall, NODES_PER_RACK, node};

/// Findings about parts that nodes share.
fn groups(report: &Report) -> Vec<&Finding> {
    let is_group = |f: &&Finding| DomainKind::from_word(&f.suspect.kind).is_some();
    report.findings.iter().filter(is_group).collect()
}

fn confirmed(report: &Report) -> Vec<String> {
    let confirmed = groups(report).into_iter().filter(|f| f.standing == Standing::Confirmed);
    let mut ids: Vec<String> = confirmed.map(|f| f.suspect.id.clone()).collect();
    ids.sort();
    ids
}

fn warmer(kelvin: f64) -> impl Fn(&mut SampleRow) {
    move |row| row.temp_c = row.temp_c.map(|temp| temp + kelvin)
}

fn starved(share: f64) -> impl Fn(&mut SampleRow) {
    move |row| {
        row.power_w = row.power_w.map(|power| power * (1.0 - share));
        row.clock_mhz = row.clock_mhz.map(|clock| clock * (1.0 - share / 2.0));
        row.perf = row.perf.map(|perf| perf * (1.0 - share / 2.0));
        row.temp_c = row.temp_c.map(|temp| temp - 20.0 * share);
    }
}

#[test]
fn a_healthy_hall_is_not_accused() {
    for seed in 1..20 {
        assert_eq!(confirmed(&Hall::healthy(seed).judge()), Vec::<String>::new(), "seed {seed}");
    }
}

#[test]
fn a_warm_loop_is_named_and_neither_of_its_racks() {
    let report = Hall::healthy(1).bend(&[2, 3], warmer(6.0)).judge();
    let found = groups(&report);
    assert_eq!(confirmed(&report), ["loop-1"]);
    let finding = found[0];
    assert_eq!((finding.kind, finding.cannot_exclude.len()), (FindingKind::WeakCooling, 0));
    let members = finding.members.unwrap();
    assert_eq!((members.hit, members.reporting, members.total), (8, 8, 8));
    let kelvin = finding.effect.as_ref().unwrap().absolute.unwrap();
    assert!((5.0..7.0).contains(&kelvin), "{kelvin}");
    assert!(finding.p_value.unwrap() <= 0.001 && finding.q_value.unwrap() <= 0.01);
    // Devices of a warm loop are not hot by themselves.
    assert!(report.findings.iter().all(|f| f.suspect.kind == "loop"), "{:?}", report.findings);
}

#[test]
fn a_starved_rack_is_confirmed_with_every_suspect_that_holds_the_same_nodes() {
    let report = Hall::healthy(2).bend(&[5], starved(0.1)).judge();
    let finding = groups(&report)[0];
    assert_eq!((finding.kind, finding.standing), (FindingKind::WeakPower, Standing::Confirmed));
    assert_eq!((finding.suspect.kind.as_str(), finding.suspect.id.as_str()), ("pdu", "pdu-5"));
    let others: Vec<&str> = finding.cannot_exclude.iter().map(|s| s.id.as_str()).collect();
    assert_eq!(others, ["rack-5"]);
    let next = finding.next_experiment.as_ref().unwrap();
    assert!(next.contains("pdu-5") && next.contains("rack-5"), "{next}");
}

#[test]
fn a_brake_that_a_weak_supply_pulls_is_evidence_against_the_supply() {
    let braked = |row: &mut SampleRow| {
        starved(0.1)(row);
        row.clock_event_reasons = Some(0x8c);
        row.power_brake_s = Some(row.time_ns as f64 / 1e9);
    };
    let mut hall = Hall::healthy(2);
    let later = |row: &SampleRow| SampleRow { time_ns: row.time_ns + 9_000_000_000, ..row.clone() };
    hall.rows.extend(hall.rows.iter().map(later).collect::<Vec<_>>());
    let report = hall.bend(&[5], braked).judge();
    let finding = groups(&report)[0];
    assert_eq!((finding.kind, finding.standing), (FindingKind::WeakPower, Standing::Confirmed));
    let told = |line: &&String| line.contains("power brake held the clock down");
    assert!(finding.evidence.iter().any(|line| told(&line)), "{:?}", finding.evidence);
    let short = report.findings.iter().filter(|f| f.kind == FindingKind::PowerShort);
    assert_eq!(short.count(), 0, "told at the supply: {:?}", report.findings);
}

#[test]
fn two_faults_at_once_are_both_found() {
    let report = Hall::healthy(3).bend(&[1], starved(0.1)).bend(&[6, 7], warmer(6.0)).judge();
    assert_eq!(confirmed(&report), ["loop-3", "pdu-1"]);
}

#[test]
fn faults_that_hide_each_other_are_found_as_a_pair() {
    let report = Hall::healthy(4).bend(&[0], warmer(7.0)).bend(&[5], warmer(7.0)).judge();
    assert_eq!(confirmed(&report), ["rack-0", "rack-5"]);
}

#[test]
fn one_terrible_node_is_named_and_never_its_rack() {
    let report = Hall::healthy(5).bend_node(&node(3, 1), warmer(25.0)).judge();
    assert!(groups(&report).is_empty());
    assert!(report.findings.iter().any(|f| f.suspect.id.starts_with("n31")));
}

#[test]
fn a_rack_of_another_model_is_compared_with_nobody() {
    let mut hall = Hall::healthy(6).bend(&[4], warmer(12.0));
    for one in &mut hall.site.nodes[4 * NODES_PER_RACK..5 * NODES_PER_RACK] {
        one.device_model = Some("B200".to_owned());
    }
    assert!(groups(&hall.judge()).is_empty());
}

#[test]
fn two_nodes_are_too_few_to_say_where() {
    let mut hall = Hall::healthy(7);
    hall.site.domains.push(Domain::new(DomainKind::Manifold, "manifold-1"));
    for place in 0..2 {
        hall.site.nodes[place].domains.push("manifold-1".to_owned());
        hall = hall.bend_node(&node(0, place), warmer(15.0));
    }
    let report = hall.judge();
    assert!(confirmed(&report).is_empty());
    assert!(groups(&report).iter().all(|f| f.suspect.id != "manifold-1"));
    // The nodes themselves are still judged.
    assert_eq!(report.findings.iter().filter(|f| f.suspect.kind == "node").count(), 2);
}

#[test]
fn a_gradient_below_its_floor_confirms_nothing() {
    let report = Hall::healthy(8).bend(&[2, 3], warmer(2.0)).judge();
    assert!(confirmed(&report).is_empty());
    assert!(groups(&report).iter().all(|f| f.evidence.iter().any(|line| line.contains("floor"))));
}

#[test]
fn nobody_vouches_for_the_load_so_heat_alone_is_watched() {
    let mut hall = Hall::healthy(9).bend(&[2, 3], warmer(6.0));
    hall.commanded = false;
    let report = hall.judge();
    assert_eq!((groups(&report).len(), confirmed(&report).len()), (1, 0));
}

/// Every second rack at a third less power, as other people's jobs have it.
fn unlike_jobs(hall: Hall) -> Hall {
    hall.bend(&[1, 3, 5, 7], |row| row.power_w = row.power_w.map(|watts| 0.66 * watts))
}

#[test]
fn what_unlike_jobs_explain_is_counted_and_not_told() {
    let mut hall = unlike_jobs(Hall::healthy(11)).bend_node(&node(3, 1), warmer(25.0));
    hall.commanded = false;
    let report = hall.judge();
    assert!(report.findings.is_empty(), "{:?}", report.findings);
    let gap = report.not_measured.iter().find(|gap| gap.what == "equal_load").unwrap();
    assert!(gap.why.contains("device"), "{}", gap.why);
    // Whoever vouches for the load wants to hear of them.
    hall.commanded = true;
    let report = hall.judge();
    assert!(!report.findings.is_empty());
    assert!(report.not_measured.iter().all(|gap| gap.what != "equal_load"));
}

#[test]
fn a_throttled_device_is_told_whatever_the_load() {
    let hall = unlike_jobs(Hall::healthy(12)).bend_node(&node(3, 1), warmer(25.0));
    let every: Vec<usize> = (0..8).collect();
    let hall = hall.bend(&every, |row| row.clock_event_reasons = Some(0));
    let mut hall = hall.bend_node(&node(3, 1), |row| row.clock_event_reasons = Some(0x40));
    hall.commanded = false;
    let report = hall.judge();
    let told = report.findings.iter().any(|f| f.suspect.id.starts_with("n31"));
    assert!(told, "{:?}", report.findings);
}

#[test]
fn a_group_measured_another_day_is_watched() {
    let day = |row: &mut SampleRow| row.time_ns += 86_400_000_000_000;
    let report = Hall::healthy(10).bend(&[2, 3], warmer(6.0)).bend(&[2, 3], day).judge();
    assert!(confirmed(&report).is_empty());
    assert!(groups(&report)[0].evidence.iter().any(|line| line.contains("another time")));
}

#[test]
fn nodes_that_fall_silent_together_name_their_supply() {
    let mut hall = Hall::healthy(11);
    let later = |row: &SampleRow, seconds: i64| SampleRow {
        time_ns: row.time_ns + seconds * 1_000_000_000,
        ..row.clone()
    };
    let first = hall.rows.clone();
    for seconds in 1..60 {
        let alive = |row: &&SampleRow| seconds < 30 || !row.node.starts_with("n6");
        hall.rows.extend(first.iter().filter(alive).map(|row| later(row, seconds)));
    }
    let report = hall.judge();
    let finding = groups(&report)[0];
    assert_eq!((finding.kind, finding.suspect.id.as_str()), (FindingKind::NodeLost, "pdu-6"));
    assert_eq!(finding.standing, Standing::Confirmed);
}

#[test]
fn rows_in_any_order_give_the_same_report() {
    let hall = Hall::healthy(12).bend(&[1], starved(0.1));
    let mut backwards = Hall::healthy(12).bend(&[1], starved(0.1));
    backwards.rows.reverse();
    assert_eq!(hall.judge(), backwards.judge());
}

fn anything() -> impl Strategy<Value = Option<f64>> {
    prop_oneof![Just(None), Just(Some(0.0)), any::<f64>().prop_map(Some)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Nonsense, gaps and extremes: never a panic, never the same input with two answers.
    #[test]
    fn nonsense_is_survived(
        values in prop::collection::vec((0..64_usize, anything(), anything(), anything()), 0..40),
    ) {
        let mut hall = Hall::healthy(13);
        for (at, power, temp, clock) in values {
            let row = &mut hall.rows[at];
            (row.power_w, row.temp_c, row.clock_mhz) = (power, temp, clock);
        }
        prop_assert_eq!(hall.judge(), hall.judge());
    }
}

#[test]
fn stand_ins_for_no_value_are_counted_and_not_measured() {
    let report = Hall::healthy(13).bend(&[4], |row| row.power_w = Some(-1.0)).judge();
    assert!(report.findings.is_empty(), "{:?}", report.findings);
    let gap = report.not_measured.iter().find(|gap| gap.why.contains("beyond anything")).unwrap();
    assert_eq!(gap.what, "power_w");
    assert!(report.measured.iter().all(|line| line.value >= 0.0));
}

/// A loop whose devices follow 600 W with 0.05 K/W and a time constant of 10 s.
#[test]
fn a_step_of_power_tells_resistance_and_time_constant_of_a_loop() {
    let mut hall = Hall::healthy(14);
    let first: Vec<SampleRow> = hall.rows.drain(..).filter(|row| row.node < node(2, 0)).collect();
    for second in 0..180_i64 {
        let since = (second - 60) as f64 + 0.5;
        let (phase, power, rise) = match second {
            ..60 => ("idle", 100.0, 0.0),
            _ => ("soak", 700.0, 30.0 * (1.0 - (-since / 10.0).exp())),
        };
        hall.rows.extend(first.iter().map(|row| SampleRow {
            time_ns: second * 1_000_000_000,
            phase: Some(phase.to_owned()),
            power_w: Some(power),
            temp_c: Some(35.0 + rise),
            ..row.clone()
        }));
    }
    let report = hall.judge();
    let told = |what: &str| {
        let mut lines = report.measured.iter();
        lines.find(|line| line.what == what && line.at.id == "loop-0").map(|line| line.value)
    };
    let (resistance, tau) = (told("r_th_step_fast_k_per_w"), told("tau_step_fast_s"));
    assert!(resistance.is_some_and(|r| (r - 0.05).abs() < 0.002), "{resistance:?}");
    assert!(tau.is_some_and(|tau| (tau - 10.0).abs() < 1.0), "{tau:?}");
    // One exponential made it: no second one is told.
    assert_eq!(told("tau_step_slow_s"), None);
    // Against the idle phase: 30 K over 600 W.
    assert!(told("r_th_k_per_w_p50").is_some_and(|r| (r - 0.05).abs() < 0.002));
}

/// Everybody draws a tenth less from the middle of the soak on.
#[test]
fn a_step_of_everybody_is_told_and_no_part_is_blamed() {
    let mut hall = Hall::healthy(15);
    let first = std::mem::take(&mut hall.rows);
    for second in 0..128_i64 {
        let share = if second < 64 { 1.0 } else { 0.9 };
        hall.rows.extend(first.iter().map(|row| SampleRow {
            time_ns: second * 1_000_000_000,
            power_w: row.power_w.map(|power| power * share),
            ..row.clone()
        }));
    }
    let report = hall.judge();
    let shifts: Vec<&Finding> =
        report.findings.iter().filter(|f| f.kind == FindingKind::FleetShift).collect();
    assert_eq!(shifts.len(), 1, "{:?}", report.findings);
    let share = shifts[0].effect.as_ref().and_then(|effect| effect.relative).unwrap();
    assert!((-0.12..-0.08).contains(&share), "{share}");
    assert!(groups(&report).is_empty() && shifts[0].suspect.kind == "fleet");
}

#[test]
fn one_node_that_falls_silent_is_told_even_where_no_coordinator_led() {
    let mut hall = Hall::healthy(16);
    hall.commanded = false;
    let first = std::mem::take(&mut hall.rows);
    for second in 0..60_i64 {
        let alive = |row: &&SampleRow| second < 30 || row.node != node(4, 2);
        hall.rows.extend(
            first
                .iter()
                .filter(alive)
                .map(|row| SampleRow { time_ns: second * 1_000_000_000, ..row.clone() }),
        );
    }
    let report = hall.judge();
    let lost: Vec<&Finding> =
        report.findings.iter().filter(|f| f.kind == FindingKind::NodeLost).collect();
    assert_eq!(lost.len(), 1, "{:?}", report.findings);
    // Nobody of ours led the load: perhaps only the recording ended.
    assert_eq!((lost[0].suspect.id.as_str(), lost[0].standing), ("n42", Standing::Watch));
}
