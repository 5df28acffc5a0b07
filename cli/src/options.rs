//! The command line: what an operator types.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// Makes a GPU fleet the load bank of its own building, and names what is weak.
///
/// Exit codes: 0 READY, 1 NOT_READY, 2 usage or invalid input, 3 INCONCLUSIVE,
/// 4 infrastructure error, 5 ABORTED, 130 INTERRUPTED.
#[derive(Debug, Parser)]
#[command(name = "loadbank", version)]
pub struct Options {
    #[command(subcommand)]
    pub verb: Verb,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Judge tables that somebody else recorded
    Analyze(AnalyzeOptions),
    /// Burn in this machine: a coordinator and two agents on loopback, real load
    Local(LocalOptions),
    /// Serve agents and operators until stopped
    Serve(ServeOptions),
    /// Run a plan on the coordinator's agents and judge it
    Run(RunOptions),
    /// Show a run live
    Watch(WatchOptions),
    /// Ramp a run down, or drop it at once
    Stop(StopOptions),
    /// Let a run's load come up to a step of its permit, as a named person
    Release(ReleaseOptions),
    /// Record the instant of something that only a person knows: a feed that was pulled
    Mark(MarkOptions),
    /// Bring heat back to a run that a coordinator's crash suspended
    Resume(ResumeOptions),
    /// List runs
    Runs(ListOptions),
    /// The building's own meters: what they say, and how they do
    Meters {
        #[command(subcommand)]
        verb: MetersVerb,
    },
    /// List agents
    Agents(ListOptions),
    /// Run a plan on a simulated hall and judge it: would this plan notice?
    Rehearse(RehearseOptions),
    /// Say what a plan can show on a site, and whether its ratings allow it
    Review(ReviewOptions),
    /// Hold two runs against each other; exits with the newer run's code
    Compare(CompareOptions),
    /// Make certificates for the fleet: its authority, its members, tokens to join
    #[command(subcommand)]
    Pki(PkiVerb),
    /// Print a run's report; exits with the run's code
    Report(ReportOptions),
    /// Check a site file, or draw it
    #[command(subcommand)]
    Site(SiteVerb),
    /// Runs that begin by themselves: nightly checks of a fleet
    #[command(subcommand)]
    Sweep(SweepVerb),
    /// Acts as loadbank-agent; `local` starts its agents so
    #[command(hide = true, name = "agent-process")]
    AgentProcess(agent::Options),
    /// Write man pages and completions of both binaries; packages are made with it
    #[command(hide = true)]
    Manual(ManualOptions),
}

/// Options of `manual`.
#[derive(Debug, Clone, clap::Args)]
pub struct ManualOptions {
    /// Folder to make, with `man`, `bash`, `zsh` and `fish` in it
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
}

/// Verbs about certificates.
#[derive(Debug, Clone, Subcommand)]
pub enum PkiVerb {
    /// Make the fleet's certificate authority
    Init(PkiInitOptions),
    /// Make a certificate for an agent, an operator or a coordinator
    Issue(PkiIssueOptions),
    /// Make a token with which one node joins once
    Token(PkiTokenOptions),
}

/// Options of `pki init`.
#[derive(Debug, Clone, clap::Args)]
pub struct PkiInitOptions {
    /// Folder of the authority; keep its key off the nodes
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
    /// Name of the fleet in the authority's certificate
    #[arg(long, default_value = "fleet")]
    pub name: String,
    /// One JSON document on standard output
    #[arg(long)]
    pub json: bool,
}

