//! `loadbank stop`: ramp a run down, or drop it.

use std::process::ExitCode;

use proto::v1;

use crate::client::connect;
use crate::failure::Failure;
use crate::options::StopOptions;
use crate::{follow, output};

/// Asks for the stop; the run ends INTERRUPTED.
///
/// # Errors
/// When no such run is active, or no coordinator answers.
pub async fn run(options: StopOptions) -> Result<ExitCode, Failure> {
    let mut client = connect(&options.target).await?;
    let request = v1::StopRequest { run_id: options.run, now: options.now, who: follow::who() };
    let reply = client.stop(request).await?.into_inner();
    let words = match options.json {
        true => serde_json::json!({ "run": reply.run_id, "state": reply.state }).to_string(),
        false => {
            let how = if options.now { "dropped" } else { "ramping down" };
            format!("run {} {}, {how}", reply.run_id, reply.state)
        }
    };
    output::line(&words)?;
    Ok(ExitCode::SUCCESS)
}
