//! `loadbank run`: submit a plan, follow it, print its report.

use std::process::ExitCode;

use proto::v1;

use crate::client::{Client, connect};
use crate::failure::Failure;
use crate::follow;
use crate::options::{Format, RunOptions};
use crate::plan_source::{self, Document};

/// Runs a plan and exits with its code.
///
/// # Errors
/// Invalid input (2) or infrastructure (4).
pub async fn run(options: RunOptions) -> Result<ExitCode, Failure> {
    let plan = plan_source::plan(&options.plan)?;
    let site = options.site.as_deref().map(plan_source::site).transpose()?.unwrap_or_default();
    let mut client = connect(&options.target).await?;
    let request = request(plan, site, &options);
    submit_and_follow(&mut client, request, options.shape.format()).await
}

fn request(plan: Document, site: Document, options: &RunOptions) -> v1::SubmitRequest {
    v1::SubmitRequest {
        plan_toml: plan.text,
        plan_file: plan.file,
        site_toml: site.text,
        site_file: site.file,
        on: options.on.clone(),
        allow_unrated: options.allow_unrated,
        inject: options.inject.clone(),
        least_agents: options.agents,
        affirmed: options.affirm.clone(),
        who: follow::who(),
    }
}

/// Submits, follows to the end, prints the report.
///
/// # Errors
/// Invalid input (2) or infrastructure (4).
pub async fn submit_and_follow(
    client: &mut Client,
    request: v1::SubmitRequest,
    format: Format,
) -> Result<ExitCode, Failure> {
    if format == Format::Hlog {
        // Told before anything gets warm, not after.
        return Err(Failure::usage(
            "hlog needs the run's records, which stay with the coordinator: ask for it afterwards by `loadbank report RUN --format hlog`",
        ));
    }
    let reply = client.submit(request).await?.into_inner();
    eprintln!("run {}", reply.run_id);
    eprintln!("folder {}", reply.folder);
    for warning in &reply.warnings {
        eprintln!("warning: {warning}");
    }
    follow::to_the_end(client, &reply.run_id).await?;
    follow::print_report(client, &reply.run_id, format).await
}
