//! Rows into Parquet: zstd, bounded row groups.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow_array::{
    ArrayRef, Float64Array, RecordBatch, StringArray, TimestampNanosecondArray, UInt32Array,
    UInt64Array,
};
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use super::staged_file::StagedFile;
use super::{BATCH_ROWS, Column, Row, Slot};
use crate::table_error::TableError;

/// Rows of one row group: some MiB in memory, and one seek for a reader of one column.
const ROW_GROUP_ROWS: usize = 131_072;
/// zstd's own default: past it a batch takes longer and shrinks by little.
const ZSTD_LEVEL: i32 = 3;

pub(super) struct ParquetWriter<R> {
    staged: StagedFile,
    schema: Arc<Schema>,
    writer: ArrowWriter<File>,
    rows: Vec<R>,
}

impl<R: Row> ParquetWriter<R> {
    pub(super) fn create(path: &Path) -> Result<Self, TableError> {
        let (staged, file) = StagedFile::create(path)?;
        let schema = Arc::new(Schema::new(R::COLUMNS.iter().map(field).collect::<Vec<_>>()));
        let level = ZstdLevel::try_new(ZSTD_LEVEL).map_err(|error| staged.failed(&error))?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(level))
            .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
            .set_created_by("loadbank".to_owned())
            .build();
        let writer = ArrowWriter::try_new(file, Arc::clone(&schema), Some(properties))
            .map_err(|error| staged.failed(&error))?;
        Ok(Self { staged, schema, writer, rows: Vec::new() })
    }

    pub(super) fn push(&mut self, row: R) -> Result<(), TableError> {
        self.rows.push(row);
        if self.rows.len() >= BATCH_ROWS { self.write() } else { Ok(()) }
    }

    pub(super) fn finish(mut self) -> Result<(), TableError> {
        self.write()?;
        let Self { staged, writer, .. } = self;
        let file = writer.into_inner().map_err(|error| staged.failed(&error))?;
        staged.publish(&file)
    }

    fn write(&mut self) -> Result<(), TableError> {
        let rows = &mut self.rows;
        let arrays = R::COLUMNS.iter().map(|column| array(column, rows)).collect();
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), arrays)
            .map_err(|error| self.staged.failed(&error))?;
        self.rows.clear();
        self.writer.write(&batch).map_err(|error| self.staged.failed(&error))
    }
}

fn field<R>(column: &Column<R>) -> Field {
    let (kind, nullable) = match column.slot {
        Slot::Time(_) => (DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())), false),
        Slot::Index(_) => (DataType::UInt32, false),
        Slot::Name(_) => (DataType::Utf8, false),
        Slot::Text(_) => (DataType::Utf8, true),
        Slot::Whole(_) => (DataType::UInt64, true),
        Slot::Real(_) => (DataType::Float64, true),
    };
    Field::new(column.name, kind, nullable)
}

fn array<R>(column: &Column<R>, rows: &mut [R]) -> ArrayRef {
    let rows = rows.iter_mut();
    match column.slot {
        Slot::Time(of) => {
            let times = TimestampNanosecondArray::from_iter_values(rows.map(|row| *of(row)));
            Arc::new(times.with_timezone("UTC"))
        }
        Slot::Index(of) => Arc::new(UInt32Array::from_iter_values(rows.map(|row| *of(row)))),
        Slot::Name(of) => {
            Arc::new(StringArray::from_iter_values(rows.map(|row| std::mem::take(of(row)))))
        }
        Slot::Text(of) => Arc::new(StringArray::from_iter(rows.map(|row| of(row).take()))),
        Slot::Whole(of) => Arc::new(UInt64Array::from_iter(rows.map(|row| *of(row)))),
        Slot::Real(of) => {
            let finite = rows.map(|row| of(row).filter(|real| real.is_finite()));
            Arc::new(Float64Array::from_iter(finite))
        }
    }
}
