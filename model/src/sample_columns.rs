//! Samples column by column: how many rows travel at once between those who make or read
//! them and the digest.

mod slots;

use std::collections::HashMap;

use crate::table::SampleRow;
pub use slots::{SlotRows, Slots};

/// What a sample row may have measured; the position is [`Metric::index`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Metric {
    PowerW,
    TempC,
    TempMaxC,
    MemTempC,
    InletAirC,
    CoolantSupplyC,
    ClockMhz,
    ClockMinMhz,
    Busy,
    Perf,
    PowerLimitW,
    MarginC,
    /// A counter, like those that follow: only differences mean anything.
    EnergyJ,
    SwPowerCapS,
    SwThermalS,
    HwThermalS,
    PowerBrakeS,
}

impl Metric {
    /// How many there are.
    pub const COUNT: usize = 17;
    /// Every metric, by its index.
    pub const ALL: [Self; Self::COUNT] = [
        Self::PowerW,
        Self::TempC,
        Self::TempMaxC,
        Self::MemTempC,
        Self::InletAirC,
        Self::CoolantSupplyC,
        Self::ClockMhz,
        Self::ClockMinMhz,
        Self::Busy,
        Self::Perf,
        Self::PowerLimitW,
        Self::MarginC,
        Self::EnergyJ,
        Self::SwPowerCapS,
        Self::SwThermalS,
        Self::HwThermalS,
        Self::PowerBrakeS,
    ];

    /// Position in tables with one entry a metric.
    #[must_use]
    pub fn index(self) -> usize {
        self as usize
    }

    /// Whether it counts up since whenever, so that only differences mean anything.
    #[must_use]
    pub fn is_counter(self) -> bool {
        matches!(
            self,
            Self::EnergyJ
                | Self::SwPowerCapS
                | Self::SwThermalS
                | Self::HwThermalS
                | Self::PowerBrakeS
        )
    }

    /// Name of the column, with its unit.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::PowerW => "power_w",
            Self::TempC => "temp_c",
            Self::TempMaxC => "temp_max_c",
            Self::MemTempC => "mem_temp_c",
            Self::InletAirC => "inlet_air_c",
            Self::CoolantSupplyC => "coolant_supply_c",
            Self::ClockMhz => "clock_mhz",
            Self::ClockMinMhz => "clock_min_mhz",
            Self::Busy => "busy",
            Self::Perf => "perf",
            Self::PowerLimitW => "power_limit_w",
            Self::MarginC => "margin_c",
            Self::EnergyJ => "energy_j",
            Self::SwPowerCapS => "sw_power_cap_s",
            Self::SwThermalS => "sw_thermal_s",
            Self::HwThermalS => "hw_thermal_s",
            Self::PowerBrakeS => "power_brake_s",
        }
    }
}

/// A column of texts of which few differ: each row names one of `values`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Names {
    /// Distinct texts; the empty text is "not said".
    pub values: Vec<String>,
    /// One entry a row: a position in `values`.
    pub keys: Vec<u32>,
}

impl Names {
    /// The text of a row; empty where nobody said.
    #[must_use]
    pub fn get(&self, row: usize) -> &str {
        let key = self.keys.get(row).map(|key| *key as usize);
        key.and_then(|key| self.values.get(key)).map_or("", String::as_str)
    }

    /// Adds a row. Looks at the last text first: rows come in runs.
    pub fn push(&mut self, text: &str) {
        let last = self.keys.last().map(|key| *key as usize);
        let same = last.filter(|last| self.values[*last] == text);
        let key = same.or_else(|| self.values.iter().position(|value| value == text));
        let key = key.unwrap_or_else(|| {
            self.values.push(text.to_owned());
            self.values.len() - 1
        });
        self.keys.push(u32::try_from(key).unwrap_or(u32::MAX));
    }
}

/// Rows of samples, column by column. Every column that is there has one entry a row.
/// NaN in a real column is "not measured"; infinities do not occur.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SampleColumns {
    /// Nanoseconds since the Unix epoch.
    pub time_ns: Vec<i64>,
    /// Empty text when the location is unknown.
    pub node: Names,
    /// Index in the node.
    pub device: Vec<u32>,
    pub phase: Option<Names>,
    pub block: Option<Names>,
    pub uuid: Option<Names>,
    /// One column a metric, by [`Metric::index`]; `None` when the table lacks it.
    pub reals: [Option<Vec<f64>>; Metric::COUNT],
    /// NVML's bit mask.
    pub clock_event_reasons: Option<Vec<Option<u64>>>,
    pub ecc_uncorrected: Option<Vec<Option<u64>>>,
    pub xid: Option<Vec<Option<u64>>>,
}