/// Options of `pki issue`.
#[derive(Debug, Clone, clap::Args)]
#[command(group = clap::ArgGroup::new("whom").required(true))]
pub struct PkiIssueOptions {
    /// Folder of the authority
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
    /// For the agent of this node
    #[arg(long, value_name = "NODE", group = "whom")]
    pub agent: Option<String>,
    /// For an operator of this name
    #[arg(long, value_name = "NAME", group = "whom")]
    pub operator: Option<String>,
    /// For the coordinator, with the names and addresses that others call it by
    #[arg(long, value_name = "HOST", num_args = 1.., group = "whom")]
    pub coordinator: Vec<String>,
    /// Sign this request (PEM) instead of making a key: its key stays where it is
    #[arg(long, value_name = "FILE")]
    pub csr: Option<PathBuf>,
    /// Days that the certificate holds
    #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=3650))]
    pub days: u32,
    /// Folder to write, for --tls-dir [default: DIR/ROLE-NAME]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// One JSON document on standard output
    #[arg(long)]
    pub json: bool,
}

/// Options of `pki token`.
#[derive(Debug, Clone, clap::Args)]
pub struct PkiTokenOptions {
    /// Folder of the authority
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
    /// The node that may join
    #[arg(long)]
    pub node: String,
    /// Hours until the token ends
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u64).range(1..=8760))]
    pub hours: u64,
    /// One JSON document on standard output
    #[arg(long)]
    pub json: bool,
}

/// Verbs about site files.
#[derive(Debug, Clone, Subcommand)]
pub enum SiteVerb {
    /// Name every problem with its line, or count what the site has
    Check(SiteOptions),
    /// Draw what hangs from what
    Show(SiteOptions),
    /// Make a first site file from a NetBox or the metadata of the building's bus
    Import(SiteImportOptions),
    /// List where a site file and such records differ; nothing is merged
    Compare(SiteCompareOptions),
}

/// Options of `site import`.
#[derive(Debug, Clone, clap::Args)]
pub struct SiteImportOptions {
    /// The site's name
    #[arg(long, default_value = "hall")]
    pub name: String,
    #[command(flatten)]
    pub records: RecordsOptions,
}

/// Options of `site compare`.
#[derive(Debug, Clone, clap::Args)]
pub struct SiteCompareOptions {
    /// Site file
    #[arg(value_name = "SITE")]
    pub file: PathBuf,
    #[command(flatten)]
    pub records: RecordsOptions,
    /// One JSON document on standard output
    #[arg(long)]
    pub json: bool,
}

/// A building's own records.
#[derive(Debug, Clone, clap::Args)]
#[group(required = true, multiple = true)]
pub struct RecordsOptions {
    /// Lists of a NetBox as its API gives them: devices, power-ports, power-feeds
    #[arg(long, value_name = "FILE")]
    pub netbox: Vec<PathBuf>,
    /// Metadata of a DSX Exchange bus as `mosquitto_sub -v` prints them
    #[arg(long, value_name = "FILE")]
    pub dsx: Vec<PathBuf>,
    /// Slugs of the device roles in NetBox that are nodes
    #[arg(
        long,
        value_name = "SLUG",
        value_delimiter = ',',
        default_value = "gpu-node,gpu,compute,server"
    )]
    pub role: Vec<String>,
}

/// Options of `site check` and `site show`.
#[derive(Debug, Clone, clap::Args)]
pub struct SiteOptions {
    /// Site file
    #[arg(value_name = "SITE")]
    pub file: PathBuf,
    /// One JSON document on standard output
    #[arg(long)]
    pub json: bool,
}

/// Where a coordinator is looked for when nobody says.
pub const COORDINATOR: &str = "127.0.0.1:7733";

/// Where the coordinator is.
#[derive(Debug, Clone, clap::Args)]
pub struct Target {
    /// Coordinator, HOST:PORT
    #[arg(
        long,
        value_name = "ADDR",
        default_value = COORDINATOR,
        env = "LOADBANK_COORDINATOR"
    )]
    pub coordinator: String,
    /// Folder with ca.pem, cert.pem and key.pem of an operator
    #[arg(
        long,
        value_name = "DIR",
        env = "LOADBANK_TLS_DIR",
        conflicts_with = "insecure_loopback"
    )]
    pub tls_dir: Option<PathBuf>,
    /// Plain text, for one machine only: needs a loopback address
    #[arg(long)]
    pub insecure_loopback: bool,
}

