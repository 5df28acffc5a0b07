//! The coordinator: admission, leases, clock offsets, barrier, run machine, store, operator
//! API. Judges nothing itself (it calls `analysis`) and prints nothing.

mod budget;
pub mod clock;
mod config;
mod door;
mod evidence;
mod export;
mod hall;
mod interlock;
mod meter;
mod meter_gaps;
mod metrics;
mod operator;
mod permit;
pub mod pki;
mod recovery;
mod restraint;
pub mod run;
mod session;
mod stops;
pub mod store;
mod sweep;
mod web;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

pub use config::{Config, Meters};
use door::{Guard, gate};
pub use evidence::{EvidenceError, RunEvidence, evidence_of, parse_documents, report_of};
use formats::sources::SourceKind;
use hall::Hall;
pub use meter::{Checked as CheckedMeter, Recorded as RecordedMeter};
pub use meter::{check as check_meters, record as record_meters};
use model::table::MeterRow;
pub use permit::Permission;
use proto::channel::check_plain_text;
use proto::channel::{
    CONNECTION_WINDOW_BYTES, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT, MESSAGE_BYTES_MAX,
    STREAM_WINDOW_BYTES,
};
use proto::dial::Security;
use proto::tls::{Role, ServerTls, TlsDir, TlsError};
use proto::v1::agent_service_server::AgentServiceServer;
use proto::v1::join_service_server::JoinServiceServer;
use proto::v1::operator_service_server::OperatorServiceServer;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet};
use tonic::service::interceptor::InterceptedService;

/// Distance of the machine's ticks: a hundredth of the shortest phase.
const TICK: Duration = Duration::from_millis(20);
/// Distance of looks at the stop file.
const WATCH: Duration = Duration::from_millis(200);
/// Distance of looks at the permit while a run is active.
const PERMIT_WATCH: Duration = Duration::from_secs(1);
/// Late batches come in bursts: a run is judged anew once they pause for this long.
const JUDGE_PAUSE: Duration = Duration::from_millis(300);
/// Runs that wait to be judged anew before the oldest must go first.
const JUDGE_BURST_MAX: usize = 1024;

