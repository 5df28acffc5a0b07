//! Loads that ask for watts: refused where a card can't give them, held where it can, and told
//! where they were not. Sensors are false; levels, loops and reports are the real ones.

#![allow(clippy::unwrap_used, reason = "a test that meets nothing ends there")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use system_tests::Bank;

const SOON: Duration = Duration::from_secs(30);
/// What a false node draws: 600 W at full level.
const IDLE_W: f64 = 100.0;
const SPAN_W: f64 = 500.0;
const TARGET_W: f64 = 300.0;
/// A status tells a second's mean once a second: power that follows it is so late.
const LAG_MS: &str = "2600";

fn plan(phases: &str) -> String {
    format!("schema = 1\nname = \"watts\"\nrequires = [\"power\"]\n{phases}")
}

fn hold(name: &str, seconds: u32, load: &str) -> String {
    format!(
        "[[phase]]\nname = \"{name}\"\nkind = \"hold\"\nseconds = {seconds}\n\
         load = {{ kernel = \"fp64\", {load} }}\n"
    )
}

#[test]
fn more_than_a_cards_limit_is_refused_with_numbers() {
    let mut bank = Bank::new();
    let _ = bank.write("gpus.txt", "");
    bank.serve();
    bank.gpu_agent("n1", "gpus.txt");
    bank.wait_for_agents(1);
    let plan = bank.write("plan.toml", &plan(&hold("hold", 2, "watts = 800")));
    let done = bank.verb(&["run", &plan]);
    assert_eq!(done.code, Some(2), "{done:?}");
    let words = "phase hold asks for 800 W of n1/0, whose power limit is 700 W (and 7 more)";
    assert!(done.stderr.contains(words), "{}", done.stderr);
}

#[test]
fn without_a_power_sensor_no_watts_are_held() {
    let mut bank = Bank::new();
    bank.serve();
    let root = bank.folder().join("no-sensors");
    std::fs::create_dir_all(&root).unwrap();
    bank.agent("n1", 0, &["--sensor-root", &root.display().to_string()]);
    bank.wait_for_agents(1);
    let plan = bank.write("plan.toml", &plan(&hold("hold", 2, "watts = 300")));
    let done = bank.verb(&["run", &plan, "--json"]);
    assert_ne!(done.code, Some(0), "{done:?}");
    let told = format!("{}{}", done.stdout, done.stderr);
    assert!(told.contains("the power of device 0 can't be read"), "{told}");
}

#[test]
fn watts_are_held_and_what_was_not_held_is_told() {
    let mut bank = Bank::new();
    bank.serve();
    let meters: Vec<FalsePower> = ["n1", "n2"]
        .iter()
        .enumerate()
        .map(|(core, node)| {
            let root = bank.folder().join(format!("{node}-sensors"));
            let meter = FalsePower::new(&root);
            let root = root.display().to_string();
            bank.agent(node, core, &["--sensor-root", &root, "--power-lag-ms", LAG_MS]);
            meter
        })
        .collect();
    bank.wait_for_agents(2);
    // 0.6 kW over two nodes are 300 W of each.
    let phases = [hold("hold", 60, "kw = 0.6"), hold("more", 14, "watts = 900")].concat();
    let (mut run, watch, _) = bank.begin(&plan(&phases));
    let draw_w = |level: f64| IDLE_W + SPAN_W * level;
    let (began, mut most) = (Instant::now(), 0.0_f64);
    let (mut told, mut silent) = ((serde_json::Value::Null, Instant::now()), Duration::ZERO);
    while run.runs() {
        std::thread::sleep(Duration::from_millis(50));
        let status = watch.statuses().pop().unwrap_or_default();
        if told.0 != status {
            told = (status.clone(), Instant::now());
        }
        silent = silent.max(told.1.elapsed());
        let level = |node: usize| status["nodes"][node]["level"].as_f64().unwrap_or(0.0);
        let levels = [level(0), level(1)];
        for (meter, level) in meters.iter().zip(&levels) {
            meter.draw(draw_w(*level));
        }
        if status["phase"] == "hold" {
            most = levels.iter().map(|level| draw_w(*level)).fold(most, f64::max);
        }
        println!("{:6.2} s {} {levels:.3?}", began.elapsed().as_secs_f64(), status["phase"]);
    }
    let done = run.finish(SOON);
    // Where this process had to wait for a processor, what it played was no power meter.
    let stalled = meters.iter().map(FalsePower::longest_beat).max().unwrap_or_default();
    let played = stalled < STALL && silent < SILENT;
    if !played {
        println!(
            "false meters stood still for {stalled:?}, statuses for {silent:?}: how well watts \
             were held is NOT JUDGED"
        );
    }
    assert!(!played || most < TARGET_W * 1.1, "{most} W");
    let report = done.json();
    let reasons = report["reasons"].to_string();
    // A machine that stalls makes a false counter jump, and the loop comes down from what it
    // reads: how many devices were held within the two percents is told, not asserted.
    assert!(reasons.contains("phase hold: ") && reasons.contains("300 W "), "{reasons}");
    assert!(reasons.contains("phase more: 900 W was held on none of 2 devices"), "{reasons}");
    assert!(reasons.contains("draws no more at full level"), "{reasons}");
    // What was asked for and not held leaves the power requirement open.
    assert_eq!(done.code, Some(3), "{reasons}");
    let measured = report["measured"].as_array().unwrap();
    let value = |what: &str, at: &str| {
        let wanted = |line: &&serde_json::Value| {
            line["what"] == what && line["where"]["id"] == at && line["phase"] == "hold"
        };
        measured.iter().find(wanted).and_then(|line| line["value"].as_f64()).unwrap()
    };
    for device in ["n1/0", "n2/0"] {
        assert_eq!(value("power_target_w", device), TARGET_W);
        let off = (value("power_held_w", device) / TARGET_W - 1.0).abs();
        assert!(!played || off < 0.15, "{device}: {off}");
    }
    assert_eq!(value("power_target_w", "all"), 2.0 * TARGET_W);
}