/// Options of `local`.
#[derive(Debug, Clone, clap::Args)]
pub struct LocalOptions {
    /// Built-in plan or plan file
    #[arg(long, default_value = "quick")]
    pub plan: String,
    /// Agents to start; the cores are divided among them
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub agents: u32,
    /// Holds runs and their catalogue [default: /var/lib/loadbank, or ~/.local/state/loadbank]
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Loopback address of the live page
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0", hide_default_value = true)]
    pub web: String,
    #[command(flatten)]
    pub shape: Shape,
    /// Proves the check: flip a bit, NODE/DEVICE/CORE@BLOCKS
    #[arg(long, hide = true)]
    pub inject: Vec<String>,
}

/// Options of `serve`.
#[derive(Debug, Clone, clap::Args)]
pub struct ServeOptions {
    /// Address to listen on
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7733")]
    pub listen: String,
    /// Holds runs and their catalogue [default: /var/lib/loadbank, or ~/.local/state/loadbank]
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Folder with ca.pem, cert.pem and key.pem of a coordinator; read anew when it changes
    #[arg(long, value_name = "DIR", conflicts_with = "insecure_loopback")]
    pub tls_dir: Option<PathBuf>,
    /// Let nodes with a token of this authority join: the folder of `loadbank pki init`
    #[arg(long, value_name = "DIR", requires = "tls_dir")]
    pub pki_dir: Option<PathBuf>,
    /// Address on which nodes join
    #[arg(long, value_name = "ADDR", default_value = "0.0.0.0:7734", requires = "pki_dir")]
    pub join_listen: String,
    /// Plain text, for one machine only: needs a loopback address
    #[arg(long)]
    pub insecure_loopback: bool,
    /// Address of the live page; guarded as --listen is [default: none]
    #[arg(long, value_name = "ADDR")]
    pub web: Option<String>,
    /// Length of a lease: heat outlives a dead coordinator by this plus the ramp
    #[arg(long, value_name = "MS", default_value_t = 3000, value_parser = clap::value_parser!(u64).range(500..=60000))]
    pub lease_ms: u64,
    /// Time over which loads come down
    #[arg(long, value_name = "MS", default_value_t = 2000, value_parser = clap::value_parser!(u64).range(0..=120_000))]
    pub ramp_ms: u64,
    /// Congestion control asked for on data sockets; empty leaves the system's
    #[arg(long, default_value = "cubic")]
    pub congestion: String,
    /// Permit of the building's owner; without one at most 5 kW are heated, and 1 kW on any power or cooling domain
    #[arg(long, value_name = "FILE")]
    pub permit: Option<PathBuf>,
    /// Rules that end heat when a reading passes its limit or falls silent
    #[arg(long, value_name = "FILE")]
    pub interlocks: Option<PathBuf>,
    /// The building's meters, for interlocks and the record: a document of sources (.toml), or a CSV that something else appends to
    #[arg(long, value_name = "FILE")]
    pub meters: Option<PathBuf>,
    /// Programs that sweeps may call before and after; without it they call none
    #[arg(long, value_name = "DIR")]
    pub sweep_hooks: Option<PathBuf>,
    /// Nothing heats while this file is there [default: STOP in the state directory]
    #[arg(long, value_name = "PATH")]
    pub stop_file: Option<PathBuf>,
    /// Metrics for Prometheus by plain HTTP on this address, /metrics; loopback unless --metrics-open
    #[arg(long, value_name = "ADDR")]
    pub metrics: Option<SocketAddr>,
    /// Metrics on any address: whoever reaches it reads names, power and temperatures
    #[arg(long, requires = "metrics")]
    pub metrics_open: bool,
    /// One JSON document on standard output once it serves
    #[arg(long)]
    pub json: bool,
}

