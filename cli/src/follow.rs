//! Follows a run to its end: progress, Ctrl-C, report.

use std::process::ExitCode;
use std::time::Duration;

use model::Report;
use proto::v1;

use crate::client::Client;
use crate::failure::Failure;
use crate::options::Format;
use crate::progress::Progress;
use crate::report::dossier::Dossier;

/// A coordinator that does not answer for this long is given up.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// Distance of attempts to hear of the run again.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// Follows a run until it ended and was judged. The first Ctrl-C ramps it down, the second
/// drops it.
///
/// # Errors
/// When the coordinator stops answering, or the run is left suspended.
pub async fn to_the_end(client: &mut Client, run: &str) -> Result<(), Failure> {
    let mut progress = Progress::new();
    let mut interrupts = 0;
    let mut silent = Duration::ZERO;
    'again: loop {
        let request = v1::WatchRequest { run_id: run.to_owned() };
        let mut statuses = match client.watch(request).await {
            Ok(response) => response.into_inner(),
            Err(status) => {
                silent += RETRY_PAUSE;
                if silent >= SILENCE_MAX {
                    return Err(status.into());
                }
                tokio::time::sleep(RETRY_PAUSE).await;
                continue 'again;
            }
        };
        loop {
            tokio::select! {
                status = statuses.message() => match status {
                    Ok(Some(status)) => {
                        silent = Duration::ZERO;
                        progress.show(&status);
                        if status.ended {
                            progress.finish();
                            return ended(&status);
                        }
                    }
                    Ok(None) | Err(_) => continue 'again,
                },
                _ = tokio::signal::ctrl_c() => {
                    interrupts += 1;
                    stop(client, run, interrupts, &progress).await;
                }
            }
        }
    }
}

fn ended(status: &v1::RunStatus) -> Result<(), Failure> {
    match status.state.as_str() {
        "suspended" => Err(Failure::infrastructure(format!(
            "run {} is suspended: {}",
            status.run_id, status.message
        ))),
        _ => Ok(()),
    }
}

async fn stop(client: &mut Client, run: &str, interrupts: u32, progress: &Progress) {
    let now = interrupts > 1;
    let words = if now { "dropping the load" } else { "ramping down; Ctrl-C again drops at once" };
    progress.say(words);
    let who = format!("{} (Ctrl-C)", who());
    let request = v1::StopRequest { run_id: run.to_owned(), now, who };
    if let Err(status) = client.stop(request).await {
        progress.say(&format!("stop was not taken: {}", status.message()));
    }
}

/// Who asks, for the record.
#[must_use]
pub fn who() -> String {
    let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME"));
    user.unwrap_or_else(|_| format!("uid {}", nix::unistd::getuid()))
}

/// Fetches a run's report and prints it; the exit code is the run's.
///
/// # Errors
/// When the report can't be fetched, read or written in this form.
pub async fn print_report(
    client: &mut Client,
    run: &str,
    format: Format,
) -> Result<ExitCode, Failure> {
    print(&fetched(client, run).await?.into(), format)
}

/// Fetches a run's report.
///
/// # Errors
/// When the report can't be fetched or read.
pub async fn fetched(client: &mut Client, run: &str) -> Result<Report, Failure> {
    let request = v1::ReportRequest { run_id: run.to_owned() };
    let reply = client.report(request).await?.into_inner();
    serde_json::from_str(&reply.json).map_err(Failure::infrastructure)
}

/// Prints a report on standard output; the exit code is the run's.
///
/// # Errors
/// When the form needs what is not here, or standard output is closed.
pub fn print(dossier: &Dossier, format: Format) -> Result<ExitCode, Failure> {
    crate::output::line(&dossier.written(format)?)?;
    Ok(ExitCode::from(dossier.report.exit_code))
}
