//! The building's meters end to end: from their document to the run's record and its report.

#![allow(clippy::unwrap_used, reason = "a test that meets nothing ends there")]

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use coordinator::store::RunFile;
use model::record::{MeterReading, Record};
use proto::convert::records_from_batch;
use serde_json::Value;
use system_tests::Bank;
use system_tests::bank::RUN_PATIENCE;

const PLAN: &str = "schema = 1\nname = \"metered\"\nrequires = [\"compute\", \"meters\"]\n\
    [[phase]]\nname = \"hold\"\nkind = \"hold\"\nseconds = 4\n\
    load = { kernel = \"fp64\", percent = 5 }\n";
const SITE: &str = "schema = 1\nname = \"hall-m\"\n[[domain]]\nkind = \"pdu\"\nid = \"pdu-a\"\n\
    budget_kw = 5\n[[nodes]]\nnames = \"n1\"\ndomains = [\"pdu-a\"]\nmax_kw = 0.02\n";
const SOURCES: &str = "schema = 1\n[[source]]\nname = \"house\"\nkind = \"table\"\n\
    path = \"house.csv\"\n";

fn bank(sources: &str) -> Bank {
    let mut bank = Bank::new();
    let _ = bank.write("house.csv", "time,domain,point,value,unit\n");
    let _ = bank.write("site.toml", SITE);
    let sources = bank.write("meters.toml", sources);
    bank.serve_with(&["--meters", &sources]);
    bank.agent("n1", 0, &["--no-traffic"]);
    bank.wait_for_agents(1);
    bank
}

fn says(bank: &Bank, row: &str) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    let file = File::options().append(true).open(bank.folder().join("house.csv"));
    file.unwrap().write_all(format!("{now:.6},{row}\n").as_bytes()).unwrap();
}

/// What the coordinator heard during a run.
fn readings(folder: &Path) -> Vec<MeterReading> {
    let file = RunFile::open(folder).unwrap();
    let mut readings = Vec::new();
    file.for_each_batch("", |stored| {
        for record in records_from_batch(&stored.batch).unwrap().records {
            if let Record::Meter(reading) = record {
                assert_eq!(stored.batch.node, "", "an agent heard a meter");
                readings.push(reading);
            }
        }
        Ok(())
    })
    .unwrap();
    readings
}

fn gaps(report: &Value) -> String {
    report["not_measured"].to_string()
}

fn site(bank: &Bank) -> String {
    bank.folder().join("site.toml").display().to_string()
}

#[test]
fn what_meters_say_during_a_run_is_kept_and_judged_with_it() {
    let bank = bank(SOURCES);
    says(&bank, "pdu-a,power_kw,0.5,kW");
    let (mut run, watch, id) = bank.begin_with(PLAN, &["--site", &site(&bank)]);
    watch.wait_for_phase("hold", 0.5);
    for watts in [700.0, 710.0, 720.0] {
        says(&bank, &format!("pdu-a,power_kw,{watts},W"));
        says(&bank, "pdu-a,voltage_v.l2,229,furlong");
        std::thread::sleep(Duration::from_millis(300));
    }
    let done = run.finish(RUN_PATIENCE);
    let report = done.json();
    assert_eq!((done.code, &report["verdict"]), (Some(0), &"READY".into()), "{report}");
    let kept = readings(&bank.run_folder(&id));
    let kw: Vec<f64> = kept.iter().filter(|r| r.point == "power_kw").map(|r| r.value).collect();
    assert_eq!(kw, [700.0, 710.0, 720.0], "readings of before the run are not of it: {kept:?}");
    assert!(!gaps(&report).contains("no meter of the building was read"), "{report}");
    // A unit that does not fit is a gap with its name.
    assert!(gaps(&report).contains("pdu-a voltage_v.l2"), "{}", gaps(&report));
}

#[test]
fn a_run_that_requires_meters_is_inconclusive_without_them() {
    let bank = bank(SOURCES);
    let (mut run, _, id) = bank.begin_with(PLAN, &["--site", &site(&bank)]);
    let done = run.finish(RUN_PATIENCE);
    let report = done.json();
    assert_eq!((done.code, &report["verdict"]), (Some(3), &"INCONCLUSIVE".into()), "{report}");
    assert!(gaps(&report).contains("no meter of the building was read"), "{report}");
    assert!(readings(&bank.run_folder(&id)).is_empty());
}

