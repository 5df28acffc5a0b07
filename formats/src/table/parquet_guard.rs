//! What stands between a Parquet file that may say anything and the library that reads it: the
//! library asserts that no place is negative, and panics on some damaged heads and pages.

use std::panic::{AssertUnwindSafe, catch_unwind};

use parquet::file::metadata::ParquetMetaData;

use super::unreadable_parquet;
use crate::table_error::TableError;

/// Opens a file, or what is needed to read it. A head on which the library panics is an error.
///
/// # Errors
/// What the library says, or that it gave up.
pub(crate) fn open<T, E: ToString>(open: impl FnOnce() -> Result<T, E>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(open)) {
        Ok(opened) => opened.map_err(|error| error.to_string()),
        Err(_) => Err("its head is damaged".to_owned()),
    }
}

/// The next batch of a reader. The library panics on some pages of damaged files (a fuzzer found a
/// division by zero): that ends the table with an error, and not the process.
///
/// # Errors
/// What the library says, or that it gave up; nothing is to be read from it any more.
pub(crate) fn next<T, E: ToString>(
    mut reader: impl Iterator<Item = Result<T, E>>,
) -> Option<Result<T, String>> {
    match catch_unwind(AssertUnwindSafe(|| reader.next())) {
        Ok(next) => next.map(|read| read.map_err(|error| error.to_string())),
        Err(_) => Some(Err("its pages are damaged".to_owned())),
    }
}

/// Refuses places that are not in a file of so many bytes.
pub(crate) fn check(file: &str, bytes: u64, metadata: &ParquetMetaData) -> Result<(), TableError> {
    for group in metadata.row_groups() {
        for column in group.columns() {
            let from = column.dictionary_page_offset().unwrap_or_else(|| column.data_page_offset());
            let length = column.compressed_size();
            let end = u64::try_from(from).ok().zip(u64::try_from(length).ok());
            let end = end.and_then(|(from, length)| from.checked_add(length));
            let rows_fit = group.num_rows() >= 0 && column.num_values() >= 0;
            if !rows_fit || end.is_none_or(|end| end > bytes) {
                let path = column.column_path().string();
                let what = format!("column {path} lies outside of the file ({length} B at {from})");
                return Err(unreadable_parquet(file, &what));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parquet::file::metadata::{ColumnChunkMetaData, FileMetaData, RowGroupMetaData};
    use parquet::schema::parser::parse_message_type;
    use parquet::schema::types::SchemaDescriptor;

    use super::*;

    fn metadata(offset: i64, length: i64, rows: i64) -> ParquetMetaData {
        let schema = parse_message_type("message m { required double power_w; }").unwrap();
        let schema = Arc::new(SchemaDescriptor::new(Arc::new(schema)));
        let column = ColumnChunkMetaData::builder(schema.column(0))
            .set_data_page_offset(offset)
            .set_total_compressed_size(length)
            .set_num_values(1)
            .build()
            .unwrap();
        let group = RowGroupMetaData::builder(schema.clone())
            .set_num_rows(rows)
            .add_column_metadata(column)
            .build()
            .unwrap();
        let file = FileMetaData::new(1, 1, None, None, schema, None);
        ParquetMetaData::new(file, vec![group])
    }

    #[test]
    fn a_reader_that_panics_is_a_damaged_file() {
        let zero = std::hint::black_box(0);
        let panics = std::iter::from_fn(move || Some(Ok::<i32, String>(1 / zero)));
        assert_eq!(next(panics), Some(Err("its pages are damaged".to_owned())));
        let opens = || if zero == 0 { panic!("a head") } else { Ok::<i32, String>(zero) };
        assert_eq!(open(opens), Err("its head is damaged".to_owned()));
        assert_eq!(open(|| Err::<i32, _>("no magic")), Err("no magic".to_owned()));
        assert_eq!(next(std::iter::once(Ok::<i32, String>(7))), Some(Ok(7)));
        assert_eq!(next(std::iter::empty::<Result<i32, String>>()), None);
    }

    #[test]
    fn only_places_in_the_file_are_read() {
        assert!(check("t.parquet", 100, &metadata(4, 96, 1)).is_ok());
        let outside = [
            (-1, 5, 1),
            (4, -5, 1),
            (4, 97, 1),
            (i64::MAX, i64::MAX, 1),
            (i64::MIN, 0, 1),
            (4, 5, -1),
        ];
        for (offset, length, rows) in outside {
            let told = check("t.parquet", 100, &metadata(offset, length, rows)).unwrap_err();
            let told = told.to_string();
            assert!(told.contains("t.parquet") && told.contains("power_w lies outside"), "{told}");
        }
    }
}
