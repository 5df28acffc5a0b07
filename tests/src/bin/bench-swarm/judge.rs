//! One measurement from beginning to end.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use proto::dial::Dialer;
use proto::v1;
use proto::v1::operator_service_client::OperatorServiceClient;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::agent::{Swarm, join};
use crate::args::Args;
use crate::credentials::{Credentials, node};
use crate::figures::Figures;
use crate::plant::{self, Plant};
use crate::server::{Server, Taken};

/// Handshakes at a time: the coordinator's listener has a short queue.
const HANDSHAKES: usize = 64;
/// Every agent's clock is known, every one is armed: seconds for thousands.
const START_PATIENCE: Duration = Duration::from_secs(300);
/// The last acknowledgement comes well within this.
const ACK_PATIENCE: Duration = Duration::from_secs(20);

/// Measures what the flags ask for.
///
/// # Errors
/// When something does not come up; what is slow or lost is a figure, not an error.
pub(crate) async fn run(args: &Args) -> Result<Figures> {
    let folder = tempfile::tempdir()?;
    eprintln!("making {} certificates", args.agents + 2);
    let credentials = Credentials::make(folder.path(), args.agents)?;
    let plant = args.has_meters().then(|| Plant::start(args.pdus, args.cdus, folder.path()));
    let plant = plant.transpose()?;
    let server = start(args, folder.path(), &credentials, plant.as_ref())?;
    let swarm = Swarm::new(args, &server.address);
    let begun = Instant::now();
    connect_all(args, &swarm, &credentials).await?;
    let ramp = begun.elapsed();
    eprintln!("{} agents after {:.1} s", args.agents, ramp.as_secs_f64());
    let folder_of_run = match args.bare {
        true => {
            swarm.run.send_replace("bare".to_owned());
            None
        }
        false => Some(begin_run(args, &swarm, &credentials).await?),
    };
    let (before, after, swarm_cpu) = say_everything(args, &swarm, &server).await?;
    let mut figures = figures(&swarm, (before, after), ramp, swarm_cpu);
    if let Some(folder) = folder_of_run {
        let folder = Path::new(&folder);
        figures.stored = Some(stored(folder)?);
        let from_ns = SystemTime::now() - before.0.elapsed();
        let from_ns = i64::try_from(from_ns.duration_since(UNIX_EPOCH)?.as_nanos())?;
        let heard = plant.map(|_| plant::heard(folder, from_ns, args.seconds));
        figures.heard = heard.transpose()?;
    }
    Ok(figures)
}

fn start(
    args: &Args,
    folder: &Path,
    credentials: &Credentials,
    plant: Option<&Plant>,
) -> Result<Server> {
    let tls = credentials.dir("server").display().to_string();
    let own = std::env::current_exe()?;
    let log = folder.join("server.log");
    if args.bare {
        return Server::start(&own, &["bare-server", &format!("{{}},{tls}")], &log);
    }
    let program = own.with_file_name("loadbank");
    let state = folder.join("state").display().to_string();
    let document = plant.map(|plant| plant.document.display().to_string());
    let mut words = vec!["serve", "--listen", "{}", "--tls-dir", &tls, "--state-dir", &state];
    words.extend(document.iter().flat_map(|document| ["--meters", document]));
    Server::start(&program, &words, &log)
}

async fn connect_all(args: &Args, swarm: &Arc<Swarm>, credentials: &Credentials) -> Result<()> {
    let places = Arc::new(Semaphore::new(HANDSHAKES));
    let mut joining = JoinSet::new();
    for at in 0..args.agents {
        let place = places.clone().acquire_owned().await?;
        let (swarm, node) = (swarm.clone(), node(at));
        let security = credentials.security(&node)?;
        joining.spawn(async move {
            let _place = place;
            join(swarm, at, node, security).await
        });
    }
    while let Some(joined) = joining.join_next().await {
        joined?.context("an agent could not join")?;
    }
    Ok(())
}

