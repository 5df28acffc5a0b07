//! Busy share of cores from `/proc/stat`, in the kernel's own ticks.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use model::reading::{Absence, Reading};

use super::sysfs::read_text;

/// Ticks that cores spent, since boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Ticks {
    pub(super) busy: u64,
    pub(super) total: u64,
}

/// The busy share of a device's cores between two reads.
#[derive(Debug)]
pub(super) struct Busy {
    stat: PathBuf,
    cores: BTreeSet<u32>,
    last: Option<Ticks>,
}

impl Busy {
    pub(super) fn discover(root: &Path, cores: &[u32]) -> Option<Self> {
        let stat = root.join("proc/stat");
        let cores = cores.iter().copied().collect();
        stat.exists().then_some(Self { stat, cores, last: None })
    }

    pub(super) fn absence(&self) -> Option<Absence> {
        ticks(&self.stat, &self.cores).err()
    }

    /// Share since the last read, 0..=1.
    pub(super) fn read(&mut self) -> Reading<f64> {
        let now = match ticks(&self.stat, &self.cores) {
            Ok(now) => now,
            Err(why) => {
                self.last = None;
                return Reading::Absent(why);
            }
        };
        match self.last.replace(now).and_then(|then| share(then, now)) {
            Some(share) => Reading::Value(share),
            None => Reading::Absent(Absence::NotYet),
        }
    }
}

/// `None` where no tick passed. Idle and iowait may run backwards (proc(5)): clamped.
fn share(then: Ticks, now: Ticks) -> Option<f64> {
    let total = now.total.saturating_sub(then.total);
    let busy = now.busy.saturating_sub(then.busy);
    (total > 0).then(|| (busy as f64 / total as f64).min(1.0))
}

/// Ticks of `cores` together; of all cores where that set is empty.
pub(super) fn ticks(stat: &Path, cores: &BTreeSet<u32>) -> Result<Ticks, Absence> {
    let text = read_text(stat)?;
    let mut sum = Ticks::default();
    let mut seen = false;
    for line in text.lines() {
        let Some((name, counts)) = line.split_once(' ') else { continue };
        let Some(core) = name.strip_prefix("cpu").and_then(|n| n.parse::<u32>().ok()) else {
            continue;
        };
        if cores.is_empty() || cores.contains(&core) {
            let core = parse_counts(counts).ok_or(Absence::Failed)?;
            sum.busy = sum.busy.saturating_add(core.busy);
            sum.total = sum.total.saturating_add(core.total);
            seen = true;
        }
    }
    if seen { Ok(sum) } else { Err(Absence::NotPresent) }
}

/// user nice system idle iowait irq softirq steal (guest is counted in user). Stolen time
/// is neither idle nor ours: it belongs to the total only.
fn parse_counts(counts: &str) -> Option<Ticks> {
    let counts: Vec<u64> =
        counts.split_whitespace().take(8).map_while(|n| n.parse().ok()).collect();
    let [user, nice, system, idle, rest @ ..] = counts.as_slice() else { return None };
    let rest = |i: usize| rest.get(i).copied().unwrap_or(0);
    let sum = |parts: &[u64]| parts.iter().fold(0, |sum: u64, part| sum.saturating_add(*part));
    let busy = sum(&[*user, *nice, *system, rest(1), rest(2)]);
    Some(Ticks { busy, total: sum(&[busy, *idle, rest(0), rest(3)]) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sensors::fake::Tree;

    const FIRST: &str = "cpu  0 0 0 0 0 0 0 0 0 0\ncpu0 100 0 50 800 50 0 0 0 0 0\n\
                         cpu1 10 0 0 990 0 0 0 0 0 0\ncpu2 5 5 5 5 5 5 5 5 5 5\nintr 7 7\n";

    #[test]
    fn a_share_needs_two_reads_and_a_tick() {
        let tree = Tree::new();
        tree.put("proc/stat", FIRST);
        let mut busy = Busy::discover(tree.root(), &[0, 1]).unwrap();
        assert_eq!(busy.read(), Reading::Absent(Absence::NotYet));
        assert_eq!(busy.read(), Reading::Absent(Absence::NotYet));
        tree.put(
            "proc/stat",
            "cpu0 160 0 60 820 60 0 0 0 0 0\ncpu1 10 0 0 1080 0 0 0 10 0 0\ncpu2 9 9 9 9 9 9 9 9 9 9",
        );
        // 70 busy of 100 on one core, 0 busy of 100 (10 stolen) on the other.
        assert_eq!(busy.read(), Reading::Value(0.35));
    }

    #[test]
    fn cores_that_are_not_there_and_broken_lines_are_absences() {
        let tree = Tree::new();
        tree.put("proc/stat", FIRST);
        let mut busy = Busy::discover(tree.root(), &[77]).unwrap();
        assert_eq!(busy.read(), Reading::Absent(Absence::NotPresent));
        tree.put("proc/stat", "cpu77 x y\n");
        assert_eq!(busy.read(), Reading::Absent(Absence::Failed));
        assert!(Busy::discover(Tree::new().root(), &[0]).is_none());
    }

    #[test]
    fn a_counter_that_runs_backwards_is_clamped() {
        let then = Ticks { busy: 100, total: 200 };
        assert_eq!(share(then, Ticks { busy: 90, total: 300 }), Some(0.0));
        assert_eq!(share(then, Ticks { busy: 400, total: 300 }), Some(1.0));
        assert_eq!(share(then, Ticks { busy: 90, total: 190 }), None);
    }
}
