//! A hall's hour, the same every time: values as sensors give them (power in milliwatts,
//! whole degrees, clocks in steps of 15 MHz), performance in all its digits.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, anyhow};
use arrow_array::{
    ArrayRef, Float64Array, RecordBatch, StringArray, TimestampNanosecondArray, UInt32Array,
};
use model::site::{Domain, DomainKind, Node, SiteDraft};
use model::{Plan, Site};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

/// Rows of one row group, as our own writer cuts them.
const ROW_GROUP_ROWS: usize = 131_072;
/// 2026-01-31T12:00:00Z.
const START_S: i64 = 1_769_860_800;
/// Name, share of the time that is over when it ends, watts, degrees, MHz, work a second.
const PHASES: [(&str, f64, [f64; 4]); 4] = [
    ("idle", 0.1, [75.0, 31.0, 345.0, 0.0]),
    ("ramp", 0.2, [420.0, 52.0, 1_830.0, 41_000.0]),
    ("hold", 0.8, [690.0, 67.0, 1_755.0, 62_000.0]),
    ("step", 1.0, [510.0, 58.0, 1_800.0, 49_000.0]),
];
/// Nodes of one rack.
const RACK_NODES: usize = 16;

/// How large a hall.
pub(crate) struct Shape {
    pub(crate) nodes: u32,
    pub(crate) devices: u32,
    pub(crate) seconds: u32,
}

/// Writes the table, row group by row group: one row per second, node and device.
pub(crate) fn write(path: &Path, shape: &Shape) -> Result<()> {
    let names: Vec<String> = (0..shape.nodes).map(|node| format!("gpu{node:04}")).collect();
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .build();
    let each = u64::from(shape.nodes) * u64::from(shape.devices);
    let rows = each * u64::from(shape.seconds);
    let schema = batch(0..0, each, rows, shape, &names)?.schema();
    let mut writer = ArrowWriter::try_new(File::create(path)?, schema, Some(properties))?;
    for from in (0..rows).step_by(ROW_GROUP_ROWS) {
        let to = rows.min(from + ROW_GROUP_ROWS as u64);
        writer.write(&batch(from..to, each, rows, shape, &names)?)?;
    }
    writer.close()?;
    Ok(())
}

fn batch(
    range: std::ops::Range<u64>,
    each: u64,
    rows: u64,
    shape: &Shape,
    names: &[String],
) -> Result<RecordBatch> {
    let second = |row: u64| row / each.max(1);
    let phase = |row: u64| {
        let share = second(row) as f64 * each as f64 / rows as f64;
        PHASES.iter().find(|(_, end, _)| share < *end).unwrap_or(&PHASES[3])
    };
    let place = |row: u64| row % each.max(1);
    let node = |row: u64| (place(row) / u64::from(shape.devices)) as usize;
    let reals = |column: usize, step: f64| -> ArrayRef {
        let value = |row: u64| {
            let of_device = 1.0 + 0.02 * noise(place(row), column as u64);
            let value = phase(row).2[column] * of_device * (1.0 + 0.01 * noise(row, column as u64));
            if step > 0.0 { (value / step).round() * step } else { value }
        };
        Arc::new(Float64Array::from_iter_values(range.clone().map(value)))
    };
    let time = |row: u64| (START_S + second(row) as i64) * 1_000_000_000;
    let time = TimestampNanosecondArray::from_iter_values(range.clone().map(time));
    let device = |row: u64| (place(row) % u64::from(shape.devices)) as u32;
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("time", Arc::new(time.with_timezone("UTC"))),
        (
            "node",
            Arc::new(StringArray::from_iter_values(range.clone().map(|row| &names[node(row)]))),
        ),
        ("device", Arc::new(UInt32Array::from_iter_values(range.clone().map(device)))),
        ("phase", Arc::new(StringArray::from_iter_values(range.clone().map(|row| phase(row).0)))),
        ("power_w", reals(0, 0.001)),
        ("temp_c", reals(1, 1.0)),
        ("clock_mhz", reals(2, 15.0)),
        ("perf", reals(3, 0.0)),
    ];
    Ok(RecordBatch::try_from_iter(columns)?)
}

/// About Gaussian with deviation 1, from the numbers alone: four uniforms of a SplitMix64.
fn noise(a: u64, b: u64) -> f64 {
    let mut z = a.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ b.wrapping_mul(0xd1b5_4a32_d192_ed03);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^= z >> 31;
    let sum: u64 = (0..4).map(|part| z >> (16 * part) & 0xffff).sum();
    (sum as f64 / 65_536.0 - 2.0) * 1.732_050_8
}

/// A plan without phases: the table brings its own.
pub(crate) fn plan() -> Plan {
    Plan {
        name: "bench".to_owned(),
        requires: Default::default(),
        seed: 1,
        limits: Default::default(),
        least_seconds: 0.0,
        least_rating_percent: None,
        experiments: Vec::new(),
        phases: Vec::new(),
    }
}

/// Racks of sixteen nodes.
pub(crate) fn site(names: std::collections::BTreeSet<String>) -> Result<Site> {
    let mut draft = SiteDraft { name: "bench".to_owned(), ..SiteDraft::default() };
    for (at, name) in names.into_iter().enumerate() {
        let rack = format!("rack-{}", at / RACK_NODES);
        if at % RACK_NODES == 0 {
            draft.domains.push(Domain::new(DomainKind::Rack, rack.clone()));
        }
        draft.nodes.push(Node { devices: 8, ..Node::new(name, &[&rack]) });
    }
    Site::new(draft).map_err(|problems| anyhow!("{problems:?}"))
}
