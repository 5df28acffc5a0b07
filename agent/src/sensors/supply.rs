//! What the node draws from its supplies, and the air that it takes in, where the kernel has a
//! driver for it.
//!
//! `power_meter` is the board's own meter, which its management controller keeps
//! (Documentation/hwmon/acpi_power_meter.rst); supplies on PMBus label what comes in `pin` and
//! `vin` (Documentation/hwmon/pmbus.rst). Powers are microwatts, voltages millivolts, temperatures
//! millidegrees (Documentation/hwmon/sysfs-interface.rst).

use std::path::{Path, PathBuf};

use super::sysfs::{entries, file_name, read_number, read_text};

/// hwmon's name of the ACPI power meter.
const BOARD_METER: &str = "power_meter";
const KILO_OF_MICRO: f64 = 1e-9;
const MILLI: f64 = 1e-3;

/// One reading: the point's name as in tables of meters, its value, and its unit.
pub type SupplyReading = (&'static str, f64, &'static str);

/// The sensors of the node's supplies.
#[derive(Debug, Clone, Default)]
pub struct Supply {
    /// The board's meter: all that the node draws.
    board: Vec<PathBuf>,
    /// What goes into each supply; together they are all, where the board has no meter.
    inputs: Vec<PathBuf>,
    volts: Vec<PathBuf>,
    inlets: Vec<PathBuf>,
}

impl Supply {
    /// Looks for supplies below `root` (`/` on a real machine).
    #[must_use]
    pub fn discover(root: &Path) -> Self {
        let mut found = Self::default();
        for chip in entries(&root.join("sys/class/hwmon")) {
            let name = read_text(&chip.join("name")).unwrap_or_default();
            for file in entries(&chip) {
                found.add(&chip, &name, file);
            }
        }
        found
    }

    fn add(&mut self, chip: &Path, name: &str, file: PathBuf) {
        let word = file_name(&file);
        if name == BOARD_METER && word == "power1_average" {
            self.board.push(file);
            return;
        }
        let Some(sensor) = word.strip_suffix("_input") else { return };
        let label = read_text(&chip.join(format!("{sensor}_label"))).unwrap_or_default();
        let label = label.to_ascii_lowercase();
        let kind = sensor.trim_end_matches(|c: char| c.is_ascii_digit());
        match (kind, label.as_str()) {
            ("power", "pin") => self.inputs.push(file),
            ("in", "vin") => self.volts.push(file),
            ("temp", label) if label.contains("inlet") || label.contains("ambient") => {
                self.inlets.push(file);
            }
            _ => {}
        }
    }

    /// What can be read now; what can't is left out. May block where a driver does.
    ///
    /// `power_kw` is what the whole node draws: with one supply silent it is not known.
    /// `voltage_v` is the lowest of its inputs, `inlet_air_c` the warmest air.
    #[must_use]
    pub fn read(&self) -> Vec<SupplyReading> {
        let whole = if self.board.is_empty() { &self.inputs } else { &self.board };
        let watts = all(whole, KILO_OF_MICRO).map(|kw| kw.iter().sum());
        let volts = all(&self.volts, MILLI).map(|v| v.into_iter().fold(f64::MAX, f64::min));
        let air = all(&self.inlets, MILLI).map(|c| c.into_iter().fold(f64::MIN, f64::max));
        let points =
            [("power_kw", watts, "kW"), ("voltage_v", volts, "V"), ("inlet_air_c", air, "C")];
        points.into_iter().filter_map(|(point, value, unit)| Some((point, value?, unit))).collect()
    }
}

/// Every file's number; `None` where there is no file, or one that can't be read.
fn all(files: &[PathBuf], scale: f64) -> Option<Vec<f64>> {
    let read = |file: &PathBuf| read_number::<i64>(file).ok().map(|value| value as f64 * scale);
    let values: Option<Vec<f64>> = files.iter().map(read).collect();
    values.filter(|values| !values.is_empty())
}

#[cfg(test)]
mod tests {
    use super::super::fake::Tree;
    use super::*;

    fn psu(tree: &Tree, chip: u32, microwatts: &str) {
        let at = |file: &str| format!("sys/class/hwmon/hwmon{chip}/{file}");
        tree.put(&at("name"), "pmbus");
        tree.put(&at("power1_label"), "pin");
        tree.put(&at("power1_input"), microwatts);
        tree.put(&at("power2_label"), "pout1");
        tree.put(&at("power2_input"), "9000000000");
        tree.put(&at("in1_label"), "vin");
        tree.put(&at("in1_input"), "231500");
    }

    #[test]
    fn supplies_add_up_and_one_that_is_silent_leaves_the_sum_unknown() {
        let tree = Tree::new();
        psu(&tree, 0, "1500000000");
        psu(&tree, 1, "1250000000");
        tree.put("sys/class/hwmon/hwmon1/in1_input", "229000");
        tree.put("sys/class/hwmon/hwmon2/name", "board");
        tree.put("sys/class/hwmon/hwmon2/temp3_label", "Inlet Ambient");
        tree.put("sys/class/hwmon/hwmon2/temp3_input", "23500");
        let supply = Supply::discover(tree.root());
        let air = ("inlet_air_c", 23.5, "C");
        assert_eq!(supply.read(), [("power_kw", 2.75, "kW"), ("voltage_v", 229.0, "V"), air]);
        std::fs::remove_file(tree.root().join("sys/class/hwmon/hwmon1/power1_input")).unwrap();
        assert_eq!(supply.read(), [("voltage_v", 229.0, "V"), air]);
    }

    #[test]
    fn the_boards_meter_is_the_whole_node() {
        let tree = Tree::new();
        psu(&tree, 0, "1500000000");
        tree.put("sys/class/hwmon/hwmon4/name", "power_meter");
        tree.put("sys/class/hwmon/hwmon4/power1_average", "6125000000");
        let read = Supply::discover(tree.root()).read();
        assert_eq!(read[0], ("power_kw", 6.125, "kW"));
    }

    #[test]
    fn a_machine_without_such_sensors_says_nothing() {
        let tree = Tree::new();
        assert!(Supply::discover(tree.root()).read().is_empty());
        tree.put("sys/class/hwmon/hwmon0/name", "coretemp");
        tree.put("sys/class/hwmon/hwmon0/temp1_input", "40000");
        assert!(Supply::discover(tree.root()).read().is_empty());
    }
}
