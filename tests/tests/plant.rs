//! Interlocks on what a building says over MQTT: a heartbeat that is lost, a leak, a supply that is
//! too warm. Each stops what its rule says, and the time to the last worker idle is printed.

#![allow(clippy::unwrap_used, reason = "a test that meets nothing ends there")]

use std::time::{Duration, Instant};

use serde_json::Value;
use system_tests::bank::RUN_PATIENCE;
use system_tests::building::broker::Broker;
use system_tests::building::stage::now_ns;
use system_tests::interlock::idle_ns;
use system_tests::{Bank, wait_until};
use tokio::runtime::Runtime;

/// What a machine that builds something else meanwhile may add.
const BUSY_MS: f64 = 4_000.0;
const RAMP_MS: f64 = 2_000.0;

const PERMIT: &str = "schema = 1\nissued_by = \"A. Meier\"\nsite = \"hall-p\"\ntotal_kw = 5\n\
    [[window]]\nfrom = \"2020-01-01T00:00:00+01:00\"\nto = \"2120-01-01T00:00:00+01:00\"\n\
    [[waveform]]\nkind = \"hold\"\n[[waveform]]\nkind = \"ramp\"\n";
const SITE: &str = "schema = 1\nname = \"hall-p\"\n\
    [[domain]]\nkind = \"loop\"\nid = \"loop-1\"\nbudget_kw = 5\n\
    [[domain]]\nkind = \"loop\"\nid = \"loop-2\"\nbudget_kw = 5\n\
    [[nodes]]\nnames = \"n1\"\ndomains = [\"loop-1\"]\nmax_kw = 0.02\n\
    [[nodes]]\nnames = \"n2\"\ndomains = [\"loop-2\"]\nmax_kw = 0.02\n";
const PLAN: &str = "schema = 1\nname = \"plant\"\nrequires = [\"compute\"]\n[[phase]]\n\
    name = \"hold\"\nkind = \"hold\"\nseconds = 40\nload = { kernel = \"fp64\", percent = 5 }\n";

/// A hall of two loops whose building speaks MQTT.
struct Plant {
    bank: Bank,
    broker: Broker,
    runtime: Runtime,
}

impl Plant {
    fn new(rule: &str) -> Self {
        let runtime = Runtime::new().unwrap();
        let broker = runtime.block_on(Broker::start());
        let bank = Bank::new();
        let permit = bank.write("permit.toml", PERMIT);
        let _ = bank.write("site.toml", SITE);
        let rules = bank.write("interlocks.toml", &format!("schema = 1\n[[rule]]\n{rule}"));
        let meters = bank.write(
            "meters.toml",
            &format!(
                "schema = 1\n[[source]]\nname = \"bms\"\nkind = \"mqtt\"\nplain_text = true\n\
                 heartbeat_seconds = 1\n[[source.target]]\naddress = \"{}\"\ndomain = \"hall\"\n",
                broker.address
            ),
        );
        let plant = Self { bank, broker, runtime };
        for (id, point, unit) in POINTS {
            let said = serde_json::json!({ "rackLocationId": id, "engUnit": unit });
            plant.broker.keep(&topic("Metadata", id, point), &said.to_string());
        }
        let mut plant = plant;
        let words = ["--permit", &permit, "--interlocks", &rules, "--meters", &meters];
        plant.bank.serve_with(&words);
        for (core, node) in ["n1", "n2"].iter().enumerate() {
            plant.bank.agent(node, core, &["--no-traffic"]);
        }
        plant.bank.wait_for_agents(2);
        let beat = topic("Value", "loop-1", "RackLiquidSupplyTemperature");
        wait_until("a listener", Duration::from_secs(20), || {
            (plant.broker.hearing(&beat) > 0).then_some(())
        });
        plant
    }

    fn say(&self, id: &str, point: &str, value: f64) -> i64 {
        let now_ns = now_ns();
        let said = serde_json::json!({
            "value": value, "timestamp": now_ns / 1_000_000, "quality": 1,
        });
        self.broker.publish(&topic("Value", id, point), &said.to_string());
        now_ns
    }

