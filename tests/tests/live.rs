//! The live page over plain HTTP: it changes with the floor, and its button stops the run for who
//! has the key and for nobody else.

#![allow(clippy::unwrap_used, reason = "a test that meets nothing ends there")]

use std::time::{Duration, Instant};

use serde_json::Value;
use system_tests::bank::RUN_PATIENCE;
use system_tests::http::{Events, ask, ask_as};
use system_tests::{Bank, Process, plans, wait_until};

const SOON: Duration = Duration::from_secs(20);

/// Address and key of the page that a process said it serves.
fn page_of(process: &Process) -> (String, String) {
    wait_until("the page's address", SOON, || {
        let said = process.stderr();
        let page = said.lines().find_map(|line| line.strip_prefix("live page: http://"))?;
        let (address, key) = page.split_once("/#")?;
        Some((address.to_owned(), key.to_owned()))
    })
}

fn local(bank: &Bank) -> Process {
    let plan = bank.write("plan.toml", &plans::hold(60));
    let state_dir = bank.state_dir().display().to_string();
    bank.loadbank(&["local", "--plan", &plan, "--state-dir", &state_dir, "--json"])
}

/// The first event that is as it should be.
fn event(events: &mut Events, what: &str, is: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + Duration::from_secs(60);
    while Instant::now() < deadline {
        let event = events.event().unwrap_or_else(|| panic!("the events ended before {what}"));
        if is(&event) {
            return event;
        }
    }
    panic!("no event with {what}");
}

fn heating(event: &Value) -> u64 {
    let racks = event["racks"].as_array().unwrap();
    racks.iter().filter_map(|rack| rack["heating"].as_u64()).sum()
}

#[test]
fn the_floor_changes_and_only_the_key_stops() {
    let bank = Bank::new();
    let run = local(&bank);
    let (address, key) = page_of(&run);
    let mut events = Events::open(&address, "/events");
    let cold = event(&mut events, "an idle floor", |event| heating(event) == 0);
    let hot = event(&mut events, "a floor that heats", |event| heating(event) > 0);
    assert_ne!(cold["racks"], hot["racks"]);
    assert_eq!(hot["run"]["phase"], "hold");
    assert_eq!(hot["phases"][0]["levels"].as_array().unwrap().len(), 120, "its waveform");
    let later = event(&mut events, "a later instant", |event| {
        event["run"]["elapsed_s"].as_f64() > hot["run"]["elapsed_s"].as_f64()
    });
    assert_eq!(later["run"]["id"], hot["run"]["id"]);

    refuses_whoever_has_no_right(&address, &key);
    assert!(ask(&address, "GET", "/state", &[]).body.contains("\"active\":true"), "it still runs");

    let header = format!("x-loadbank-key: {key}");
    let stopped = ask(&address, "POST", "/stop", &[&header]);
    assert_eq!(stopped.status, 200, "{stopped:?}");
    let stopped: Value = serde_json::from_str(&stopped.body).unwrap();
    assert_eq!(stopped["run"], hot["run"]["id"]);
    let mut run = run;
    let done = run.finish(RUN_PATIENCE);
    assert_eq!(done.code, Some(130), "{}\n{}", done.stdout, done.stderr);
    assert_eq!(done.json()["verdict"], "INTERRUPTED");
}

fn refuses_whoever_has_no_right(address: &str, key: &str) {
    let status =
        |method: &str, path: &str, lines: &[&str]| ask(address, method, path, lines).status;
    let right = format!("x-loadbank-key: {key}");
    assert_eq!(status("POST", "/stop", &[]), 401);
    assert_eq!(status("POST", "/stop", &["x-loadbank-key: 00"]), 403);
    assert_eq!(status("POST", "/stop", &[&right, "Origin: http://evil.example"]), 403);
    assert_eq!(status("GET", "/stop", &[&right]), 405, "reading never stops");
    assert_eq!(status("GET", "/key", &[]), 403, "the key is not handed out on plain text");
    assert_eq!(status("GET", "/elsewhere", &[]), 404);
    assert_eq!(ask_as(address, "evil.example", "GET", "/state", &[]).status, 421, "rebound name");
    assert_eq!(ask_as(address, "evil.example", "POST", "/stop", &[&right]).status, 421);
    let page = ask(address, "GET", "/", &[]);
    assert_eq!(page.status, 200);
    assert!(page.head.contains("content-security-policy: default-src 'none'"), "{}", page.head);
    assert!(!page.body.contains(key), "who may read is not told the key");
    for part in ["/live.js", "/live.css"] {
        let part = ask(address, "GET", part, &[]);
        assert_eq!(part.status, 200);
        assert!(!part.body.contains("http://") || part.body.contains("www.w3.org/2000/svg"));
    }
}

#[test]
fn listeners_that_do_not_read_keep_nobody_from_stopping() {
    let bank = Bank::new();
    let mut run = local(&bank);
    let (address, key) = page_of(&run);
    // One more than there are places for: the last is refused, the rest never read.
    let silent: Vec<Events> = (0..64).map(|_| Events::open(&address, "/events")).collect();
    wait_until("a page too many", SOON, || {
        let state = ask(&address, "GET", "/state", &[]);
        assert_eq!(state.status, 200, "reading goes on");
        (ask(&address, "GET", "/events", &["Connection: close"]).status == 503).then_some(())
    });
    wait_until("a run to stop", SOON, || {
        let state: Value = serde_json::from_str(&ask(&address, "GET", "/state", &[]).body).unwrap();
        (state["active"] == true).then_some(())
    });
    let header = format!("x-loadbank-key: {key}");
    assert_eq!(ask(&address, "POST", "/stop", &[&header]).status, 200);
    assert_eq!(run.finish(RUN_PATIENCE).code, Some(130));
    drop(silent);
}
