//! A rehearsed hall whose building is heard over SNMP, Redfish, MQTT and from a Prometheus at the
//! same time: what was read is what was shown, and what is weak is found from it.

#![allow(clippy::unwrap_used, reason = "a test that meets nothing ends there")]

use std::path::Path;
use std::time::Duration;

use analysis::{Digest, Terms, tables};
use formats::MeterReader;
use model::report::GateOutcome;
use model::table::MeterRow;
use model::{FindingKind, Plan, Report, RunFacts, Site, Source, Standing};
use sim::hall::HallShape;
use sim::physics::Physics;
use sim::world::{START_NS, Sampling, World};
use system_tests::Bank;
use system_tests::bank::RUN_PATIENCE;
use system_tests::building::course::Course;
use system_tests::building::stage::{BEAT, Parts, Stage};

/// Seconds of the hall in a second of the test.
const SPEED: f64 = 16.0;
/// Rows of each phase: medians of some dozen readings.
const ROWS: u32 = 24;

const STEPS: &str = "schema = 1\nname = \"steps\"\nrequires = [\"power\", \"meters\"]\n\
    [[phase]]\nname = \"low\"\nkind = \"idle\"\nseconds = 120\n\
    [[phase]]\nname = \"half\"\nkind = \"hold\"\nseconds = 120\n\
    load = { kernel = \"mix\", percent = 50 }\n\
    [[phase]]\nname = \"full\"\nkind = \"hold\"\nseconds = 120\n\
    load = { kernel = \"mix\", percent = 100 }\n\
    [[phase]]\nname = \"part\"\nkind = \"hold\"\nseconds = 120\n\
    load = { kernel = \"mix\", percent = 30 }\n";
const WIRING: &str = "schema = 1\nname = \"wires\"\nrequires = [\"power\", \"meters\"]\n\
    [[phase]]\nname = \"wires\"\nkind = \"wiring\"\nby = \"pdu\"\nseconds = 50\n\
    load = { kernel = \"mix\", percent = 100 }\n";

/// A simulated room and a plan on it.
struct Rehearsal {
    site: Site,
    plan: Plan,
}

impl Rehearsal {
    fn new(plan: &str) -> Self {
        let site = HallShape { devices: 2, node_kw: 2.8, ..HallShape::room_32() }.site().unwrap();
        let plan = formats::plan::parse("plan.toml", plan).unwrap().expanded(Some(&site)).unwrap();
        Self { site, plan }
    }

    fn world(&self) -> World {
        World::new(&self.site, &self.plan, &[], 7, Physics::default()).unwrap()
    }

    /// What is said of the hall's samples beside these rows.
    fn judged(&self, rows: &[MeterRow]) -> Report {
        let mut digest = Digest::new(&self.plan);
        for columns in self.world().samples(Sampling::per_phase(ROWS)) {
            digest.add_samples(&columns);
        }
        digest.add_meters(rows);
        let mut seen = digest.finish(RunFacts::default());
        seen.facts = tables::facts(&seen.seen, Some(&self.site), &self.plan, Source::Rehearsal);
        let policy = formats::policy::builtin();
        let terms = Terms { plan: &self.plan, site: Some(&self.site), policy: &policy };
        analysis::judge(&terms, &seen)
    }
}

fn parts() -> Parts {
    let of =
        |word: &str, from: usize, to: usize| (from..=to).map(|at| format!("{word}-{at}")).collect();
    Parts {
        snmp: of("pdu-a", 1, 8),
        prometheus: of("pdu-b", 1, 8),
        redfish: of("loop", 1, 2),
        mqtt: of("loop", 3, 4),
    }
}

/// Plays a course, and writes down what is heard; rows in the course's own time.
async fn heard(rehearsal: &Rehearsal, course: &Course, swap: [&str; 2]) -> Vec<MeterRow> {
    let bank = Bank::new();
    let mut stage = Stage::open(course.clone(), parts(), START_NS, SPEED).await;
    let document = stage.document(|domain| match swap.iter().position(|id| *id == domain) {
        Some(at) => swap[1 - at].to_owned(),
        None => domain.to_owned(),
    });
    let document = bank.write("meters.toml", &document);
    let _ = bank.write("community", "meters\n");
    let out = bank.folder().join("meters.csv");
    let seconds = (rehearsal.plan.seconds() / SPEED).ceil();
    let whole = (seconds as u64 + 1).to_string();
    let out_name = out.display().to_string();
    let words = ["meters", "record", &document, "--out", &out_name, "--seconds", &whole];
    let mut recording = bank.loadbank(&words);
    stage.play(Duration::from_secs_f64(seconds + 1.5)).await;
    let done = tokio::task::block_in_place(|| recording.finish(RUN_PATIENCE));
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(!done.stderr.contains("silent"), "{}", done.stderr);
    let last_ns = START_NS + (rehearsal.plan.seconds() * 1e9) as i64;
    let mut rows = read(&out);
    for row in &mut rows {
        row.time_ns = stage.instant(row.time_ns);
        row.clock_error_ms = row.clock_error_ms.map(|error_ms| error_ms * SPEED);
    }
    rows.retain(|row| row.time_ns <= last_ns);
    rows
}

fn read(path: &Path) -> Vec<MeterRow> {
    MeterReader::open(path).unwrap().flat_map(Result::unwrap).collect()
}

