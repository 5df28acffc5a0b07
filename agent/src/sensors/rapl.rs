//! Package power from RAPL energy counters (Linux powercap, Intel and AMD).
//!
//! `energy_uj` counts microjoules and wraps at `max_energy_range_uj`
//! (Documentation/power/powercap/powercap.rst). Watts are the mean between two reads.
//! Only `package-*` zones count: `core` and `dram` lie inside or beside them, `psys`
//! contains them, and `intel-rapl-mmio` repeats them. Since CVE-2020-8694 the counter
//! is readable by root only.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use model::reading::{Absence, Reading};

use super::sysfs::{entries, file_name, read_number, read_text};

/// The counter is refreshed about every millisecond (Intel SDM vol. 3B, 16.10.3); below
/// five of those the mean would be off by more than a fifth.
const INTERVAL_MIN_NS: u64 = 5_000_000;

/// Above any package on sale (500 W TDP, short peaks of double) by a factor of two. More
/// than this is a counter that was reset, not a wrap.
const PACKAGE_W_MAX: f64 = 2_000.0;

const UJ_PER_J: f64 = 1e6;
const NS_PER_S: f64 = 1e9;

#[derive(Debug)]
struct Package {
    energy: PathBuf,
    /// Where the counter wraps, in microjoules; 0 when the kernel does not say.
    range_uj: u64,
    last: Option<(u64, u64)>,
}

/// The energy counters of a device's packages.
#[derive(Debug)]
pub(super) struct Rapl {
    packages: Vec<Package>,
}

impl Rapl {
    /// Finds the counters of `packages`; of all packages where that set is empty.
    pub(super) fn discover(root: &Path, packages: &BTreeSet<u32>) -> Option<Self> {
        let found: Vec<Package> = entries(&root.join("sys/class/powercap"))
            .into_iter()
            .filter(|zone| file_name(zone).starts_with("intel-rapl:"))
            .filter(|zone| is_wanted(&read_text(&zone.join("name")).unwrap_or_default(), packages))
            .map(|zone| Package {
                energy: zone.join("energy_uj"),
                range_uj: read_number(&zone.join("max_energy_range_uj")).unwrap_or(0),
                last: None,
            })
            .collect();
        (!found.is_empty()).then_some(Self { packages: found })
    }

    /// Why the counters can't be read now, if they can't.
    pub(super) fn absence(&self) -> Option<Absence> {
        self.packages.iter().find_map(|package| read_number::<u64>(&package.energy).err())
    }

    /// Mean watts of all packages together since the last read. One package that is
    /// silent makes the sum unknown: a part is not the whole.
    pub(super) fn read(&mut self, now_ns: u64) -> Reading<f64> {
        let mut sum = 0.0;
        let mut absent = None;
        for package in &mut self.packages {
            match package.watts(now_ns) {
                Ok(watts) => sum += watts,
                Err(why) => absent = absent.or(Some(why)),
            }
        }
        absent.map_or(Reading::Value(sum), Reading::Absent)
    }
}

impl Package {
    fn watts(&mut self, now_ns: u64) -> Result<f64, Absence> {
        let energy_uj: u64 = match read_number(&self.energy) {
            Ok(energy) => energy,
            Err(why) => {
                self.last = None;
                return Err(why);
            }
        };
        let Some((then_ns, then_uj)) = self.last else {
            self.last = Some((now_ns, energy_uj));
            return Err(Absence::NotYet);
        };
        let interval_ns = now_ns.saturating_sub(then_ns);
        if interval_ns < INTERVAL_MIN_NS {
            return Err(Absence::NotYet);
        }
        self.last = Some((now_ns, energy_uj));
        mean_watts(interval_ns as f64 / NS_PER_S, then_uj, energy_uj, self.range_uj)
    }
}

fn mean_watts(seconds: f64, then_uj: u64, now_uj: u64, range_uj: u64) -> Result<f64, Absence> {
    // Longer than a wrap can take: how often it wrapped is unknown.
    if range_uj > 0 && seconds > range_uj as f64 / UJ_PER_J / PACKAGE_W_MAX {
        return Err(Absence::NotYet);
    }
    let spent_uj = match now_uj.checked_sub(then_uj) {
        Some(spent) => spent,
        None => (range_uj.checked_sub(then_uj)).ok_or(Absence::Failed)?.saturating_add(now_uj),
    };
    let watts = spent_uj as f64 / UJ_PER_J / seconds;
    if watts <= PACKAGE_W_MAX { Ok(watts) } else { Err(Absence::Failed) }
}