impl SampleColumns {
    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.time_ns.len()
    }

    /// Which rows are of the same device: node, index and uuid alike.
    #[must_use]
    pub fn devices(&self) -> Slots {
        let slots = Slots::new(self.rows()).by_names(&self.node).by_keys(&self.device);
        match &self.uuid {
            Some(uuid) => slots.by_names(uuid),
            None => slots,
        }
    }

    /// Leaves only some rows: those whose entry is true.
    pub fn keep(&mut self, keep: &[bool]) {
        fn some<T>(column: &mut Vec<T>, keep: &[bool]) {
            let mut keep = keep.iter();
            column.retain(|_| keep.next().is_none_or(|keep| *keep));
        }
        some(&mut self.time_ns, keep);
        some(&mut self.device, keep);
        let names = [&mut self.phase, &mut self.block, &mut self.uuid].into_iter().flatten();
        names.chain([&mut self.node]).for_each(|names| some(&mut names.keys, keep));
        self.reals.iter_mut().flatten().for_each(|column| some(column, keep));
        let wholes = [&mut self.clock_event_reasons, &mut self.ecc_uncorrected, &mut self.xid];
        wholes.into_iter().flatten().for_each(|column| some(column, keep));
    }

    /// A value of a row; `None` is not measured.
    #[must_use]
    pub fn real(&self, metric: Metric, row: usize) -> Option<f64> {
        let column = self.reals[metric.index()].as_ref()?;
        column.get(row).copied().filter(|value| value.is_finite())
    }

    /// The same rows, column by column.
    #[must_use]
    pub fn from_rows(rows: &[SampleRow]) -> Self {
        let mut columns = Self {
            time_ns: rows.iter().map(|row| row.time_ns).collect(),
            device: rows.iter().map(|row| row.device).collect(),
            node: named(rows, |row| &row.node),
            phase: names(rows, |row| row.phase.as_deref()),
            block: names(rows, |row| row.block.as_deref()),
            uuid: names(rows, |row| row.uuid.as_deref()),
            clock_event_reasons: wholes(rows, |row| row.clock_event_reasons),
            ecc_uncorrected: wholes(rows, |row| row.ecc_uncorrected),
            xid: wholes(rows, |row| row.xid),
            ..Self::default()
        };
        for metric in Metric::ALL {
            columns.reals[metric.index()] = reals(rows, |row| real_of(row, metric));
        }
        columns
    }
}

fn real_of(row: &SampleRow, metric: Metric) -> Option<f64> {
    match metric {
        Metric::PowerW => row.power_w,
        Metric::TempC => row.temp_c,
        Metric::TempMaxC => row.temp_max_c,
        Metric::MemTempC => row.mem_temp_c,
        Metric::InletAirC => row.inlet_air_c,
        Metric::CoolantSupplyC => row.coolant_supply_c,
        Metric::ClockMhz => row.clock_mhz,
        Metric::ClockMinMhz => row.clock_min_mhz,
        Metric::Busy => row.busy,
        Metric::Perf => row.perf,
        Metric::PowerLimitW => row.power_limit_w,
        Metric::MarginC => row.margin_c,
        Metric::EnergyJ => row.energy_j,
        Metric::SwPowerCapS => row.sw_power_cap_s,
        Metric::SwThermalS => row.sw_thermal_s,
        Metric::HwThermalS => row.hw_thermal_s,
        Metric::PowerBrakeS => row.power_brake_s,
    }
}

fn names<'a>(
    rows: &'a [SampleRow],
    of: impl Fn(&'a SampleRow) -> Option<&'a str>,
) -> Option<Names> {
    if rows.iter().all(|row| of(row).is_none()) {
        return None;
    }
    Some(named(rows, |row| of(row).unwrap_or_default()))
}

fn named<'a>(rows: &'a [SampleRow], of: impl Fn(&'a SampleRow) -> &'a str) -> Names {
    let mut names = Names::default();
    // Asked, never walked: no order shows.
    let mut known: HashMap<&str, u32> = HashMap::new();
    for row in rows {
        let text = of(row);
        let key = *known.entry(text).or_insert_with(|| {
            names.values.push(text.to_owned());
            u32::try_from(names.values.len() - 1).unwrap_or(u32::MAX)
        });
        names.keys.push(key);
    }
    names
}

fn wholes(rows: &[SampleRow], of: impl Fn(&SampleRow) -> Option<u64>) -> Option<Vec<Option<u64>>> {
    let column: Vec<Option<u64>> = rows.iter().map(of).collect();
    column.iter().any(Option::is_some).then_some(column)
}

fn reals(rows: &[SampleRow], of: impl Fn(&SampleRow) -> Option<f64>) -> Option<Vec<f64>> {
    let column: Vec<f64> =
        rows.iter().map(|row| of(row).filter(|x| x.is_finite()).unwrap_or(f64::NAN)).collect();
    column.iter().any(|value| !value.is_nan()).then_some(column)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_keep_their_values_and_their_gaps() {
        let row = |node: &str, power_w, xid| SampleRow {
            node: node.to_owned(),
            power_w,
            xid,
            ..SampleRow::default()
        };
        let rows =
            [row("a", Some(1.0), None), row("", None, Some(79)), row("a", Some(f64::NAN), None)];
        let columns = SampleColumns::from_rows(&rows);
        assert_eq!((columns.rows(), columns.node.get(2), columns.node.get(1)), (3, "a", ""));
        let power = |row| columns.real(Metric::PowerW, row);
        assert_eq!((power(0), power(1), power(2)), (Some(1.0), None, None));
        assert_eq!(columns.xid, Some(vec![None, Some(79), None]));
        assert!(columns.reals[Metric::TempC.index()].is_none() && columns.block.is_none());
        assert_eq!(columns.node.values.len(), 2);
    }
}
