//! What a map says of one of its points, whatever the protocol: the word, the scale, the unit
//! and what is no reading.

use crate::document::Table;
use crate::nearest::nearest;

/// Most points of one map: one device, and a bounded number of requests a second.
pub(super) const POINTS_MAX: usize = 500;
const POINT_CHARS_MAX: usize = 64;
/// Largest list of raw values in a map.
const RAW_VALUES_MAX: usize = 64;
const SCALE_MOST: f64 = 1e9;

/// Units that meters of a building are read in; which of them fit a point is its own affair.
pub const UNITS: [&str; 22] = [
    "kw", "w", "mw", "v", "mv", "kv", "a", "ma", "c", "f", "k", "lpm", "l/min", "l/s", "m3/h",
    "gpm", "kpa", "pa", "bar", "s", "%", "1",
];

/// Keys of a `[[point]]` that mean the same in every map.
pub(super) const KEYS: [&str; 5] = ["point", "scale", "unit", "none", "alarm_when"];

/// One point of a map.
#[derive(Debug, Clone, PartialEq)]
pub struct Mapped {
    /// A word of the meters' table, or one of the site's own that an interlock watches.
    pub point: String,
    /// The raw value times this is the value in `unit`.
    pub scale: f64,
    /// One of [`UNITS`]; empty: the point's own.
    pub unit: &'static str,
    /// Raw values that mean: no reading.
    pub none: Vec<i64>,
    /// With it the point is 1 at these raw values and 0 at all others.
    pub alarm_when: Option<Vec<i64>>,
    pub line: usize,
}

/// Reads the shared keys of a `[[point]]`.
pub(super) fn read(table: &Table<'_, '_>) -> Option<Mapped> {
    table.need("point", "point = \"supply_c\"");
    let scale = table.real("scale");
    if scale.is_some_and(|scale| scale == 0.0 || scale.is_nan() || scale.abs() > SCALE_MOST) {
        table.wrong("scale", "this scale is impossible", "use a factor such as 0.1");
    }
    let alarm_when = table.has("alarm_when").then(|| raw_values(table, "alarm_when"));
    if alarm_when.is_some() {
        for key in ["scale", "unit"] {
            if table.has(key) {
                let what = format!("{key} beside alarm_when means nothing");
                table.wrong(key, what, format!("remove {key}"));
            }
        }
    }
    Some(Mapped {
        point: point(table)?,
        scale: scale.unwrap_or(1.0),
        unit: unit(table),
        none: raw_values(table, "none"),
        alarm_when,
        line: table.line_of("point"),
    })
}

fn point(table: &Table<'_, '_>) -> Option<String> {
    let at = table.text_at("point")?;
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_.".contains(c);
    if at.value.is_empty() || at.value.len() > POINT_CHARS_MAX || !at.value.chars().all(fits) {
        let what = format!("\"{}\" is no point", at.value.escape_debug());
        let mend = "use small letters, digits, _ and one of .l1 .l2 .l3, such as current_a.l2";
        table.document.add(&at.span, what, mend);
    }
    Some(at.value)
}

fn unit(table: &Table<'_, '_>) -> &'static str {
    let Some(at) = table.text_at("unit") else { return "" };
    let word = at.value.trim().to_ascii_lowercase();
    if let Some(known) = UNITS.into_iter().find(|known| *known == word) {
        return known;
    }
    let mend = match nearest(&word, &UNITS) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => format!("use one of {}", UNITS.join(", ")),
    };
    table.document.add(&at.span, format!("unknown unit \"{}\"", at.value.escape_debug()), mend);
    ""
}

/// A raw value or a list of them.
fn raw_values(table: &Table<'_, '_>, key: &str) -> Vec<i64> {
    let values = table.signed_list(key).unwrap_or_default();
    if values.len() > RAW_VALUES_MAX {
        let what = format!("{} values in {key}", values.len());
        table.wrong(key, what, format!("use at most {RAW_VALUES_MAX}"));
    }
    values
}

/// Reports points that two entries give; alarms may be many, they are joined.
pub(super) fn check_doubles<'t>(points: impl Iterator<Item = (&'t Mapped, &'t Table<'t, 't>)>) {
    let mut seen = std::collections::BTreeMap::new();
    for (mapped, table) in points {
        let switch = mapped.alarm_when.is_some() || table.has("bit");
        let joined = switch && mapped.point == "alarm";
        if let Some(line) = seen.insert(mapped.point.as_str(), mapped.line)
            && !joined
        {
            let what = format!("a second point {}; the first is in line {line}", mapped.point);
            table.wrong("point", what, "give each point once; only alarms are joined");
        }
    }
}
