//! From the command line to a running supervisor, and to its end.

use std::collections::BTreeMap;
use std::net::{IpAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, anyhow, bail};
use model::id::AgentInstance;
use model::reading::Absence;
use proto::convert::absence_to_wire;
use proto::dial::{Dialer, Security};
use proto::metrics::check_address;
use proto::tls::Role;
use proto::v1;
use tokio::sync::{Notify, mpsc, watch};

use crate::clock::AgentClock;
use crate::fabric::nccl::library::version_text;
use crate::hardware::cpu::CpuHardware;
use crate::hardware::node::{DeviceChoice, NodeHardware};
use crate::hardware::{Device, Hardware, Sensed};
use crate::metrics::Board;
use crate::node_facts::{NodeFacts, parse_core_list};
use crate::node_watch::NodeWatch;
use crate::nvml::{self, Gpus};
use crate::options::{AgentCommand, AgentOptions, Options, SelfArguments};
use crate::sampler::{self, Sampling};
use crate::sensors::Sensors;
use crate::session::{self, SessionParts};
use crate::spool::{Found, Identity, Limits, Spool};
use crate::spooler::Spooler;
use crate::state_dir::default_state_dir;
use crate::supervisor::{DataAddress, Ending, Event, Parts, Supervisor};
use crate::surroundings::Surroundings;
use crate::worker::WorkerCommandLine;

/// Messages that wait for the session; more are dropped, and none of them is evidence.
const OUTBOX_MAX: usize = 1024;

/// Runs the agent or one of its workers until it ends.
///
/// # Errors
/// What a person must mend: options, addresses, state directory.
pub fn run(options: Options, before: SelfArguments) -> anyhow::Result<()> {
    match options.command {
        Some(AgentCommand::Worker(worker)) => crate::worker::run(&worker),
        Some(AgentCommand::Join(join)) => crate::join::run(&join),
        None => run_supervisor(&options.agent, before),
    }
}

fn run_supervisor(options: &AgentOptions, before: SelfArguments) -> anyhow::Result<()> {
    let (dialer, named) = dialer(options)?;
    let root = options.sensor_root.clone().unwrap_or_else(|| PathBuf::from("/"));
    let facts = NodeFacts::read(Path::new("/"));
    let node = named
        .or(options.node.clone())
        .or(facts.host_name.clone().value())
        .context("this host has no name: give one with --node")?;
    let cores = cores_of(options, &facts)?;
    let worker_line = worker_line(before)?;
    let Equipment { gpus, refusals, hardware, missing } =
        find(options, &root, &cores, &worker_line);
    let devices = hardware.devices();
    let instance = uuid::Uuid::new_v4().to_string();
    let boot_id = facts.boot_id.clone().value().unwrap_or_default();
    let spool = open_spool(options, &node, &instance, &boot_id)?;
    let clock = AgentClock::start(options.false_clock.unwrap_or_default());
    let nccl_version = nccl_version(&worker_line, &devices);
    let hello = v1::Hello {
        protocol_version: options.false_protocol_version.unwrap_or(proto::PROTOCOL_VERSION),
        node: node.clone(),
        instance: instance.clone(),
        boot_id: boot_id.clone(),
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        devices: devices.iter().map(Device::to_wire).collect(),
        missing: missing.iter().map(missing_to_wire).collect(),
        nccl_version,
        holds_power: true,
    };
    let (hear, events) = std::sync::mpsc::channel();
    let (outbox, messages) = mpsc::channel(OUTBOX_MAX);
    let (spool, spooled) = (Arc::new(Mutex::new(spool)), Arc::new(Notify::new()));
    let data_address = DataAddress { asked: options.data_address, dialer: dialer.clone() };
    let endpoint = session::endpoint(&dialer)?;
    let (connection, connected) = watch::channel(None);
    crate::upload::start(connected, node.clone(), spool.clone(), spooled.clone())?;
    let own = AgentInstance(instance.clone());
    let spooler = Spooler::start(spool, spooled, own, clock, hear.clone())?;
    let session = SessionParts { dialer, endpoint, hello, clock, hear: hear.clone(), connection };
    let wire = start_session(session, messages)?;
    let sampling = Arc::new(Sampling::default());
    start_samplers(gpus, &hardware, &devices, &sampling, &hear)?;
    let surroundings = Surroundings::watch(Path::new("/"));
    let node_watch = NodeWatch::start(&root, &hear);
    let board = board(options, &node)?;
    tracing::info!(%node, %instance, cores = cores.len(), "agent idle, waiting for a lease");
    let parts = Parts {
        node,
        instance,
        devices,
        missing,
        refusals,
        surroundings,
        node_watch,
        board,
        clock,
        spooler,
        outbox,
        worker_line,
        data_address,
        sampling,
        no_traffic: options.no_traffic,
        power_lag_ms: options.power_lag_ms,
        hear,
    };
    // On this thread: workers die with the thread that made them, and this one is the last.
    Supervisor::new(parts).run(&events);
    match wire.join() {
        Ok(outcome) => outcome,
        Err(_) => bail!("the session's thread panicked"),
    }
}