/// Headers of a call are a few hundred bytes.
const HEADER_BYTES_MAX: u32 = 16 * 1024;
/// Calls of one connection at a time: an agent has two, an operator's program a handful.
const STREAMS_MAX: u32 = 64;
/// A request to join holds a token and a signing request.
const JOIN_BYTES_MAX: usize = 64 * 1024;
/// Joining is one call; a connection for it need not stay.
const JOIN_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a coordinator did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("{0}")]
    Store(#[from] store::StoreError),
    #[error("the address of the listener can't be read: {0}")]
    Address(std::io::Error),
    #[error("the meters can't be followed: {0}")]
    Thread(std::io::Error),
    #[error("{0}")]
    Meters(String),
    #[error("{0}")]
    PlainText(String),
    #[error("this system has no random bytes for a key")]
    NoRandom,
    #[error("{0}")]
    Tls(#[from] TlsError),
}

/// A coordinator that serves.
pub struct Coordinator {
    hall: Hall,
    pub address: SocketAddr,
    /// Runs that were found unfinished and wait for a person.
    pub suspended: Vec<String>,
    shutdown: Option<oneshot::Sender<()>>,
    /// Ends the threads that follow tables of meters.
    ended: Arc<AtomicBool>,
    /// Tasks that ask the building's devices; they end with it.
    _meters: JoinSet<()>,
    server: JoinHandle<Result<(), tonic::transport::Error>>,
}

impl Coordinator {
    /// Serves on a bound listener until [`Coordinator::stop`].
    ///
    /// # Errors
    /// When the state directory can't be used.
    pub fn start(config: Config, listener: TcpListener) -> Result<Self, StartError> {
        let address = listener.local_addr().map_err(StartError::Address)?;
        let guard = guard_of(&config.security, address)?;
        let (judging, dirty) = mpsc::unbounded_channel();
        let hall = Hall::open(config, judging)?;
        let suspended = recovery::suspend_unfinished(&hall);
        let (shutdown, ended) = oneshot::channel::<()>();
        let agents = AgentServiceServer::new(session::AgentDoor::new(hall.clone()))
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        let operators = OperatorServiceServer::new(operator::OperatorDoor::new(hall.clone()))
            .max_decoding_message_size(MESSAGE_BYTES_MAX);
        let agents = InterceptedService::new(agents, gate(Role::Agent, hall.refusals.clone()));
        let operators =
            InterceptedService::new(operators, gate(Role::Operator, hall.refusals.clone()));
        let serve = tonic::transport::Server::builder()
            .tcp_nodelay(true)
            .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
            .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
            .http2_max_header_list_size(HEADER_BYTES_MAX)
            .max_concurrent_streams(STREAMS_MAX)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .add_service(agents)
            .add_service(operators)
            .serve_with_incoming_shutdown(
                door::open(listener, guard, hall.refusals.clone()),
                async {
                    let _ = ended.await;
                },
            );
        let left = hall.sweeps().left();
        hall.finish_sweeps(left);
        tokio::spawn(tick(hall.clone()));
        tokio::spawn(judge_dirty(hall.clone(), dirty));
        let following = Arc::new(AtomicBool::new(false));
        let meters = start_meters(&hall, &following)?;
        for run in &suspended {
            let _ = hall.judging.send(run.clone());
        }
        let server = tokio::spawn(serve);
        Ok(Self {
            hall,
            address,
            suspended,
            shutdown: Some(shutdown),
            ended: following,
            _meters: meters,
            server,
        })
    }

    /// Lets nodes with a token join, on a listener of their own, for as long as the process lives.
    ///
    /// # Errors
    /// When the certificate files can't be used.
    pub fn open_joining(
        &self,
        authority: pki::Authority,
        dir: TlsDir,
        listener: TcpListener,
    ) -> Result<(), StartError> {
        let guard = Guard::Joining(ServerTls::for_joining(dir)?);
        let refusals = self.hall.refusals.clone();
        let joining = JoinServiceServer::new(pki::JoinDoor::new(authority, refusals.clone()))
            .max_decoding_message_size(JOIN_BYTES_MAX);
        let serve = tonic::transport::Server::builder()
            .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
            .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
            .http2_max_header_list_size(HEADER_BYTES_MAX)
            .max_concurrent_streams(1)
            .timeout(JOIN_TIMEOUT)
            .max_connection_age(JOIN_TIMEOUT)
            .max_connection_age_grace(JOIN_TIMEOUT)
            .add_service(joining)
            .serve_with_incoming(door::open(listener, guard, refusals));
        tokio::spawn(serve);
        Ok(())
    }

    /// Answers `GET /metrics` on a listener of its own, for as long as the process lives: plain text,
    /// nothing to change.
    pub fn open_metrics(&self, listener: TcpListener) {
        let hall = self.hall.clone();
        tokio::spawn(proto::metrics::serve(listener, move || metrics::families(&hall)));
    }

    /// Serves the live page on a listener of its own, for as long as the process
    /// lives; the key with which its stop button is let through.
    ///
    /// # Errors
    /// When the certificate files can't be used, or plain text is asked for beyond this machine.
    pub fn open_web(&self, listener: TcpListener) -> Result<String, StartError> {
        let address = listener.local_addr().map_err(StartError::Address)?;
        let guard = guard_of(&self.hall.config.security, address)?;
        web::open(self.hall.clone(), listener, guard).map_err(|_| StartError::NoRandom)
    }

    /// Stops the active run (or the named one); its id, when there was one to stop.
    #[must_use]
    pub fn stop_run(&self, run: &str, drop: bool, who: &str) -> Option<String> {
        self.hall.stop(run, drop, who).ok().map(|(run, _)| run)
    }

    /// Whether a run has ended and was judged.
    #[must_use]
    pub fn has_ended(&self, run: &str) -> bool {
        self.hall.status(run).is_none_or(|status| status.ended)
    }

    /// Stops serving. A run that is active should have been stopped before.
    pub async fn stop(mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(shutdown) = self.shutdown.take() {
            let _ = shutdown.send(());
        }
        // Sessions that never end must not hold the process.
        let _ = tokio::time::timeout(Duration::from_secs(1), &mut self.server).await;
        self.server.abort();
        let _ = self.hall.writer.flush().await;
    }
}

/// Hears the building, wherever its meters are read.
fn start_meters(hall: &Hall, ended: &Arc<AtomicBool>) -> Result<JoinSet<()>, StartError> {
    let follow = |path: &Path, name: Option<String>| {
        let hearing = hall.clone();
        let hear = move |rows: Vec<MeterRow>| {
            let alive = rows.iter().any(interlock::is_trusted);
            hearing.take_meters(&rows, name.as_deref().filter(|_| alive));
        };
        interlock::follow(path.to_owned(), ended.clone(), hear).map_err(StartError::Thread)
    };
    match &hall.config.meters {
        None => Ok(JoinSet::new()),
        Some(Meters::Table(path)) => {
            follow(path, None)?;
            Ok(JoinSet::new())
        }
        Some(Meters::Sources(sources)) => {
            for source in &sources.sources {
                if let SourceKind::Table(table) = &source.kind {
                    follow(&table.path, Some(source.name.clone()))?;
                }
            }
            meter::start(sources, &hall.ear()).map_err(StartError::Meters)
        }
    }
}

/// TLS for whom it may concern; plain text only where nobody else can listen.
fn guard_of(security: &Security, address: SocketAddr) -> Result<Guard, StartError> {
    match security {
        Security::Tls(dir) => Ok(Guard::Mutual(ServerTls::mutual(dir.clone())?)),
        Security::InsecureLoopback => {
            check_plain_text(address.ip(), true).map_err(StartError::PlainText)?;
            Ok(Guard::Local)
        }
    }
}

async fn tick(hall: Hall) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut watched = tokio::time::Instant::now();
    let mut permitted = watched;
    loop {
        ticks.tick().await;
        hall.tick();
        if watched.elapsed() >= WATCH {
            watched = tokio::time::Instant::now();
            hall.watch_stop_file();
        }
        if permitted.elapsed() >= PERMIT_WATCH {
            permitted = tokio::time::Instant::now();
            hall.watch_permit();
            hall.watch_sweeps();
        }
    }
}

/// Judges runs whose record changed: at their end, and whenever late batches arrived.
async fn judge_dirty(hall: Hall, mut dirty: mpsc::UnboundedReceiver<String>) {
    while let Some(first) = dirty.recv().await {
        let mut runs = std::collections::BTreeSet::from([first]);
        while let Ok(Some(run)) = tokio::time::timeout(JUDGE_PAUSE, dirty.recv()).await {
            runs.insert(run);
            if runs.len() >= JUDGE_BURST_MAX {
                break;
            }
        }
        for run in runs {
            let _ = hall.writer.close_file(&run).await;
            let owner = hall.clone();
            let judged = tokio::task::spawn_blocking(move || export::settle(&owner, &run)).await;
            if let Err(error) = judged {
                tracing::error!(%error, "judging failed");
            }
        }
        hall.ended.notify_waiters();
    }
}
