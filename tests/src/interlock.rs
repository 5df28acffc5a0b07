//! A hall with meters that a script writes: trips of interlocks, and when who was idle.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use coordinator::store::RunFile;
use model::record::{EventKind, Record};
use proto::convert::records_from_batch;
use serde_json::Value;

use crate::bank::RUN_PATIENCE;
use crate::record::copy_of;
use crate::watch::wait_until;
use crate::{Bank, Process, Watch};

/// Agents that start at the same time: more would wait for each other on a small machine.
const AT_ONCE: usize = 8;
/// A reading that is within every limit here.
const FINE_C: f64 = 30.0;
/// And one that is not.
const HOT_C: f64 = 46.5;

/// How a trip ends heat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    Ramp,
    Drop,
    /// The coordinator is killed at the instant of the reading: the leases end the heat.
    Killed,
}

impl How {
    /// The action of its rule.
    #[must_use]
    pub fn action(self) -> &'static str {
        match self {
            Self::Ramp => "stop_ramp",
            Self::Drop | Self::Killed => "stop_drop",
        }
    }
}

/// What came of one trip.
#[derive(Debug)]
pub struct Outcome {
    /// Of each node that heated: from the reading to its last worker idle, in milliseconds.
    pub idle_ms: BTreeMap<String, f64>,
    /// The run's own report; null where its coordinator was killed.
    pub report: Value,
    pub code: Option<i32>,
    pub folder: PathBuf,
}

/// A bank with a site of one loop and one PDU, meters, interlocks and so many agents.
pub struct Hall {
    pub bank: Bank,
    nodes: usize,
    arguments: Vec<String>,
}

impl Hall {
    /// Starts everything. Each node counts 0.02 kW, and the PDU may lose `kw_per_s`.
    ///
    /// # Panics
    /// When the agents do not come.
    #[must_use]
    pub fn new(nodes: usize, kw_per_s: f64, rules: &str) -> Self {
        let mut bank = Bank::new();
        let permit = bank.write("permit.toml", PERMIT);
        let interlocks = bank.write("interlocks.toml", rules);
        let meters = bank.write("meters.csv", "time,domain,point,value\n");
        let _ = bank.write("site.toml", &site(nodes, kw_per_s));
        let arguments = ["--permit", &permit, "--interlocks", &interlocks, "--meters", &meters];
        let arguments: Vec<String> = arguments.iter().map(|&word| word.to_owned()).collect();
        bank.serve_with(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        let hall = Self { bank, nodes, arguments };
        hall.with_agents()
    }

    fn with_agents(mut self) -> Self {
        let names: Vec<String> = (1..=self.nodes).map(name).collect();
        for (group, chunk) in names.chunks(AT_ONCE).enumerate() {
            for (at, node) in chunk.iter().enumerate() {
                self.bank.agent(node, group * AT_ONCE + at, &["--no-traffic"]);
            }
            self.bank.wait_for_agents((group * AT_ONCE + chunk.len()).min(self.nodes));
        }
        self
    }

    /// Appends a reading of the loop to the meters; its instant.
    pub fn says(&self, celsius: f64) -> i64 {
        self.says_of("loop-1", celsius)
    }

    /// Appends a supply temperature of a domain; its instant.
    ///
    /// # Panics
    /// When the meters can't be written.
    pub fn says_of(&self, domain: &str, celsius: f64) -> i64 {
        let now_ns = now_ns();
        let line = format!("{:.6},{domain},supply_c,{celsius}\n", now_ns as f64 / 1e9);
        append(&self.bank.folder().join("meters.csv"), &line);
        now_ns
    }

    /// Begins a run of this plan, once its meters are alive.
    #[must_use]
    pub fn begin(&self, plan: &str) -> (Process, Watch, String) {
        self.says(FINE_C);
        std::thread::sleep(Duration::from_millis(300));
        let site = self.bank.folder().join("site.toml").display().to_string();
        self.bank.begin_with(plan, &["--site", &site])
    }

    /// One trip out of a phase that heats, to its end.
    ///
    /// # Panics
    /// When the run does not come up, or does not end.
    #[must_use]
    pub fn trip(&mut self, plan: &str, how: How) -> Outcome {
        let (mut run, watch, id) = self.begin(plan);
        self.wait_for_heat(&watch);
        let read_ns = self.says(HOT_C);
        if how == How::Killed {
            self.bank.coordinator().kill();
        }
        let folder = self.bank.run_folder(&id);
        let (code, report) = match how {
            How::Killed => {
                self.come_back(&folder);
                (None, Value::Null)
            }
            How::Ramp | How::Drop => {
                let done = run.finish(RUN_PATIENCE);
                (done.code, done.json())
            }
        };
        let idle = idle_ns(&folder);
        let ms = |at_ns: &i64| (at_ns - read_ns) as f64 / 1e6;
        let idle_ms = idle.iter().map(|(node, at_ns)| (node.clone(), ms(at_ns))).collect();
        Outcome { idle_ms, report, code, folder }
    }

    /// Ends the trip of the rule `supply`, as a person would.
    ///
    /// # Panics
    /// When it is refused.
    pub fn resume(&self) {
        self.says(FINE_C);
        std::thread::sleep(Duration::from_millis(300));
        let done = self.bank.verb(&["resume", "--interlock", "supply"]);
        assert_eq!(done.code, Some(0), "{done:?}");
    }

    /// Kills the coordinator and starts another over the same state.
    pub fn restart(&mut self) {
        self.bank.coordinator().kill();
        let arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        self.bank.serve_with(&arguments);
        self.bank.wait_for_agents(self.nodes);
    }

    /// Waits until every node heats, with meters that go on.
    fn wait_for_heat(&self, watch: &Watch) {
        wait_until("heat on every node", Duration::from_secs(90), || {
            self.says(FINE_C);
            std::thread::sleep(Duration::from_millis(400));
            let status = watch.statuses().pop()?;
            let nodes = status["nodes"].as_array()?;
            let heats = |node: &&Value| node["level"].as_f64().is_some_and(|level| level > 0.0);
            let hot = nodes.iter().filter(heats).count();
            let here = nodes.iter().filter(|node| node["state"] != "lost").count();
            (hot > 0 && hot >= here && status["phase_elapsed_s"].as_f64()? > 1.5).then_some(())
        });
    }

    /// The coordinator comes back when all heat is down, and takes what the agents kept.
    fn come_back(&mut self, folder: &Path) {
        std::thread::sleep(Duration::from_secs(9));
        let arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        self.bank.serve_with(&arguments);
        let began = Instant::now();
        let all = self.nodes;
        self.bank.wait_for_agents(all);
        while idle_ns(folder).len() < all && began.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_millis(500));
        }
        let _ = self.bank.verb(&["stop"]);
        // It may have died after it booked the trip: then a person ends that, too.
        self.says(FINE_C);
        std::thread::sleep(Duration::from_millis(300));
        let resumed = self.bank.verb(&["resume", "--interlock", "supply"]);
        let nothing = resumed.stderr.contains("has not tripped");
        assert!(resumed.code == Some(0) || nothing, "{resumed:?}");
    }
}