/// Options of `run`.
#[derive(Debug, Clone, clap::Args)]
pub struct RunOptions {
    /// Built-in plan (quick, acceptance) or plan file
    pub plan: String,
    /// Site file; needed for selectors by domain and for budgets
    #[arg(long, value_name = "SITE")]
    pub site: Option<PathBuf>,
    /// Nodes to use: all, KIND=ID, a hostlist, N%
    #[arg(long, value_name = "SELECTOR", default_value = "")]
    pub on: String,
    /// Heat domains whose rating is not in the site file; the report says so
    #[arg(long)]
    pub allow_unrated: bool,
    /// A condition of the permit that you looked at and affirm, in its own words
    #[arg(long, value_name = "TEXT")]
    pub affirm: Vec<String>,
    /// Wait for this many agents before starting
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub agents: u32,
    #[command(flatten)]
    pub shape: Shape,
    /// Proves the check: flip a bit, NODE/DEVICE/CORE@BLOCKS
    #[arg(long, hide = true)]
    pub inject: Vec<String>,
    #[command(flatten)]
    pub target: Target,
}

/// Verbs about sweeps.
#[derive(Debug, Clone, Subcommand)]
pub enum SweepVerb {
    /// When each sweep is due, and what became of it last
    List(ListOptions),
    /// Add a sweep, or replace the one of that name
    Add(Box<SweepAddOptions>),
    /// Take a sweep out; what it measured stays
    Rm(SweepOptions),
    /// Begin a sweep now, within its window
    Run(SweepOptions),
}

/// Options of `sweep rm` and `sweep run`.
#[derive(Debug, Clone, clap::Args)]
pub struct SweepOptions {
    /// Name of the sweep
    pub name: String,
    /// One JSON document on standard output
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub target: Target,
}

/// Options of `mark`.
#[derive(Debug, Clone, clap::Args)]
pub struct MarkOptions {
    /// What happened, in a few words
    pub text: String,
    /// Run that it belongs to [default: the active one]
    #[arg(long)]
    pub run: Option<String>,
    /// One JSON document on standard output
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub target: Target,
}

/// What to do with meters.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum MetersVerb {
    /// Asks every device of a document for a while and prints what it says: no coordinator needed
    Check(MetersCheckOptions),
    /// Writes down what every device of a document says, as a table for `analyze --meters`
    Record(MetersRecordOptions),
    /// How the meters of a coordinator do
    List(ListOptions),
}

/// Options of `meters record`.
#[derive(Debug, Clone, clap::Args)]
pub struct MetersRecordOptions {
    /// Document of sources
    pub file: PathBuf,
    /// Table to write: .csv, .csv.gz or .parquet
    #[arg(long, value_name = "TABLE")]
    pub out: PathBuf,
    /// How long to ask; Ctrl-C ends it earlier and keeps what was read
    #[arg(long, value_name = "S", default_value_t = 3600, value_parser = clap::value_parser!(u64).range(1..=2_592_000))]
    pub seconds: u64,
    /// One JSON document on standard output
    #[arg(long)]
    pub json: bool,
}

/// Options of `meters check`.
#[derive(Debug, Clone, clap::Args)]
pub struct MetersCheckOptions {
    /// Document of sources
    pub file: PathBuf,
    /// How long to ask
    #[arg(long, value_name = "S", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub seconds: u32,
    /// One JSON document on standard output
    #[arg(long)]
    pub json: bool,
}

