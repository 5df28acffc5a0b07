//! The coordinator: admission, leases, clock offsets, barrier, run machine, store, operator
//! API. Judges nothing itself (it calls `analysis`) and prints nothing.

mod budget;
pub mod clock;
mod config;
mod evidence;
mod export;
mod hall;
mod operator;
mod permit;
mod recovery;
mod restraint;
pub mod run;
mod session;
pub mod store;

use std::net::SocketAddr;
use std::time::Duration;

pub use config::Config;
pub use evidence::{EvidenceError, parse_documents, report_of};
use hall::Hall;
pub use permit::Permission;
use proto::channel::{KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT, MESSAGE_BYTES_MAX};
use proto::v1::agent_service_server::AgentServiceServer;
use proto::v1::operator_service_server::OperatorServiceServer;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::TcpListenerStream;

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

/// Why a coordinator did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("{0}")]
    Store(#[from] store::StoreError),
    #[error("the address of the listener can't be read: {0}")]
    Address(std::io::Error),
}

/// A coordinator that serves.
pub struct Coordinator {
    hall: Hall,
    pub address: SocketAddr,
    /// Runs that were found unfinished and wait for a person.
    pub suspended: Vec<String>,
    shutdown: Option<oneshot::Sender<()>>,
    server: JoinHandle<Result<(), tonic::transport::Error>>,
}

impl Coordinator {
    /// Serves on a bound listener until [`Coordinator::stop`].
    ///
    /// # Errors
    /// When the state directory can't be used.
    pub fn start(config: Config, listener: TcpListener) -> Result<Self, StartError> {
        let (judging, dirty) = mpsc::unbounded_channel();
        let hall = Hall::open(config, judging)?;
        let suspended = recovery::suspend_unfinished(&hall);
        let address = listener.local_addr().map_err(StartError::Address)?;
        let (shutdown, ended) = oneshot::channel::<()>();
        let agents = AgentServiceServer::new(session::AgentDoor::new(hall.clone()))
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        let operators = OperatorServiceServer::new(operator::OperatorDoor::new(hall.clone()))
            .max_decoding_message_size(MESSAGE_BYTES_MAX);
        let serve = tonic::transport::Server::builder()
            .tcp_nodelay(true)
            .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
            .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
            .add_service(agents)
            .add_service(operators)
            .serve_with_incoming_shutdown(TcpListenerStream::new(listener), async {
                let _ = ended.await;
            });
        tokio::spawn(tick(hall.clone()));
        tokio::spawn(judge_dirty(hall.clone(), dirty));
        for run in &suspended {
            let _ = hall.judging.send(run.clone());
        }
        let server = tokio::spawn(serve);
        Ok(Self { hall, address, suspended, shutdown: Some(shutdown), server })
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
        if let Some(shutdown) = self.shutdown.take() {
            let _ = shutdown.send(());
        }
        // Sessions that never end must not hold the process.
        let _ = tokio::time::timeout(Duration::from_secs(1), &mut self.server).await;
        self.server.abort();
        let _ = self.hall.writer.flush().await;
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
