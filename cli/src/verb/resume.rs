//! `loadbank resume`: heat returns to a suspended run, or an interlock's trip ends, because a
//! person says so.

use std::process::ExitCode;

use proto::v1;

use crate::client::connect;
use crate::failure::Failure;
use crate::options::{Format, ResumeOptions};
use crate::{follow, output};

/// Resumes, follows to the end, prints the report; exits with the run's code.
///
/// # Errors
/// When no such run is suspended, no such interlock tripped, or no coordinator answers.
pub async fn run(options: ResumeOptions) -> Result<ExitCode, Failure> {
    let mut client = connect(&options.target).await?;
    let interlock = options.interlock;
    let request =
        v1::ResumeRequest { run_id: options.run, who: follow::who(), interlock: interlock.clone() };
    let reply = client.resume(request).await?.into_inner();
    if !interlock.is_empty() {
        let words = match options.json {
            true => serde_json::json!({ "interlock": interlock, "run": reply.run_id }).to_string(),
            false => {
                format!("interlock {interlock} resumed; it had tripped in run {}", reply.run_id)
            }
        };
        output::line(&words)?;
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("run {} goes on at phase {} {}", reply.run_id, reply.phase_index + 1, reply.phase);
    follow::to_the_end(&mut client, &reply.run_id).await?;
    let format = if options.json { Format::Json } else { Format::Text };
    follow::print_report(&mut client, &reply.run_id, format).await
}
