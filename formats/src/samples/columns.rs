//! Arrays of Parquet into columns: no row, no text is made one by one where the types that
//! tools usually write allow it; every other type goes the way of the row reader.

use std::collections::HashMap;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, DictionaryArray, RecordBatch, StringArray};
use arrow_schema::{DataType, TimeUnit};
use model::sample_columns::{Metric, Names, SampleColumns};

use super::facts::SampleFacts;
use crate::table::{Wrong, mistyped, times, wholes};

/// A batch of a file, whose columns may stand in any order.
pub(super) fn columns_of(
    batch: &RecordBatch,
    facts: &mut SampleFacts,
) -> Result<SampleColumns, Wrong> {
    let mut columns = SampleColumns::default();
    for (field, array) in batch.schema().fields().iter().zip(batch.columns()) {
        let array = array.as_ref();
        match field.name().as_str() {
            "time" => columns.time_ns = instants("time", array)?,
            "node" => columns.node = names("node", array)?,
            "device" => columns.device = indices("device", array)?,
            "phase" => columns.phase = Some(names("phase", array)?),
            "block" => columns.block = Some(names("block", array)?),
            "uuid" => columns.uuid = Some(names("uuid", array)?),
            "clock_event_reasons" => {
                columns.clock_event_reasons = Some(wholes("clock_event_reasons", array)?);
            }
            "ecc_uncorrected" => columns.ecc_uncorrected = Some(wholes("ecc_uncorrected", array)?),
            "xid" => columns.xid = Some(wholes("xid", array)?),
            name => {
                if let Some(metric) = Metric::ALL.into_iter().find(|metric| metric.word() == name) {
                    let column = reals(metric.word(), array, &mut facts.not_finite)?;
                    columns.reals[metric.index()] = Some(column);
                }
            }
        }
    }
    Ok(columns)
}

/// Whether a column of texts is wanted as keys into its few texts.
pub(super) fn is_names(column: &str) -> bool {
    matches!(column, "node" | "phase" | "block" | "uuid")
}

/// Numbers; NaN where there is none.
fn reals(name: &'static str, array: &dyn Array, not_finite: &mut u64) -> Result<Vec<f64>, Wrong> {
    let mut reals = match array.data_type() {
        DataType::Float64 => values::<Float64Type>(array, |real| real),
        DataType::Float32 => values::<Float32Type>(array, f64::from),
        DataType::Int64 => values::<Int64Type>(array, |whole| whole as f64),
        DataType::Int32 => values::<Int32Type>(array, f64::from),
        DataType::Int16 => values::<Int16Type>(array, f64::from),
        DataType::Int8 => values::<Int8Type>(array, f64::from),
        DataType::UInt64 => values::<UInt64Type>(array, |whole| whole as f64),
        DataType::UInt32 => values::<UInt32Type>(array, f64::from),
        DataType::UInt16 => values::<UInt16Type>(array, f64::from),
        DataType::UInt8 => values::<UInt8Type>(array, f64::from),
        DataType::Null => vec![f64::NAN; array.len()],
        other => return Err(mistyped(name, other, "write the column as double")),
    };
    // What stands under a null is nobody's value.
    if let Some(nulls) = array.nulls() {
        let nulls = nulls.iter().zip(&mut reals).filter(|(valid, _)| !valid);
        nulls.for_each(|(_, real)| *real = 0.0);
    }
    let odd = reals.iter().filter(|real| !real.is_finite()).count();
    if odd > 0 && *array.data_type() != DataType::Null {
        *not_finite += odd as u64;
        reals.iter_mut().filter(|real| !real.is_finite()).for_each(|real| *real = f64::NAN);
    }
    if let Some(nulls) = array.nulls() {
        let nulls = nulls.iter().zip(&mut reals).filter(|(valid, _)| !valid);
        nulls.for_each(|(_, real)| *real = f64::NAN);
    }
    Ok(reals)
}

fn values<T: ArrowPrimitiveType>(
    array: &dyn Array,
    convert: impl Fn(T::Native) -> f64,
) -> Vec<f64> {
    array.as_primitive::<T>().values().iter().map(|value| convert(*value)).collect()
}

