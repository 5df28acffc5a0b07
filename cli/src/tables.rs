//! Tables on their way into the digest, with what an operator should hear about them.

use std::path::Path;
use std::time::{Duration, Instant};

use formats::{Row, SampleReader, TableReader};
use indicatif::{ProgressBar, ProgressStyle};
use model::SampleColumns;

use crate::failure::Failure;

/// Shorter reading needs no word while it goes on.
const QUIET: Duration = Duration::from_secs(2);

/// Counts every row of a table of samples.
///
/// # Errors
/// When the file can't be read or a row is wrong, with its line and the mend.
pub(crate) fn samples(path: &Path, digest: &mut analysis::Digest) -> Result<(), Failure> {
    let reader = SampleReader::open(path).map_err(Failure::usage)?;
    each_batch(path, reader, |rows| digest.add_samples(&SampleColumns::from_rows(rows)))
}

/// Reads a table to its end; says on standard error what was odd about it, once.
///
/// # Errors
/// When the file can't be read or a row is wrong, with its line and the mend.
pub(crate) fn each_batch<R: Row>(
    path: &Path,
    mut reader: TableReader<R>,
    mut take: impl FnMut(&[R]),
) -> Result<(), Failure> {
    let progress = spinner(path);
    let began = Instant::now();
    while let Some(batch) = reader.next() {
        take(&batch.map_err(Failure::usage)?);
        progress.set_position(reader.rows());
    }
    progress.finish_and_clear();
    let file = path.display();
    let seconds = began.elapsed();
    if seconds > QUIET {
        eprintln!("{file}: {} rows in {:.1} s", reader.rows(), seconds.as_secs_f64());
    }
    if !reader.unknown_columns().is_empty() {
        eprintln!(
            "{file}: columns that nobody knows, ignored: {}",
            reader.unknown_columns().join(", ")
        );
    }
    if reader.not_finite() > 0 {
        eprintln!("{file}: {} cells are no numbers, taken as not measured", reader.not_finite());
    }
    if reader.rows() == 0 {
        eprintln!("{file}: no row");
    }
    Ok(())
}

/// Rows so far, on a terminal only.
fn spinner(path: &Path) -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {msg} {human_pos} rows, {elapsed}");
    let style = style.unwrap_or_else(|_| ProgressStyle::default_spinner());
    let progress = ProgressBar::new_spinner().with_style(style);
    progress.with_message(path.display().to_string())
}
