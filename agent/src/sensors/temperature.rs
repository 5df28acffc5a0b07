//! Package temperature: hwmon where a CPU driver is there, a thermal zone otherwise.
//!
//! Both speak millidegrees Celsius (Documentation/hwmon/sysfs-interface.rst,
//! Documentation/driver-api/thermal/sysfs-api.rst). `acpitz` zones are refused: many
//! boards answer a fixed number there, and the guard would trust it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use model::reading::{Absence, Reading};

use super::sysfs::{entries, file_name, read_number, read_text};

/// hwmon drivers of CPU dies, by the kernel's names.
const CPU_DRIVERS: [&str; 6] =
    ["coretemp", "k10temp", "zenpower", "via_cputemp", "cpu_thermal", "soc_thermal"];

/// Zone types that are CPU dies, best first; the rest are prefixes used by ARM boards.
const CPU_ZONES: [&str; 4] = ["x86_pkg_temp", "cpu", "soc", "cluster"];

const MILLI: f64 = 1e-3;

/// The sensors whose highest value is the device's temperature.
#[derive(Debug)]
pub(super) struct Temperature {
    inputs: Vec<PathBuf>,
}

impl Temperature {
    /// Finds the sensors of `packages`; of all packages where that set is empty.
    pub(super) fn discover(root: &Path, packages: &BTreeSet<u32>) -> Option<Self> {
        let mut inputs: Vec<PathBuf> = entries(&root.join("sys/class/hwmon"))
            .iter()
            .filter(|chip| is_cpu_driver(chip))
            .flat_map(|chip| package_inputs(chip, packages))
            .collect();
        if inputs.is_empty() {
            inputs = zone_inputs(root);
        }
        (!inputs.is_empty()).then_some(Self { inputs })
    }

    /// Why the sensors can't be read now, if they can't.
    pub(super) fn absence(&self) -> Option<Absence> {
        self.read().absence()
    }

    /// The highest of the sensors, in °C. One that is silent makes the highest unknown.
    pub(super) fn read(&self) -> Reading<f64> {
        let mut highest = f64::NEG_INFINITY;
        for input in &self.inputs {
            match read_number::<i64>(input) {
                Ok(milli_c) => highest = highest.max(milli_c as f64 * MILLI),
                Err(why) => return Reading::Absent(why),
            }
        }
        Reading::Value(highest)
    }
}

fn is_cpu_driver(chip: &Path) -> bool {
    read_text(&chip.join("name")).is_ok_and(|name| CPU_DRIVERS.contains(&name.as_str()))
}

/// The chip's package sensors, or all it has where none is labelled as such.
fn package_inputs(chip: &Path, packages: &BTreeSet<u32>) -> Vec<PathBuf> {
    let labelled: Vec<(String, PathBuf)> = entries(chip)
        .into_iter()
        .filter_map(|path| {
            let stem = file_name(&path).strip_suffix("_input")?.to_owned();
            let label = read_text(&chip.join(format!("{stem}_label"))).unwrap_or_default();
            stem.starts_with("temp").then_some((label, path))
        })
        .collect();
    let with = |wanted: &dyn Fn(&str) -> bool| -> Vec<PathBuf> {
        labelled.iter().filter(|(label, _)| wanted(label)).map(|(_, path)| path.clone()).collect()
    };
    let is_package = |label: &str| label.starts_with("Package id ");
    if labelled.iter().any(|(label, _)| is_package(label)) {
        return with(&|label| is_package(label) && is_ours(label, packages));
    }
    // Tctl carries an offset on some Ryzen parts, Tdie never (Documentation/hwmon/k10temp.rst).
    for name in ["Tdie", "Tctl"] {
        let found = with(&|label| label == name);
        if !found.is_empty() {
            return found;
        }
    }
    with(&|_| true)
}

/// Whether `Package id 1` is a package of the device.
fn is_ours(label: &str, packages: &BTreeSet<u32>) -> bool {
    let id = label.trim_start_matches("Package id ").parse::<u32>();
    packages.is_empty() || id.is_ok_and(|id| packages.contains(&id))
}