/// How this program starts its own workers.
fn worker_line(before: SelfArguments) -> anyhow::Result<WorkerCommandLine> {
    Ok(WorkerCommandLine {
        program: std::env::current_exe().context("this program can't find itself")?,
        before: before.0.into_iter().chain(["worker".into()]).collect(),
    })
}

/// Where the last status is left, and read by collectors where that is asked for.
fn board(options: &AgentOptions, node: &str) -> anyhow::Result<Board> {
    let board = Board::default();
    if let Some(address) = options.metrics {
        check_address(address, options.metrics_open).map_err(anyhow::Error::msg)?;
        crate::metrics::serve(address, node, board.clone())?;
    }
    Ok(board)
}

/// The logical cores that this agent may use.
fn cores_of(options: &AgentOptions, facts: &NodeFacts) -> anyhow::Result<Vec<u32>> {
    match &options.cores {
        Some(list) => parse_core_list(list).context("--cores"),
        None => facts.cores.clone().value().context("no core list in /proc: give --cores"),
    }
}

/// What this node has.
struct Equipment {
    gpus: Gpus,
    /// GPUs that are not to be loaded, each with its reason.
    refusals: BTreeMap<u32, String>,
    hardware: Arc<dyn Hardware>,
    missing: Vec<(String, Absence)>,
}

fn find(
    options: &AgentOptions,
    root: &Path,
    cores: &[u32],
    worker_line: &WorkerCommandLine,
) -> Equipment {
    let mut gpus = match options.devices {
        DeviceChoice::Cpu => Gpus::default(),
        _ => nvml::discover(options.nvml_library.as_deref(), root, cores),
    };
    let (of_gpus, refusals) = loadable(options.devices, &gpus, worker_line);
    let cpu = open_cpu(root, cores);
    let hardware: Arc<dyn Hardware> =
        Arc::new(NodeHardware::compose(options.devices, of_gpus, cpu, cores));
    let missing = missing(&mut gpus, &hardware.devices(), root, cores);
    Equipment { gpus, refusals, hardware, missing }
}

/// NCCL serves GPUs only: elsewhere nobody asks for it. 0 where there is none.
fn nccl_version(worker_line: &WorkerCommandLine, devices: &[Device]) -> u32 {
    if devices.iter().all(|device| device.uuid.is_none()) {
        return 0;
    }
    match crate::worker::ask_nccl_version(worker_line) {
        Ok(version) => {
            tracing::info!(version = version_text(version), "NCCL");
            version
        }
        Err(why) => {
            tracing::warn!(%why, "no NCCL: collectives between GPUs are not measured");
            0
        }
    }
}

/// The GPUs of this node, and those of them that are not to be loaded. NVML finds and watches
/// them, CUDA loads them: who is missing at either is said, never left out.
fn loadable(
    choice: DeviceChoice,
    watched: &Gpus,
    worker_line: &WorkerCommandLine,
) -> (Vec<Device>, BTreeMap<u32, String>) {
    if choice == DeviceChoice::Cpu {
        return (Vec::new(), BTreeMap::new());
    }
    let cuda = crate::worker::which_gpus(worker_line);
    for note in &cuda.notes {
        tracing::info!("GPUs: {note}");
    }
    if watched.gpus.is_empty() {
        return (cuda.devices, BTreeMap::new());
    }
    let mut refusals = BTreeMap::new();
    for gpu in &watched.gpus {
        let seen = cuda.devices.iter().any(|device| device.uuid == gpu.device.uuid);
        let unseen = || format!("CUDA does not show it: {}", cuda.notes.join("; "));
        let Some(why) = gpu.refusal.clone().or_else(|| (!seen).then(unseen)) else { continue };
        tracing::warn!(device = gpu.device.index, %why, "this GPU will not be loaded");
        refusals.insert(gpu.device.index, why);
    }
    (watched.gpus.iter().map(|gpu| gpu.device.clone()).collect(), refusals)
}

/// What can't be measured here: of the GPUs, and of the CPU where it is a device.
fn missing(
    gpus: &mut Gpus,
    devices: &[Device],
    root: &Path,
    cores: &[u32],
) -> Vec<(String, Absence)> {
    let mut missing = std::mem::take(&mut gpus.missing);
    for (what, why) in &missing {
        tracing::info!("{what}: {}", why.words());
    }
    if devices.iter().any(|device| device.uuid.is_none()) {
        missing.extend(Sensors::discover(root, cores).absences());
    }
    missing
}

/// How to reach the coordinator, and the node that our certificate names: with TLS there is
/// no other name than that.
fn dialer(options: &AgentOptions) -> anyhow::Result<(Dialer, Option<String>)> {
    let coordinator = &options.coordinator;
    let wrong = |why: String| anyhow!("--coordinator {coordinator}: {why}");
    let security =
        Security::asked(options.tls_dir.as_deref(), options.insecure_loopback).map_err(wrong)?;
    let named = match &security {
        Security::InsecureLoopback => {
            proto::channel::check_plain_text(resolve(coordinator)?, true).map_err(wrong)?;
            None
        }
        Security::Tls(dir) => {
            let identity = dir.identity()?;
            let asked = options.node.as_ref().unwrap_or(&identity.name);
            if identity.role != Role::Agent || identity.name != *asked {
                bail!(
                    "the certificate is that of {identity}, and this should be the agent of node \
                     {asked}: `loadbank pki issue --agent {asked}`"
                );
            }
            Some(identity.name)
        }
    };
    Ok((Dialer::new(coordinator, security), named))
}

