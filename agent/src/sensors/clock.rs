//! Core clock from cpufreq: the mean of `scaling_cur_freq` over the device's cores.
//!
//! `/proc/cpuinfo` is no substitute: a guest without cpufreq shows its nominal clock
//! there for ever.

use std::path::{Path, PathBuf};

use model::reading::{Absence, Reading};

use super::sysfs::read_number;

const KHZ_PER_MHZ: f64 = 1e3;

#[derive(Debug)]
pub(super) struct Clock {
    files: Vec<PathBuf>,
}

impl Clock {
    pub(super) fn discover(root: &Path, cores: &[u32]) -> Option<Self> {
        let cpus = root.join("sys/devices/system/cpu");
        let files: Vec<PathBuf> = cores
            .iter()
            .map(|core| cpus.join(format!("cpu{core}/cpufreq/scaling_cur_freq")))
            .filter(|file| file.exists())
            .collect();
        (!files.is_empty()).then_some(Self { files })
    }

    pub(super) fn absence(&self) -> Option<Absence> {
        self.read().absence()
    }

    /// Mean over the cores that answer, in MHz (a core may have been taken offline);
    /// the first reason where none does.
    pub(super) fn read(&self) -> Reading<f64> {
        let mut sum_khz = 0.0;
        let mut answered = 0_u32;
        let mut absent = None;
        for file in &self.files {
            match read_number::<u64>(file) {
                Ok(khz) => {
                    sum_khz += khz as f64;
                    answered += 1;
                }
                Err(why) => absent = absent.or(Some(why)),
            }
        }
        match (answered, absent) {
            (0, why) => Reading::Absent(why.unwrap_or(Absence::NotPresent)),
            (n, _) => Reading::Value(sum_khz / f64::from(n) / KHZ_PER_MHZ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sensors::fake::Tree;

    fn core(tree: &Tree, core: u32, khz: &str) {
        let file = format!("sys/devices/system/cpu/cpu{core}/cpufreq/scaling_cur_freq");
        tree.put(&file, khz);
    }

    #[test]
    fn the_mean_of_our_cores_in_mhz() {
        let tree = Tree::new();
        core(&tree, 0, "2000000");
        core(&tree, 1, "3000000");
        core(&tree, 2, "9000000");
        let clock = Clock::discover(tree.root(), &[0, 1]).unwrap();
        assert_eq!(clock.read(), Reading::Value(2500.0));
        core(&tree, 0, "");
        assert_eq!(clock.read(), Reading::Value(3000.0));
        core(&tree, 1, "");
        assert_eq!(clock.read(), Reading::Absent(Absence::Failed));
    }

    #[test]
    fn no_cpufreq_no_clock() {
        assert!(Clock::discover(Tree::new().root(), &[0]).is_none());
    }
}
