//! `loadbank mark`: an instant that only a person knows, such as a feed that was just pulled.

use std::process::ExitCode;

use proto::v1;

use crate::client::connect;
use crate::failure::Failure;
use crate::options::MarkOptions;
use crate::{follow, output};

/// Records the instant at which the coordinator hears of it.
///
/// # Errors
/// When no such run is active (2), or no coordinator answers.
pub async fn run(options: MarkOptions) -> Result<ExitCode, Failure> {
    let mut client = connect(&options.target).await?;
    let request = v1::MarkRequest {
        run_id: options.run.unwrap_or_default(),
        text: options.text.clone(),
        who: follow::who(),
    };
    let reply = client.mark(request).await?.into_inner();
    let at = jiff::Timestamp::from_nanosecond(i128::from(reply.at_ns))
        .map(|at| at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string())
        .unwrap_or_default();
    let words = match options.json {
        true => {
            serde_json::json!({ "run": reply.run_id, "at": at, "text": options.text }).to_string()
        }
        false => format!("run {} at {at}: {}", reply.run_id, options.text),
    };
    output::line(&words)?;
    Ok(ExitCode::SUCCESS)
}