#[test]
fn a_device_that_does_not_answer_is_a_gap_with_its_name_and_listed() {
    // Nobody listens there.
    let dead = "[[source]]\nname = \"pdus\"\nkind = \"modbus\"\nmap = \"cdu.toml\"\n\
                every_seconds = 0.5\n[[source.target]]\naddress = \"127.0.0.1:9\"\n\
                domain = \"pdu-a\"\n";
    let map = "schema = 1\n[[point]]\npoint = \"supply_c\"\nfc = 4\n\
               address = 1\ntype = \"i16\"\n";
    let mut bank = Bank::new();
    let _ = bank.write("cdu.toml", map);
    let _ = bank.write("house.csv", "time,domain,point,value,unit\n");
    let _ = bank.write("site.toml", SITE);
    let sources = bank.write("meters.toml", &format!("{SOURCES}{dead}"));
    bank.serve_with(&["--meters", &sources]);
    bank.agent("n1", 0, &["--no-traffic"]);
    bank.wait_for_agents(1);
    let (mut run, _, _) = bank.begin_with(PLAN, &["--site", &site(&bank)]);
    let done = run.finish(RUN_PATIENCE);
    let told = gaps(&done.json());
    assert!(told.contains("source pdus, silent: ") && told.contains("127.0.0.1:9"), "{told}");
    let listed = bank.verb(&["meters", "list", "--json"]);
    assert_eq!(listed.code, Some(0), "{listed:?}");
    let meter = &listed.json()["meters"][0];
    assert_eq!((&meter["source"], &meter["domain"]), (&"pdus".into(), &"pdu-a".into()));
    assert!(meter["failed"].as_u64().unwrap() >= 2 && meter["trouble"].is_string(), "{meter}");
    // The same without a coordinator.
    let checked = bank.loadbank(&["meters", "check", &sources, "--seconds", "2", "--json"]);
    let checked = { checked }.finish(Duration::from_secs(30));
    assert_eq!((checked.code, &checked.json()["complete"]), (Some(3), &false.into()));
}

#[test]
fn what_a_person_is_to_do_is_asked_for_and_its_instant_kept() {
    let plan = "schema = 1\nname = \"pull\"\nrequires = [\"compute\"]\n[[phase]]\n\
        name = \"pull\"\nkind = \"hold\"\nseconds = 5\nact = \"open breaker Q3 of feed A\"\n\
        load = { kernel = \"fp64\", percent = 5 }\n";
    let bank = Bank::with_agents(1);
    let nothing = bank.verb(&["mark", "too early"]);
    assert_eq!(nothing.code, Some(2), "{nothing:?}");
    // Nobody says that it was done: the run shows nothing.
    let (mut run, _, _) = bank.begin_with(plan, &[]);
    let done = run.finish(RUN_PATIENCE);
    let report = done.json();
    assert_eq!((done.code, &report["verdict"]), (Some(3), &"INCONCLUSIVE".into()), "{report}");
    assert!(gaps(&report).contains("open breaker Q3 of feed A"), "{report}");

    let (mut run, watch, id) = bank.begin_with(plan, &[]);
    watch.wait_for_phase("pull", 0.5);
    let marked = bank.verb(&["mark", "Q3 open", "--json"]);
    assert_eq!((marked.code, &marked.json()["run"]), (Some(0), &id.as_str().into()));
    let done = run.finish(RUN_PATIENCE);
    let report = done.json();
    assert_eq!((done.code, &report["verdict"]), (Some(0), &"READY".into()), "{report}");
    assert!(done.stderr.contains("NOW: open breaker Q3 of feed A"), "{}", done.stderr);
    let at = marked.json()["at"].as_str().unwrap().to_owned();
    let told = report["reasons"].to_string();
    assert!(told.contains(&at[..at.len() - 1]) && told.contains("Q3 open"), "{at}: {told}");
}

#[test]
fn a_port_whose_link_goes_away_under_load_is_named_by_its_own_counter() {
    let mut bank = Bank::new();
    let root = bank.folder().join("sensors");
    let counters = root.join("sys/class/infiniband/mlx5_0/ports/1/counters");
    std::fs::create_dir_all(&counters).unwrap();
    let say = |name: &str, count: u64| {
        std::fs::write(counters.join(name), format!("{count}\n")).unwrap();
    };
    let board = root.join("sys/class/hwmon/hwmon0");
    std::fs::create_dir_all(&board).unwrap();
    std::fs::write(board.join("name"), "power_meter\n").unwrap();
    std::fs::write(board.join("power1_average"), "6125000000\n").unwrap();
    say("link_downed", 4);
    say("symbol_error", 1000);
    bank.serve();
    bank.agent("n1", 0, &["--no-traffic", "--sensor-root", &root.display().to_string()]);
    bank.wait_for_agents(1);
    let plan = "schema = 1\nname = \"ports\"\nrequires = [\"compute\"]\n[[phase]]\n\
        name = \"before\"\nkind = \"idle\"\nseconds = 3\n[[phase]]\nname = \"hold\"\n\
        kind = \"hold\"\nseconds = 5\nload = { kernel = \"fp64\", percent = 5 }\n";
    let (mut run, watch, _) = bank.begin_with(plan, &[]);
    watch.wait_for_phase("hold", 2.0);
    say("link_downed", 5);
    let done = run.finish(RUN_PATIENCE);
    let report = done.json();
    assert_eq!((done.code, &report["verdict"]), (Some(1), &"NOT_READY".into()), "{report}");
    let finding = &report["findings"][0];
    assert_eq!(
        (&finding["kind"], &finding["suspect"]["id"]),
        (&"flaky_link".into(), &"n1/mlx5_0/1".into())
    );
    let told = finding["evidence"].to_string();
    assert!(told.contains("link_downed grew by 1 "), "{told}");
    let measured = report["measured"].as_array().unwrap();
    let lines: Vec<&Value> =
        measured.iter().filter(|line| line["what"] == "port_link_downed").collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!(lines[0]["phase"], "hold");
    let input = measured.iter().find(|line| line["what"] == "power_input_kw_mean").unwrap();
    assert_eq!((&input["where"]["id"], &input["value"]), (&"n1".into(), &6.125.into()));
    // What stood still, at whatever height, is no growth.
    assert!(!measured.iter().any(|line| line["what"] == "port_symbol_error"));
}
