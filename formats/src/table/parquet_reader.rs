//! Rows out of Parquet, one record batch at a time, from whatever types tools write.

use std::fs::File;
use std::marker::PhantomData;
use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, TimeUnit};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};

use super::{BATCH_ROWS, Column, Facts, Row, Slot, match_columns, parquet_guard};
use crate::instant;
use crate::table_error::{TableError, TablePlace};

pub(super) struct ParquetReader<R> {
    file: String,
    reader: ParquetRecordBatchReader,
    row: PhantomData<R>,
}

impl<R: Row> ParquetReader<R> {
    pub(super) fn open(path: &Path, facts: &mut Facts) -> Result<Self, TableError> {
        let file = path.to_string_lossy().into_owned();
        let unreadable = |error: &dyn std::fmt::Display| unreadable(&file, error);
        let handle = File::open(path).map_err(|error| unreadable(&error))?;
        // The types of Parquet itself are fewer than those of the library that wrote it.
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let open = || ParquetRecordBatchReaderBuilder::try_new_with_options(handle, options);
        let builder = parquet_guard::open(open).map_err(|error| unreadable(&error))?;
        let bytes = std::fs::metadata(path).map_err(|error| unreadable(&error))?.len();
        parquet_guard::check(&file, bytes, builder.metadata())?;
        let names: Vec<String> =
            builder.schema().fields().iter().map(|field| field.name().clone()).collect();
        let columns = match_columns::<R>(&file, &names, facts)?;
        let wanted = (0..names.len()).filter(|&position| columns[position].is_some());
        let mask = ProjectionMask::roots(builder.parquet_schema(), wanted);
        let builder = builder.with_projection(mask).with_batch_size(BATCH_ROWS);
        let reader = parquet_guard::open(|| builder.build()).map_err(|error| unreadable(&error))?;
        Ok(Self { file, reader, row: PhantomData })
    }

    /// The next rows; none at the end.
    pub(super) fn batch(&mut self, facts: &mut Facts) -> Result<Vec<R>, TableError> {
        let batch = loop {
            match parquet_guard::next(&mut self.reader) {
                None => return Ok(Vec::new()),
                Some(Ok(batch)) if batch.num_rows() == 0 => {}
                Some(Ok(batch)) => break batch,
                Some(Err(error)) => {
                    let place = TablePlace::Row(facts.rows + 1);
                    let mend = "is the file whole, and compressed with zstd, snappy or nothing?";
                    let what = format!("cannot be read: {error}");
                    return Err(TableError::at(&self.file, place, what, mend));
                }
            }
        };
        let rows = rows_of(&batch, facts).map_err(|wrong| wrong.at(&self.file, facts.rows))?;
        facts.rows += rows.len() as u64;
        Ok(rows)
    }
}

/// A value that does not fit its column.
pub(crate) struct Wrong {
    pub(crate) column: &'static str,
    /// Position in the batch; `None` when the whole column has the wrong type.
    pub(crate) row: Option<usize>,
    pub(crate) what: String,
    pub(crate) mend: &'static str,
}

impl Wrong {
    /// The error, for a batch that begins after so many rows of the file.
    pub(crate) fn at(self, file: &str, before: u64) -> TableError {
        let row = |row| TablePlace::Row(before + row as u64 + 1);
        let place = self.row.map_or(TablePlace::File, row);
        TableError::at(file, place, format!("{} = {}", self.column, self.what), self.mend)
    }
}

/// A file that is no Parquet.
pub(crate) fn unreadable(file: &str, error: &dyn std::fmt::Display) -> TableError {
    TableError::whole(file, format!("cannot be read: {error}"), "is it Parquet, and whole?")
}

fn rows_of<R: Row>(batch: &RecordBatch, facts: &mut Facts) -> Result<Vec<R>, Wrong> {
    let mut rows = vec![R::default(); batch.num_rows()];
    for (field, array) in batch.schema().fields().iter().zip(batch.columns()) {
        if let Some(column) = R::COLUMNS.iter().find(|column| column.name == field.name()) {
            fill(column, array.as_ref(), &mut rows, facts)?;
        }
    }
    Ok(rows)
}

fn fill<R>(
    column: &Column<R>,
    array: &dyn Array,
    rows: &mut [R],
    facts: &mut Facts,
) -> Result<(), Wrong> {
    let name = column.name;
    let missing = |row| Wrong {
        column: name,
        row: Some(row),
        what: "null".to_owned(),
        mend: "every row needs a value here",
    };
    match column.slot {
        Slot::Time(of) => {
            for (at, time) in times(name, array)?.into_iter().enumerate() {
                *of(&mut rows[at]) = time.ok_or_else(|| missing(at))?;
            }
        }
        Slot::Index(of) => {
            for (at, index) in wholes(name, array)?.into_iter().enumerate() {
                let index = index.and_then(|index| u32::try_from(index).ok());
                *of(&mut rows[at]) = index.ok_or_else(|| missing(at))?;
            }
        }
        Slot::Whole(of) => {
            for (row, whole) in rows.iter_mut().zip(wholes(name, array)?) {
                *of(row) = whole;
            }
        }
        Slot::Real(of) => {
            for (row, real) in rows.iter_mut().zip(reals(name, array)?) {
                facts.not_finite += u64::from(real.is_some_and(|real| !real.is_finite()));
                *of(row) = real.filter(|real| real.is_finite());
            }
        }
        Slot::Name(of) => {
            for (row, text) in rows.iter_mut().zip(texts(name, array)?) {
                *of(row) = text.unwrap_or_default();
            }
        }
        Slot::Text(of) => {
            for (row, text) in rows.iter_mut().zip(texts(name, array)?) {
                *of(row) = text.filter(|text| !text.is_empty());
            }
        }
    }
    Ok(())
}

