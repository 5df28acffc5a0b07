//! Devices whose tables are known: one a file. A table says which column is which point and
//! what the parts of a row's index are; which rows there are, the device itself tells.

mod apc_rpdu2;
mod raritan_pdu2;
mod sentry4;
mod ups_mib;

use std::collections::{BTreeMap, BTreeSet};

use async_snmp::{Oid, Value};
use formats::sources::Device;

use super::super::mapped::Meaning;
use super::asked::{Asked, Question};
use super::number::{Raw, raw};

/// Lines beyond the third are neutrals.
const LINES: u32 = 3;

/// A column's OID, as manuals write it.
type Root = &'static str;

/// A device's columns.
pub(super) struct Table {
    /// Earlier ones win: a point is asked for once.
    columns: &'static [Column],
    /// Its power is the sum of its lines.
    sums_power: bool,
}

/// One column, or one scalar.
struct Column {
    root: Root,
    index: &'static [Index],
    /// Empty: a part of the alarm only.
    point: &'static str,
    scale: f64,
    none: &'static [i64],
    /// Of a state: the values that are an alarm.
    alarm_when: &'static [i64],
    /// Column with the same index that says how many decimal digits the value has.
    digits: Option<Root>,
    /// Column with the same index, and its values at which this one counts for nothing.
    unless: Option<(Root, &'static [i64])>,
}

impl Column {
    /// A measured value, in the point's own unit after `scale`.
    const fn gauge(root: Root, index: &'static [Index], point: &'static str, scale: f64) -> Self {
        // Every table here has -1 where the device does not measure.
        let none = &[-1];
        Self { root, index, point, scale, none, alarm_when: &[], digits: None, unless: None }
    }

    /// A state: a point with the MIB's own numbers, and a part of the device's alarm.
    const fn state(
        root: Root,
        index: &'static [Index],
        point: &'static str,
        none: &'static [i64],
        alarm_when: &'static [i64],
    ) -> Self {
        Self { root, index, point, scale: 1.0, none, alarm_when, digits: None, unless: None }
    }
}

/// A part of a row's index.
enum Index {
    /// The PDU of a chain that the target names.
    Unit,
    /// The inlet or cord that the target names.
    Inlet,
    /// The line: 1, 2, 3.
    Line,
    Is(u32),
    /// A running number; other columns say which PDU and which line it is.
    Row {
        unit: Root,
        line: Option<Root>,
    },
}

/// Which part of a device a target means.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) unit: u32,
    pub(super) inlet: u32,
}

impl Table {
    /// The table of a device; `None` for one with a map.
    pub(super) fn of(device: &Device) -> Option<&'static Self> {
        match device {
            Device::ApcRpdu2 => Some(&apc_rpdu2::TABLE),
            Device::RaritanPdu2 => Some(&raritan_pdu2::TABLE),
            Device::Sentry4 => Some(&sentry4::TABLE),
            Device::UpsMib => Some(&ups_mib::TABLE),
            Device::Mapped(_) => None,
        }
    }

    /// Columns to walk: they tell which rows there are, and what those are.
    pub(super) fn walked(&self) -> BTreeSet<Oid> {
        let mut roots = BTreeSet::new();
        for column in self.columns {
            roots.insert(oid(column.root));
            for index in column.index {
                if let Index::Row { unit, line } = index {
                    roots.insert(oid(unit));
                    roots.extend(line.map(oid));
                }
            }
        }
        roots
    }

    /// What to ask the place of a device that has these rows.
    pub(super) fn question(&self, place: Place, rows: &BTreeMap<Oid, Value>) -> Question {
        let mut question = Question::default();
        let mut given = BTreeSet::new();
        for column in self.columns {
            let found = column.instances(place, rows);
            let lines = found.iter().filter(|(_, line)| line.is_some()).count();
            for (oid, line) in found {
                // A PDU of one phase does not know which of the building's it is.
                let suffix = line.filter(|_| lines > 1).map_or(String::new(), |l| format!(".l{l}"));
                column.ask(oid, &suffix, &mut given, &mut question);
            }
        }
        if self.sums_power && !given.contains("power_kw") {
            let lines = given.iter().filter(|point| point.starts_with("power_kw."));
            question.power_of = lines.cloned().collect();
        }
        question
    }
}

