//! `loadbank runs`: every run of a coordinator.

use std::process::ExitCode;

use proto::v1;

use crate::client::connect;
use crate::failure::Failure;
use crate::options::ListOptions;
use crate::output;

/// Lists runs, oldest first.
///
/// # Errors
/// When no coordinator answers.
pub async fn run(options: ListOptions) -> Result<ExitCode, Failure> {
    let mut client = connect(&options.target).await?;
    let runs = client.runs(v1::RunsRequest {}).await?.into_inner().runs;
    if options.json {
        let runs: Vec<_> = runs.iter().map(json).collect();
        output::line(&serde_json::json!({ "runs": runs }).to_string())?;
        return Ok(ExitCode::SUCCESS);
    }
    output::line(&format!(
        "{:<34} {:<12} {:<10} {:<13} {:>7}  STARTED",
        "RUN", "PLAN", "STATE", "VERDICT", "SECONDS"
    ))?;
    for run in &runs {
        let verdict = if run.verdict.is_empty() { "-" } else { &run.verdict };
        let seconds = match run.ended_ns {
            0 => "-".to_owned(),
            ended_ns => format!("{:.0}", (ended_ns - run.started_ns) as f64 / 1e9),
        };
        output::line(&format!(
            "{:<34} {:<12} {:<10} {verdict:<13} {seconds:>7}  {}",
            run.run_id,
            run.plan,
            run.state,
            utc(run.started_ns)
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn json(run: &v1::RunEntry) -> serde_json::Value {
    let or_null = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    serde_json::json!({
        "run": run.run_id, "plan": run.plan, "site": or_null(&run.site), "state": run.state,
        "verdict": or_null(&run.verdict), "started": utc(run.started_ns),
        "ended": (run.ended_ns != 0).then(|| utc(run.ended_ns)), "folder": run.folder,
    })
}

fn utc(unix_ns: i64) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(unix_ns))
        .map(|time| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
        .unwrap_or_default()
}
