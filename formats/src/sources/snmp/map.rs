//! A map of a device that has no table here: which OID is which point.

use std::path::Path;

use super::super::mapped::{self, Mapped, POINTS_MAX};
use crate::document::{Document, Table, text_of};
use crate::document_error::DocumentErrors;

/// Most arcs of an OID, by RFC 2578, and the largest of them.
const ARCS_MAX: usize = 128;

/// Points of a device by their OIDs.
#[derive(Debug, Clone, PartialEq)]
pub struct SnmpMap {
    pub file: String,
    pub points: Vec<SnmpPoint>,
}

/// One value of a device.
#[derive(Debug, Clone, PartialEq)]
pub struct SnmpPoint {
    /// Arcs of the instance: of a scalar with its last 0.
    pub oid: Vec<u32>,
    /// Where the device says how many decimal digits the value has.
    pub digits: Option<Vec<u32>>,
    pub mapped: Mapped,
}

impl SnmpMap {
    /// Reads a map's file.
    ///
    /// # Errors
    /// Every problem of the document, with file, line and mend.
    pub fn read(path: &Path) -> Result<Self, DocumentErrors> {
        let (file, text) = text_of(path)?;
        Self::parse(&file, &text)
    }

    /// Reads a map from its text; `file` is what messages call it.
    ///
    /// # Errors
    /// Every problem of the document, with file, line and mend.
    pub fn parse(file: &str, text: &str) -> Result<Self, DocumentErrors> {
        let document = Document::new(file, text);
        let tree = document.tree()?;
        let root = Table::root(&document, &tree);
        root.only(&["schema", "point"]);
        root.schema();
        root.need("point", "[[point]] with point and oid");
        let tables = root.tables("point", "[[point]]").unwrap_or_default();
        if tables.len() > POINTS_MAX {
            let what = format!("{} points", tables.len());
            root.wrong("point", what, format!("use at most {POINTS_MAX} a device"));
        }
        let points: Vec<SnmpPoint> = tables.iter().filter_map(point).collect();
        if points.len() == tables.len() {
            mapped::check_doubles(points.iter().map(|point| &point.mapped).zip(&tables));
        }
        document.finish(Some(Self { file: file.to_owned(), points }))
    }
}

fn point(table: &Table<'_, '_>) -> Option<SnmpPoint> {
    let own = ["oid", "digits"];
    let known: Vec<&str> = mapped::KEYS.iter().chain(&own).copied().collect();
    table.only(&known);
    table.need("oid", "oid = \"1.3.6.1.2.1.33.1.2.1.0\"");
    let mapped = mapped::read(table);
    let digits = table.has("digits").then(|| oid(table, "digits"));
    Some(SnmpPoint { oid: oid(table, "oid")?, digits: digits.flatten(), mapped: mapped? })
}

fn oid(table: &Table<'_, '_>, key: &str) -> Option<Vec<u32>> {
    let at = table.text_at(key)?;
    let dotted = at.value.strip_prefix('.').unwrap_or(&at.value);
    let arcs: Option<Vec<u32>> = dotted.split('.').map(arc).collect();
    // The first two arcs travel as one number.
    let fits = |arcs: &Vec<u32>| {
        (3..=ARCS_MAX).contains(&arcs.len()) && arcs[0] <= 2 && (arcs[0] == 2 || arcs[1] < 40)
    };
    let arcs = arcs.filter(fits);
    if arcs.is_none() {
        let what = format!("\"{}\" is no OID", at.value.escape_debug());
        table.document.add(&at.span, what, "write numbers with points, 1.3.6.1.4.1. and so on");
    }
    arcs
}

fn arc(word: &str) -> Option<u32> {
    Some(word).filter(|word| word.bytes().all(|byte| byte.is_ascii_digit()))?.parse().ok()
}
