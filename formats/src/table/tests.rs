//! Tests of tables: what is written reads back, what is wrong is told with its place.

use std::path::PathBuf;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::{MeterRow, PairRow, SampleRow};

pub(crate) const KINDS: [&str; 3] = ["t.csv", "t.csv.gz", "t.parquet"];

pub(crate) fn write<R: Row>(folder: &TempDir, name: &str, rows: &[R]) -> PathBuf {
    let path = folder.path().join(name);
    let mut writer = TableWriter::create(&path).unwrap();
    for row in rows {
        writer.push(row.clone()).unwrap();
    }
    writer.finish().unwrap();
    path
}

pub(crate) fn read<R: Row>(path: &Path) -> Result<Vec<R>, TableError> {
    let batches: Result<Vec<_>, _> = TableReader::open(path)?.collect();
    Ok(batches?.concat())
}

/// Reads a CSV text; errors come without the folder.
fn csv<R: Row>(text: &str) -> (Result<Vec<R>, String>, Facts) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("t.csv");
    std::fs::write(&path, text).unwrap();
    let mut reader = match TableReader::<R>::open(&path) {
        Ok(reader) => reader,
        Err(error) => return (Err(plain(&error, &folder)), Facts::default()),
    };
    let rows: Result<Vec<_>, _> = reader.by_ref().collect();
    (rows.map(|rows| rows.concat()).map_err(|error| plain(&error, &folder)), reader.facts)
}

fn plain(error: &TableError, folder: &TempDir) -> String {
    error.to_string().replace(&format!("{}/", folder.path().display()), "")
}

fn text() -> impl Strategy<Value = Option<String>> {
    prop::option::of("[a-zA-Z0-9 ,;\"\n'é/_.-]{1,12}")
}

fn real() -> impl Strategy<Value = Option<f64>> {
    prop::option::of(prop::num::f64::NORMAL | prop::num::f64::ZERO | prop::num::f64::SUBNORMAL)
}

fn whole() -> impl Strategy<Value = Option<u64>> {
    prop::option::of(any::<u64>())
}

prop_compose! {
    pub(crate) fn sample()(
        time_ns: i64, node in "[a-z0-9]{0,8}", device: u32, phase in text(), block in text(),
        uuid in text(), kernel in text(), temp_c in real(), power_w in real(), perf in real(),
        busy in real(), energy_j in real(), reasons in whole(), xid in whole(),
    ) -> SampleRow {
        SampleRow {
            time_ns, node, device, phase, block, uuid, kernel, temp_c, power_w, perf, busy,
            energy_j, clock_event_reasons: reasons, xid, ..SampleRow::default()
        }
    }
}

prop_compose! {
    fn pair()(
        time_ns: i64, round: u32, src in "[a-z0-9]{1,8}", dst in "[a-z0-9]{1,8}",
        sport in whole(), gbps in real(), via in text(), load in text(),
        p99 in real(), retransmits in whole(),
    ) -> PairRow {
        PairRow {
            time_ns, round, src, dst, sport, gbps, via, load, rtt_p99_us: p99, retransmits,
            ..PairRow::default()
        }
    }
}

prop_compose! {
    fn meter()(
        time_ns: i64, domain in "[a-z0-9-]{1,8}", point in "[a-z0-9_.]{1,8}", value in real(),
        unit in text(), quality in text(), clock_error_ms in real(),
    ) -> MeterRow {
        MeterRow { time_ns, domain, point, value, unit, quality, clock_error_ms }
    }
}

fn round_trips<R: Row + PartialEq + std::fmt::Debug>(rows: &[R]) {
    let folder = TempDir::new().unwrap();
    for kind in KINDS {
        let path = write(&folder, kind, rows);
        assert_eq!(read::<R>(&path).unwrap(), rows, "{kind}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), KINDS.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn samples_round_trip(rows in prop::collection::vec(sample(), 0..20)) {
        round_trips(&rows);
    }

    #[test]
    fn pairs_round_trip(rows in prop::collection::vec(pair(), 0..20)) {
        round_trips(&rows);
    }

    #[test]
    fn meters_round_trip(rows in prop::collection::vec(meter(), 0..20)) {
        round_trips(&rows);
    }

    #[test]
    fn no_bytes_make_reading_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let folder = TempDir::new().unwrap();
        for kind in KINDS {
            let path = folder.path().join(kind);
            std::fs::write(&path, &bytes).unwrap();
            let _ = read::<SampleRow>(&path);
        }
    }
}

#[test]
fn readers_and_writers_may_move_to_another_thread() {
    fn moves<T: Send>() {}
    moves::<TableReader<SampleRow>>();
    moves::<TableWriter<SampleRow>>();
}

#[test]
fn a_table_of_many_batches_stays_in_order() {
    let row = |at: u32| SampleRow { device: at, perf: Some(f64::from(at)), ..Default::default() };
    let rows: Vec<_> = (0..3 * BATCH_ROWS as u32 + 7).map(row).collect();
    let folder = TempDir::new().unwrap();
    for kind in KINDS {
        let path = write(&folder, kind, &rows);
        let mut reader = TableReader::<SampleRow>::open(&path).unwrap();
        let sizes: Vec<_> = reader.by_ref().map(|batch| batch.unwrap().len()).collect();
        assert!(sizes.len() >= 4 && sizes.iter().all(|&size| size <= BATCH_ROWS), "{sizes:?}");
        assert_eq!(reader.rows(), rows.len() as u64);
        assert_eq!(read::<SampleRow>(&path).unwrap(), rows);
    }
}