    /// Everything is as it should be, for so long.
    fn breathe(&self, time: Duration) {
        let began = Instant::now();
        while began.elapsed() < time {
            self.broker.publish(
                "BMS/v1/PUB/Value/System/HeartbeatTimestampBms/bms",
                &serde_json::json!({
                    "value": 1.0, "timestamp": now_ns() / 1_000_000, "quality": 1,
                })
                .to_string(),
            );
            for id in ["loop-1", "loop-2"] {
                self.say(id, "RackLiquidSupplyTemperature", 30.0);
                self.say(id, "RackLeakDetect", 0.0);
            }
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    /// The first loop stays warm.
    fn breathe_without_loop_1(&self, time: Duration) {
        let began = Instant::now();
        while began.elapsed() < time {
            self.say("loop-1", "RackLiquidSupplyTemperature", 47.5);
            self.say("loop-2", "RackLiquidSupplyTemperature", 30.0);
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    /// A run that heats; then what `happens`; the report, and from that instant to each node's
    /// idle, in milliseconds.
    fn run(&self, happens: impl Fn(&Self) -> i64) -> (Value, Vec<(String, f64)>) {
        let _inside = self.runtime.enter();
        self.breathe(Duration::from_secs(1));
        let site = self.bank.folder().join("site.toml").display().to_string();
        let (mut run, watch, id) = self.bank.begin_with(PLAN, &["--site", &site]);
        wait_until("heat", RUN_PATIENCE, || {
            self.breathe(Duration::from_millis(400));
            let status = watch.statuses().pop()?;
            (status["phase"] == "hold" && status["phase_elapsed_s"].as_f64()? > 2.0).then_some(())
        });
        let began_ns = happens(self);
        let report = run.finish(RUN_PATIENCE).json();
        let idle = idle_ns(&self.bank.run_folder(&id));
        let times = idle.into_iter().map(|(node, at)| (node, (at - began_ns) as f64 / 1e6));
        (report, times.collect())
    }
}

const POINTS: [(&str, &str, &str); 4] = [
    ("loop-1", "RackLiquidSupplyTemperature", "C"),
    ("loop-2", "RackLiquidSupplyTemperature", "C"),
    ("loop-1", "RackLeakDetect", ""),
    ("loop-2", "RackLeakDetect", ""),
];

fn topic(what: &str, id: &str, point: &str) -> String {
    format!("BMS/v1/PUB/{what}/Rack/{point}/hall/{id}")
}

fn of(times: &[(String, f64)], node: &str) -> f64 {
    times.iter().find(|(name, _)| name == node).unwrap().1
}

#[test]
fn a_supply_that_is_too_warm_sheds_its_own_loop() {
    let plant = Plant::new(
        "name = \"warm\"\nsource = \"meter\"\npoint = \"supply_c\"\nof = \"loop\"\nabove = 45\n\
         silent_seconds = 200\naction = \"shed\"\n",
    );
    let (report, times) = plant.run(|plant| {
        let at = plant.say("loop-1", "RackLiquidSupplyTemperature", 47.5);
        plant.breathe_without_loop_1(Duration::from_secs(8));
        at
    });
    println!("over-temperature, shed: {times:?} ms");
    assert!(of(&times, "n1") < RAMP_MS + BUSY_MS, "{times:?}");
    assert!(of(&times, "n2") > of(&times, "n1") + 5_000.0, "the other loop went on: {times:?}");
    let gaps = report["not_measured"].to_string();
    assert!(gaps.contains("loop loop-1 (n1) was shed at"), "{gaps}");
}

#[test]
fn a_leak_drops_everything_at_once() {
    let plant = Plant::new(
        "name = \"leak\"\nsource = \"meter\"\npoint = \"alarm\"\nof = \"loop\"\nabove = 0.5\n\
         silent_seconds = 200\naction = \"stop_drop\"\n",
    );
    let (report, times) = plant.run(|plant| plant.say("loop-2", "RackLeakDetect", 1.0));
    println!("leak, stop_drop: {times:?} ms");
    assert!(times.len() == 2 && times.iter().all(|(_, ms)| *ms < BUSY_MS), "{times:?}");
    assert_eq!(report["verdict"], "ABORTED", "{report}");
    let reasons = report["reasons"].to_string();
    assert!(reasons.contains("loop loop-2 alarm is 1, above 0.5"), "{reasons}");
}

#[test]
fn a_lost_heartbeat_sheds_what_it_vouched_for_while_values_still_come() {
    let plant = Plant::new(
        "name = \"bms\"\nsource = \"heartbeat\"\nfrom = \"bms\"\nof = \"loop=loop-1\"\n\
         silent_seconds = 4\naction = \"shed\"\n",
    );
    let (report, times) = plant.run(|plant| {
        let at = now_ns();
        // Points go on; the system behind them does not vouch for them any more.
        for _ in 0..16 {
            plant.say("loop-1", "RackLiquidSupplyTemperature", 30.0);
            std::thread::sleep(Duration::from_millis(500));
        }
        at
    });
    println!("lost heartbeat, shed after 4 s: {times:?} ms");
    let first = of(&times, "n1");
    assert!((3_400.0..4_000.0 + RAMP_MS + BUSY_MS).contains(&first), "{times:?}");
    assert!(of(&times, "n2") > first + 5_000.0, "the rest went on: {times:?}");
    let gaps = report["not_measured"].to_string();
    assert!(gaps.contains("loop loop-1 (n1) was shed at"), "{gaps}");
}
