//! Rows into CSV, plain or compressed.

use std::fs::File;
use std::io::{self, Write};
use std::marker::PhantomData;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::staged_file::StagedFile;
use super::{Row, Slot};
use crate::instant::rfc3339;
use crate::table_error::TableError;

pub(super) struct CsvWriter<R> {
    staged: StagedFile,
    writer: csv::Writer<Pipe>,
    row: PhantomData<R>,
}

/// The file, with or without compression before it.
enum Pipe {
    Plain(File),
    Gz(GzEncoder<File>),
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(file) => file.write(bytes),
            Self::Gz(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(file) => file.flush(),
            Self::Gz(encoder) => encoder.flush(),
        }
    }
}

impl<R: Row> CsvWriter<R> {
    pub(super) fn create(path: &Path, compressed: bool) -> Result<Self, TableError> {
        let (staged, file) = StagedFile::create(path)?;
        let pipe = match compressed {
            true => Pipe::Gz(GzEncoder::new(file, Compression::default())),
            false => Pipe::Plain(file),
        };
        let mut writer = csv::Writer::from_writer(pipe);
        writer
            .write_record(R::COLUMNS.iter().map(|column| column.name))
            .map_err(|error| staged.failed(&error))?;
        Ok(Self { staged, writer, row: PhantomData })
    }

    pub(super) fn push(&mut self, mut row: R) -> Result<(), TableError> {
        let cells = R::COLUMNS.iter().map(|column| cell(&column.slot, &mut row));
        // The row has as many cells as there are columns, so only the file can fail.
        self.writer.write_record(cells).map_err(|error| self.staged.failed(&error))
    }

    pub(super) fn finish(self) -> Result<(), TableError> {
        let Self { staged, writer, .. } = self;
        let pipe = writer.into_inner().map_err(|error| staged.failed(&error))?;
        let file = match pipe {
            Pipe::Plain(file) => file,
            Pipe::Gz(encoder) => encoder.finish().map_err(|error| staged.failed(&error))?,
        };
        staged.publish(&file)
    }
}

fn cell<R>(slot: &Slot<R>, row: &mut R) -> String {
    match slot {
        Slot::Time(of) => rfc3339(*of(row)),
        Slot::Index(of) => of(row).to_string(),
        Slot::Name(of) => std::mem::take(of(row)),
        Slot::Text(of) => of(row).take().unwrap_or_default(),
        Slot::Whole(of) => of(row).map(|whole| whole.to_string()).unwrap_or_default(),
        Slot::Real(of) => {
            of(row).filter(|real| real.is_finite()).map(|real| real.to_string()).unwrap_or_default()
        }
    }
}
