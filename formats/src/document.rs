//! Reading a TOML document by hand, so that every problem knows its line and its mend.
//!
//! serde stops at the first problem and forgets where an unknown key stood; here a
//! [`Table`] hands out checked values and collects what is wrong with the others.

use std::cell::RefCell;
use std::ops::{Range, RangeInclusive};
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::document_error::{DocumentError, DocumentErrors};
use crate::nearest::nearest;

/// Largest document that is read: a site of 100,000 nodes listed one by one is 20 MiB.
pub const DOCUMENT_BYTES_MAX: u64 = 64 << 20;

/// Most problems that are told of one document: a person mends a few and tries again.
const PROBLEMS_MAX: usize = 100;

/// Reads a document file as text; also says what messages call it.
///
/// # Errors
/// When the file can't be read, is too large or is no UTF-8.
pub(crate) fn text_of(path: &Path) -> Result<(String, String), DocumentErrors> {
    let name = path.to_string_lossy().into_owned();
    let fail = |what: String, mend: &str| {
        DocumentErrors(vec![DocumentError::without_line(&name, what, mend)])
    };
    let readable =
        |error: std::io::Error| fail(format!("cannot be read: {error}"), "check the path");
    let bytes = std::fs::metadata(path).map_err(readable)?.len();
    if bytes > DOCUMENT_BYTES_MAX {
        let what = format!("{bytes} bytes are over the limit of {DOCUMENT_BYTES_MAX}");
        return Err(fail(what, "use hostlists such as gpu[001-512] for many nodes"));
    }
    let text = std::fs::read_to_string(path).map_err(readable)?;
    Ok((name, text))
}

/// A document under examination: its text, and the problems found so far.
pub(crate) struct Document<'t> {
    file: &'t str,
    /// Byte offset at which each line starts.
    starts: Vec<usize>,
    text: &'t str,
    problems: RefCell<Vec<DocumentError>>,
}

impl<'t> Document<'t> {
    pub(crate) fn new(file: &'t str, text: &'t str) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let starts = std::iter::once(0).chain(ends.map(|(at, _)| at + 1)).collect();
        Self { file, starts, text, problems: RefCell::default() }
    }

    /// The TOML tree, or every place where it is no TOML.
    pub(crate) fn tree(&self) -> Result<Spanned<DeTable<'t>>, DocumentErrors> {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        if errors.is_empty() {
            return Ok(table);
        }
        for error in errors {
            let what = format!("not TOML: {}", error.message().replace('\n', ", "));
            self.add(&error.span().unwrap_or(0..0), what, "");
        }
        Err(self.errors())
    }

    pub(crate) fn add(
        &self,
        span: &Range<usize>,
        what: impl Into<String>,
        mend: impl Into<String>,
    ) {
        let line = self.line_of(span);
        let start = self.starts[line - 1];
        let before = self.text.get(start..span.start).unwrap_or_default();
        let problem = DocumentError {
            file: self.file.to_owned(),
            line,
            column: before.chars().count() + 1,
            what: what.into(),
            mend: mend.into(),
        };
        let mut problems = self.problems.borrow_mut();
        // One table may stand for thousands of nodes: say each thing once a place.
        if problems.len() < PROBLEMS_MAX && !problems.contains(&problem) {
            problems.push(problem);
        }
    }

    /// The line of a place, from 1.
    pub(crate) fn line_of(&self, span: &Range<usize>) -> usize {
        self.starts.partition_point(|&start| start <= span.start).max(1)
    }

    /// Whether no further problem would be told.
    pub(crate) fn is_full(&self) -> bool {
        self.problems.borrow().len() >= PROBLEMS_MAX
    }

    /// Takes over what is wrong with a document that this one names.
    pub(crate) fn take(&self, errors: DocumentErrors) {
        let mut problems = self.problems.borrow_mut();
        let room = PROBLEMS_MAX.saturating_sub(problems.len());
        problems.extend(errors.0.into_iter().take(room));
    }

    /// Problems so far, by place.
    pub(crate) fn errors(&self) -> DocumentErrors {
        let mut problems = self.problems.borrow().clone();
        problems.sort_by_key(|problem| (problem.line, problem.column));
        DocumentErrors(problems)
    }

    /// `value` when nothing is wrong with the document.
    pub(crate) fn finish<T>(&self, value: Option<T>) -> Result<T, DocumentErrors> {
        match value {
            Some(value) if self.problems.borrow().is_empty() => Ok(value),
            _ => Err(self.errors()),
        }
    }
}

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct At<T> {
    pub(crate) value: T,
    pub(crate) span: Range<usize>,
}

