//! `loadbank serve`: the coordinator as a service.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use agent::state_dir::default_state_dir;
use anyhow::bail;
use coordinator::pki::Authority;
use coordinator::{Config, Coordinator, Meters, Permission, StartError};
use model::interlock::{Interlocks, Watches};
use proto::channel::check_plain_text;
use proto::dial::Security;
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
    let security = Security::asked(options.tls_dir.as_deref(), options.insecure_loopback)
        .map_err(Failure::usage)?;
    let listener = listen("--listen", &options.listen, &security).await?;
    let web = match &options.web {
        Some(address) => Some(listen("--web", address, &security).await?),
        None => None,
    };
    let metrics = listen_for_metrics(&options).await?;
    let state_dir = options.state_dir.clone().unwrap_or_else(default_state_dir);
    let permission = options.permit.clone().map_or(Permission::SmallLoad, Permission::File);
    if let Some(permit) = &options.permit {
        formats::permit::read(permit).map_err(Failure::usage)?;
    }
    let meters = options.meters.as_deref().map(meters).transpose()?;
    if let Some(interlocks) = &options.interlocks {
        let interlocks = formats::interlocks::read(interlocks).map_err(Failure::usage)?;
        heartbeats_can_come(&interlocks, meters.as_ref()).map_err(Failure::usage)?;
    }
    let defaults = Config::new(state_dir.clone());
    let config = Config {
        lease: Duration::from_millis(options.lease_ms),
        ramp: Duration::from_millis(options.ramp_ms),
        congestion: options.congestion.clone(),
        security: security.clone(),
        permission,
        interlocks: options.interlocks.clone(),
        sweep_hooks: options.sweep_hooks.clone(),
        meters,
        stop_file: options.stop_file.clone().unwrap_or(defaults.stop_file.clone()),
        ..defaults
    };
    let stop_file = config.stop_file.display().to_string();
    let coordinator = Coordinator::start(config, listener).map_err(not_started)?;
    if let Some(metrics) = metrics {
        eprintln!(
            "metrics on http://{}/metrics",
            metrics.local_addr().map_err(Failure::infrastructure)?
        );
        coordinator.open_metrics(metrics);
    }
    let joining = open_joining(&coordinator, &options, &security).await?;
    let page = web.map(|listener| open_page(&coordinator, listener, &security)).transpose()?;
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
            "join_address": joining.map(|address| address.to_string()),
            "state_dir": state_dir.display().to_string(),
            "suspended": coordinator.suspended,
            "page": page,
            "stop_file": stop_file,
        });
        output::line(&document.to_string())?;
    }
    wait_for_signal().await;
    leave(coordinator).await;
    Ok(ExitCode::SUCCESS)
}

async fn listen_for_metrics(options: &ServeOptions) -> Result<Option<TcpListener>, Failure> {
    let Some(address) = options.metrics else { return Ok(None) };
    proto::metrics::check_address(address, options.metrics_open).map_err(Failure::usage)?;
    let listener = TcpListener::bind(address).await;
    listener
        .map(Some)
        .map_err(|error| Failure::infrastructure(format!("--metrics {address}: {error}")))
}

/// A document of sources, or a table that is followed.
fn meters(path: &Path) -> Result<Meters, Failure> {
    let document = path.extension().is_some_and(|end| end.eq_ignore_ascii_case("toml"));
    if !document {
        return Ok(Meters::Table(path.to_owned()));
    }
    formats::sources::read(path).map(Meters::Sources).map_err(Failure::usage)
}

/// A rule that waits for the heartbeat of a source that does not exist would keep the heat away
/// for ever, and nobody would see why before the first run.
fn heartbeats_can_come(interlocks: &Interlocks, meters: Option<&Meters>) -> anyhow::Result<()> {
    let sources: Vec<&str> = match meters {
        Some(Meters::Sources(meters)) => meters.sources.iter().map(|s| s.name.as_str()).collect(),
        Some(Meters::Table(_)) | None => Vec::new(),
    };
    for rule in &interlocks.rules {
        let Watches::Heartbeat { from: Some(from), .. } = &rule.watches else { continue };
        if !sources.contains(&from.as_str()) {
            let known = match sources.as_slice() {
                [] => "--meters names no document with sources".to_owned(),
                known => format!("--meters has {}", known.join(", ")),
            };
            bail!(
                "{}:{}: rule {}: no source \"{from}\" is read; {known}: write from = one of \
                 them, or leave from out",
                interlocks.file,
                rule.line,
                rule.name
            );
        }
    }
    Ok(())
}

fn not_started(error: StartError) -> Failure {
    match error {
        StartError::Tls(_) | StartError::PlainText(_) | StartError::Meters(_) => {
            Failure::usage(error)
        }
        StartError::Store(_)
        | StartError::Address(_)
        | StartError::Thread(_)
        | StartError::NoRandom => Failure::infrastructure(error),
    }
}

/// The port for nodes that have a token and no certificate, when it was asked for.
async fn open_joining(
    coordinator: &Coordinator,
    options: &ServeOptions,
    security: &Security,
) -> Result<Option<SocketAddr>, Failure> {
    let (Some(dir), Security::Tls(tls)) = (&options.pki_dir, security) else { return Ok(None) };
    let authority = Authority::open(dir).map_err(Failure::usage)?;
    let listener = listen("--join-listen", &options.join_listen, security).await?;
    let address = listener.local_addr().map_err(Failure::infrastructure)?;
    coordinator.open_joining(authority, tls.clone(), listener).map_err(not_started)?;
    eprintln!("nodes with a token join on {address}");
    Ok(Some(address))
}

/// Opens the live page and says where it is. On plain text the address carries the key of the
/// stop button, behind a `#`: browsers keep that to themselves.
///
/// # Errors
/// When the certificate files can't be used.
pub fn open_page(
    coordinator: &Coordinator,
    listener: TcpListener,
    security: &Security,
) -> Result<String, Failure> {
    let address = listener.local_addr().map_err(Failure::infrastructure)?;
    let key = coordinator.open_web(listener).map_err(not_started)?;
    let page = match security {
        Security::InsecureLoopback => format!("http://{address}/#{key}"),
        Security::Tls(_) => format!("https://{address}/"),
    };
    eprintln!("live page: {page}");
    Ok(page)
}

/// Binds the listener of an option.
///
/// # Errors
/// When the address is none, is in use, or must be loopback and is not.
pub async fn listen(
    option: &str,
    address: &str,
    security: &Security,
) -> Result<TcpListener, Failure> {
    let resolved: SocketAddr =
        address.to_socket_addrs().ok().and_then(|mut found| found.next()).ok_or_else(|| {
            Failure::usage(format!("{option} {address}: an address is HOST:PORT"))
        })?;
    if *security == Security::InsecureLoopback {
        check_plain_text(resolved.ip(), true)
            .map_err(|why| Failure::usage(format!("{option} {address}: {why}")))?;
    }
    TcpListener::bind(resolved).await.map_err(|error| {
        let mend = match error.kind() {
            std::io::ErrorKind::AddrInUse => {
                "; another coordinator may serve there: choose another port"
            }
            _ => "",
        };
        Failure::infrastructure(format!("{option} {address}: {error}{mend}"))
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
