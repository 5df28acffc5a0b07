//! The CSV form: every measured value, a row each.

use model::report::Report;

/// The columns, in this order.
const COLUMNS: [&str; 8] = ["what", "kind", "id", "core", "phase", "value", "unit", "time"];

/// Measured values. An empty cell is not measured or does not apply, never zero; `time` is
/// the instant of an extreme, RFC 3339 in UTC.
///
/// # Errors
/// Never in practice: rows have as many cells as there are columns.
pub fn render(report: &Report) -> Result<String, ::csv::Error> {
    let mut rows = ::csv::Writer::from_writer(Vec::new());
    rows.write_record(COLUMNS)?;
    for line in &report.measured {
        let core = line.at.core.map(|core| core.to_string()).unwrap_or_default();
        let value = line.value.to_string();
        let phase = line.phase.as_deref().unwrap_or_default();
        let when = line.when.as_deref().unwrap_or_default();
        let (kind, id) = (line.at.kind.as_str(), line.at.id.as_str());
        rows.write_record([&line.what, kind, id, &core, phase, &value, &line.unit, when])?;
    }
    let bytes = rows.into_inner().map_err(|error| error.into_error())?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
