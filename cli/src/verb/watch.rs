//! `loadbank watch`: a run live, from any terminal.

use std::process::ExitCode;

use proto::v1;

use crate::client::connect;
use crate::failure::Failure;
use crate::options::WatchOptions;
use crate::progress::Progress;
use crate::{output, screen};

/// Shows a run: one screen on a terminal, else lines until it ends. Ctrl-C leaves; the run goes on.
///
/// # Errors
/// When there is no such run or no coordinator.
pub async fn run(options: WatchOptions) -> Result<ExitCode, Failure> {
    if takes_the_screen(&options) {
        return screen::show(options).await;
    }
    lines(options).await
}

/// Whether this is a terminal, and nobody asked for lines.
#[must_use]
pub fn takes_the_screen(options: &WatchOptions) -> bool {
    !options.json && !options.plain && screen::is_usable()
}

async fn lines(options: WatchOptions) -> Result<ExitCode, Failure> {
    let mut client = connect(&options.target).await?;
    let request = v1::WatchRequest { run_id: options.run };
    let mut statuses = client.watch(request).await?.into_inner();
    let mut progress = if options.plain { Progress::lines() } else { Progress::new() };
    while let Some(status) = statuses.message().await? {
        match options.json {
            true => output::line(&json(&status).to_string())?,
            false => progress.show(&status),
        }
        if status.ended {
            progress.finish();
            if !options.json {
                output::line(&format!(
                    "run {} {} {}",
                    status.run_id, status.state, status.message
                ))?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn json(status: &v1::RunStatus) -> serde_json::Value {
    let node = |node: &v1::NodeStatus| {
        serde_json::json!({
            "node": node.node, "state": node.state, "level": node.level,
            "power_w": node.power_w, "temp_c_max": node.temp_c_max,
            "gflops": node.gflops, "gb_per_s": node.gb_per_s,
            "unacked_batches": node.unacked_batches, "records_lost": node.records_lost,
            "errors": node.errors, "devices_heating": node.devices_heating,
            "scale": node.scale,
        })
    };
    serde_json::json!({
        "run": status.run_id, "plan": status.plan, "state": status.state,
        "phase": status.phase, "phase_index": status.phase_index,
        "phase_count": status.phase_count, "phase_elapsed_s": status.phase_elapsed_s,
        "phase_seconds": status.phase_seconds, "elapsed_s": status.elapsed_s,
        "plan_seconds": status.plan_seconds, "ended": status.ended,
        "message": status.message, "folder": status.folder,
        "released": status.released,
        "nodes": status.nodes.iter().map(node).collect::<Vec<_>>(),
    })
}
