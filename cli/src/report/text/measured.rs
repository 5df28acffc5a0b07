//! Measured values as tables: one per question an operator asks.

use std::collections::{BTreeMap, BTreeSet};

use model::report::Measured;

use super::coupling;
use super::fleet;
use super::leaves;
use super::line::{Page, number};
use super::table::{ROWS_SHOWN, Table};

/// What a device table shows of each value, with its heading.
const RATE_COLUMNS: [(&str, &str); 4] = [
    ("gflops_fp64", "fp64 GFLOP/s"),
    ("gflops_fp32", "fp32 GFLOP/s"),
    ("gflops_mix", "mix GFLOP/s"),
    ("bandwidth_stream_gb_per_s", "stream GB/s"),
];
const SENSOR_COLUMNS: [(&str, &str); 3] =
    [("power_w_p50", "W p50"), ("temp_c_max", "C max"), ("clock_mhz_p50", "MHz p50")];
/// What drivers of GPUs count; machines without any have no such table.
const GPU_COLUMNS: [(&str, &str); 5] = [
    ("power_mean_w", "W mean"),
    ("temp_c_p99", "C p99"),
    ("throttle_sw_power_cap_seconds", "s at cap"),
    ("throttle_hw_thermal_seconds", "s too hot"),
    ("throttle_power_brake_seconds", "s braked"),
];
const RTT_SUFFIXES: [(&str, &str); 5] =
    [("p50", "p50"), ("p99", "p99"), ("p999", "p99.9"), ("max", "max"), ("lost", "lost")];
const SKEW_COLUMNS: [(&str, &str); 4] = [
    ("start_skew_p50", "p50"),
    ("start_skew_p99", "p99"),
    ("start_skew_max", "max"),
    ("start_skew_claimed_error", "clock known to"),
];

const STOP_COLUMNS: [(&str, &str); 4] = [
    ("stop_reading_to_idle_ms_p50", "p50"),
    ("stop_reading_to_idle_ms_p99", "p99"),
    ("stop_reading_to_idle_ms_max", "max"),
    ("stop_nodes_idle", "nodes"),
];

/// `of_tables`: no agent said how devices worked, so the spread over the fleet is shown.
pub(super) fn write(page: &mut Page, lines: &[Measured], of_tables: bool) {
    page.blank();
    if lines.is_empty() {
        page.item("MEASURED  ", "nothing");
        return;
    }
    page.line("MEASURED");
    if of_tables {
        fleet::table(lines).write(page);
    }
    rates(lines).write(page);
    sensors(lines).write(page);
    gpus(lines).write(page);
    duty(lines).write(page);
    for table in coupling::tables(lines) {
        table.write(page);
    }
    busbw(lines).write(page);
    pairs(lines).write(page);
    round_trips(lines).write(page);
    for table in leaves::tables(lines) {
        table.write(page);
    }
    skew(lines).write(page);
    let title = "stops, in ms: from the reading or the person's word to a node's last worker idle";
    Table { title: title.to_owned(), ..by_place(lines, &STOP_COLUMNS) }.write(page);
}

/// The columns that have values, one for each phase, and the rows of their places.
fn by_place(lines: &[Measured], wanted: &[(&str, &str)]) -> Table {
    let mut columns: Vec<(&str, &str, &str)> = Vec::new();
    for (what, heading) in wanted {
        let phases = lines.iter().filter(|line| line.what == *what).map(phase);
        let phases: BTreeSet<&str> = phases.collect();
        columns.extend(phases.into_iter().map(|phase| (*what, *heading, phase)));
    }
    let mut rows: BTreeMap<&str, Vec<Option<f64>>> = BTreeMap::new();
    for line in lines {
        let column = columns.iter().position(|(w, _, p)| line.what == *w && phase(line) == *p);
        if let Some(column) = column {
            let cells = rows.entry(&line.at.id).or_insert_with(|| vec![None; columns.len()]);
            cells[column] = Some(line.value);
        }
    }
    let heading =
        |(_, upper, lower): &(&str, &str, &str)| ((*upper).to_owned(), (*lower).to_owned());
    Table {
        title: String::new(),
        columns: columns.iter().map(heading).collect(),
        rows: lowest_first(rows.into_iter().collect()),
        of: "rows",
    }
}

