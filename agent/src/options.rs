//! The agent's command line.

use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::clock::FalseClock;
use crate::hardware::node::DeviceChoice;
use crate::join::JoinOptions;
use crate::worker::WorkerOptions;

/// Makes this node part of the load bank. Boots idle; heats only under a lease of its coordinator.
#[derive(Debug, Parser)]
#[command(name = "loadbank-agent", version, args_conflicts_with_subcommands = true)]
pub struct Options {
    #[command(flatten)]
    pub agent: AgentOptions,
    #[command(subcommand)]
    pub command: Option<AgentCommand>,
}

/// What it does besides serving.
#[derive(Debug, Subcommand)]
pub enum AgentCommand {
    /// Make a key on this node and get a certificate for it, with a token.
    Join(JoinOptions),
    /// Runs one device's load or the data plane; started by the agent itself.
    #[command(hide = true)]
    Worker(WorkerOptions),
}

/// Options of the supervisor.
#[derive(Debug, Clone, clap::Args)]
pub struct AgentOptions {
    /// Coordinator to serve, HOST:PORT.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7733")]
    pub coordinator: String,
    /// Name of this node in site and report [default: the host's name].
    #[arg(long)]
    pub node: Option<String>,
    /// Holds the spool: what was measured and is not acknowledged yet.
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Cores to load, such as 0-3,8 [default: all that this process may use].
    #[arg(long, value_name = "LIST")]
    pub cores: Option<String>,
    /// What to load: GPUs, the CPU, or both [default: GPUs where there are any, else the CPU].
    #[arg(long, value_name = "WHICH", default_value = "auto", hide_default_value = true)]
    pub devices: DeviceChoice,
    /// Folder with ca.pem, cert.pem and key.pem of this node; read anew at each connection.
    #[arg(long, value_name = "DIR", conflicts_with = "insecure_loopback")]
    pub tls_dir: Option<PathBuf>,
    /// Address on which peers reach this node [default: its own one on the connection to the coordinator].
    #[arg(long, value_name = "IP")]
    pub data_address: Option<IpAddr>,
    /// Metrics for Prometheus by plain HTTP on this address, /metrics; loopback unless --metrics-open.
    #[arg(long, value_name = "ADDR")]
    pub metrics: Option<SocketAddr>,
    /// Metrics on any address: whoever reaches it reads names, power and temperatures.
    #[arg(long, requires = "metrics")]
    pub metrics_open: bool,
    /// Plain text, for one machine only: the coordinator must have a loopback address.
    #[arg(long)]
    pub insecure_loopback: bool,
    /// Most bytes of measurements kept while no coordinator takes them.
    #[arg(long, value_name = "BYTES", default_value_t = crate::spool::BYTES_MAX_DEFAULT)]
    pub spool_bytes_max: u64,
    /// Sensors are looked for below this root instead of /.
    #[arg(long, value_name = "DIR", hide = true)]
    pub sensor_root: Option<PathBuf>,
    /// Milliseconds until a power reading shows a change of load [default: 400 for RAPL, 1200
    /// for NVML]; for sensors that are later than that.
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u32).range(1..=60_000))]
    pub power_lag_ms: Option<u32>,
    /// NVIDIA's management library, instead of the one that the driver installed.
    #[arg(long, value_name = "FILE", env = "LOADBANK_NVML_LIBRARY", hide = true)]
    pub nvml_library: Option<PathBuf>,
    /// Tests: a clock that is off by OFFSET_NS,DRIFT_PPB,EPOCH_NS[,BASE_NS].
    #[arg(long, hide = true, allow_hyphen_values = true)]
    pub false_clock: Option<FalseClock>,
    /// Benches of many agents on one machine: no traffic and no probes, whatever the plan says.
    #[arg(long, hide = true)]
    pub no_traffic: bool,
    /// Tests: say Hello with another protocol version.
    #[arg(long, hide = true)]
    pub false_protocol_version: Option<u32>,
}

/// Arguments with which this program starts its own workers: those before `worker`.
#[derive(Debug, Clone, Default)]
pub struct SelfArguments(pub Vec<OsString>);