fn zone_inputs(root: &Path) -> Vec<PathBuf> {
    let zones: Vec<(String, PathBuf)> = entries(&root.join("sys/class/thermal"))
        .into_iter()
        .filter(|zone| file_name(zone).starts_with("thermal_zone"))
        .filter_map(|zone| Some((read_text(&zone.join("type")).ok()?, zone.join("temp"))))
        .collect();
    CPU_ZONES
        .iter()
        .map(|wanted| {
            let of_type = zones.iter().filter(|(kind, _)| kind.starts_with(wanted));
            of_type.map(|(_, path)| path.clone()).collect::<Vec<_>>()
        })
        .find(|found| !found.is_empty())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sensors::fake::Tree;

    fn chip(tree: &Tree, number: u32, name: &str, temps: &[(&str, i64)]) {
        let base = format!("sys/class/hwmon/hwmon{number}");
        tree.put(&format!("{base}/name"), name);
        for (i, (label, milli_c)) in temps.iter().enumerate() {
            tree.put(&format!("{base}/temp{}_label", i + 1), label);
            tree.put(&format!("{base}/temp{}_input", i + 1), &milli_c.to_string());
        }
    }

    fn zone(tree: &Tree, number: u32, kind: &str, milli_c: i64) {
        tree.put(&format!("sys/class/thermal/thermal_zone{number}/type"), kind);
        tree.put(&format!("sys/class/thermal/thermal_zone{number}/temp"), &milli_c.to_string());
    }

    fn read(tree: &Tree, packages: &[u32]) -> Option<Reading<f64>> {
        let packages = packages.iter().copied().collect();
        Temperature::discover(tree.root(), &packages).map(|found| found.read())
    }

    #[test]
    fn the_hottest_package_counts() {
        let tree = Tree::new();
        chip(&tree, 0, "nvme", &[("Composite", 99_000)]);
        chip(&tree, 1, "coretemp", &[("Package id 0", 61_000), ("Core 0", 80_000)]);
        chip(&tree, 2, "coretemp", &[("Package id 1", 64_500)]);
        assert_eq!(read(&tree, &[]), Some(Reading::Value(64.5)));
        assert_eq!(read(&tree, &[0]), Some(Reading::Value(61.0)));
    }

    #[test]
    fn tdie_before_tctl_before_anything() {
        let tree = Tree::new();
        chip(&tree, 0, "k10temp", &[("Tctl", 90_000), ("Tdie", 63_000), ("Tccd1", 70_000)]);
        assert_eq!(read(&tree, &[]), Some(Reading::Value(63.0)));
        let tree = Tree::new();
        chip(&tree, 0, "zenpower", &[("Tctl", 62_000), ("Tccd1", 70_000)]);
        assert_eq!(read(&tree, &[]), Some(Reading::Value(62.0)));
        let tree = Tree::new();
        chip(&tree, 0, "cpu_thermal", &[("", 41_000)]);
        assert_eq!(read(&tree, &[]), Some(Reading::Value(41.0)));
    }

    #[test]
    fn a_package_zone_before_a_board_zone() {
        let tree = Tree::new();
        zone(&tree, 0, "acpitz", 27_800);
        assert_eq!(read(&tree, &[]), None);
        zone(&tree, 1, "cpu-thermal", 50_000);
        assert_eq!(read(&tree, &[]), Some(Reading::Value(50.0)));
        zone(&tree, 2, "x86_pkg_temp", 55_000);
        assert_eq!(read(&tree, &[]), Some(Reading::Value(55.0)));
    }

    #[test]
    fn a_sensor_that_breaks_is_a_failure_not_a_cooler_package() {
        let tree = Tree::new();
        chip(&tree, 0, "coretemp", &[("Package id 0", 61_000)]);
        chip(&tree, 1, "coretemp", &[("Package id 1", 64_000)]);
        let found = Temperature::discover(tree.root(), &BTreeSet::new()).unwrap();
        tree.put("sys/class/hwmon/hwmon1/temp1_input", "");
        assert_eq!(found.read(), Reading::Absent(Absence::Failed));
    }
}
