//! `loadbank sweep`: runs that begin by themselves.

use std::process::ExitCode;

use proto::v1;

use crate::client::connect;
use crate::failure::Failure;
use crate::options::{ListOptions, SweepAddOptions, SweepOptions, SweepVerb};
use crate::{follow, output, plan_source};

/// Lists, adds, removes or begins sweeps.
///
/// # Errors
/// Invalid input (2), or no coordinator that answers (4).
pub async fn run(verb: SweepVerb) -> Result<ExitCode, Failure> {
    match verb {
        SweepVerb::List(options) => list(options).await,
        SweepVerb::Add(options) => add(*options).await,
        SweepVerb::Rm(options) => remove(options).await,
        SweepVerb::Run(options) => begin(options).await,
    }
}

async fn list(options: ListOptions) -> Result<ExitCode, Failure> {
    let mut client = connect(&options.target).await?;
    let sweeps = client.sweeps(v1::SweepsRequest {}).await?.into_inner().sweeps;
    if options.json {
        let sweeps: Vec<_> = sweeps.iter().map(json).collect();
        output::line(&serde_json::json!({ "sweeps": sweeps }).to_string())?;
        return Ok(ExitCode::SUCCESS);
    }
    output::line(&format!("{:<16} {:<16} {:<22} LAST", "SWEEP", "AT", "NEXT"))?;
    for sweep in &sweeps {
        let last = match (sweep.last_due_ns, sweep.last_run.as_str()) {
            (None, _) => "-".to_owned(),
            (Some(due_ns), "") => format!("{} {}", when(due_ns), sweep.last),
            (Some(due_ns), run) => format!("{} {} ({run})", when(due_ns), sweep.last),
        };
        let next = local(sweep.next_ns, &sweep.zone);
        output::line(&format!("{:<16} {:<16} {next:<22} {last}", sweep.name, sweep.at))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn add(options: SweepAddOptions) -> Result<ExitCode, Failure> {
    let plan = plan_source::plan(&options.plan)?;
    let site = options.site.as_deref().map(plan_source::site).transpose()?.unwrap_or_default();
    let mut client = connect(&options.target).await?;
    let sweep = v1::Sweep {
        name: options.name,
        at: options.at,
        zone: options.zone,
        plan_toml: plan.text,
        plan_file: plan.file,
        site_toml: site.text,
        site_file: site.file,
        on: options.on,
        allow_unrated: options.allow_unrated,
        affirmed: options.affirm,
        window: options.window,
        before: options.before,
        after: options.after,
        hook_seconds: options.hook_seconds,
        who: follow::who(),
    };
    let reply = client.add_sweep(sweep).await?.into_inner();
    told(reply.sweep, options.json, |sweep| {
        format!("sweep {}: next on {}", sweep.name, local(sweep.next_ns, &sweep.zone))
    })
}

async fn remove(options: SweepOptions) -> Result<ExitCode, Failure> {
    let mut client = connect(&options.target).await?;
    let request = v1::SweepRequest { name: options.name };
    let reply = client.remove_sweep(request).await?.into_inner();
    told(reply.sweep, options.json, |sweep| format!("sweep {} is taken out", sweep.name))
}

async fn begin(options: SweepOptions) -> Result<ExitCode, Failure> {
    let mut client = connect(&options.target).await?;
    let request = v1::SweepRequest { name: options.name };
    let reply = client.run_sweep(request).await?.into_inner();
    told(reply.sweep, options.json, |sweep| {
        format!("sweep {} begins: `loadbank watch` follows its run", sweep.name)
    })
}

fn told(
    sweep: Option<v1::SweepEntry>,
    as_json: bool,
    words: impl FnOnce(&v1::SweepEntry) -> String,
) -> Result<ExitCode, Failure> {
    let sweep = sweep.unwrap_or_default();
    output::line(&if as_json { json(&sweep).to_string() } else { words(&sweep) })?;
    Ok(ExitCode::SUCCESS)
}

fn json(sweep: &v1::SweepEntry) -> serde_json::Value {
    let or_null = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    serde_json::json!({
        "sweep": sweep.name, "at": sweep.at, "zone": sweep.zone, "window": or_null(&sweep.window),
        "plan": sweep.plan, "on": or_null(&sweep.on), "next": when(sweep.next_ns),
        "before": or_null(&sweep.before), "after": or_null(&sweep.after),
        "last": sweep.last_due_ns.map(|due_ns| serde_json::json!({
            "due": when(due_ns), "run": or_null(&sweep.last_run), "what": sweep.last,
        })),
    })
}

/// An instant in UTC.
fn when(unix_ns: i64) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(unix_ns))
        .map(|time| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
        .unwrap_or_default()
}

/// An instant where the sweep is at home.
fn local(unix_ns: i64, zone: &str) -> String {
    let time = jiff::Timestamp::from_nanosecond(i128::from(unix_ns)).unwrap_or_default();
    let zoned = time.in_tz(zone).map(|zoned| zoned.strftime("%a %F %H:%M %Z").to_string());
    zoned.unwrap_or_else(|_| when(unix_ns))
}
