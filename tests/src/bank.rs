//! One coordinator's world: agents, verbs, runs, in a folder of its own.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::binaries;
use crate::clos::{Clos, HOSTS, LEAVES};
use crate::network::Network;
use crate::process::{Done, Process, Worker, workers};
use crate::pty::Pty;
use crate::watch::{Watch, wait_until};

/// A start, a connection, an answer of the coordinator: all take well under a second.
const SOON: Duration = Duration::from_secs(20);
/// No run of these tests takes longer, its plan, ramps and deadlines included.
pub const RUN_PATIENCE: Duration = Duration::from_secs(120);

/// The world of one test. What it started dies with it.
pub struct Bank {
    coordinator: Option<Process>,
    agents: BTreeMap<String, Process>,
    address: String,
    /// Whether everybody speaks TLS; the authority is in `pki`.
    secure: bool,
    /// The host in the coordinator's certificate.
    host: String,
    join_address: String,
    logs: PathBuf,
    /// Variables of coordinators that are started from now on.
    coordinator_env: Vec<(String, String)>,
    /// Variables of agents that are started from now on.
    agent_env: Vec<(String, String)>,
    /// Links of our own, where the test asked for them.
    network: Option<Network>,
    folder: tempfile::TempDir,
    /// Held until everything above is gone: fields drop in this order.
    _turn: File,
}

impl Default for Bank {
    fn default() -> Self {
        Self::new()
    }
}

impl Bank {
    /// Waits for this test's turn; starts nothing yet.
    ///
    /// # Panics
    /// When the machine has no room for a test's folder.
    #[must_use]
    pub fn new() -> Self {
        let lock = binaries::folder().join("system-tests.lock");
        let turn = File::create(lock).expect("the build's folder takes files");
        turn.lock().expect("a file can be locked");
        let folder = tempfile::tempdir().expect("a folder for a test");
        let logs = folder.path().join("logs");
        std::fs::create_dir(&logs).expect("a folder takes folders");
        let (address, join_address) = (free_address(), free_address());
        Self {
            coordinator: None,
            agents: BTreeMap::new(),
            address,
            secure: false,
            host: "127.0.0.1".to_owned(),
            join_address,
            coordinator_env: Vec::new(),
            agent_env: Vec::new(),
            network: None,
            logs,
            folder,
            _turn: turn,
        }
    }

    /// With an authority: everything that is started from here on speaks mutual TLS.
    #[must_use]
    pub fn secure() -> Self {
        Self::new().and_authority()
    }

    /// As [`Bank::secure`], with every agent behind a link of its own. Needs root.
    #[must_use]
    pub fn networked(agents: usize) -> Self {
        let mut bank = Self::new();
        bank.network = Some(Network::new(agents));
        bank.host = Network::host();
        (bank.address, bank.join_address) =
            (format!("{}:7733", bank.host), format!("{}:7734", bank.host));
        bank.and_authority()
    }

    /// As [`Bank::networked`], with a leaf-spine fabric between the agents ([`Clos`]).
    #[must_use]
    pub fn clos() -> Self {
        let mut bank = Self::networked(LEAVES * HOSTS);
        if let Some(network) = &mut bank.network {
            Clos::build(network);
        }
        bank
    }

    fn and_authority(mut self) -> Self {
        self.secure = true;
        self.pki(&["init"]);
        self.pki(&["issue", "--coordinator", &self.host, "localhost"]);
        self.pki(&["issue", "--operator", "tester"]);
        self
    }

