//! Columns say what rows say; what is there twice is dropped, what goes backwards counted.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, Float32Array, Float64Array, Int64Array, NullArray, RecordBatch, StringArray,
    TimestampMicrosecondArray, UInt16Array,
};
use model::{Metric, SampleColumns};
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::table::tests::{KINDS, read, sample, write};

/// The rows of columns.
fn rows_of(columns: &SampleColumns) -> Vec<SampleRow> {
    let text = |names: &Option<model::sample_columns::Names>, row| {
        let names = names.as_ref()?;
        Some(names.get(row).to_owned()).filter(|text| !text.is_empty())
    };
    let row = |at: usize| {
        let real = |metric| columns.real(metric, at);
        let whole = |column: &Option<Vec<Option<u64>>>| column.as_ref().and_then(|c| c[at]);
        SampleRow {
            time_ns: columns.time_ns[at],
            node: columns.node.get(at).to_owned(),
            device: columns.device[at],
            phase: text(&columns.phase, at),
            block: text(&columns.block, at),
            uuid: text(&columns.uuid, at),
            kernel: None,
            power_w: real(Metric::PowerW),
            temp_c: real(Metric::TempC),
            temp_max_c: real(Metric::TempMaxC),
            mem_temp_c: real(Metric::MemTempC),
            inlet_air_c: real(Metric::InletAirC),
            coolant_supply_c: real(Metric::CoolantSupplyC),
            clock_mhz: real(Metric::ClockMhz),
            clock_min_mhz: real(Metric::ClockMinMhz),
            busy: real(Metric::Busy),
            perf: real(Metric::Perf),
            power_limit_w: real(Metric::PowerLimitW),
            margin_c: real(Metric::MarginC),
            energy_j: real(Metric::EnergyJ),
            sw_power_cap_s: real(Metric::SwPowerCapS),
            sw_thermal_s: real(Metric::SwThermalS),
            hw_thermal_s: real(Metric::HwThermalS),
            power_brake_s: real(Metric::PowerBrakeS),
            clock_event_reasons: whole(&columns.clock_event_reasons),
            ecc_uncorrected: whole(&columns.ecc_uncorrected),
            xid: whole(&columns.xid),
        }
    };
    (0..columns.rows()).map(row).collect()
}

