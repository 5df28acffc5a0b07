//! The coordinator as a service: agents, a run, watchers, and both stops.

#![allow(clippy::unwrap_used, reason = "a test that meets nothing ends there")]

use std::time::{Duration, Instant};

use serde_json::Value;
use system_tests::bank::RUN_PATIENCE;
use system_tests::process::spent_during;
use system_tests::{Bank, plans, wait_until};

/// The default ramp, the worker's grace, and a second to notice.
const RAMP_AND_GRACE: Duration = Duration::from_millis(2000 + 500 + 1000);
/// A drop is at once; this is for the message and the look.
const DROP_AND_LOOK: Duration = Duration::from_millis(1500);

#[test]
fn agents_are_listed_and_a_run_is_seen_phase_by_phase_until_it_is_stopped() {
    let bank = Bank::with_agents(3);
    let agents = bank.agents();
    let nodes: Vec<&str> = agents.iter().filter_map(|agent| agent["node"].as_str()).collect();
    assert_eq!(nodes, ["n1", "n2", "n3"]);
    assert!(agents.iter().all(|agent| agent["devices"] == 1 && agent["run"].is_null()));

    let (mut run, watch, id) = bank.begin(plans::SHORT);
    watch.wait_for_phase("baseline", 0.5);
    watch.wait_for_phase("fp64", 1.5);
    assert!(bank.agents().iter().all(|agent| agent["run"] == id.as_str()));
    let heating = bank.workers();
    assert!(spent_during(&heating, Duration::from_secs(1)) > Duration::from_millis(500));

    let stop = bank.verb(&["stop", "--json"]);
    assert_eq!(stop.code, Some(0), "{}", stop.stderr);
    assert_eq!(stop.json()["run"], id.as_str());
    let asked = Instant::now();
    let done = run.finish(RUN_PATIENCE);
    assert_eq!(done.code, Some(130), "{}\n{}", done.stdout, done.stderr);
    assert_eq!(done.json()["verdict"], "INTERRUPTED");
    wait_until("no heat after the ramp", RAMP_AND_GRACE.saturating_sub(asked.elapsed()), || {
        let spent = spent_during(&heating, Duration::from_millis(200));
        (spent <= Duration::from_millis(20)).then_some(())
    });
    wait_until("no workers after the run", RUN_PATIENCE, || {
        bank.workers().is_empty().then_some(())
    });

    let statuses = watch.statuses();
    let last = wait_until("the end is told", RUN_PATIENCE, || {
        watch.statuses().pop().filter(|status| status["ended"] == true)
    });
    assert_eq!(last["state"], "stopped");
    assert!(statuses.iter().any(|s| nodes_of(s).iter().any(|n| n["devices_heating"] == 1)));
    let row = bank.run_row(&id).unwrap();
    assert_eq!((&row["state"], &row["verdict"]), (&"stopped".into(), &"INTERRUPTED".into()));
}

#[test]
fn stop_now_drops_the_load_at_once() {
    let bank = Bank::with_agents(3);
    let (mut run, watch, _id) = bank.begin(&plans::hold(30));
    watch.wait_for_phase("hold", 1.5);
    let heating = bank.workers();
    assert!(spent_during(&heating, Duration::from_secs(1)) > Duration::from_millis(500));
    let stop = bank.verb(&["stop", "--now"]);
    assert_eq!(stop.code, Some(0), "{}", stop.stderr);
    assert!(stop.stdout.contains("dropped"), "{}", stop.stdout);
    wait_until("no heat after the drop", DROP_AND_LOOK, || {
        let spent = spent_during(&heating, Duration::from_millis(200));
        (spent <= Duration::from_millis(20)).then_some(())
    });
    let done = run.finish(RUN_PATIENCE);
    assert_eq!(done.code, Some(130), "{}\n{}", done.stdout, done.stderr);
}

fn nodes_of(status: &Value) -> Vec<Value> {
    status["nodes"].as_array().cloned().unwrap_or_default()
}