/// How often a false counter moves: agents look every 200 ms.
const BEAT: Duration = Duration::from_millis(5);
/// A counter that stood still for half of an agent's look shows half of the power.
const STALL: Duration = Duration::from_millis(100);
/// Levels reach this process with a status a second; what comes later is drawn later than
/// `LAG_MS` says.
const SILENT: Duration = Duration::from_millis(2_000);

/// An energy counter of a false processor package, on a thread of its own: a counter that moved
/// when the test has time for it would be noise to the loop that reads it.
struct FalsePower {
    watts: Arc<AtomicU64>,
    /// Nanoseconds.
    longest_beat: Arc<AtomicU64>,
}

impl FalsePower {
    fn new(root: &std::path::Path) -> Self {
        let zone = root.join("sys/class/powercap/intel-rapl:0");
        std::fs::create_dir_all(&zone).unwrap();
        std::fs::write(zone.join("name"), "package-0").unwrap();
        std::fs::write(zone.join("max_energy_range_uj"), "262143328850").unwrap();
        std::fs::write(zone.join("energy_uj"), "0").unwrap();
        let watts: Arc<AtomicU64> = Arc::new(AtomicU64::new(IDLE_W.to_bits()));
        let drawn = Arc::downgrade(&watts);
        let longest_beat = Arc::new(AtomicU64::new(0));
        let longest = longest_beat.clone();
        std::thread::spawn(move || {
            let (mut spent_uj, mut last) = (0.0, Instant::now());
            while let Some(watts) = drawn.upgrade() {
                longest.fetch_max(last.elapsed().as_nanos() as u64, Ordering::Relaxed);
                let seconds = last.elapsed().as_secs_f64();
                last = Instant::now();
                spent_uj += f64::from_bits(watts.load(Ordering::Relaxed)) * seconds * 1e6;
                // Whoever reads meanwhile finds the counter as it was.
                let next = zone.join("next");
                let written = std::fs::write(&next, format!("{}", spent_uj as u64))
                    .and_then(|()| std::fs::rename(next, zone.join("energy_uj")));
                if written.is_err() {
                    return;
                }
                std::thread::sleep(BEAT);
            }
        });
        Self { watts, longest_beat }
    }

    /// The longest time between two of its writes.
    fn longest_beat(&self) -> Duration {
        Duration::from_nanos(self.longest_beat.load(Ordering::Relaxed))
    }

    fn draw(&self, watts: f64) {
        self.watts.store(watts.to_bits(), Ordering::Relaxed);
    }
}
