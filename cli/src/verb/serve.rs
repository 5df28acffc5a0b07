//! `loadbank serve`: the coordinator as a service.

use std::net::{SocketAddr, ToSocketAddrs};
use std::process::ExitCode;
use std::time::Duration;

use agent::state_dir::default_state_dir;
use coordinator::{Config, Coordinator, Permission};
use proto::channel::check_plain_text;
use tokio::net::TcpListener;

use crate::failure::Failure;
use crate::options::ServeOptions;
use crate::output;

/// After a signal the active run is ramped down; this long beyond the ramp it may take.
const LEAVE_GRACE: Duration = Duration::from_secs(30);

/// Serves until SIGTERM or Ctrl-C; then ramps the active run down and leaves.
///
/// # Errors
/// When the address or the state directory can't be used.
pub async fn run(options: ServeOptions) -> Result<ExitCode, Failure> {
    let listener = listen(&options.listen, options.insecure_loopback).await?;
    let state_dir = options.state_dir.clone().unwrap_or_else(default_state_dir);
    let permission = options.permit.clone().map_or(Permission::SmallLoad, Permission::File);
    if let Some(permit) = &options.permit {
        formats::permit::read(permit).map_err(Failure::usage)?;
    }
    let defaults = Config::new(state_dir.clone());
    let config = Config {
        lease: Duration::from_millis(options.lease_ms),
        ramp: Duration::from_millis(options.ramp_ms),
        congestion: options.congestion.clone(),
        permission,
        stop_file: options.stop_file.clone().unwrap_or(defaults.stop_file.clone()),
        ..defaults
    };
    let stop_file = config.stop_file.display().to_string();
    let coordinator = Coordinator::start(config, listener).map_err(Failure::infrastructure)?;
    eprintln!("serving on {}, state in {}", coordinator.address, state_dir.display());
    eprintln!("stop button: touch {stop_file}");
    for run in &coordinator.suspended {
        eprintln!(
            "run {run} was cut off and is suspended: `loadbank resume {run}` brings heat back"
        );
    }
    if options.json {
        let document = serde_json::json!({
            "address": coordinator.address.to_string(),
            "state_dir": state_dir.display().to_string(),
            "suspended": coordinator.suspended,
            "stop_file": stop_file,
        });
        output::line(&document.to_string())?;
    }
    wait_for_signal().await;
    leave(coordinator).await;
    Ok(ExitCode::SUCCESS)
}

/// Binds the listener.
///
/// # Errors
/// When the address is none, is not loopback, or is in use.
pub async fn listen(address: &str, insecure_loopback: bool) -> Result<TcpListener, Failure> {
    let resolved: SocketAddr =
        address.to_socket_addrs().ok().and_then(|mut found| found.next()).ok_or_else(|| {
            Failure::usage(format!("--listen {address}: an address is HOST:PORT"))
        })?;
    check_plain_text(resolved.ip(), insecure_loopback)
        .map_err(|why| Failure::usage(format!("--listen {address}: {why}")))?;
    TcpListener::bind(resolved).await.map_err(|error| {
        let mend = match error.kind() {
            std::io::ErrorKind::AddrInUse => {
                "; another coordinator may serve there: choose another port with --listen"
            }
            _ => "",
        };
        Failure::infrastructure(format!("--listen {address}: {error}{mend}"))
    })
}

async fn wait_for_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        let _ = tokio::signal::ctrl_c().await;
        return;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}

async fn leave(coordinator: Coordinator) {
    if let Some(run) = coordinator.stop_run("", false, "the coordinator was told to end") {
        eprintln!("ramping run {run} down before leaving; a second signal drops it");
        let ended = async {
            while !coordinator.has_ended(&run) {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::select! {
            _ = tokio::time::timeout(LEAVE_GRACE, ended) => {}
            () = wait_for_signal() => {
                let _ = coordinator.stop_run(&run, true, "the coordinator was told twice to end");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
    coordinator.stop().await;
}
