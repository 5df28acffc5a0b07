//! `loadbank meters check|record|list`: what does the building say?

use std::process::ExitCode;
use std::time::Duration;

use coordinator::{CheckedMeter, RecordedMeter};
use formats::MeterWriter;
use proto::v1;

use crate::client::connect;
use crate::failure::Failure;
use crate::options::{ListOptions, MetersCheckOptions, MetersRecordOptions, MetersVerb};
use crate::output;

/// Exit code where a device did not answer, or said what is no reading.
const NOT_ALL: u8 = 3;

/// Asks the building's devices, or a coordinator how they do.
///
/// # Errors
/// When the document is wrong, or no coordinator answers.
pub async fn run(verb: MetersVerb) -> Result<ExitCode, Failure> {
    match verb {
        MetersVerb::Check(options) => check(&options).await,
        MetersVerb::Record(options) => record(&options).await,
        MetersVerb::List(options) => list(&options).await,
    }
}

async fn check(options: &MetersCheckOptions) -> Result<ExitCode, Failure> {
    let sources = formats::sources::read(&options.file).map_err(Failure::usage)?;
    eprintln!("asking every device for {} s", options.seconds);
    let time = Duration::from_secs(u64::from(options.seconds));
    let found = coordinator::check_meters(&sources, time).await.map_err(Failure::usage)?;
    let silent = |meter: &CheckedMeter| meter.trouble.is_some() || meter.rows.is_empty();
    let all = !found.iter().any(|meter| silent(meter) || !meter.wrong.is_empty());
    if options.json {
        let meters: Vec<_> = found.iter().map(checked_json).collect();
        output::line(&serde_json::json!({ "complete": all, "meters": meters }).to_string())?;
    } else {
        for meter in &found {
            output::line(&checked_text(meter))?;
        }
    }
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::from(NOT_ALL) })
}

fn checked_text(meter: &CheckedMeter) -> String {
    let mut lines = vec![format!("{} {} {}", meter.source, meter.address, meter.domain)];
    for row in &meter.rows {
        let value = row.value.map_or_else(|| "no number".to_owned(), |value| value.to_string());
        let unit = row.unit.as_deref().unwrap_or_default();
        let doubt = if row.quality.as_deref() == Some("suspect") { "  (doubted)" } else { "" };
        let name = format!("{}.{}", row.domain, row.point);
        lines.push(format!("  {name:<36} {value} {unit}{doubt}"));
    }
    lines.extend(meter.wrong.iter().map(|wrong| format!("  no reading: {wrong}")));
    lines.extend(meter.trouble.iter().map(|why| format!("  {why}")));
    if let Some(off_ns) = meter.off_ns {
        lines.push(format!("  our clock minus its own: {:.1} s", off_ns as f64 / 1e9));
    }
    if meter.rows.is_empty() && meter.trouble.is_none() {
        lines.push("  nothing was read".to_owned());
    }
    lines.join("\n")
}

fn checked_json(meter: &CheckedMeter) -> serde_json::Value {
    let row = |row: &formats::MeterRow| {
        serde_json::json!({
            "time_ns": row.time_ns, "domain": row.domain, "point": row.point, "value": row.value,
            "unit": row.unit, "quality": row.quality, "clock_error_ms": row.clock_error_ms,
        })
    };
    serde_json::json!({
        "source": meter.source, "address": meter.address, "domain": meter.domain,
        "rounds": meter.rounds, "failed": meter.failed, "trouble": meter.trouble,
        "clock_off_s": meter.off_ns.map(|ns| ns as f64 / 1e9), "wrong": meter.wrong,
        "rows": meter.rows.iter().map(row).collect::<Vec<_>>(),
    })
}

async fn record(options: &MetersRecordOptions) -> Result<ExitCode, Failure> {
    let sources = formats::sources::read(&options.file).map_err(Failure::usage)?;
    let out = options.out.display();
    let mut writer = MeterWriter::create(&options.out).map_err(Failure::usage)?;
    eprintln!("writing {out} for {} s; Ctrl-C ends it", options.seconds);
    let mut rows = 0_u64;
    let recording =
        coordinator::record_meters(&sources, Duration::from_secs(options.seconds), |recorded| {
            match recorded {
                RecordedMeter::Said(words) => eprintln!("{words}"),
                RecordedMeter::Rows(read) => {
                    rows += read.len() as u64;
                    for row in read {
                        writer.push(row).map_err(|error| error.to_string())?;
                    }
                }
            }
            Ok(())
        });
    tokio::select! {
        ended = recording => ended.map_err(Failure::infrastructure)?,
        _ = tokio::signal::ctrl_c() => {}
    }
    writer.finish().map_err(Failure::infrastructure)?;
    if options.json {
        let document = serde_json::json!({ "file": out.to_string(), "readings": rows });
        output::line(&document.to_string())?;
    } else {
        output::line(&format!("{rows} readings in {out}"))?;
    }
    Ok(if rows > 0 { ExitCode::SUCCESS } else { ExitCode::from(NOT_ALL) })
}

async fn list(options: &ListOptions) -> Result<ExitCode, Failure> {
    let mut client = connect(&options.target).await?;
    let meters = client.meters(v1::MetersRequest {}).await?.into_inner().meters;
    if options.json {
        let meters: Vec<_> = meters.iter().map(json).collect();
        output::line(&serde_json::json!({ "meters": meters }).to_string())?;
        return Ok(ExitCode::SUCCESS);
    }
    if meters.is_empty() {
        output::line("no meter is read: `loadbank serve --meters FILE.toml` names them")?;
    }
    output::line(&format!(
        "{:<12} {:<28} {:<14} {:>8} {:>7} {:>9}  STATE",
        "SOURCE", "ADDRESS", "DOMAIN", "ROUNDS", "FAILED", "READINGS"
    ))?;
    for meter in &meters {
        let state = if meter.trouble.is_empty() { "answers" } else { &meter.trouble };
        output::line(&format!(
            "{:<12} {:<28} {:<14} {:>8} {:>7} {:>9}  {state}",
            meter.source, meter.address, meter.domain, meter.rounds, meter.failed, meter.readings
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn json(meter: &v1::MeterEntry) -> serde_json::Value {
    serde_json::json!({
        "source": meter.source, "address": meter.address, "domain": meter.domain,
        "rounds": meter.rounds, "failed": meter.failed, "readings": meter.readings,
        "doubles": meter.doubles, "wrong": meter.wrong,
        "trouble": (!meter.trouble.is_empty()).then_some(&meter.trouble),
        "last_reading_s": meter.last_reading_s, "clock_off_s": meter.clock_off_s,
    })
}