/// Instants; every row has one.
fn instants(name: &'static str, array: &dyn Array) -> Result<Vec<i64>, Wrong> {
    let scaled = |values: &[i64], factor: i64| {
        let fits = |value: &i64| value.checked_mul(factor).is_some();
        let ends = [values.iter().min(), values.iter().max()];
        let all = ends.into_iter().flatten().all(fits);
        all.then(|| values.iter().map(|value| value * factor).collect::<Vec<i64>>())
    };
    if array.null_count() == 0 {
        let fast = match array.data_type() {
            DataType::Timestamp(TimeUnit::Nanosecond, _) => {
                scaled(array.as_primitive::<TimestampNanosecondType>().values(), 1)
            }
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                scaled(array.as_primitive::<TimestampMicrosecondType>().values(), 1_000)
            }
            DataType::Timestamp(TimeUnit::Millisecond, _) => {
                scaled(array.as_primitive::<TimestampMillisecondType>().values(), 1_000_000)
            }
            DataType::Timestamp(TimeUnit::Second, _) => {
                scaled(array.as_primitive::<TimestampSecondType>().values(), 1_000_000_000)
            }
            _ => None,
        };
        if let Some(fast) = fast {
            return Ok(fast);
        }
    }
    let known = |(row, time): (usize, Option<i64>)| time.ok_or_else(|| missing(name, row));
    times(name, array)?.into_iter().enumerate().map(known).collect()
}

/// Small whole numbers; every row has one.
fn indices(name: &'static str, array: &dyn Array) -> Result<Vec<u32>, Wrong> {
    if array.null_count() == 0 {
        let fast: Option<Vec<u32>> = match array.data_type() {
            DataType::UInt32 => Some(array.as_primitive::<UInt32Type>().values().to_vec()),
            DataType::Int32 => all_small(array.as_primitive::<Int32Type>().values()),
            DataType::Int64 => all_small(array.as_primitive::<Int64Type>().values()),
            _ => None,
        };
        if let Some(fast) = fast {
            return Ok(fast);
        }
    }
    let index = |(row, index): (usize, Option<u64>)| {
        let index = index.and_then(|index| u32::try_from(index).ok());
        index.ok_or_else(|| missing(name, row))
    };
    wholes(name, array)?.into_iter().enumerate().map(index).collect()
}

fn all_small<T: Copy>(values: &[T]) -> Option<Vec<u32>>
where
    u32: TryFrom<T>,
{
    values.iter().map(|value| u32::try_from(*value).ok()).collect()
}

fn missing(name: &'static str, row: usize) -> Wrong {
    Wrong {
        column: name,
        row: Some(row),
        what: "null".to_owned(),
        mend: "every row needs a value here",
    }
}

/// Texts as keys; null is the empty text.
fn names(name: &'static str, array: &dyn Array) -> Result<Names, Wrong> {
    if let Some(array) = array.as_any().downcast_ref::<DictionaryArray<Int32Type>>()
        && let Some(texts) = array.values().as_any().downcast_ref::<StringArray>()
    {
        return Ok(names_of_keys(array, texts));
    }
    match array.data_type() {
        DataType::Utf8 => Ok(names_of_texts(array.as_string::<i32>())),
        DataType::Null => Ok(Names { values: vec![String::new()], keys: vec![0; array.len()] }),
        other => Err(mistyped(name, other, "write the column as string")),
    }
}

fn names_of_keys(array: &DictionaryArray<Int32Type>, texts: &StringArray) -> Names {
    let mut values: Vec<String> =
        texts.iter().map(|text| text.unwrap_or_default().to_owned()).collect();
    let keys = array.keys();
    let empty = values.len() as u32;
    let key = |key: i32| u32::try_from(key).unwrap_or(empty).min(empty);
    let keys: Vec<u32> = match keys.nulls() {
        None => keys.values().iter().map(|at| key(*at)).collect(),
        Some(_) => keys.iter().map(|at| at.map_or(empty, key)).collect(),
    };
    if keys.contains(&empty) {
        values.push(String::new());
    }
    Names { values, keys }
}

fn names_of_texts(texts: &StringArray) -> Names {
    let mut names = Names::default();
    let mut known: HashMap<&str, u32> = HashMap::new();
    for text in texts {
        let text = text.unwrap_or_default();
        let key = *known.entry(text).or_insert_with(|| {
            names.values.push(text.to_owned());
            names.values.len() as u32 - 1
        });
        names.keys.push(key);
    }
    names
}