/// Options of `sweep add`.
#[derive(Debug, Clone, clap::Args)]
pub struct SweepAddOptions {
    /// Name of the sweep
    pub name: String,
    /// Built-in plan (quick, acceptance) or plan file; its text of today is kept
    #[arg(long)]
    pub plan: String,
    /// Site file; its text of today is kept
    #[arg(long, value_name = "SITE")]
    pub site: Option<PathBuf>,
    /// When: minute, hour, day of month, month, day of week, as in cron
    #[arg(long, value_name = "CRON")]
    pub at: String,
    /// Time zone of --at and --window, such as Europe/Berlin
    #[arg(long, default_value = "UTC")]
    pub zone: String,
    /// Nodes to use: all, KIND=ID, a hostlist, N%
    #[arg(long, value_name = "SELECTOR", default_value = "")]
    pub on: String,
    /// Heats within these hours only, and ramps down at their end: 02:00-05:00
    #[arg(long, value_name = "FROM-TO", default_value = "")]
    pub window: String,
    /// Program in the folder of `serve --sweep-hooks` that runs first; its lines `skip NODE WHY`
    /// leave nodes out
    #[arg(long, value_name = "NAME", default_value = "")]
    pub before: String,
    /// Program that runs last, whenever the first one may have run
    #[arg(long, value_name = "NAME", default_value = "")]
    pub after: String,
    /// How long each program may take
    #[arg(long, value_name = "S", default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub hook_seconds: u32,
    /// Heat domains whose rating is not in the site file; the report says so
    #[arg(long)]
    pub allow_unrated: bool,
    /// A condition of the permit that you affirm for every run of it, in its own words
    #[arg(long, value_name = "TEXT")]
    pub affirm: Vec<String>,
    /// One JSON document on standard output
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub target: Target,
}

/// Options of `watch`.
#[derive(Debug, Clone, clap::Args)]
pub struct WatchOptions {
    /// Run to watch [default: the active one]
    #[arg(default_value = "")]
    pub run: String,
    /// One JSON document a status, a line each
    #[arg(long)]
    pub json: bool,
    /// Lines, on a terminal too; without it a terminal shows one screen
    #[arg(long, conflicts_with = "json")]
    pub plain: bool,
    #[command(flatten)]
    pub target: Target,
}

/// Options of `stop`.
#[derive(Debug, Clone, clap::Args)]
pub struct StopOptions {
    /// Run to stop [default: the active one]
    #[arg(default_value = "")]
    pub run: String,
    /// Drop the load at once instead of ramping it down
    #[arg(long)]
    pub now: bool,
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub target: Target,
}

/// Options of `release`.
#[derive(Debug, Clone, clap::Args)]
pub struct ReleaseOptions {
    /// Run to release [default: the active one]
    #[arg(default_value = "")]
    pub run: String,
    /// Percent of the plan's levels: 25, 50, 75 or 100
    #[arg(long, value_name = "PERCENT")]
    pub step: u8,
    /// Who releases, as the permit names the person
    #[arg(long, value_name = "NAME")]
    pub who: String,
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub target: Target,
}

/// Options of `resume`.
#[derive(Debug, Clone, clap::Args)]
pub struct ResumeOptions {
    /// Run to resume [default: the one that was suspended last]
    #[arg(default_value = "")]
    pub run: String,
    /// End the trip of this interlock instead, once its reading is back
    #[arg(long, value_name = "NAME", default_value = "", conflicts_with = "run")]
    pub interlock: String,
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub target: Target,
}

/// Options of `runs` and `agents`.
#[derive(Debug, Clone, clap::Args)]
pub struct ListOptions {
    /// One JSON document on standard output
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub target: Target,
}

/// Forms of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people at a terminal, in 80 columns
    Text,
    /// `loadbank.report/1`, for programs
    Json,
    /// For servers that run tests: failure is hardware, error is not judged
    Junit,
    /// One page for a browser and for paper, without scripts or network
    Html,
    /// Tickets, one a finding
    Markdown,
    /// Every measured value, a row each
    Csv,
    /// Round trips as HdrHistogram's interval log
    Hlog,
}

/// In which form a verb prints its report.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct Shape {
    /// Form of the report on standard output
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// Same as --format json
    #[arg(long, conflicts_with = "format")]
    pub json: bool,
}

impl Shape {
    /// The form that was asked for.
    #[must_use]
    pub fn format(self) -> Format {
        if self.json { Format::Json } else { self.format }
    }
}