/// Submits a plan without heat and waits for every GO. The run's folder.
async fn begin_run(args: &Args, swarm: &Swarm, credentials: &Credentials) -> Result<String> {
    let dialer = Dialer::new(&swarm.address, credentials.security("operator")?);
    let channel = dialer.connect(&dialer.endpoint()?).await?;
    let mut operator = OperatorServiceClient::new(channel);
    // Longer than what is measured: the phase must not end within.
    let seconds = args.seconds + START_PATIENCE.as_secs();
    let plan = format!(
        "schema = 1\nname = \"swarm\"\nrequires = [\"compute\"]\n[[phase]]\nkind = \"idle\"\n\
         seconds = {seconds}\n"
    );
    let request = v1::SubmitRequest {
        plan_toml: plan,
        plan_file: "swarm.toml".to_owned(),
        least_agents: u32::try_from(args.agents)?,
        ..v1::SubmitRequest::default()
    };
    let reply = operator.submit(request).await.context("the run is refused")?.into_inner();
    let deadline = Instant::now() + START_PATIENCE;
    while swarm.go_ns.lock().map_or(0, |go| go.len()) < args.agents {
        if Instant::now() > deadline {
            let heard = swarm.go_ns.lock().map_or(0, |go| go.len());
            bail!("only {heard} of {} agents heard GO", args.agents);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(reply.folder)
}

/// The window that is measured: what the server took before and after it, and what we took.
async fn say_everything(
    args: &Args,
    swarm: &Swarm,
    server: &Server,
) -> Result<((Instant, Taken), (Instant, Taken), Duration)> {
    // Upload streams open, and whatever GO stirred up settles.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let own = own_cpu();
    let before = (Instant::now(), server.taken()?);
    let end = Instant::now() + Duration::from_secs(args.seconds);
    swarm.until.send_replace(Some(end));
    tokio::time::sleep_until(end.into()).await;
    let after = (Instant::now(), server.taken()?);
    let own = own_cpu().saturating_sub(own);
    let deadline = Instant::now() + ACK_PATIENCE;
    let counts = || (swarm.sent.load(Ordering::Relaxed), swarm.acked.load(Ordering::Relaxed));
    loop {
        // The last ones are still being said.
        tokio::time::sleep(Duration::from_millis(1200)).await;
        let (sent, acked) = counts();
        if sent == acked || Instant::now() > deadline {
            return Ok((before, after, own));
        }
    }
}

/// Batches in the run's file: every one is there once, or the count falls short.
fn stored(folder: &Path) -> Result<u64> {
    let file = coordinator::store::RunFile::open(folder)?;
    // The building's batches are of no node.
    let counts = file.counts()?.into_iter().filter(|(node, ..)| !node.is_empty());
    Ok(counts.map(|(_, _, batches, _)| batches).sum())
}

fn own_cpu() -> Duration {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: getrusage fills the struct that it is given; zeroes are valid where it fails.
    let usage = unsafe {
        libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr());
        usage.assume_init()
    };
    let time = |of: libc::timeval| Duration::new(of.tv_sec as u64, of.tv_usec as u32 * 1000);
    time(usage.ru_utime) + time(usage.ru_stime)
}

fn figures(
    swarm: &Swarm,
    (before, after): ((Instant, Taken), (Instant, Taken)),
    ramp: Duration,
    swarm_cpu: Duration,
) -> Figures {
    let mut ack_us = swarm.ack_us.lock().map_or(Vec::new(), |mut all| std::mem::take(&mut all));
    ack_us.sort_unstable();
    let mut go_ns = swarm.go_ns.lock().map_or(Vec::new(), |all| all.clone());
    go_ns.sort_unstable();
    let middle = go_ns.get(go_ns.len() / 2).copied().unwrap_or(0);
    let off = |at: &i64| u32::try_from(at.abs_diff(middle) / 1000).unwrap_or(u32::MAX);
    let mut go_us: Vec<u32> = go_ns.iter().map(off).collect();
    go_us.sort_unstable();
    Figures {
        ramp,
        cpu: after.1.cpu.saturating_sub(before.1.cpu),
        window: after.0 - before.0,
        peak_bytes: after.1.peak_bytes,
        ack_us,
        sent: swarm.sent.load(Ordering::Relaxed),
        acked: swarm.acked.load(Ordering::Relaxed),
        stored: None,
        heard: None,
        go_us,
        swarm_cpu,
    }
}
