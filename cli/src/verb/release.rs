//! `loadbank release`: a named person lets the load come up to a step.

use std::process::ExitCode;

use proto::v1;

use crate::client::connect;
use crate::failure::Failure;
use crate::options::ReleaseOptions;
use crate::{follow, output};

/// Releases a step.
///
/// # Errors
/// When the permit does not name the person, the step is not the next one (2), or no
/// coordinator answers.
pub async fn run(options: ReleaseOptions) -> Result<ExitCode, Failure> {
    let mut client = connect(&options.target).await?;
    let request = v1::ReleaseRequest {
        run_id: options.run,
        step: u32::from(options.step),
        who: options.who,
        asked_by: follow::who(),
    };
    let reply = client.release(request).await?.into_inner();
    let words = match options.json {
        true => serde_json::json!({ "run": reply.run_id, "released": reply.step }).to_string(),
        false => format!("run {} is released to {} %", reply.run_id, reply.step),
    };
    output::line(&words)?;
    Ok(ExitCode::SUCCESS)
}