/// `package-0`, or `package-0-die-1` on multi-die packages.
fn is_wanted(name: &str, packages: &BTreeSet<u32>) -> bool {
    let Some(rest) = name.strip_prefix("package-") else { return false };
    let id = rest.split('-').next().unwrap_or_default().parse::<u32>();
    packages.is_empty() || id.is_ok_and(|id| packages.contains(&id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sensors::fake::Tree;

    const S: u64 = 1_000_000_000;
    const RANGE: &str = "262143328850";

    fn zone(tree: &Tree, dir: &str, name: &str, energy: u64) {
        let base = format!("sys/class/powercap/{dir}");
        tree.put(&format!("{base}/name"), name);
        tree.put(&format!("{base}/energy_uj"), &energy.to_string());
        tree.put(&format!("{base}/max_energy_range_uj"), RANGE);
    }

    fn two_sockets(tree: &Tree) {
        zone(tree, "intel-rapl:0", "package-0", 1_000_000);
        zone(tree, "intel-rapl:0:0", "dram", 7);
        zone(tree, "intel-rapl:1", "package-1", 2_000_000);
        zone(tree, "intel-rapl:2", "psys", 9);
        zone(tree, "intel-rapl-mmio:0", "package-0", 1_000_000);
    }

    #[test]
    fn sums_packages_and_nothing_else() {
        let tree = Tree::new();
        two_sockets(&tree);
        let mut rapl = Rapl::discover(tree.root(), &BTreeSet::new()).unwrap();
        assert_eq!(rapl.read(S), Reading::Absent(Absence::NotYet));
        zone(&tree, "intel-rapl:0", "package-0", 1_000_000 + 200_000_000);
        zone(&tree, "intel-rapl:1", "package-1", 2_000_000 + 300_000_000);
        assert_eq!(rapl.read(3 * S), Reading::Value(250.0));
    }

    #[test]
    fn takes_only_the_packages_of_the_device() {
        let tree = Tree::new();
        two_sockets(&tree);
        let mut rapl = Rapl::discover(tree.root(), &BTreeSet::from([1])).unwrap();
        rapl.read(S);
        zone(&tree, "intel-rapl:0", "package-0", 900_000_000);
        zone(&tree, "intel-rapl:1", "package-1", 2_000_000 + 100_000_000);
        assert_eq!(rapl.read(2 * S), Reading::Value(100.0));
    }

    #[test]
    fn a_wrapped_counter_is_no_negative_power() {
        let range = 262_143_328_850;
        assert_eq!(mean_watts(1.0, range - 50_000_000, 70_000_000, range), Ok(120.0));
    }

    #[test]
    fn a_reset_counter_is_not_a_wrap() {
        let range = 262_143_328_850;
        assert_eq!(mean_watts(1.0, 90_000_000_000, 5, range), Err(Absence::Failed));
        assert_eq!(mean_watts(1.0, 90_000_000_000, 5, 0), Err(Absence::Failed));
    }

    #[test]
    fn an_interval_in_which_it_may_have_wrapped_twice_says_nothing() {
        assert_eq!(mean_watts(3_600.0, 5, 90_000_000, 65_532_610_987), Err(Absence::NotYet));
    }

    #[test]
    fn too_short_an_interval_keeps_the_first_reading() {
        let tree = Tree::new();
        zone(&tree, "intel-rapl:0", "package-0", 0);
        let mut rapl = Rapl::discover(tree.root(), &BTreeSet::new()).unwrap();
        rapl.read(S);
        assert_eq!(rapl.read(S + 1_000), Reading::Absent(Absence::NotYet));
        zone(&tree, "intel-rapl:0", "package-0", 50_000_000);
        assert_eq!(rapl.read(2 * S), Reading::Value(50.0));
    }

    #[test]
    fn a_silent_package_makes_the_sum_unknown_until_two_reads_later() {
        let tree = Tree::new();
        two_sockets(&tree);
        let mut rapl = Rapl::discover(tree.root(), &BTreeSet::new()).unwrap();
        rapl.read(S);
        tree.put("sys/class/powercap/intel-rapl:1/energy_uj", "");
        assert_eq!(rapl.read(2 * S), Reading::Absent(Absence::Failed));
        zone(&tree, "intel-rapl:1", "package-1", 3_000_000);
        assert_eq!(rapl.read(3 * S), Reading::Absent(Absence::NotYet));
        assert_eq!(rapl.read(4 * S), Reading::Value(0.0));
    }
}