/// A thread for each device: one that hangs delays no other.
fn start_samplers(
    mut gpus: Gpus,
    hardware: &Arc<dyn Hardware>,
    devices: &[Device],
    sampling: &Arc<Sampling>,
    hear: &std::sync::mpsc::Sender<Event>,
) -> anyhow::Result<()> {
    let hearing = || {
        let hear = hear.clone();
        move |device, at_ns, sensed| {
            let _ = hear.send(Event::Sensed { device, at_ns, sensed });
        }
    };
    let watched: Vec<u32> = gpus.gpus.iter().map(|gpu| gpu.device.index).collect();
    for device in devices.iter().filter(|d| d.uuid.is_none() || !watched.contains(&d.index)) {
        let (hardware, index) = (hardware.clone(), device.index);
        let sense = move || hardware.sense(index);
        sampler::spawn(index, sampling.clone(), sampler::INTERVAL_DEFAULT, sense, hearing())?;
    }
    let xids = hear.clone();
    gpus.watch_xids(move |device, at_ns, code| {
        let _ = xids.send(Event::Xid { device, at_ns, code });
    })?;
    for mut gpu in gpus.gpus {
        let sense = move || gpu.sensors.read();
        let index = gpu.device.index;
        sampler::spawn(index, sampling.clone(), sampler::GPU_INTERVAL, sense, hearing())?;
    }
    Ok(())
}

/// The processors, each device with its own sensors.
fn open_cpu(root: &Path, cores: &[u32]) -> CpuHardware {
    let bare = CpuHardware::new(cores, Box::new(|_| Sensed::default()));
    let sensors: BTreeMap<u32, Mutex<Sensors>> = bare
        .devices()
        .into_iter()
        .map(|device| (device.index, Mutex::new(Sensors::discover(root, &device.cores))))
        .collect();
    let sense = move |device: u32| match sensors.get(&device) {
        Some(sensors) => sensors.lock().unwrap_or_else(PoisonError::into_inner).read(),
        None => Sensed::default(),
    };
    CpuHardware::new(cores, Box::new(sense))
}

/// The session's thread. It also hears the signals, and it ends the agent when the
/// coordinator refuses it for good.
fn start_session(
    parts: SessionParts,
    messages: mpsc::Receiver<v1::AgentMessage>,
) -> anyhow::Result<std::thread::JoinHandle<anyhow::Result<()>>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let hear = parts.hear.clone();
    let serve = move || {
        runtime.block_on(async {
            tokio::spawn(signals(hear.clone()));
            let outcome = session::run(parts, messages).await;
            if outcome.is_err() {
                let _ = hear.send(Event::End(Ending::Drop));
            }
            outcome.map_err(anyhow::Error::from)
        })
    };
    Ok(std::thread::Builder::new().name("session".into()).spawn(serve)?)
}

/// The first signal ramps down, the second drops.
async fn signals(hear: std::sync::mpsc::Sender<Event>) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        tracing::error!("signals can't be heard: this agent ends only by SIGKILL");
        return;
    };
    let mut how = Ending::Ramp;
    loop {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        if hear.send(Event::End(how)).is_err() {
            return;
        }
        how = Ending::Drop;
    }
}

fn open_spool(
    options: &AgentOptions,
    node: &str,
    instance: &str,
    boot_id: &str,
) -> anyhow::Result<Spool> {
    let dir = options
        .state_dir
        .clone()
        .unwrap_or_else(|| default_state_dir().join(format!("agent-{node}")))
        .join("spool");
    let limits = Limits::within(options.spool_bytes_max);
    let own =
        Identity { instance: AgentInstance(instance.to_owned()), boot_id: boot_id.to_owned() };
    let (spool, found) =
        Spool::open(&dir, own, limits).with_context(|| format!("spool {}", dir.display()))?;
    for found in found {
        match found {
            Found::Earlier(pending) => tracing::info!(?pending, "an earlier life left batches"),
            damage => tracing::warn!(?damage, "spool"),
        }
    }
    Ok(spool)
}

fn resolve(address: &str) -> anyhow::Result<IpAddr> {
    let mut found = address
        .to_socket_addrs()
        .with_context(|| format!("--coordinator {address}: an address is HOST:PORT"))?;
    let first = found.next().with_context(|| format!("--coordinator {address}: no such host"))?;
    Ok(first.ip())
}

fn missing_to_wire((what, why): &(String, Absence)) -> v1::MissingSensor {
    v1::MissingSensor { what: what.clone(), why: absence_to_wire(*why) as i32 }
}
