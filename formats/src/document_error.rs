//! What is wrong with a document, where, and how to mend it.

use std::fmt;

/// One problem of a document. Prints as one line:
/// `plan.toml:12: unknown key "secnds" in [[phase]]; did you mean "seconds"?`
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct DocumentError {
    /// The document as the operator called it.
    pub file: String,
    /// From 1; 0 when the problem has no line (a file that can't be read).
    pub line: usize,
    /// From 1, in characters; 0 when the problem has no line.
    pub column: usize,
    pub what: String,
    /// What to do about it; may be empty.
    pub mend: String,
}

impl DocumentError {
    pub(crate) fn without_line(file: &str, what: impl Into<String>, mend: &str) -> Self {
        Self { file: file.to_owned(), line: 0, column: 0, what: what.into(), mend: mend.to_owned() }
    }
}

impl fmt::Display for DocumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        write!(f, ": {}", self.what)?;
        if self.mend.is_empty() { Ok(()) } else { write!(f, "; {}", self.mend) }
    }
}

/// All problems of one document, at least one, in the order of their lines. Prints one
/// line for each.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct DocumentErrors(pub Vec<DocumentError>);

impl fmt::Display for DocumentErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, error) in self.0.iter().enumerate() {
            if position > 0 {
                writeln!(f)?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}
