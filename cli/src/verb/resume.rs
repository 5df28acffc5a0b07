//! `loadbank resume`: heat returns to a suspended run because a person says so.

use std::process::ExitCode;

use proto::v1;

use crate::client::connect;
use crate::failure::Failure;
use crate::follow;
use crate::options::ResumeOptions;

/// Resumes, follows to the end, prints the report; exits with the run's code.
///
/// # Errors
/// When no such run is suspended, or no coordinator answers.
pub async fn run(options: ResumeOptions) -> Result<ExitCode, Failure> {
    let mut client = connect(&options.target).await?;
    let request = v1::ResumeRequest { run_id: options.run, who: follow::who() };
    let reply = client.resume(request).await?.into_inner();
    eprintln!("run {} goes on at phase {} {}", reply.run_id, reply.phase_index + 1, reply.phase);
    follow::to_the_end(&mut client, &reply.run_id).await?;
    follow::print_report(&mut client, &reply.run_id, options.json).await
}
