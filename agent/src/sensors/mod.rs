//! What this machine's CPU device feels: power, temperature, clock, busy share.
//!
//! Owns finding the kernel's sensors and reading them. Every value is a value or a reason
//! why not. Refuses judging: an absurd value is passed on as it is, the guard knows better.
//! All paths hang from a root that the caller gives, so that a fake tree tests it.

mod busy;
mod clock;
mod ethtool;
#[cfg(test)]
mod fake;
mod foreign;
mod ports;
mod rapl;
mod supply;
mod sysfs;
mod temperature;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Instant;

use model::reading::{Absence, Reading};

use crate::hardware::Sensed;

use busy::Busy;
use clock::Clock;
use rapl::Rapl;
use temperature::Temperature;

pub use foreign::{Foreign, ForeignLoad, Stranger};
pub use ports::{PortCounters, Ports};
pub use supply::{Supply, SupplyReading};

const ABSENT: Reading<f64> = Reading::Absent(Absence::NotPresent);

/// The sensors of one CPU device.
#[derive(Debug)]
pub struct Sensors {
    born: Instant,
    power: Option<Rapl>,
    temperature: Option<Temperature>,
    clock: Option<Clock>,
    busy: Option<Busy>,
}

impl Sensors {
    /// Looks for the sensors of `cores` below `root` (`/` on a real machine).
    #[must_use]
    pub fn discover(root: &Path, cores: &[u32]) -> Self {
        let packages = packages_of(root, cores);
        Self {
            born: Instant::now(),
            power: Rapl::discover(root, &packages),
            temperature: Temperature::discover(root, &packages),
            clock: Clock::discover(root, cores),
            busy: Busy::discover(root, cores),
        }
    }

    /// Reads all sensors now. Means (power, busy) span the time since the last call.
    /// May block where a driver does: call it from the sampler's own thread.
    pub fn read(&mut self) -> Sensed {
        // The instant is taken right before the energy counter, and that one comes first.
        let now_ns = u64::try_from(self.born.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.read_at(now_ns)
    }

    /// [`Sensors::read`] with the caller's monotonic clock, in nanoseconds.
    pub fn read_at(&mut self, now_ns: u64) -> Sensed {
        Sensed {
            power_w: self.power.as_mut().map_or(ABSENT, |power| power.read(now_ns)),
            temp_c: self.temperature.as_ref().map_or(ABSENT, Temperature::read),
            clock_mhz: self.clock.as_ref().map_or(ABSENT, Clock::read),
            busy: self.busy.as_mut().map_or(ABSENT, Busy::read),
            gpu: None,
        }
    }

    /// What can't be measured here and why, to be said once at start.
    #[must_use]
    pub fn absences(&self) -> Vec<(String, Absence)> {
        let missing = Some(Absence::NotPresent);
        let all = [
            ("power_w (RAPL package energy)", self.power.as_ref().map_or(missing, Rapl::absence)),
            (
                "temp_c (hwmon or thermal zone of the CPU)",
                self.temperature.as_ref().map_or(missing, Temperature::absence),
            ),
            ("clock_mhz (cpufreq)", self.clock.as_ref().map_or(missing, Clock::absence)),
            ("busy (/proc/stat)", self.busy.as_ref().map_or(missing, Busy::absence)),
        ];
        all.into_iter().filter_map(|(what, why)| Some((what.to_owned(), why?))).collect()
    }
}

/// The packages that hold `cores`; empty where the kernel does not say, meaning all.
fn packages_of(root: &Path, cores: &[u32]) -> BTreeSet<u32> {
    let cpus = root.join("sys/devices/system/cpu");
    let id = |core: &u32| cpus.join(format!("cpu{core}/topology/physical_package_id"));
    cores.iter().filter_map(|core| sysfs::read_number(&id(core)).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use fake::Tree;

    const S: u64 = 1_000_000_000;

    #[test]
    fn a_bare_guest_has_reasons_instead_of_zeros() {
        let tree = Tree::new();
        let mut sensors = Sensors::discover(tree.root(), &[0, 1]);
        assert_eq!(sensors.read(), Sensed::default());
        let absences = sensors.absences();
        assert_eq!(absences.len(), 4);
        assert!(absences.iter().all(|(_, why)| *why == Absence::NotPresent));
    }

    #[test]
    fn a_server_is_read_whole() {
        let tree = Tree::new();
        tree.put("sys/devices/system/cpu/cpu0/topology/physical_package_id", "0");
        tree.put("sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq", "2100000");
        tree.put("sys/class/powercap/intel-rapl:0/name", "package-0");
        tree.put("sys/class/powercap/intel-rapl:0/energy_uj", "0");
        tree.put("sys/class/powercap/intel-rapl:0/max_energy_range_uj", "65532610987");
        tree.put("sys/class/hwmon/hwmon3/name", "coretemp");
        tree.put("sys/class/hwmon/hwmon3/temp1_label", "Package id 0");
        tree.put("sys/class/hwmon/hwmon3/temp1_input", "55000");
        tree.put("proc/stat", "cpu0 0 0 0 0 0 0 0 0\n");
        let mut sensors = Sensors::discover(tree.root(), &[0]);
        assert_eq!(sensors.absences(), vec![]);
        let first = sensors.read_at(0);
        assert_eq!(first.power_w, Reading::Absent(Absence::NotYet));
        tree.put("sys/class/powercap/intel-rapl:0/energy_uj", "180000000");
        tree.put("proc/stat", "cpu0 75 0 0 25 0 0 0 0\n");
        let expected = Sensed {
            gpu: None,
            power_w: Reading::Value(180.0),
            temp_c: Reading::Value(55.0),
            clock_mhz: Reading::Value(2100.0),
            busy: Reading::Value(0.75),
        };
        assert_eq!(sensors.read_at(S), expected);
    }

    #[test]
    fn a_sensor_that_vanishes_is_an_absence() {
        let tree = Tree::new();
        tree.put("sys/class/thermal/thermal_zone0/type", "x86_pkg_temp");
        tree.put("sys/class/thermal/thermal_zone0/temp", "40000");
        let mut sensors = Sensors::discover(tree.root(), &[0]);
        assert_eq!(sensors.read().temp_c, Reading::Value(40.0));
        std::fs::remove_file(tree.root().join("sys/class/thermal/thermal_zone0/temp")).unwrap();
        assert_eq!(sensors.read().temp_c, Reading::Absent(Absence::NotPresent));
    }

    #[test]
    fn this_machine_whatever_it_has_does_not_panic() {
        let mut sensors = Sensors::discover(Path::new("/"), &[0]);
        sensors.read();
        let _ = sensors.absences();
    }
}
