//! Tables on their way into the digest, with what an operator should hear about them.

use std::path::Path;
use std::time::{Duration, Instant};

use analysis::Digest;
use formats::{Row, TableReader};
use indicatif::{ProgressBar, ProgressStyle};
use model::{Plan, SampleColumns};

use crate::failure::Failure;

/// Shorter reading needs no word while it goes on.
const QUIET: Duration = Duration::from_secs(2);

/// Digests a table of samples, on every core.
///
/// # Errors
/// When the file can't be read or a row is wrong, with its line and the mend.
pub(crate) fn samples(path: &Path, plan: &Plan) -> Result<Digest, Failure> {
    let progress = spinner(path);
    let began = Instant::now();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let add = |digest: &mut Digest, columns: &SampleColumns| {
        digest.add_samples(columns);
        progress.inc(columns.rows() as u64);
    };
    let (parts, facts) =
        formats::samples::fold(path, threads, || Digest::new(plan), add).map_err(Failure::usage)?;
    progress.finish_and_clear();
    let columns = (facts.unknown_columns.as_slice(), facts.absent_columns.as_slice());
    told(path, began, facts.rows, columns, facts.not_finite);
    let file = path.display();
    for (count, what) in [
        (facts.duplicates, "rows are there twice, counted once"),
        (facts.not_compared, "rows were not searched for duplicates"),
        (facts.clock_backwards, "rows lie before the one before of their device"),
    ] {
        if count > 0 {
            eprintln!("{file}: {count} {what}");
        }
    }
    let mut parts = parts.into_iter();
    let mut whole = parts.next().unwrap_or_else(|| Digest::new(plan));
    parts.try_for_each(|part| whole.merge(part)).map_err(Failure::infrastructure)?;
    Ok(whole)
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
    let columns = (reader.unknown_columns(), reader.absent_columns());
    told(path, began, reader.rows(), columns, reader.not_finite());
    Ok(())
}

/// What was odd about a table, once.
fn told(
    path: &Path,
    began: Instant,
    rows: u64,
    (unknown, absent): (&[String], &[&str]),
    not_finite: u64,
) {
    let (file, seconds) = (path.display(), began.elapsed());
    if seconds > QUIET {
        eprintln!("{file}: {rows} rows in {:.1} s", seconds.as_secs_f64());
    }
    if !unknown.is_empty() {
        let named: Vec<String> = unknown.iter().map(|column| hinted(column, absent)).collect();
        eprintln!("{file}: columns that nobody knows, ignored: {}", named.join(", "));
    }
    if not_finite > 0 {
        eprintln!("{file}: {not_finite} cells are no numbers, taken as not measured");
    }
    if rows == 0 {
        eprintln!("{file}: no row");
    }
}

/// An unknown column as it stands in the file, with the one that it may have meant.
fn hinted(column: &str, absent: &[&str]) -> String {
    let column: String = column.chars().take(64).collect::<String>().escape_debug().to_string();
    match formats::meant_column(&column, absent) {
        Some(meant) => format!("{column} (did you mean {meant}?)"),
        None => column,
    }
}

/// Rows so far, on a terminal only.
fn spinner(path: &Path) -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {msg} {human_pos} rows, {elapsed}");
    let style = style.unwrap_or_else(|_| ProgressStyle::default_spinner());
    let progress = ProgressBar::new_spinner().with_style(style);
    progress.with_message(path.display().to_string())
}
