//! Who else uses this CPU: the share of it that processes other than ours take.
//!
//! A busy CPU is a warning, never a refusal. Counted from `/proc/<pid>/stat` between two
//! reads, in the same ticks as `/proc/stat`, so that no clock and no tick rate is needed.
//! Processes that were born and died between two reads escape: the share is a floor.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use model::reading::{Absence, Reading};

use super::busy::{Ticks, ticks};
use super::sysfs::{entries, file_name, read_text};

/// The busiest of the others.
#[derive(Debug, Clone, PartialEq)]
pub struct Stranger {
    pub pid: u32,
    /// The kernel's short name of the process, at most 15 bytes.
    pub name: String,
    /// Share of the whole machine's CPU time, 0..=1.
    pub share: f64,
}

/// What processes other than ours took between two reads.
#[derive(Debug, Clone, PartialEq)]
pub struct Foreign {
    /// Share of the whole machine's CPU time, 0..=1.
    pub share: f64,
    pub busiest: Option<Stranger>,
}

/// Watches other people's processes.
#[derive(Debug)]
pub struct ForeignLoad {
    proc_dir: PathBuf,
    last: Option<Scan>,
}

#[derive(Debug)]
struct Scan {
    machine: Ticks,
    processes: BTreeMap<ProcessKey, Process>,
}

/// A pid returns; with its start time it does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct ProcessKey {
    pid: u32,
    start_ticks: u64,
}

#[derive(Debug)]
struct Process {
    name: String,
    cpu_ticks: u64,
}

impl ForeignLoad {
    /// `root` is `/`, or a tree that looks like one.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self { proc_dir: root.join("proc"), last: None }
    }

    /// What processes other than `ours` took since the last call.
    pub fn read(&mut self, ours: &BTreeSet<u32>) -> Reading<Foreign> {
        let now = match scan(&self.proc_dir) {
            Ok(now) => now,
            Err(why) => {
                self.last = None;
                return Reading::Absent(why);
            }
        };
        let told = self.last.as_ref().and_then(|then| compare(then, &now, ours));
        self.last = Some(now);
        told.map_or(Reading::Absent(Absence::NotYet), Reading::Value)
    }
}

fn scan(proc_dir: &Path) -> Result<Scan, Absence> {
    let machine = ticks(&proc_dir.join("stat"), &BTreeSet::new())?;
    let processes = entries(proc_dir).iter().filter_map(|dir| read_process(dir)).collect();
    Ok(Scan { machine, processes })
}

/// A process that ends while we look is nobody.
fn read_process(dir: &Path) -> Option<(ProcessKey, Process)> {
    let pid: u32 = file_name(dir).parse().ok()?;
    let stat = read_text(&dir.join("stat")).ok()?;
    // The name is free text in parentheses and may hold any of both.
    let (head, tail) = stat.rsplit_once(')')?;
    let name = head.split_once('(')?.1.to_owned();
    let fields: Vec<&str> = tail.split_whitespace().collect();
    // proc_pid_stat(5): utime 14, stime 15, starttime 22; `tail` begins with field 3.
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    let key = ProcessKey { pid, start_ticks: number(22)? };
    Some((key, Process { name, cpu_ticks: number(14)? + number(15)? }))
}

fn compare(then: &Scan, now: &Scan, ours: &BTreeSet<u32>) -> Option<Foreign> {
    let total = now.machine.total.checked_sub(then.machine.total).filter(|total| *total > 0)?;
    let mut sum = 0;
    let mut busiest: Option<(u64, u32, &str)> = None;
    for (key, process) in now.processes.iter().filter(|(key, _)| !ours.contains(&key.pid)) {
        let before = then.processes.get(key).map_or(0, |process| process.cpu_ticks);
        let spent = process.cpu_ticks.saturating_sub(before);
        sum += spent;
        if spent > busiest.map_or(0, |(most, ..)| most) {
            busiest = Some((spent, key.pid, &process.name));
        }
    }
    let share = |spent: u64| (spent as f64 / total as f64).min(1.0);
    let busiest = busiest.map(|(spent, pid, name)| Stranger {
        pid,
        name: name.to_owned(),
        share: share(spent),
    });
    Some(Foreign { share: share(sum), busiest })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sensors::fake::Tree;

    fn machine(tree: &Tree, total: u64) {
        tree.put("proc/stat", &format!("cpu0 0 0 0 {total} 0 0 0 0 0 0\n"));
    }

    fn process(tree: &Tree, pid: u32, name: &str, cpu: u64, start: u64) {
        let zeros = "0 ".repeat(10);
        let line = format!("{pid} ({name}) S {zeros}{cpu} 0 0 0 20 0 1 0 {start} 0 0\n");
        tree.put(&format!("proc/{pid}/stat"), &line);
    }

    #[test]
    fn others_are_counted_and_the_busiest_is_named() {
        let tree = Tree::new();
        machine(&tree, 1_000);
        process(&tree, 10, "loadbank-agent", 500, 1);
        process(&tree, 11, "a) (b", 100, 2);
        process(&tree, 12, "cron", 100, 3);
        let mut foreign = ForeignLoad::new(tree.root());
        let ours = BTreeSet::from([10]);
        assert_eq!(foreign.read(&ours), Reading::Absent(Absence::NotYet));
        machine(&tree, 1_200);
        process(&tree, 10, "loadbank-agent", 600, 1);
        process(&tree, 11, "a) (b", 140, 2);
        process(&tree, 12, "cron", 110, 3);
        let busiest = Stranger { pid: 11, name: "a) (b".to_owned(), share: 0.2 };
        let expected = Foreign { share: 0.25, busiest: Some(busiest) };
        assert_eq!(foreign.read(&ours), Reading::Value(expected));
    }

    #[test]
    fn a_reused_pid_is_a_new_process() {
        let tree = Tree::new();
        machine(&tree, 1_000);
        process(&tree, 11, "old", 900, 2);
        let mut foreign = ForeignLoad::new(tree.root());
        foreign.read(&BTreeSet::new());
        machine(&tree, 1_100);
        process(&tree, 11, "new", 50, 99);
        let share = foreign.read(&BTreeSet::new()).value().map(|told| told.share);
        assert_eq!(share, Some(0.5));
    }

    #[test]
    fn a_machine_without_proc_is_an_absence() {
        let mut foreign = ForeignLoad::new(Tree::new().root());
        assert_eq!(foreign.read(&BTreeSet::new()), Reading::Absent(Absence::NotPresent));
    }
}