/// Options of `report`.
#[derive(Debug, Clone, clap::Args)]
pub struct ReportOptions {
    /// Run id (or its beginning), a run's folder or file, or `last`
    pub run: String,
    #[command(flatten)]
    pub shape: Shape,
    /// Only the ticket of this finding (F1, F2, ...), as --format markdown writes it
    #[arg(long, value_name = "ID", conflicts_with_all = ["format", "json"])]
    pub finding: Option<String>,
    /// Ask this coordinator instead of reading this machine's state directory
    #[arg(long, value_name = "ADDR")]
    pub coordinator: Option<String>,
    /// Folder with ca.pem, cert.pem and key.pem of an operator
    #[arg(
        long,
        value_name = "DIR",
        env = "LOADBANK_TLS_DIR",
        conflicts_with = "insecure_loopback"
    )]
    pub tls_dir: Option<PathBuf>,
    /// Plain text, for one machine only: needs a loopback address
    #[arg(long)]
    pub insecure_loopback: bool,
    /// State directory to look in [default: /var/lib/loadbank, or ~/.local/state/loadbank]
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
}

/// Options of `analyze`.
#[derive(Debug, Clone, clap::Args)]
pub struct AnalyzeOptions {
    /// Site file; without it devices and nodes are judged, and nothing that they share
    #[arg(long, value_name = "SITE")]
    pub site: Option<PathBuf>,
    /// Samples of devices: .csv, .csv.gz or .parquet
    #[arg(long, value_name = "FILE")]
    pub samples: Option<PathBuf>,
    /// Transfers between nodes: .csv, .csv.gz or .parquet
    #[arg(long, value_name = "FILE")]
    pub pairs: Option<PathBuf>,
    /// Readings of the building's meters: .csv, .csv.gz or .parquet
    #[arg(long, value_name = "FILE")]
    pub meters: Option<PathBuf>,
    /// Policy file [default: the built-in policy]
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// Plan that was run [default: one sustained phase for each phase that the rows name]
    #[arg(long, value_name = "PLAN")]
    pub plan: Option<String>,
    #[command(flatten)]
    pub shape: Shape,
}

/// Options of `review`.
#[derive(Debug, Clone, clap::Args)]
pub struct ReviewOptions {
    /// Site file
    #[arg(required_unless_present = "policy_default")]
    pub site: Option<PathBuf>,
    /// Built-in plan (quick, acceptance) or plan file
    #[arg(long, default_value = "acceptance")]
    pub plan: String,
    /// Policy file [default: the built-in policy]
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// Accept domains whose rating is not in the site file, as `run --allow-unrated` does
    #[arg(long)]
    pub allow_unrated: bool,
    /// Print the built-in policy and do nothing else
    #[arg(long)]
    pub policy_default: bool,
    /// One JSON document on standard output
    #[arg(long)]
    pub json: bool,
}

/// Options of `rehearse`.
#[derive(Debug, Clone, clap::Args)]
pub struct RehearseOptions {
    /// Site file
    pub site: PathBuf,
    /// Built-in plan (quick, acceptance) or plan file
    #[arg(long, default_value = "acceptance")]
    pub plan: String,
    /// What is wrong with the hall: KIND:DOMAIN[=SIZE][@ONSET]; `--fault list` shows the kinds
    #[arg(long, value_name = "FAULT")]
    pub fault: Vec<String>,
    /// Which hall of all that are built alike
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Policy file [default: the built-in policy]
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    #[command(flatten)]
    pub shape: Shape,
}

/// Options of `compare`.
#[derive(Debug, Clone, clap::Args)]
pub struct CompareOptions {
    /// Run id (or its beginning), a run's folder or file, or a report as a .json file
    #[arg(value_name = "RUN")]
    pub first: String,
    /// The run to compare it with; the one that began later is the newer
    #[arg(value_name = "RUN")]
    pub second: String,
    /// Site file: adds the drift of each domain
    #[arg(long, value_name = "SITE")]
    pub site: Option<PathBuf>,
    /// State directory to look in [default: /var/lib/loadbank, or ~/.local/state/loadbank]
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// One JSON document on standard output
    #[arg(long)]
    pub json: bool,
}