/// Cells as text. Rows that don't all fit come with the lowest of the first column first,
/// a missing value before any: those are looked for.
fn lowest_first(mut rows: Vec<(&str, Vec<Option<f64>>)>) -> Vec<(String, Vec<Option<String>>)> {
    if rows.len() > ROWS_SHOWN {
        let first = |cells: &[Option<f64>]| cells.first().copied().flatten();
        let value = |cells: &[Option<f64>]| first(cells).unwrap_or(f64::NEG_INFINITY);
        rows.sort_by(|(_, a), (_, b)| value(a).total_cmp(&value(b)));
    }
    let text = |cells: Vec<Option<f64>>| cells.into_iter().map(|cell| cell.map(number)).collect();
    rows.into_iter().map(|(place, cells)| (place.to_owned(), text(cells))).collect()
}

fn phase(line: &Measured) -> &str {
    line.phase.as_deref().unwrap_or("")
}

fn rates(lines: &[Measured]) -> Table {
    let mut table = by_place(lines, &RATE_COLUMNS);
    "devices: median of windows at full level, by phase".clone_into(&mut table.title);
    table.of = "devices, none lower";
    table
}

/// What the drivers of GPUs counted in each phase.
fn gpus(lines: &[Measured]) -> Table {
    let title = "GPUs, by their drivers' counters".to_owned();
    Table { title, of: "devices, none lower", ..by_place(lines, &GPU_COLUMNS) }
}

/// Sensors under load only: phases in which the device worked.
fn sensors(lines: &[Measured]) -> Table {
    let worked: BTreeSet<&str> =
        lines.iter().filter(|line| line.what == "duty_achieved").map(phase).collect();
    let shown: Vec<Measured> =
        lines.iter().filter(|line| worked.contains(phase(line))).cloned().collect();
    let mut table = by_place(&shown, &SENSOR_COLUMNS);
    "sensors under load, by phase".clone_into(&mut table.title);
    table.of = "devices, none lower";
    table
}

/// Achieved and commanded share.
type Duty = (Option<f64>, Option<f64>);

fn duty(lines: &[Measured]) -> Table {
    let mut cells: BTreeMap<(&str, &str), Duty> = BTreeMap::new();
    for line in lines {
        let cell = cells.entry((&line.at.id, phase(line)));
        match line.what.as_str() {
            "duty_achieved" => cell.or_default().0 = Some(line.value),
            "duty_commanded" => cell.or_default().1 = Some(line.value),
            _ => {}
        }
    }
    let phases: BTreeSet<&str> = cells.keys().map(|(_, phase)| *phase).collect();
    let places: BTreeSet<&str> = cells.keys().map(|(place, _)| *place).collect();
    let cell = |place: &str, phase: &str| {
        let (achieved, commanded) = cells.get(&(place, phase))?;
        Some(format!("{:.2}/{:.2}", (*achieved)?, (*commanded)?))
    };
    Table {
        title: "duty: share of core time busy / commanded, by phase".to_owned(),
        columns: phases.iter().map(|phase| ((*phase).to_owned(), String::new())).collect(),
        rows: places
            .iter()
            .map(|place| {
                ((*place).to_owned(), phases.iter().map(|phase| cell(place, phase)).collect())
            })
            .collect(),
        of: "devices",
    }
}

fn busbw(lines: &[Measured]) -> Table {
    let collectives =
        lines.iter().filter_map(|line| Some((line, line.what.strip_prefix("busbw_")?)));
    let mut rows: Vec<(u64, String, Option<String>)> = collectives
        .map(|(line, name)| {
            let (op, bytes) = name.rsplit_once('_').unwrap_or((name, ""));
            let bytes: u64 = bytes.parse().unwrap_or(0);
            (bytes, format!("{op} {} {}", size(bytes), phase(line)), Some(number(line.value)))
        })
        .collect();
    rows.sort();
    Table {
        title: "collectives: bus bandwidth by the slowest rank's median".to_owned(),
        columns: vec![("GB/s".to_owned(), String::new())],
        rows: rows.into_iter().map(|(_, label, cell)| (label, vec![cell])).collect(),
        of: "collectives",
    }
}

