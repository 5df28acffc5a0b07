//! Standard output: one document, nothing else.

use std::io::Write;

use crate::failure::Failure;

/// Writes a text and a line end.
///
/// # Errors
/// When standard output is closed.
pub fn line(words: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", words.trim_end_matches('\n'))
        .and_then(|()| out.flush())
        .map_err(|error| Failure::infrastructure(format!("standard output: {error}")))
}