/// The usual rule: too warm a loop ends all heat.
#[must_use]
pub fn rule(action: &str) -> String {
    format!(
        "schema = 1\n[[rule]]\nname = \"supply\"\nsource = \"meter\"\npoint = \"supply_c\"\n\
         of = \"loop=loop-1\"\nabove = 45\nsilent_seconds = 60\naction = \"{action}\"\n"
    )
}

/// One long phase at a low level.
#[must_use]
pub fn plan(percent: f64, seconds: u32) -> String {
    format!(
        "schema = 1\nname = \"trip\"\nrequires = [\"compute\"]\n[[phase]]\nname = \"hold\"\n\
         kind = \"hold\"\nseconds = {seconds}\nload = {{ kernel = \"fp64\", percent = {percent} }}\n"
    )
}

/// When each node's last worker was idle, by its own record, in nanoseconds since the epoch.
///
/// # Panics
/// When the run file can't be read.
#[must_use]
pub fn idle_ns(folder: &Path) -> BTreeMap<String, i64> {
    let copy = copy_of(folder, &["run.sqlite", "run.sqlite-wal"]);
    let file = RunFile::open(copy.path()).expect("a run file");
    let mut idle: BTreeMap<String, i64> = BTreeMap::new();
    file.for_each_batch("", |stored| {
        let records = records_from_batch(&stored.batch).expect("a readable batch");
        for record in &records.records {
            if let Record::Event(event) = record
                && event.kind == EventKind::Idle
            {
                let at = idle.entry(records.node.0.clone()).or_insert(event.time_ns);
                *at = (*at).min(event.time_ns);
            }
        }
        Ok(())
    })
    .expect("readable batches");
    idle
}

/// Value at rank `ceil(share * count)` of what is sorted here; nothing of nothing.
#[must_use]
pub fn percentile(values: &[f64], share: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = ((share * sorted.len() as f64).ceil() as usize).max(1);
    sorted.get(rank - 1).copied()
}

const PERMIT: &str = "schema = 1\nissued_by = \"A. Meier\"\nsite = \"hall-t\"\ntotal_kw = 5\n\
    [[window]]\nfrom = \"2020-01-01T00:00:00+01:00\"\nto = \"2120-01-01T00:00:00+01:00\"\n\
    [[waveform]]\nkind = \"hold\"\n[[waveform]]\nkind = \"ramp\"\n";

/// The first half of the nodes hangs on `pdu-a`, the rest on `pdu-b`; one loop cools all.
fn site(nodes: usize, kw_per_s: f64) -> String {
    let half = nodes.div_ceil(2);
    let mut text = format!(
        "schema = 1\nname = \"hall-t\"\n\
         [[domain]]\nkind = \"loop\"\nid = \"loop-1\"\nbudget_kw = 5\nramp_kw_per_s = {kw_per_s}\n\
         [[domain]]\nkind = \"pdu\"\nid = \"pdu-a\"\nbudget_kw = 5\n\
         [[domain]]\nkind = \"pdu\"\nid = \"pdu-b\"\nbudget_kw = 5\n"
    );
    for index in 1..=nodes {
        let pdu = if index <= half { "pdu-a" } else { "pdu-b" };
        let node = name(index);
        text.push_str(&format!(
            "[[nodes]]\nnames = \"{node}\"\ndomains = [\"loop-1\", \"{pdu}\"]\nmax_kw = 0.02\n"
        ));
    }
    text
}

fn name(index: usize) -> String {
    format!("n{index}")
}

fn append(path: &Path, line: &str) {
    let file = File::options().append(true).open(path);
    file.and_then(|mut file| file.write_all(line.as_bytes())).expect("meters take rows");
}

fn now_ns() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_nanos() as i64
}