/// Every row shows what was played at its instant, within its stated error.
fn assert_aligned(rows: &[MeterRow], course: &Course) {
    let mut off = 0;
    let known = |row: &&MeterRow| course.at(&row.domain, &row.point, row.time_ns).is_some();
    let rows: Vec<&MeterRow> = rows.iter().filter(known).collect();
    for row in &rows {
        let beat_s = BEAT.as_secs_f64() * 2.0 * SPEED;
        let slack_ns = ((row.clock_error_ms.unwrap() / 1e3 + beat_s) * 1e9) as i64;
        let shown =
            course.between(&row.domain, &row.point, row.time_ns - slack_ns, row.time_ns + slack_ns);
        let [least, most] = shown.unwrap();
        let kilo = if row.unit.as_deref() == Some("W") { 1e-3 } else { 1.0 };
        let value = row.value.unwrap() * kilo;
        // A register's own step.
        off += usize::from(!(least - 0.06..=most + 0.06).contains(&value));
    }
    // A beat that the machine swallowed shows what was before it.
    assert!(off * 50 <= rows.len(), "{off} of {} rows are not what was shown", rows.len());
}

fn confirmed(report: &Report, kind: FindingKind) -> Vec<String> {
    let told = report.findings.iter();
    let told = told.filter(|f| f.kind == kind && f.standing == Standing::Confirmed);
    told.map(|f| format!("{} {:?} {:?}", f.suspect.id, f.effect, f.action)).collect()
}

fn without<'a>(rows: &'a [MeterRow], word: &'a str) -> Vec<MeterRow> {
    rows.iter().filter(|row| !row.domain.starts_with(word)).cloned().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_weak_line_and_a_gap_in_the_heat_are_found_over_four_protocols_at_once() {
    let rehearsal = Rehearsal::new(STEPS);
    let mut course = Course::of(&rehearsal.world().meters());
    // A loose lug on L2 of one feed of a pair: both feeds are up, and no device feels it.
    course.change(("pdu-a-3", "voltage_v.l2"), "current_a.l2", |volts, amps| volts - 0.25 * amps);
    // And a loop that carries off a third less than its likes.
    course.change(("loop-3", "flow_lpm"), "supply_c", |flow, _| flow * 0.65);
    let rows = heard(&rehearsal, &course, ["", ""]).await;
    let parts = parts();
    for id in parts.snmp.iter().chain(&parts.prometheus) {
        for point in ["power_kw", "voltage_v.l1", "voltage_v.l3", "current_a.l2"] {
            let count = rows.iter().filter(|r| r.domain == *id && r.point == point).count();
            assert!(count > 20, "{id} {point}: {count}");
        }
    }
    for id in parts.redfish.iter().chain(&parts.mqtt) {
        for point in ["supply_c", "return_c", "flow_lpm"] {
            let count = rows.iter().filter(|r| r.domain == *id && r.point == point).count();
            assert!(count > 20, "{id} {point}: {count}");
        }
    }
    assert_aligned(&rows, &course);

    let report = rehearsal.judged(&rows);
    let weak = confirmed(&report, FindingKind::WeakPower);
    assert_eq!(weak.len(), 1, "{weak:?}");
    assert!(weak[0].starts_with("pdu-a-3 ") && weak[0].contains("sag_v_per_kw.l2"), "{weak:?}");
    let gate = |report: &Report, name: &str| {
        report.gates.iter().find(|gate| gate.gate == name).unwrap().clone()
    };
    let heat = gate(&report, "heat_balance_percent_most");
    assert_eq!((heat.outcome, heat.at.unwrap().id.as_str()), (GateOutcome::Fail, "loop-3"));

    // The same hall without the PDUs' meters: nobody is accused, and the gap is said.
    let report = rehearsal.judged(&without(&rows, "pdu"));
    assert_eq!(confirmed(&report, FindingKind::WeakPower), Vec::<String>::new());
    let sag = gate(&report, "sag_percent_most");
    assert_eq!(sag.outcome, GateOutcome::NotEvaluated, "{sag:?}");
    // Without the loops' meters.
    let report = rehearsal.judged(&without(&rows, "loop"));
    assert_eq!(confirmed(&report, FindingKind::WeakPower).len(), 1);
    let heat = gate(&report, "heat_balance_percent_most");
    assert_eq!(heat.outcome, GateOutcome::NotEvaluated, "{heat:?}");
    // Without any.
    let report = rehearsal.judged(&[]);
    let told = serde_json::to_string(&report.not_measured).unwrap();
    assert!(told.contains("no meter of the building was read"), "{told}");
    assert_eq!(report.exit_code, 3, "{:?}", report.reasons);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_records_that_are_swapped_are_named_by_the_wiring_check() {
    let rehearsal = Rehearsal::new(WIRING);
    let course = Course::of(&rehearsal.world().meters());
    let rows = heard(&rehearsal, &course, ["pdu-a-2", "pdu-a-5"]).await;
    let report = rehearsal.judged(&rows);
    let swapped = confirmed(&report, FindingKind::Instrument);
    assert_eq!(swapped.len(), 1, "{swapped:?}");
    let told = serde_json::to_string(&report.findings).unwrap();
    assert!(told.contains("the records of pdu-a-2 and pdu-a-5 are swapped"), "{told}");
    // Without the meters nothing is known of the wiring, and that is said.
    let report = rehearsal.judged(&without(&rows, "pdu"));
    assert_eq!(confirmed(&report, FindingKind::Instrument), Vec::<String>::new());
    let told = serde_json::to_string(&report.not_measured).unwrap();
    assert!(told.contains("wiring"), "{told}");
}
