//! `loadbank stop`: ramp a run down, or drop it.

use std::process::ExitCode;

use proto::v1;

use crate::client::connect;
use crate::failure::Failure;
use crate::options::{StopOptions, Target};
use crate::{follow, output};

/// Asks for the stop; the run ends INTERRUPTED.
///
/// # Errors
/// When no such run is active, or no coordinator answers.
pub async fn run(options: StopOptions) -> Result<ExitCode, Failure> {
    let reply = ask(&options.target, options.run, options.now).await?;
    let words = match options.json {
        true => serde_json::json!({ "run": reply.run_id, "state": reply.state }).to_string(),
        false => words(&reply, options.now),
    };
    output::line(&words)?;
    Ok(ExitCode::SUCCESS)
}

/// Asks for a stop, with the rights of the target's certificate.
///
/// # Errors
/// When no such run is active, or no coordinator answers.
pub(crate) async fn ask(target: &Target, run: String, now: bool) -> Result<v1::StopReply, Failure> {
    let mut client = connect(target).await?;
    let request = v1::StopRequest { run_id: run, now, who: follow::who() };
    Ok(client.stop(request).await?.into_inner())
}

/// What came of it.
pub(crate) fn words(reply: &v1::StopReply, now: bool) -> String {
    let how = if now { "dropped" } else { "ramping down" };
    format!("run {} {}, {how}", reply.run_id, reply.state)
}
