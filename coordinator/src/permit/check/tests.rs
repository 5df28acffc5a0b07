use super::*;
use crate::store::{Planned, PlannedDevice};

const SITE: &str = r#"schema = 1
name = "hall-b"
[[domain]]
kind = "pdu"
id = "pdu-a1"
rating_kw = 40
[[domain]]
kind = "pdu"
id = "pdu-a2"
rating_kw = 40
[[nodes]]
names = "n[1-2]"
domains = ["pdu-a1"]
max_kw = 10
[[nodes]]
names = "n[3-4]"
domains = ["pdu-a2"]
max_kw = 10
"#;

const PERMIT: &str = r#"schema = 1
issued_by = "A. Meier"
site = "hall-b"
total_kw = 40
conditions = ["CRAH 3 runs"]
[[window]]
from = "2026-01-31T20:00:00+01:00"
to = "2026-01-31T22:00:00+01:00"
[[domain]]
on = "pdu"
kw = 20
[[waveform]]
kind = "hold"
[[waveform]]
kind = "ramp"
[[waveform]]
kind = "square"
hz_most = 0.5
amplitude_percent_most = 60
"#;

/// 2026-01-31T20:30:00+01:00.
const EVENING_NS: i64 = 1_769_887_800_000_000_000;

fn phase(kind: &str) -> String {
    format!("schema = 1\nname = \"p\"\nrequires = [\"power\"]\n[[phase]]\nseconds = 60\n{kind}\n")
}

/// Nodes of four GPUs each.
fn four_gpus(nodes: &[String]) -> Vec<Planned> {
    let device = |index| PlannedDevice {
        index,
        kind: "cuda".to_owned(),
        model: String::new(),
        cores: Vec::new(),
        power_limit_mw: None,
    };
    let planned = |node: &String| Planned {
        node: node.clone(),
        instance: "i".to_owned(),
        devices: (0..4).map(device).collect(),
        boot_id: String::new(),
        missing: Vec::new(),
    };
    nodes.iter().map(planned).collect()
}

#[test]
fn a_phase_with_watts_counts_by_the_watts_and_not_by_what_its_nodes_can_draw() {
    // 16 devices: full level would be 40 kW, the permit's 20 kW a PDU allow 10 kW a node.
    assert_eq!(evening(PERMIT, &phase("kind = \"hold\"\nload = { watts = 2500 }")), "");
    let told = evening(PERMIT, &phase("kind = \"hold\"\nload = { watts = 2600 }"));
    assert!(
        told.contains("pdu pdu-a1 may be given 20.0 kW; phase hold asks for 20.8 kW"),
        "{told}"
    );
    let told = evening(PERMIT, &phase("kind = \"hold\"\nload = { kw = 44 }"));
    assert!(told.contains("40.0 kW in all may be heated; phase hold asks for 44.0 kW"), "{told}");
    let square = "kind = \"square\"\nlow_percent = 40\nperiod_seconds = 2\nload = { kw = 39 }";
    assert_eq!(evening(PERMIT, &phase(square)), "");
}

fn told(permit: &str, plan: &str, now_ns: i64, affirmed: &[String]) -> Vec<String> {
    let permit = formats::permit::parse("permit.toml", permit).unwrap();
    let plan = formats::plan::parse("plan.toml", plan).unwrap();
    let site = formats::site::parse("site.toml", SITE).unwrap();
    let nodes: Vec<String> = site.nodes().iter().map(|node| node.name.clone()).collect();
    let members: Vec<Vec<String>> = plan.phases.iter().map(|_| nodes.clone()).collect();
    let draw_kw = nodes.iter().map(|node| (node.clone(), 10.0)).collect();
    let ask = Ask {
        plan: &plan,
        site: Some(&site),
        members: &members,
        draw_kw: &draw_kw,
        asked: &Asked::of(&plan, &members, &four_gpus(&nodes)),
        now_ns,
        end_ns: now_ns + 62_000_000_000,
        ramp_s: 2.0,
        affirmed,
    };
    refusals(&permit, &ask)
}

