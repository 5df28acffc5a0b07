//! Whatever a Prometheus already gathers.

use std::path::Path;
use std::time::Duration;

use super::dial::{self, Login, Trust};
use super::{Target, only, target};
use crate::document::Table;

/// Samples of more series than this are no longer live readings of one source.
const SERIES_MAX: usize = 1_000;
/// PromQL goes into a URL, and servers take at least 8 KiB of it.
const QUERY_CHARS_MAX: usize = 2_000;
/// A sample that is older is no reading of the present.
const STALE_S: f64 = 60.0;
const STALE_MOST_S: f64 = 3_600.0;
/// Scales are for units that nobody names: a thousandth, a tenth.
const SCALE_MOST: f64 = 1e9;

/// Keys of `kind = "prometheus"`.
#[derive(Debug, Clone, PartialEq)]
pub struct PrometheusSource {
    pub trust: Trust,
    pub login: Login,
    /// Samples older than this are not taken.
    pub stale: Duration,
    pub series: Vec<Series>,
    pub targets: Vec<Target>,
}

/// One question, and what its answer means.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// PromQL.
    pub query: String,
    /// The word of the point.
    pub point: String,
    /// Empty: the point's own.
    pub unit: String,
    pub scale: f64,
    pub domain: SeriesDomain,
    /// The label whose value is a line of the supply: 1, L1, A, ...
    pub line_label: Option<String>,
    pub line: usize,
}

/// Which domain of the site a sample is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SeriesDomain {
    /// The target's.
    Target,
    Fixed(String),
    /// The value of this label.
    Label(String),
}

pub(super) fn read(table: &Table<'_, '_>, folder: &Path) -> Option<PrometheusSource> {
    let own: Vec<&str> = dial::KEYS.into_iter().chain(["stale_seconds", "series"]).collect();
    only(table, &own);
    let trust = dial::trust(table, folder);
    let stale = table.number("stale_seconds", 1.0..=STALE_MOST_S, "seconds").unwrap_or(STALE_S);
    table.need("series", "[[source.series]] with query and point");
    let tables = table.tables("series", "[[source.series]]").unwrap_or_default();
    if tables.len() > SERIES_MAX {
        let what = format!("{} series", tables.len());
        table.wrong("series", what, format!("use at most {SERIES_MAX}: one answers for many"));
    }
    let targets = target::read(table, "https://10.0.0.5:9090", &[]);
    for (target, inner) in &targets {
        dial::check_url(inner, &target.address, trust.as_ref());
    }
    Some(PrometheusSource {
        login: dial::login(table, folder),
        trust: trust?,
        stale: Duration::from_secs_f64(stale),
        series: tables.iter().filter_map(series).collect(),
        targets: targets.into_iter().map(|(target, _)| target).collect(),
    })
}

fn series(table: &Table<'_, '_>) -> Option<Series> {
    table.only(&["query", "point", "unit", "scale", "domain", "domain_label", "line_label"]);
    table.need("query", "query = \"pdu_power_watts\"");
    table.need("point", "point = \"power_kw\"");
    let query = table.text("query")?;
    if query.trim().is_empty() || query.len() > QUERY_CHARS_MAX {
        let what = format!("a query of {} characters", query.len());
        table.wrong("query", what, format!("use 1 to {QUERY_CHARS_MAX}"));
    }
    if table.has("domain") && table.has("domain_label") {
        table.wrong("domain_label", "both domain and domain_label are given", "keep one of them");
    }
    let domain = match (table.text("domain"), table.text("domain_label")) {
        (Some(domain), _) => SeriesDomain::Fixed(domain),
        (None, Some(label)) => SeriesDomain::Label(label),
        (None, None) => SeriesDomain::Target,
    };
    let scale = table.number("scale", -SCALE_MOST..=SCALE_MOST, "").unwrap_or(1.0);
    if scale == 0.0 {
        table.wrong("scale", "scale = 0 makes every reading nothing", "use another number");
    }
    Some(Series {
        query,
        point: table.text("point")?,
        unit: table.text("unit").unwrap_or_default(),
        scale,
        domain,
        line_label: table.text("line_label"),
        line: table.line_of("query"),
    })
}