/// Bytes in the largest binary unit that stays whole.
fn size(bytes: u64) -> String {
    const UNITS: [(u32, &str); 3] = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    let whole = UNITS.iter().find(|(bits, _)| bytes > 0 && bytes.trailing_zeros() >= *bits);
    whole.map_or(format!("{bytes} B"), |(bits, unit)| format!("{} {unit}", bytes >> bits))
}

fn pairs(lines: &[Measured]) -> Table {
    let mut table =
        by_place(lines, &[("bandwidth_pair", "GB/s"), ("retransmits_pair", "retransmits")]);
    "pairs: median transfer, by phase".clone_into(&mut table.title);
    table.of = "pairs, none slower";
    table
}

/// A row of the table of round trips: whole fleet, its phases, pairs (0, 1, 2); state; place.
type RoundTrip<'a> = (u8, &'static str, &'a str);

fn round_trips(lines: &[Measured]) -> Table {
    let mut rows: BTreeMap<RoundTrip, Vec<Option<f64>>> = BTreeMap::new();
    for (prefix, state) in [("rtt_idle_", "idle"), ("rtt_loaded_", "loaded")] {
        for line in lines {
            let Some(suffix) = line.what.strip_prefix(prefix) else { continue };
            let column = RTT_SUFFIXES.iter().position(|(name, _)| *name == suffix);
            let Some(column) = column else { continue };
            let place = match (line.at.kind.as_str(), &line.phase) {
                ("fleet", None) => (0, state, "all"),
                ("fleet", Some(phase)) => (1, state, phase.as_str()),
                // A matrix of their own.
                ("leaf_pair", _) => continue,
                _ => (2, state, line.at.id.as_str()),
            };
            let cells = rows.entry(place).or_insert_with(|| vec![None; RTT_SUFFIXES.len()]);
            cells[column] = Some(line.value);
        }
    }
    let mut rows: Vec<_> = rows.into_iter().collect();
    if rows.len() > ROWS_SHOWN {
        // The fleet stays on top; of its phases and of the pairs the longest p99 first.
        let tail = |cells: &[Option<f64>]| cells[1].unwrap_or(f64::INFINITY);
        let rank =
            |row: &RoundTrip, cells: &[Option<f64>]| if row.0 == 0 { 0.0 } else { -tail(cells) };
        rows.sort_by(|(a, x), (b, y)| a.0.cmp(&b.0).then(rank(a, x).total_cmp(&rank(b, y))));
    }
    let lost = RTT_SUFFIXES.len() - 1;
    let cell = |(column, value): (usize, Option<f64>)| {
        value.map(|v| if column == lost { format!("{v:.0}") } else { number(v) })
    };
    let row = |((_, state, place), cells): (RoundTrip, Vec<Option<f64>>)| {
        (format!("{state} {place}"), cells.into_iter().enumerate().map(cell).collect())
    };
    Table {
        title: "round trips in us from the intended send time; percentiles miss lost probes"
            .to_owned(),
        columns: RTT_SUFFIXES.iter().map(|(_, h)| ((*h).to_owned(), String::new())).collect(),
        rows: rows.into_iter().map(row).collect(),
        of: "rows, none with a longer p99",
    }
}

fn skew(lines: &[Measured]) -> Table {
    let mut phases: BTreeMap<&str, Vec<Option<String>>> = BTreeMap::new();
    for line in lines {
        let column = SKEW_COLUMNS.iter().position(|(what, _)| line.what == *what);
        if let Some(column) = column {
            let name = line.phase.as_deref().unwrap_or("all phases");
            let cells = phases.entry(name).or_insert_with(|| vec![None; SKEW_COLUMNS.len()]);
            cells[column] = Some(number(line.value));
        }
    }
    Table {
        title: "start skew in us: devices' distance from the commanded instant".to_owned(),
        columns: SKEW_COLUMNS.iter().map(|(_, h)| ((*h).to_owned(), String::new())).collect(),
        rows: phases.into_iter().map(|(phase, cells)| (phase.to_owned(), cells)).collect(),
        of: "phases",
    }
}