#[test]
fn what_is_not_measured_is_none() {
    let (rows, facts) = csv::<SampleRow>(
        "time, node,device,power_w,temp_c,xid,rack_unit\n\
         2026-01-31T12:00:00Z,n1,0,700.5,,79.0,u3\n1769860800.25,,1,nan,inf,,u4\n",
    );
    let rows = rows.unwrap();
    assert_eq!((rows[0].power_w, rows[0].temp_c, rows[0].xid), (Some(700.5), None, Some(79)));
    assert_eq!((rows[1].power_w, rows[1].temp_c, rows[1].xid), (None, None, None));
    assert_eq!((rows[1].node.as_str(), rows[1].time_ns), ("", 1_769_860_800_250_000_000));
    assert_eq!((facts.not_finite, facts.unknown), (2, vec!["rack_unit".to_owned()]));
    assert!(facts.absent.contains(&"perf"));
}

#[test]
fn nan_is_written_as_not_measured() {
    let folder = TempDir::new().unwrap();
    let row = SampleRow { perf: Some(f64::NAN), temp_c: Some(f64::INFINITY), ..Default::default() };
    for kind in KINDS {
        let path = write(&folder, kind, std::slice::from_ref(&row));
        assert_eq!(read::<SampleRow>(&path).unwrap(), [SampleRow::default()]);
    }
}

#[test]
fn wrong_tables_are_told_with_file_and_line() {
    let head = "time,node,device,power_w\n";
    let good = "1,n1,0,5\n";
    let wrong = [
        String::new(),
        "tiem,node,device\n".to_owned(),
        "time,node,device,device\n".to_owned(),
        format!("{head}{good}{good}1,n1,0,many\n"),
        format!("{head}{good}1,n1,,5\n"),
        format!("{head}{good}1,n1,-1,5\n"),
        format!("{head}yesterday,n1,0,5\n"),
        format!("{head}1769860800000,n1,0,5\n"),
        format!("{head}{good}1,n1\n"),
        format!("{head}1,\"n1,0,5\n{}", good.repeat(300_000)),
    ];
    let said: Vec<_> = wrong.iter().map(|text| csv::<SampleRow>(text).0.unwrap_err()).collect();
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn wrong_files_are_told() {
    let folder = TempDir::new().unwrap();
    for name in ["t.parquet", "t.csv.gz", "t.xlsx", "absent.csv"] {
        let path = folder.path().join(name);
        if !name.starts_with("absent") {
            std::fs::write(&path, "time,node,device\n").unwrap();
        }
        let said = plain(&read::<SampleRow>(&path).unwrap_err(), &folder);
        assert!(said.starts_with(&format!("{name}: ")), "{said}");
    }
}

#[test]
fn an_unfinished_table_leaves_nothing_behind() {
    let folder = TempDir::new().unwrap();
    for kind in KINDS {
        let path = folder.path().join(kind);
        std::fs::write(&path, "old").unwrap();
        let mut writer = TableWriter::create(&path).unwrap();
        writer.push(MeterRow::default()).unwrap();
        drop(writer);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "old");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), KINDS.len());
}

/// Columns as other tools type them: text times, 32-bit floats, signed and gappy integers.
#[test]
fn parquet_of_other_tools_reads() {
    use arrow_array::{
        ArrayRef, Float32Array, Float64Array, Int64Array, NullArray, RecordBatch, StringArray,
        TimestampMillisecondArray,
    };
    use std::sync::Arc;

    let write = |columns: Vec<(&str, ArrayRef)>| {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("t.parquet");
        let batch = RecordBatch::try_from_iter_with_nullable(
            columns.into_iter().map(|(name, array)| (name, array, true)),
        )
        .unwrap();
        let file = std::fs::File::create(&path).unwrap();
        let mut writer = parquet::arrow::ArrowWriter::try_new(file, batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        read::<SampleRow>(&path).map_err(|error| plain(&error, &folder))
    };
    let node: ArrayRef = Arc::new(StringArray::from(vec![Some("n1"), None]));
    let device: ArrayRef = Arc::new(Int64Array::from(vec![0, 1]));
    let time: ArrayRef = Arc::new(TimestampMillisecondArray::from(vec![1_500, 2_500]));
    let rows = write(vec![
        ("time", Arc::clone(&time)),
        ("node", Arc::clone(&node)),
        ("device", Arc::clone(&device)),
        ("power_w", Arc::new(Float32Array::from(vec![Some(1.5), None]))),
        ("xid", Arc::new(Float64Array::from(vec![f64::NAN, 79.0]))),
        ("block", Arc::new(NullArray::new(2))),
        ("extra", Arc::new(Int64Array::from(vec![1, 2]))),
    ])
    .unwrap();
    assert_eq!((rows[0].time_ns, rows[0].power_w, rows[0].xid), (1_500_000_000, Some(1.5), None));
    assert_eq!((rows[1].node.as_str(), rows[1].xid), ("", Some(79)));

    let texts: ArrayRef = Arc::new(StringArray::from(vec!["1970-01-01T00:00:03Z", "4.5"]));
    let rows =
        write(vec![("time", texts), ("node", Arc::clone(&node)), ("device", Arc::clone(&device))])
            .unwrap();
    assert_eq!([rows[0].time_ns, rows[1].time_ns], [3_000_000_000, 4_500_000_000]);

    let half: ArrayRef = Arc::new(Float64Array::from(vec![0.0, 1.5]));
    let wrong = [
        vec![("time", Arc::clone(&time)), ("node", Arc::clone(&node)), ("device", half)],
        vec![("time", Arc::clone(&time)), ("node", Arc::clone(&device)), ("device", device)],
        vec![("time", time), ("node", node)],
    ];
    let said = wrong.map(|columns| write(columns).unwrap_err());
    insta::assert_snapshot!(said.join("\n"));
}