fn evening(permit: &str, plan: &str) -> String {
    told(permit, plan, EVENING_NS, &["CRAH 3 runs".to_owned()]).join("\n")
}

#[test]
fn a_plan_within_every_clause_is_allowed() {
    assert_eq!(evening(PERMIT, &phase("kind = \"hold\"")), "");
    let square = "kind = \"square\"\nlow_percent = 40\nperiod_seconds = 2";
    assert_eq!(evening(PERMIT, &phase(square)), "");
}

#[test]
fn a_plan_without_heat_needs_no_permit() {
    assert_eq!(told(PERMIT, &phase("kind = \"rtt\""), 0, &[]), Vec::<String>::new());
}

#[test]
fn each_clause_refuses_with_its_line_and_numbers() {
    let hold = phase("kind = \"hold\"");
    let square = |low, period| {
        phase(&format!("kind = \"square\"\nlow_percent = {low}\nperiod_seconds = {period}"))
    };
    let slow = PERMIT.replace("kw = 20", "kw_per_s_up = 4\nkw_per_s_down = 9");
    let ramp = phase("kind = \"ramp\"");
    let cases = [
        (
            PERMIT.replace("total_kw = 40", "total_kw = 39"),
            hold.clone(),
            "permit.toml:4: 39.0 kW in all may be heated; phase hold asks for 40.0 kW",
        ),
        (
            PERMIT.replace("kw = 20", "kw = 19"),
            hold.clone(),
            "permit.toml:10: pdu pdu-a1 may be given 19.0 kW; phase hold asks for 20.0 kW",
        ),
        (
            PERMIT.replace("hall-b", "hall-c"),
            hold.clone(),
            "permit.toml:3: the permit is for site hall-c, not for hall-b",
        ),
        (
            PERMIT.replace("kind = \"hold\"", "kind = \"sine\""),
            hold.clone(),
            "no [[waveform]] allows the hold of phase hold; allowed: sine, ramp, square",
        ),
        (
            PERMIT.to_owned(),
            square(40, 1),
            "permit.toml:17: a square may have 0 to 0.5 Hz, not 1.000 Hz (phase square)",
        ),
        (
            PERMIT.to_owned(),
            square(30, 2),
            "permit.toml:17: a square may go up and down by 60 %, not by 70.0 % (phase square)",
        ),
        (slow.clone(), hold, "pdu pdu-a1 may go up by 4.0 kW/s; phase hold asks for 20.0 kW/s"),
    ];
    for (permit, plan, expected) in cases {
        let lines = evening(&permit, &plan);
        assert!(lines.contains(expected), "{lines}\nexpected {expected}");
    }
    // What ends comes down as slowly as the clause asks.
    assert_eq!(evening(&slow, &ramp), "");
}

#[test]
fn a_plan_begins_and_ends_within_the_window() {
    let affirmed = ["CRAH 3 runs".to_owned()];
    let hold = phase("kind = \"hold\"");
    let early = told(PERMIT, &hold, EVENING_NS - 3_600_000_000_000, &affirmed);
    assert!(early[0].starts_with("permit.toml:7: 2026-01-31T18:30:00Z is outside"), "{early:?}");
    let late = told(PERMIT, &hold, EVENING_NS + 5_380_000_000_000, &affirmed);
    assert!(late[0].contains("the plan would heat until 2026-01-31T21:00:42Z"), "{late:?}");
}

#[test]
fn a_condition_is_affirmed_in_its_own_words() {
    let open = told(PERMIT, &phase("kind = \"hold\""), EVENING_NS, &["CRAH 2 runs".to_owned()]);
    assert_eq!(open.len(), 1);
    assert!(open[0].starts_with("permit.toml:5: the condition \"CRAH 3 runs\" is not affirmed"));
}