fn reals(name: &'static str, array: &dyn Array) -> Result<Vec<Option<f64>>, Wrong> {
    Ok(match array.data_type() {
        DataType::Float64 => primitive::<Float64Type, _>(array, |real| real),
        DataType::Float32 => primitive::<Float32Type, _>(array, f64::from),
        DataType::Int64 => primitive::<Int64Type, _>(array, |whole| whole as f64),
        DataType::Int32 => primitive::<Int32Type, _>(array, f64::from),
        DataType::Int16 => primitive::<Int16Type, _>(array, f64::from),
        DataType::Int8 => primitive::<Int8Type, _>(array, f64::from),
        DataType::UInt64 => primitive::<UInt64Type, _>(array, |whole| whole as f64),
        DataType::UInt32 => primitive::<UInt32Type, _>(array, f64::from),
        DataType::UInt16 => primitive::<UInt16Type, _>(array, f64::from),
        DataType::UInt8 => primitive::<UInt8Type, _>(array, f64::from),
        DataType::Null => vec![None; array.len()],
        other => return Err(mistyped(name, other, "write the column as double")),
    })
}

pub(crate) fn wholes(name: &'static str, array: &dyn Array) -> Result<Vec<Option<u64>>, Wrong> {
    if let DataType::UInt64 = array.data_type() {
        return Ok(primitive::<UInt64Type, _>(array, |whole| whole));
    }
    if let DataType::Int64 = array.data_type() {
        let wholes = primitive::<Int64Type, _>(array, |whole| whole);
        return each(name, wholes, |whole| u64::try_from(whole).ok());
    }
    // Tools turn a whole column with gaps into floating point; 2^53 is where that is exact.
    let reals = reals(name, array)?.into_iter().map(|real| real.filter(|real| !real.is_nan()));
    each(name, reals.collect(), |real| {
        let whole = real.fract() == 0.0 && (0.0..=9_007_199_254_740_992.0).contains(&real);
        whole.then_some(real as u64)
    })
}

/// Converts each value that is there.
fn each<T: Copy + std::fmt::Display>(
    name: &'static str,
    values: Vec<Option<T>>,
    convert: impl Fn(T) -> Option<u64>,
) -> Result<Vec<Option<u64>>, Wrong> {
    let one = |(row, value): (usize, Option<T>)| match value {
        Some(value) => convert(value).map(Some).ok_or_else(|| Wrong {
            column: name,
            row: Some(row),
            what: value.to_string(),
            mend: "write a whole number, or null if not measured",
        }),
        None => Ok(None),
    };
    values.into_iter().enumerate().map(one).collect()
}

/// Timestamps without a zone are taken as UTC; numbers are unix seconds.
pub(crate) fn times(name: &'static str, array: &dyn Array) -> Result<Vec<Option<i64>>, Wrong> {
    let scaled = |times: Vec<Option<i64>>, factor: i64| -> Result<Vec<Option<i64>>, Wrong> {
        checked(name, times, |time| {
            time.checked_mul(factor).ok_or_else(|| format!("{time} is outside the years to 2262"))
        })
    };
    match array.data_type() {
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            Ok(primitive::<TimestampNanosecondType, _>(array, |ns| ns))
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            scaled(primitive::<TimestampMicrosecondType, _>(array, |us| us), 1_000)
        }
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            scaled(primitive::<TimestampMillisecondType, _>(array, |ms| ms), 1_000_000)
        }
        DataType::Timestamp(TimeUnit::Second, _) => {
            scaled(primitive::<TimestampSecondType, _>(array, |s| s), 1_000_000_000)
        }
        DataType::Utf8 => checked(name, texts(name, array)?, |text| instant::parse(&text)),
        _ => checked(name, reals(name, array)?, instant::from_seconds),
    }
}

fn checked<T>(
    name: &'static str,
    values: Vec<Option<T>>,
    convert: impl Fn(T) -> Result<i64, String>,
) -> Result<Vec<Option<i64>>, Wrong> {
    let one = |(row, value): (usize, Option<T>)| {
        let wrong = |what| Wrong { column: name, row: Some(row), what, mend: "" };
        value.map(|value| convert(value).map_err(wrong)).transpose()
    };
    values.into_iter().enumerate().map(one).collect()
}

fn texts(name: &'static str, array: &dyn Array) -> Result<Vec<Option<String>>, Wrong> {
    match array.data_type() {
        DataType::Utf8 => {
            Ok(array.as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect())
        }
        DataType::Null => Ok(vec![None; array.len()]),
        other => Err(mistyped(name, other, "write the column as string")),
    }
}

fn primitive<T: ArrowPrimitiveType, V>(
    array: &dyn Array,
    convert: impl Fn(T::Native) -> V,
) -> Vec<Option<V>> {
    array.as_primitive::<T>().iter().map(|value| value.map(&convert)).collect()
}

pub(crate) fn mistyped(name: &'static str, found: &DataType, mend: &'static str) -> Wrong {
    Wrong { column: name, row: None, what: format!("values of type {found}"), mend }
}
