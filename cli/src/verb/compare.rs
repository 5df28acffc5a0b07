//! `loadbank compare`: two runs held against each other.

use std::path::Path;
use std::process::ExitCode;

use model::Report;

use super::report::locate;
use crate::failure::Failure;
use crate::options::CompareOptions;
use crate::{output, report};
use agent::state_dir::default_state_dir;

/// Largest report that is read: some gigabytes of text are no report.
const REPORT_BYTES_MAX: u64 = 1 << 30;

/// Prints what differs; exits with the code of the newer run.
///
/// # Errors
/// When a run or report can't be found or read (2), or a run's file is damaged (4).
pub fn run(options: &CompareOptions) -> Result<ExitCode, Failure> {
    let state_dir = options.state_dir.clone().unwrap_or_else(default_state_dir);
    let read = |name: &String| report_of(name, &state_dir);
    let (first, second) = (read(&options.first)?, read(&options.second)?);
    let site = options.site.as_deref().map(formats::site::read).transpose();
    let site = site.map_err(Failure::usage)?;
    let (older, newer) = in_order(first, second);
    let comparison = analysis::compare::compare(&older, &newer, site.as_ref());
    let words = match options.json {
        true => serde_json::to_string_pretty(&comparison).map_err(Failure::infrastructure)?,
        false => report::compare::render(&comparison),
    };
    output::line(&words)?;
    Ok(ExitCode::from(comparison.exit_code))
}

/// The one that began first is the older; where one of them does not say, the first named.
fn in_order(first: Report, second: Report) -> (Report, Report) {
    match (&first.run.started, &second.run.started) {
        // RFC 3339 in UTC to the millisecond: the order of the texts is that of the instants.
        (Some(a), Some(b)) if b < a => (second, first),
        _ => (first, second),
    }
}

/// A report file, a run's folder or file, or a run by its id.
fn report_of(name: &str, state_dir: &Path) -> Result<Report, Failure> {
    let path = Path::new(name);
    let is_json = path.extension().is_some_and(|end| end == "json");
    if !(is_json && path.is_file()) {
        return Ok(coordinator::report_of(&locate(name, state_dir)?)?);
    }
    let wrong = |why: &dyn std::fmt::Display| Failure::usage(format!("{name}: {why}"));
    let size = std::fs::metadata(path).map_err(|error| wrong(&error))?.len();
    if size > REPORT_BYTES_MAX {
        return Err(wrong(&"larger than any report"));
    }
    let text = std::fs::read_to_string(path).map_err(|error| wrong(&error))?;
    let report: Report =
        serde_json::from_str(&text).map_err(|error| wrong(&format!("no report: {error}")))?;
    if report.schema != model::report::SCHEMA {
        return Err(wrong(&format!(
            "its schema is {:?}, not {:?}",
            report.schema,
            model::report::SCHEMA
        )));
    }
    Ok(report)
}
