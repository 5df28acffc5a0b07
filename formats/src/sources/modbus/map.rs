//! A map of a device's registers: which address is which point.

use std::path::Path;

use super::super::mapped::{self, Mapped, POINTS_MAX};
use crate::document::{Document, Table, text_of};
use crate::document_error::DocumentErrors;
use crate::nearest::nearest;

/// Registers of a device.
#[derive(Debug, Clone, PartialEq)]
pub struct ModbusMap {
    pub file: String,
    pub points: Vec<Register>,
}

/// One value of a device.
#[derive(Debug, Clone, PartialEq)]
pub struct Register {
    /// Which of the devices behind one address.
    pub unit_id: u8,
    pub function: Function,
    /// As it goes over the wire, from 0; of the first register of a pair.
    pub address: u16,
    pub kind: RegisterKind,
    /// The lower half of a pair comes first.
    pub low_first: bool,
    /// Only this bit of the register, from 0, the lowest.
    pub bit: Option<u8>,
    pub mapped: Mapped,
}

/// The two functions that read registers. There is no other: a request that writes can't be
/// written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Function {
    Holding,
    Input,
}

impl Function {
    /// The code on the wire.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Holding => 3,
            Self::Input => 4,
        }
    }
}

/// How bits make a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegisterKind {
    U16,
    I16,
    U32,
    F32,
}

impl RegisterKind {
    const WORDS: [(&'static str, Self); 4] =
        [("u16", Self::U16), ("i16", Self::I16), ("u32", Self::U32), ("f32", Self::F32)];

    /// Registers that it fills.
    #[must_use]
    pub fn registers(self) -> u16 {
        match self {
            Self::U16 | Self::I16 => 1,
            Self::U32 | Self::F32 => 2,
        }
    }
}

const OWN: [&str; 6] = ["unit_id", "fc", "address", "type", "word_order", "bit"];
const ORDERS: [&str; 2] = ["high_first", "low_first"];

impl ModbusMap {
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
        root.need("point", "[[point]] with point, fc, address and type");
        let tables = root.tables("point", "[[point]]").unwrap_or_default();
        if tables.len() > POINTS_MAX {
            let what = format!("{} points", tables.len());
            root.wrong("point", what, format!("use at most {POINTS_MAX} a device"));
        }
        let points: Vec<Register> = tables.iter().filter_map(register).collect();
        if points.len() == tables.len() {
            mapped::check_doubles(points.iter().map(|point| &point.mapped).zip(&tables));
        }
        document.finish(Some(Self { file: file.to_owned(), points }))
    }
}

fn register(table: &Table<'_, '_>) -> Option<Register> {
    let known: Vec<&str> = mapped::KEYS.iter().chain(&OWN).copied().collect();
    table.only(&known);
    table.need("fc", "fc = 4, or 3 for holding registers");
    table.need("address", "address = 100");
    table.need("type", "type = \"u16\"");
    let mapped = mapped::read(table);
    let kind = kind(table);
    let (function, address) = (function(table), address(table, kind));
    let low_first = low_first(table, kind);
    let bit = bit(table, kind);
    Some(Register {
        unit_id: table.whole("unit_id", 0..=255).unwrap_or(1) as u8,
        function: function?,
        address: address?,
        kind: kind?,
        low_first,
        bit,
        mapped: mapped?,
    })
}

fn function(table: &Table<'_, '_>) -> Option<Function> {
    match table.whole("fc", 0..=255)? {
        3 => Some(Function::Holding),
        4 => Some(Function::Input),
        code => {
            let what = format!("function {code} does not read registers");
            table.wrong("fc", what, "use 3 or 4: nothing is ever written to the plant");
            None
        }
    }
}

fn address(table: &Table<'_, '_>, kind: Option<RegisterKind>) -> Option<u16> {
    let wide = kind.map_or(1, RegisterKind::registers);
    // Documents of vendors count from 40001 or 30001; on the wire it is from 0.
    table.whole("address", 0..=u64::from(u16::MAX - (wide - 1))).map(|address| address as u16)
}

fn kind(table: &Table<'_, '_>) -> Option<RegisterKind> {
    let at = table.text_at("type")?;
    let found = RegisterKind::WORDS.into_iter().find(|(word, _)| *word == at.value);
    if found.is_none() {
        let words = RegisterKind::WORDS.map(|(word, _)| word);
        let what = format!("unknown type \"{}\"", at.value.escape_debug());
        table.document.add(&at.span, what, format!("use one of {}", words.join(", ")));
    }
    Some(found?.1)
}

fn low_first(table: &Table<'_, '_>, kind: Option<RegisterKind>) -> bool {
    let Some(at) = table.text_at("word_order") else { return false };
    if kind.is_some_and(|kind| kind.registers() == 1) {
        table.wrong("word_order", "one register has no order", "remove word_order");
    }
    if !ORDERS.contains(&at.value.as_str()) {
        let mend = match nearest(&at.value, &ORDERS) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => format!("use one of {}", ORDERS.join(", ")),
        };
        let what = format!("unknown word_order \"{}\"", at.value.escape_debug());
        table.document.add(&at.span, what, mend);
    }
    at.value == "low_first"
}

fn bit(table: &Table<'_, '_>, kind: Option<RegisterKind>) -> Option<u8> {
    let bit = table.whole("bit", 0..=15)? as u8;
    if kind != Some(RegisterKind::U16) {
        table.wrong("bit", "a bit of what is no u16", "use type = \"u16\"");
    }
    for key in ["scale", "unit", "alarm_when"] {
        if table.has(key) {
            let what = format!("{key} beside bit means nothing");
            table.wrong(key, what, format!("remove {key}: the point is 0 or 1"));
        }
    }
    Some(bit)
}

#[cfg(test)]
mod tests;
