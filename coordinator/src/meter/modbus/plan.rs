//! Which registers are asked for together, and what they say: pure.

use std::ops::Range;

use formats::sources::{ModbusMap, Register, RegisterKind};

use super::super::mapped::Meaning;
use super::frame::{REGISTERS_MAX, Span};

/// Registers between two points that are read along with them: fewer bytes than a request of
/// its own.
const GAP_MAX: u16 = 16;

/// A point of the map.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) register: Register,
    pub(super) meaning: Meaning,
    /// What messages call it.
    pub(super) name: String,
}

/// Points that one request brings.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Block {
    pub(super) span: Span,
    pub(super) entries: Vec<Entry>,
}

/// The requests of a map.
///
/// # Errors
/// A unit that does not fit its point, by the map's line.
pub(super) fn blocks(map: &ModbusMap) -> Result<Vec<Block>, String> {
    let mut registers: Vec<&Register> = map.points.iter().collect();
    registers.sort_by_key(|register| (register.unit_id, register.function, register.address));
    let mut blocks: Vec<Block> = Vec::new();
    for register in registers {
        let entry = Entry {
            register: register.clone(),
            meaning: Meaning::of(&register.mapped, &map.file)?,
            name: format!("{}:{}", map.file, register.mapped.line),
        };
        match blocks.last_mut() {
            Some(last) if last.takes(register) => last.add(entry),
            _ => blocks.push(Block::of(entry)),
        }
    }
    Ok(blocks)
}

impl Block {
    fn of(entry: Entry) -> Self {
        let register = &entry.register;
        let span = Span {
            unit_id: register.unit_id,
            function: register.function,
            first: register.address,
            count: register.kind.registers(),
        };
        Self { span, entries: vec![entry] }
    }

    /// A request for each of its points, for a device that does not let itself be read across.
    pub(super) fn apart(&self) -> Vec<Self> {
        self.entries.iter().cloned().map(Self::of).collect()
    }

    fn takes(&self, register: &Register) -> bool {
        let after = u32::from(self.span.first) + u32::from(self.span.count);
        let near = u32::from(register.address) <= after + u32::from(GAP_MAX);
        (self.span.unit_id, self.span.function) == (register.unit_id, register.function)
            && near
            && end(register) - u32::from(self.span.first) <= u32::from(REGISTERS_MAX)
    }

    fn add(&mut self, entry: Entry) {
        let reach = end(&entry.register) - u32::from(self.span.first);
        self.span.count = self.span.count.max(reach as u16);
        self.entries.push(entry);
    }
}

/// The register behind the last of a point.
fn end(register: &Register) -> u32 {
    u32::from(register.address) + u32::from(register.kind.registers())
}

impl Entry {
    /// The value in the registers of its block; `None` for what is no reading.
    pub(super) fn value(&self, span: &Span, registers: &[u16]) -> Option<f64> {
        let from = usize::from(self.register.address.checked_sub(span.first)?);
        let mine: Range<usize> = from..from + usize::from(self.register.kind.registers());
        let raw = raw(&self.register, registers.get(mine)?)?;
        match self.register.bit {
            None => self.meaning.value(raw),
            // The sentinel is the whole register's, the point one bit of it.
            Some(bit) => {
                self.meaning.value(raw)?;
                Some(f64::from(u8::from(raw as u32 >> bit & 1 == 1)))
            }
        }
    }
}

/// The number in a point's registers; `None` for a float that is none.
fn raw(register: &Register, words: &[u16]) -> Option<f64> {
    let pair = || {
        let (&first, &second) = (words.first()?, words.get(1)?);
        let (high, low) = if register.low_first { (second, first) } else { (first, second) };
        Some(u32::from(high) << 16 | u32::from(low))
    };
    match register.kind {
        RegisterKind::U16 => words.first().map(|word| f64::from(*word)),
        RegisterKind::I16 => words.first().map(|word| f64::from(*word as i16)),
        RegisterKind::U32 => pair().map(f64::from),
        RegisterKind::F32 => {
            pair().map(|bits| f64::from(f32::from_bits(bits))).filter(|value| value.is_finite())
        }
    }
}

#[cfg(test)]
mod tests;
