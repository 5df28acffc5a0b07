//! Points of the building: what a meter measures, on which line, in which unit.

/// What is measured; the unit is the word's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Quantity {
    PowerKw,
    VoltageV,
    CurrentA,
    SupplyC,
    ReturnC,
    FlowLpm,
    DpKpa,
    InletAirC,
    DewPointC,
    /// Supply of the facility's water on the far side of a heat exchanger.
    PrimarySupplyC,
    /// A counter, since whenever: only differences mean anything.
    EnergyKwh,
    /// Anything but zero is an alarm.
    Alarm,
}

impl Quantity {
    /// Every quantity.
    pub const ALL: [Self; 12] = [
        Self::PowerKw,
        Self::VoltageV,
        Self::CurrentA,
        Self::SupplyC,
        Self::ReturnC,
        Self::FlowLpm,
        Self::DpKpa,
        Self::InletAirC,
        Self::DewPointC,
        Self::PrimarySupplyC,
        Self::EnergyKwh,
        Self::Alarm,
    ];

    /// The word in tables.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::PowerKw => "power_kw",
            Self::VoltageV => "voltage_v",
            Self::CurrentA => "current_a",
            Self::SupplyC => "supply_c",
            Self::ReturnC => "return_c",
            Self::FlowLpm => "flow_lpm",
            Self::DpKpa => "dp_kpa",
            Self::InletAirC => "inlet_air_c",
            Self::DewPointC => "dew_point_c",
            Self::PrimarySupplyC => "primary_supply_c",
            Self::EnergyKwh => "energy_kwh",
            Self::Alarm => "alarm",
        }
    }

    /// Turns a value in some unit into this quantity's own; `None` for a unit that is not
    /// known. No unit is the word's own.
    fn convert(self, value: f64, unit: &str) -> Option<f64> {
        let unit = unit.trim().to_ascii_lowercase();
        if unit.is_empty() {
            return Some(value);
        }
        let scale = match (self, unit.as_str()) {
            (Self::PowerKw, "kw") | (Self::VoltageV, "v") | (Self::CurrentA, "a") => 1.0,
            (Self::PowerKw, "w") | (Self::VoltageV, "mv") | (Self::CurrentA, "ma") => 1e-3,
            // Megawatts: no meter of a building speaks in milliwatts.
            (Self::PowerKw, "mw") | (Self::VoltageV, "kv") => 1e3,
            (Self::EnergyKwh, "kwh") => 1.0,
            (Self::EnergyKwh, "wh") => 1e-3,
            (Self::EnergyKwh, "mwh") => 1e3,
            (Self::EnergyKwh, "j") => 1.0 / 3.6e6,
            (Self::FlowLpm, "lpm" | "l/min") | (Self::DpKpa, "kpa") | (Self::Alarm, "1") => 1.0,
            (Self::FlowLpm, "l/s") => 60.0,
            (Self::FlowLpm, "m3/h") => 1000.0 / 60.0,
            // US gallon, exact by definition.
            (Self::FlowLpm, "gpm") => 3.785_411_784,
            (Self::DpKpa, "pa") => 1e-3,
            (Self::DpKpa, "bar") => 100.0,
            (_, "c" | "°c" | "degc") if self.is_temperature() => 1.0,
            (_, "f" | "°f" | "degf") if self.is_temperature() => {
                return Some((value - 32.0) / 1.8);
            }
            (_, "k") if self.is_temperature() => return Some(value - 273.15),
            _ => return None,
        };
        Some(value * scale)
    }

    fn is_temperature(self) -> bool {
        use Quantity::{DewPointC, InletAirC, PrimarySupplyC, ReturnC, SupplyC};
        matches!(self, SupplyC | ReturnC | InletAirC | DewPointC | PrimarySupplyC)
    }
}

/// One wire of a supply, or all of it together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Line {
    Whole,
    L1,
    L2,
    L3,
}

impl Line {
    /// The three wires.
    pub const WIRES: [Self; 3] = [Self::L1, Self::L2, Self::L3];

    /// The suffix in tables and reports; empty for all of it.
    #[must_use]
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Whole => "",
            Self::L1 => ".l1",
            Self::L2 => ".l2",
            Self::L3 => ".l3",
        }
    }

    fn of(word: &str) -> Option<Self> {
        match word.to_ascii_lowercase().as_str() {
            "l1" | "a" | "1" => Some(Self::L1),
            "l2" | "b" | "2" => Some(Self::L2),
            "l3" | "c" | "3" => Some(Self::L3),
            _ => None,
        }
    }
}

/// A quantity on a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Point {
    pub quantity: Quantity,
    pub line: Line,
}

/// Why a reading is no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Refusal {
    /// The cell was empty or no number.
    NotANumber,
    /// Its source doubts it.
    Suspect,
    UnknownPoint,
    UnknownUnit,
    /// Beyond anything a building has.
    OutOfRange,
}

impl Refusal {
    /// In words for a report.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::NotANumber => "no number",
            Self::Suspect => "doubted by their source",
            Self::UnknownPoint => "of a point that is not known",
            Self::UnknownUnit => "in a unit that is not known",
            Self::OutOfRange => "beyond anything a building has",
        }
    }
}

/// Magnitudes above are refused: a terawatt, and small enough for exact sums of millionths.
const MOST: f64 = 1e9;

impl Point {
    /// The point of a word such as `current_a.l2`.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        let (name, line) = match word.split_once('.') {
            Some((name, suffix)) => (name, Line::of(suffix)?),
            None => (word, Line::Whole),
        };
        let quantity = Quantity::ALL.into_iter().find(|q| q.word() == name)?;
        Some(Self { quantity, line })
    }

    /// The word in tables and reports.
    #[must_use]
    pub fn word(self) -> String {
        format!("{}{}", self.quantity.word(), self.line.suffix())
    }

    /// A reading's value in the point's own unit.
    pub fn value(self, value: f64, unit: &str) -> Result<f64, Refusal> {
        if !value.is_finite() {
            return Err(Refusal::NotANumber);
        }
        let value = self.quantity.convert(value, unit).ok_or(Refusal::UnknownUnit)?;
        if value.abs() > MOST { Err(Refusal::OutOfRange) } else { Ok(value) }
    }
}
