//! The JSON form: `loadbank.report/1`, the contract with programs. Every key is always
//! there; what was not tested is null.

use model::Report;

/// Indented, for people and files under version control. Ends with a newline.
///
/// # Errors
/// Never in practice: a report holds nothing that JSON can't say.
pub fn pretty(report: &Report) -> serde_json::Result<String> {
    Ok(serde_json::to_string_pretty(report)? + "\n")
}

/// One line, for `--json` and for logs. Ends with a newline.
///
/// # Errors
/// Never in practice: a report holds nothing that JSON can't say.
pub fn compact(report: &Report) -> serde_json::Result<String> {
    Ok(serde_json::to_string(report)? + "\n")
}