impl Column {
    /// Instances of the place, each with its line.
    fn instances(&self, place: Place, rows: &BTreeMap<Oid, Value>) -> Vec<(Oid, Option<u32>)> {
        let root = oid(self.root);
        let under = rows.range(root.clone()..).take_while(|(oid, _)| oid.starts_with(&root));
        let of_place = under.filter_map(|(oid, _)| {
            let parts = oid.arcs().get(root.arcs().len()..)?;
            Some((oid.clone(), self.line_of(parts, place, rows)?))
        });
        of_place.collect()
    }

    /// The line of an instance, if it is one of the place: `Some(None)` where it has no line.
    fn line_of(
        &self,
        parts: &[u32],
        place: Place,
        rows: &BTreeMap<Oid, Value>,
    ) -> Option<Option<u32>> {
        if parts.len() != self.index.len() {
            return None;
        }
        let mut line = None;
        for (part, index) in parts.iter().zip(self.index) {
            let fits = match index {
                Index::Unit => *part == place.unit,
                Index::Inlet => *part == place.inlet,
                Index::Is(one) => part == one,
                Index::Line => {
                    line = Some(*part);
                    true
                }
                Index::Row { unit, line: column } => {
                    line = column.map(|column| told(rows, column, *part).unwrap_or(0));
                    told(rows, unit, *part) == Some(place.unit)
                }
            };
            if !fits || line.is_some_and(|line| !(1..=LINES).contains(&line)) {
                return None;
            }
        }
        Some(line)
    }

    fn ask(&self, asked: Oid, suffix: &str, given: &mut BTreeSet<String>, question: &mut Question) {
        let index = asked.arcs().iter().skip(oid(self.root).arcs().len());
        let beside =
            |column: Root| Oid::new(oid(column).arcs().iter().chain(index.clone()).copied());
        let digits = self.digits.map(beside);
        let unless = self.unless.map(|(column, bad)| (beside(column), bad));
        let point = format!("{}{suffix}", self.point);
        let name = asked.to_string();
        let ask = |meaning| Asked {
            oid: asked.clone(),
            meaning,
            digits: digits.clone(),
            unless: unless.clone(),
            name: name.clone(),
        };
        // Parts of the alarm are many, and a whole beside its lines says nothing new, but for
        // power, where it is the sum.
        let is_power = self.point == "power_kw";
        let told_by_lines =
            suffix.is_empty() && !is_power && given.contains(&format!("{point}.l1"));
        if !self.point.is_empty() && !told_by_lines && given.insert(point.clone()) {
            question.asked.push(ask(self.meaning(point, None)));
        }
        if !self.alarm_when.is_empty() {
            let alarm = self.meaning("alarm".to_owned(), Some(self.alarm_when.to_vec()));
            question.asked.push(ask(alarm));
        }
    }

    fn meaning(&self, point: String, alarm_when: Option<Vec<i64>>) -> Meaning {
        Meaning { point, scale: self.scale, unit: "", none: self.none.to_vec(), alarm_when }
    }
}

/// The OID of a table here; the tests hold every one of them against a recorded walk.
fn oid(dotted: Root) -> Oid {
    Oid::new(dotted.split('.').filter_map(|arc| arc.parse().ok()))
}

/// A whole number in a column's row.
fn told(rows: &BTreeMap<Oid, Value>, column: Root, row: u32) -> Option<u32> {
    match raw(rows.get(&oid(column).child(row))?) {
        Raw::Number(number) if (0.0..=f64::from(u32::MAX)).contains(&number) => Some(number as u32),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