/// One table of a document.
pub(crate) struct Table<'d, 't> {
    pub(crate) document: &'d Document<'t>,
    table: &'d DeTable<'t>,
    pub(crate) span: Range<usize>,
    /// How messages call it: `[[phase]]`.
    place: String,
}

impl<'d, 't> Table<'d, 't> {
    pub(crate) fn root(document: &'d Document<'t>, tree: &'d Spanned<DeTable<'t>>) -> Self {
        let place = "the document".to_owned();
        Self { document, table: tree.get_ref(), span: 0..0, place }
    }

    /// Reports every key that is not among `known`.
    pub(crate) fn only(&self, known: &[&str]) {
        for key in self.table.keys() {
            let word: &str = key.get_ref();
            if known.contains(&word) {
                continue;
            }
            let mend = match nearest(word, known) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => format!("use one of {}", known.join(", ")),
            };
            let what = format!("unknown key \"{}\" in {}", word.escape_debug(), self.place);
            self.document.add(&key.span(), what, mend);
        }
    }

    /// Reports `what` at a key, or at the table where the key is absent.
    pub(crate) fn wrong(&self, key: &str, what: impl Into<String>, mend: impl Into<String>) {
        self.document.add(&self.span_of(key), what, mend);
    }

    pub(crate) fn span_of(&self, key: &str) -> Range<usize> {
        self.table.get_key_value(key).map_or(self.span.clone(), |(key, _)| key.span())
    }

    /// The line of a key, or of the table where the key is absent.
    pub(crate) fn line_of(&self, key: &str) -> usize {
        self.document.line_of(&self.span_of(key))
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Reports a key that must be there and is not. True when it is there.
    pub(crate) fn need(&self, key: &str, example: &str) -> bool {
        if !self.has(key) {
            let what = format!("missing key \"{key}\" in {}", self.place);
            self.document.add(&self.span, what, format!("add {example}"));
        }
        self.has(key)
    }

    /// Reports a schema other than 1.
    pub(crate) fn schema(&self) {
        if self.need("schema", "schema = 1 as the first line")
            && let Some(schema) = self.whole("schema", 0..=i64::MAX as u64)
            && schema != 1
        {
            let what = format!("schema {schema} is not known here");
            self.wrong("schema", what, "use schema = 1, or a newer loadbank");
        }
    }

    pub(crate) fn text(&self, key: &str) -> Option<String> {
        self.text_at(key).map(|at| at.value)
    }

    pub(crate) fn text_at(&self, key: &str) -> Option<At<String>> {
        let value = self.table.get(key)?;
        match value.get_ref() {
            DeValue::String(text) => Some(At { value: text.to_string(), span: value.span() }),
            other => self.mistyped(key, value, other, "a text in quotes"),
        }
    }

    /// Texts of a list.
    pub(crate) fn texts(&self, key: &str) -> Option<Vec<At<String>>> {
        let value = self.table.get(key)?;
        let DeValue::Array(list) = value.get_ref() else {
            return self.mistyped(key, value, value.get_ref(), "a list of texts in quotes");
        };
        let mut texts = Vec::new();
        for entry in list.iter() {
            match entry.get_ref() {
                DeValue::String(text) => {
                    texts.push(At { value: text.to_string(), span: entry.span() });
                }
                other => self.mistyped::<()>(key, entry, other, "a list of texts in quotes")?,
            }
        }
        Some(texts)
    }

    pub(crate) fn flag(&self, key: &str) -> Option<bool> {
        let value = self.table.get(key)?;
        match value.get_ref() {
            DeValue::Boolean(flag) => Some(*flag),
            other => self.mistyped(key, value, other, "true or false"),
        }
    }

    /// Any number, even one that is none: for those who check by themselves.
    pub(crate) fn real(&self, key: &str) -> Option<f64> {
        let value = self.table.get(key)?;
        match value.get_ref() {
            DeValue::Integer(whole) => Some(whole_of(whole).map_or(f64::INFINITY, |w| w as f64)),
            DeValue::Float(real) => Some(real.as_str().parse().unwrap_or(f64::NAN)),
            other => self.mistyped(key, value, other, "a number"),
        }
    }

    /// A number in a range; `unit` goes into the mend.
    pub(crate) fn number(
        &self,
        key: &str,
        allowed: RangeInclusive<f64>,
        unit: &str,
    ) -> Option<f64> {
        let value = self.table.get(key)?;
        let number = self.real(key)?;
        let number = Some(number).filter(|number| allowed.contains(number));
        if number.is_none() {
            let what = format!("{key} = {} is impossible", self.written(value));
            let (least, most) = (allowed.start(), allowed.end());
            let gap = if unit.is_empty() { "" } else { " " };
            let mend = format!("use a number from {least} to {most}{gap}{unit}");
            self.document.add(&value.span(), what, mend);
        }
        number
    }

    /// A whole number in a range.
    pub(crate) fn whole(&self, key: &str, allowed: RangeInclusive<u64>) -> Option<u64> {
        let value = self.table.get(key)?;
        let DeValue::Integer(whole) = value.get_ref() else {
            return self.mistyped(key, value, value.get_ref(), "a whole number");
        };
        let whole = whole_of(whole).and_then(|whole| u64::try_from(whole).ok());
        let whole = whole.filter(|whole| allowed.contains(whole));
        if whole.is_none() {
            let what = format!("{key} = {} is impossible", self.written(value));
            let (least, most) = (allowed.start(), allowed.end());
            let mend = format!("use a whole number from {least} to {most}");
            self.document.add(&value.span(), what, mend);
        }
        whole
    }

    /// Whole numbers, one or a list of them, which may be negative.
    pub(crate) fn signed_list(&self, key: &str) -> Option<Vec<i64>> {
        let value = self.table.get(key)?;
        let alone = std::slice::from_ref(value);
        let entries = match value.get_ref() {
            DeValue::Array(list) => list.iter().as_slice(),
            _ => alone,
        };
        let mut numbers = Vec::new();
        for entry in entries {
            let DeValue::Integer(whole) = entry.get_ref() else {
                return self.mistyped(key, entry, entry.get_ref(), "a whole number, or a list");
            };
            match whole_of(whole).and_then(|whole| i64::try_from(whole).ok()) {
                Some(number) => numbers.push(number),
                None => {
                    let what = format!("{key} = {} is impossible", self.written(entry));
                    self.document.add(&entry.span(), what, "use a number of at most 63 bits");
                }
            }
        }
        Some(numbers)
    }

    /// A table under a key, called `place` in messages.
    pub(crate) fn table(&self, key: &str, place: &str) -> Option<Self> {
        let value = self.table.get(key)?;
        match value.get_ref() {
            DeValue::Table(table) => Some(self.inner(table, value.span(), place)),
            other => self.mistyped(key, value, other, "a table in braces"),
        }
    }

    /// Tables of a list under a key, each called `place` in messages. `None` when absent
    /// or no list.
    pub(crate) fn tables(&self, key: &str, place: &str) -> Option<Vec<Self>> {
        let value = self.table.get(key)?;
        let DeValue::Array(list) = value.get_ref() else {
            let expected = format!("a list of tables, each under its own [[{key}]]");
            return self.mistyped(key, value, value.get_ref(), &expected);
        };
        let mut tables = Vec::new();
        for entry in list.iter() {
            match entry.get_ref() {
                DeValue::Table(table) => tables.push(self.inner(table, entry.span(), place)),
                other => {
                    self.mistyped::<()>(key, entry, other, "a list of tables");
                }
            }
        }
        Some(tables)
    }

    fn inner(&self, table: &'d DeTable<'t>, span: Range<usize>, place: &str) -> Self {
        Self { document: self.document, table, span, place: place.to_owned() }
    }

    fn mistyped<T>(
        &self,
        key: &str,
        value: &Spanned<DeValue<'_>>,
        found: &DeValue<'_>,
        expected: &str,
    ) -> Option<T> {
        let what = format!("{key} in {} is {}", self.place, type_words(found));
        self.document.add(&value.span(), what, format!("write {expected}"));
        None
    }

    fn written(&self, value: &Spanned<DeValue<'_>>) -> &'t str {
        self.document.text.get(value.span()).unwrap_or_default()
    }
}

fn whole_of(whole: &toml::de::DeInteger<'_>) -> Option<i128> {
    i128::from_str_radix(whole.as_str(), whole.radix()).ok()
}

fn type_words(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a point",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