fn chunks(path: &std::path::Path) -> Result<(Vec<SampleRow>, SampleFacts), crate::TableError> {
    let mut chunks = SampleChunks::open(path)?;
    let columns: Result<Vec<SampleColumns>, _> = chunks.by_ref().collect();
    Ok((columns?.iter().flat_map(rows_of).collect(), chunks.facts().clone()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn columns_say_what_rows_say(rows in prop::collection::vec(sample(), 0..30)) {
        let folder = TempDir::new().unwrap();
        let mut expected: Vec<SampleRow> = Vec::new();
        for row in &rows {
            let row = SampleRow { kernel: None, ..row.clone() };
            if !expected.contains(&row) {
                expected.push(row);
            }
        }
        for kind in KINDS {
            let path = write(&folder, kind, &rows);
            let (found, facts) = chunks(&path).unwrap();
            prop_assert_eq!(&found, &expected, "{}", kind);
            prop_assert_eq!(facts.rows as usize, rows.len());
            prop_assert_eq!(facts.duplicates as usize, rows.len() - expected.len());
        }
    }

    #[test]
    fn no_bytes_make_reading_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let folder = TempDir::new().unwrap();
        for kind in KINDS {
            let path = folder.path().join(kind);
            std::fs::write(&path, &bytes).unwrap();
            let rows = read::<SampleRow>(&path).map(|rows| rows.len());
            prop_assert_eq!(chunks(&path).is_err(), rows.is_err());
        }
    }
}

fn row(time_s: i64, device: u32) -> SampleRow {
    let time_ns = time_s * 1_000_000_000;
    SampleRow { time_ns, node: "n1".into(), device, power_w: Some(5.0), ..Default::default() }
}

#[test]
fn what_is_there_twice_counts_once_and_clocks_that_go_backwards_are_told() {
    let rows = [row(5, 0), row(5, 1), row(5, 0), row(4, 0), row(6, 0), row(6, 1), row(5, 1)];
    let folder = TempDir::new().unwrap();
    for kind in KINDS {
        let path = write(&folder, kind, &rows);
        let (found, facts) = chunks(&path).unwrap();
        assert_eq!((found.len(), facts.duplicates, facts.rows), (5, 2, 7), "{kind}");
        assert_eq!((facts.clock_backwards, facts.not_compared), (1, 0), "{kind}");
    }
}

fn parquet(folder: &TempDir, columns: Vec<(&str, ArrayRef)>, group: usize) -> std::path::PathBuf {
    let path = folder.path().join("t.parquet");
    let named = columns.into_iter().map(|(name, array)| (name, array, true));
    let batch = RecordBatch::try_from_iter_with_nullable(named).unwrap();
    let file = std::fs::File::create(&path).unwrap();
    let properties = parquet::file::properties::WriterProperties::builder()
        .set_max_row_group_row_count(Some(group))
        .build();
    let mut writer =
        parquet::arrow::ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    path
}

/// Types as other tools write them, and the same wrong values as the row reader refuses.
#[test]
fn parquet_of_other_tools_reads_as_by_rows() {
    let node: ArrayRef = Arc::new(StringArray::from(vec![Some("n1"), None]));
    let device: ArrayRef = Arc::new(Int64Array::from(vec![0, 1]));
    let time: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![1_500, 2_500]));
    let reals: ArrayRef = Arc::new(Float64Array::from(vec![Some(f64::INFINITY), None]));
    let texts: ArrayRef = Arc::new(StringArray::from(vec!["1970-01-01T00:00:03Z", "4.5"]));
    let seconds: ArrayRef = Arc::new(Float64Array::from(vec![1.5, f64::NAN]));
    let far: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![1, i64::MAX]));
    let gap: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![Some(1), None]));
    let negative: ArrayRef = Arc::new(Int64Array::from(vec![0, -1]));
    let half: ArrayRef = Arc::new(Float64Array::from(vec![0.0, 1.5]));
    let short: ArrayRef = Arc::new(UInt16Array::from(vec![3, 4]));
    let single: ArrayRef = Arc::new(Float32Array::from(vec![Some(1.5), None]));
    let null: ArrayRef = Arc::new(NullArray::new(2));
    let tables = [
        vec![
            ("temp_c", &single),
            ("power_w", &reals),
            ("time", &time),
            ("node", &node),
            ("device", &device),
        ],
        vec![("time", &texts), ("node", &node), ("device", &short), ("xid", &half)],
        vec![("time", &texts), ("node", &node), ("device", &short), ("block", &null)],
        vec![("time", &texts), ("node", &texts), ("device", &short), ("uuid", &node)],
        vec![("time", &seconds), ("node", &node), ("device", &device)],
        vec![("time", &far), ("node", &node), ("device", &device)],
        vec![("time", &gap), ("node", &node), ("device", &device)],
        vec![("time", &time), ("node", &node), ("device", &negative)],
        vec![("time", &time), ("node", &node), ("device", &half)],
        vec![("time", &time), ("node", &device), ("device", &device)],
        vec![("time", &time), ("node", &node)],
        vec![("time", &time), ("node", &node), ("device", &device), ("perf", &node)],
    ];
    let (mut read_well, mut refused) = (0, 0);
    for columns in tables {
        let folder = TempDir::new().unwrap();
        let columns = columns.into_iter().map(|(name, array)| (name, Arc::clone(array))).collect();
        // One row a group: rows are counted over groups.
        let path = parquet(&folder, columns, 1);
        match (read::<SampleRow>(&path), chunks(&path)) {
            (Ok(rows), Ok((found, _))) => {
                assert_eq!(found, rows);
                read_well += 1;
            }
            (Err(by_row), Err(by_column)) => {
                assert_eq!(by_row.to_string(), by_column.to_string());
                refused += 1;
            }
            (by_row, by_column) => panic!("{by_row:?} but {by_column:?}"),
        }
    }
    assert_eq!((read_well, refused), (3, 9));
}

/// More rows than are compared, in two parts: what is counted does not change.
#[test]
fn a_large_table_is_split_and_told_alike() {
    let rows = 1_000;
    let folder = TempDir::new().unwrap();
    // The clock of device 1 falls back once, between the two halves as well as in a group.
    let time = |row: usize| if row == rows - 3 || row == rows / 2 + 1 { 0 } else { row as i64 };
    let path = parquet(
        &folder,
        vec![
            ("time", Arc::new(TimestampMicrosecondArray::from_iter_values((0..rows).map(time)))),
            ("node", Arc::new(StringArray::from_iter_values((0..rows).map(|_| "n1")))),
            ("device", Arc::new(Int64Array::from_iter_values((0..rows).map(|row| row as i64 % 2)))),
        ],
        rows / 2,
    );
    let count = |threads| {
        let parts = SampleChunks::open_limited(&path, 999).unwrap().split(threads);
        chunks::fold_parts(parts, || 0_u64, |sum, columns| *sum += columns.rows() as u64).unwrap()
    };
    let (one, two) = (count(1), count(2));
    assert_eq!((one.0, two.0.len(), two.0.iter().sum()), (vec![rows as u64], 2, rows as u64));
    assert_eq!(one.1, two.1);
    assert_eq!((one.1.clock_backwards, one.1.not_compared), (2, rows as u64));
}