    /// The links of a networked bank.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn network(&self) -> &Network {
        self.network.as_ref().expect("a networked bank")
    }

    /// `loadbank pki` with the authority of this test; what it prints as JSON.
    ///
    /// # Panics
    /// When it refuses.
    pub fn pki(&self, arguments: &[&str]) -> Value {
        let dir = self.pki_dir().display().to_string();
        let all = [&["pki"], arguments, &["--dir", &dir, "--json"]].concat();
        let done = self.loadbank(&all).finish(SOON);
        assert_eq!(done.code, Some(0), "{done:?}");
        done.json()
    }

    /// Folder of the authority of a secure bank.
    #[must_use]
    pub fn pki_dir(&self) -> PathBuf {
        self.folder().join("pki")
    }

    /// Where nodes join a secure bank, HOST:PORT.
    #[must_use]
    pub fn join_address(&self) -> &str {
        &self.join_address
    }

    /// The files of a member of a secure bank, such as `agent-n1`.
    #[must_use]
    pub fn tls_dir(&self, member: &str) -> PathBuf {
        self.pki_dir().join(member)
    }

    /// How a member guards its connections.
    fn guard(&self, member: &str) -> Vec<String> {
        match self.secure {
            true => vec!["--tls-dir".to_owned(), self.tls_dir(member).display().to_string()],
            false => vec!["--insecure-loopback".to_owned()],
        }
    }

    /// With a coordinator, and agents `n1`, `n2`, ... on the cores in turn.
    #[must_use]
    pub fn with_agents(count: usize) -> Self {
        Self::new().and_agents(count)
    }

    /// As [`Bank::with_agents`], over mutual TLS.
    #[must_use]
    pub fn with_secure_agents(count: usize) -> Self {
        Self::secure().and_agents(count)
    }

    fn and_agents(mut self, count: usize) -> Self {
        self.serve();
        for index in 0..count {
            self.agent(&format!("n{}", index + 1), index, &[]);
        }
        self.wait_for_agents(count);
        self
    }

    /// Sets a variable for agents that are started from now on.
    pub fn set_agent_env(&mut self, name: &str, value: &str) {
        self.agent_env.retain(|(known, _)| known != name);
        self.agent_env.push((name.to_owned(), value.to_owned()));
    }

    /// Sets a variable for coordinators that are started from now on.
    pub fn set_coordinator_env(&mut self, name: &str, value: &str) {
        self.coordinator_env.retain(|(known, _)| known != name);
        self.coordinator_env.push((name.to_owned(), value.to_owned()));
    }

    /// Folder of this test.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// State directory of the coordinator, or of `local`.
    #[must_use]
    pub fn state_dir(&self) -> PathBuf {
        self.folder().join("state")
    }

    /// State directory of an agent.
    #[must_use]
    pub fn agent_dir(&self, node: &str) -> PathBuf {
        self.folder().join(node)
    }

    /// Where the coordinator listens, HOST:PORT.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Writes a file into the test's folder.
    ///
    /// # Panics
    /// When it can't be written.
    #[must_use]
    pub fn write(&self, name: &str, text: &str) -> String {
        let path = self.folder().join(name);
        std::fs::write(&path, text).expect("the test's folder takes files");
        path.display().to_string()
    }

    /// Starts the coordinator, for the first time or again on the same state and port.
    pub fn serve(&mut self) {
        self.serve_with(&[]);
    }

    /// As [`Bank::serve`], with more options.
    pub fn serve_with(&mut self, more: &[&str]) {
        let state_dir = self.state_dir().display().to_string();
        let (guard, pki) = (self.guard(&format!("coordinator-{}", self.host)), self.pki_dir());
        let guard: Vec<&str> = guard.iter().map(String::as_str).collect();
        let arguments = ["serve", "--listen", &self.address, "--state-dir", &state_dir];
        let pki = pki.display().to_string();
        let joining = ["--pki-dir", pki.as_str(), "--join-listen", &self.join_address];
        let joining = if self.secure { joining.as_slice() } else { &[] };
        let arguments = [arguments.as_slice(), &guard, joining, more].concat();
        let coordinator = self.start_loadbank(&arguments, &self.coordinator_env);
        let coordinator = self.coordinator.insert(coordinator);
        wait_until("the coordinator listens", SOON, || match &self.network {
            None => TcpStream::connect(&self.address).ok().map(drop),
            Some(_) => coordinator.stderr().contains("serving on").then_some(()),
        });
    }

    /// The coordinator's process.
    ///
    /// # Panics
    /// When none was started.
    pub fn coordinator(&mut self) -> &mut Process {
        self.coordinator.as_mut().expect("a coordinator was started")
    }

    /// Starts an agent, for the first time or again on the same state.
    pub fn agent(&mut self, node: &str, core: usize, more: &[&str]) {
        let process = self.start_agent(node, core, more);
        self.agents.insert(node.to_owned(), process);
    }

    /// Starts an agent that the caller looks after.
    #[must_use]
    pub fn start_agent(&self, node: &str, core: usize, more: &[&str]) -> Process {
        let cores = cores();
        let core = cores[core % cores.len()].to_string();
        let state_dir = self.agent_dir(node).display().to_string();
        if self.secure && !self.tls_dir(&format!("agent-{node}")).exists() {
            self.pki(&["issue", "--agent", node]);
        }
        let guard = self.guard(&format!("agent-{node}"));
        let arguments = ["--coordinator", &self.address, "--node", node];
        let own = ["--cores", &core, "--state-dir", &state_dir];
        let arguments = [guard, owned(&[arguments.as_slice(), &own, more].concat())].concat();
        let program = binaries::path("loadbank-agent");
        let links = self.network.as_ref().map(|network| network.namespace(node));
        Process::start_in(links, &program, &arguments, &self.agent_env, &self.logs, node)
    }

    /// Starts an agent on a node with the GPUs of a script, which is a file of this test.
    pub fn gpu_agent(&mut self, node: &str, script: &str) {
        self.gpu_agent_with(node, script, &[]);
    }

    /// The same with more options.
    ///
    /// # Panics
    /// When it can't be started.
    pub fn gpu_agent_with(&mut self, node: &str, script: &str, more: &[&str]) {
        let script = self.folder().join(script);
        let state_dir = self.agent_dir(node).display().to_string();
        let core = cores()[0].to_string();
        let arguments = ["--insecure-loopback", "--coordinator", &self.address, "--node", node];
        let own = ["--cores", &core, "--state-dir", &state_dir];
        let library = binaries::fake_nvml();
        let variable = |name: &str, path: &Path| (name.to_owned(), path.display().to_string());
        let mut variables = self.agent_env.clone();
        variables.push(variable("LOADBANK_NVML_LIBRARY", &library));
        variables.push(variable("LOADBANK_FAKE_NVML", &script));
        let program = binaries::path("loadbank-agent");
        let arguments = owned(&[arguments.as_slice(), &own, more].concat());
        let process = Process::start_with(&program, &arguments, &variables, &self.logs, node);
        self.agents.insert(node.to_owned(), process);
    }

    /// An agent's process.
    ///
    /// # Panics
    /// When there is none of this name.
    pub fn agent_process(&mut self, node: &str) -> &mut Process {
        self.agents.get_mut(node).expect("an agent of this name")
    }

    /// The worker processes of one agent.
    #[must_use]
    pub fn workers_of(&self, node: &str) -> Vec<Worker> {
        self.agents.get(node).map_or_else(Vec::new, |agent| workers(agent.pid()))
    }

    /// The worker processes of every agent.
    #[must_use]
    pub fn workers(&self) -> Vec<Worker> {
        self.agents.values().flat_map(|agent| workers(agent.pid())).collect()
    }

    /// Waits until so many agents are connected with a clock that is known.
    pub fn wait_for_agents(&self, count: usize) {
        wait_until(&format!("{count} agents"), SOON, || {
            let known = self
                .agents()
                .into_iter()
                .filter(|agent| agent["connected"] == true && agent["offset_us"].is_number());
            (known.count() >= count).then_some(())
        });
    }

    /// `loadbank agents --json`.
    ///
    /// # Panics
    /// When the answer is no list.
    #[must_use]
    pub fn agents(&self) -> Vec<Value> {
        self.verb(&["agents", "--json"]).json()["agents"].as_array().expect("a list").clone()
    }

    /// The row of a run in `loadbank runs --json`.
    #[must_use]
    pub fn run_row(&self, run: &str) -> Option<Value> {
        let runs = self.verb(&["runs", "--json"]).json();
        runs["runs"].as_array()?.iter().find(|row| row["run"] == run).cloned()
    }

    /// A verb that speaks to the coordinator, to its end.
    #[must_use]
    pub fn verb(&self, arguments: &[&str]) -> Done {
        self.start_verb(arguments).finish(RUN_PATIENCE)
    }

    /// A verb that speaks to the coordinator.
    #[must_use]
    pub fn start_verb(&self, arguments: &[&str]) -> Process {
        let guard = self.guard("operator-tester");
        let guard: Vec<&str> = guard.iter().map(String::as_str).collect();
        let target = ["--coordinator", &self.address];
        self.loadbank(&[arguments, &target, &guard].concat())
    }

    /// A verb that speaks to the coordinator, on a terminal of so many columns and rows.
    #[must_use]
    pub fn verb_on_terminal(&self, arguments: &[&str], size: (u16, u16)) -> Pty {
        let guard = self.guard("operator-tester");
        let guard: Vec<&str> = guard.iter().map(String::as_str).collect();
        let target = ["--coordinator", &self.address];
        let all = owned(&[arguments, &target, &guard].concat());
        let name = arguments.first().unwrap_or(&"loadbank");
        Pty::start(&binaries::path("loadbank"), &all, &[], size, name)
    }

    /// `loadbank` with exactly these arguments.
    #[must_use]
    pub fn loadbank(&self, arguments: &[&str]) -> Process {
        self.start_loadbank(arguments, &[])
    }

    fn start_loadbank(&self, arguments: &[&str], env: &[(String, String)]) -> Process {
        let name = arguments.first().unwrap_or(&"loadbank");
        let links = self.network.as_ref().map(|network| network.namespace("hub"));
        let program = binaries::path("loadbank");
        Process::start_in(links, &program, &owned(arguments), env, &self.logs, name)
    }

    /// Begins a run and a watch beside it; the run's id.
    ///
    /// # Panics
    /// When the run does not begin.
    #[must_use]
    pub fn begin(&self, plan: &str) -> (Process, Watch, String) {
        self.begin_with(plan, &[])
    }

    /// As [`Bank::begin`], with more options of `run`.
    ///
    /// # Panics
    /// When the run does not begin.
    #[must_use]
    pub fn begin_with(&self, plan: &str, more: &[&str]) -> (Process, Watch, String) {
        let plan = self.write("plan.toml", plan);
        let mut run = self.start_verb(&[&["run", &plan, "--json"], more].concat());
        let id = wait_until("the run's id", SOON, || {
            let said = run.stderr();
            let id = said.lines().find_map(|line| line.strip_prefix("run "));
            assert!(id.is_some() || run.runs(), "the run ended at once: {said}");
            id.map(str::to_owned)
        });
        let watch = Watch(self.start_verb(&["watch", &id, "--json"]));
        (run, watch, id)
    }

    /// Folder of a run of the coordinator.
    #[must_use]
    pub fn run_folder(&self, run: &str) -> PathBuf {
        self.state_dir().join("runs").join(run)
    }
}

/// The cores that this process may use.
///
/// # Panics
/// When they can't be read.
#[must_use]
pub fn cores() -> Vec<u32> {
    let facts = agent::node_facts::NodeFacts::read(Path::new("/"));
    facts.cores.value().filter(|cores| !cores.is_empty()).expect("this machine has cores")
}

fn free_address() -> String {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    free.expect("a free port").to_string()
}

fn owned(arguments: &[&str]) -> Vec<String> {
    arguments.iter().map(|&word| word.to_owned()).collect()
}
