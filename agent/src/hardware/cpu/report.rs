//! Gathers what the cores say into what the port reports. Pure: `now` is an argument.

use std::collections::BTreeMap;

use model::load::Kernel;

use super::super::{CoreWindow, LoadReport};
use super::core::{Said, WindowKey};

/// How long a window waits for its last core. A core that is later than this is stuck or
/// starved; its counters come in a window of their own.
pub(super) const GRACE_NS: u64 = 250_000_000;

/// Puts together the words of all cores of a device.
#[derive(Debug)]
pub(super) struct Gatherer {
    /// Cores whose threads run, with the last command they rested after.
    resting: BTreeMap<u32, u64>,
    starts: BTreeMap<u64, Start>,
    windows: BTreeMap<WindowKey, Open>,
    idle_reported: u64,
}

#[derive(Debug)]
struct Start {
    intended_ns: u64,
    actual_ns: u64,
    cores: usize,
}

#[derive(Debug)]
struct Open {
    kernel: Kernel,
    to_ns: u64,
    level: f64,
    cores: Vec<CoreWindow>,
}

impl Gatherer {
    pub(super) fn new(cores: impl IntoIterator<Item = u32>) -> Self {
        Self {
            resting: cores.into_iter().map(|core| (core, 0)).collect(),
            starts: BTreeMap::new(),
            windows: BTreeMap::new(),
            idle_reported: 0,
        }
    }

    /// Takes one word in; `out` gets the reports that it completes.
    pub(super) fn hear(&mut self, said: Said, out: &mut Vec<LoadReport>) {
        match said {
            Said::Started { serial, intended_ns, actual_ns } => {
                let start =
                    self.starts.entry(serial).or_insert(Start { intended_ns, actual_ns, cores: 0 });
                start.actual_ns = start.actual_ns.max(actual_ns);
                start.cores += 1;
            }
            Said::Window { key, kernel, to_ns, level, window } => {
                let open = Open { kernel, to_ns, level, cores: Vec::new() };
                let open = self.windows.entry(key).or_insert(open);
                open.to_ns = open.to_ns.max(to_ns);
                open.cores.push(window);
            }
            Said::Mismatch { at_ns, kernel, core, injected, wrong } => {
                let detail = wrong.to_string();
                out.push(LoadReport::Mismatch { at_ns, kernel, core, injected, detail });
            }
            Said::Idle { core, serial, at_ns } => {
                self.resting.insert(core, serial);
                self.settle(out);
                self.idle(at_ns, out);
                return;
            }
            Said::Gone { core } => {
                self.resting.remove(&core);
            }
        }
        self.settle(out);
    }

    /// Closes what has waited long enough.
    pub(super) fn tick(&mut self, now_ns: u64, out: &mut Vec<LoadReport>) {
        let late = |at_ns: u64| at_ns + GRACE_NS <= now_ns;
        self.flush(|start| late(start.actual_ns), |open| late(open.to_ns), out);
    }

    /// Closes everything: no core speaks any more.
    pub(super) fn finish(&mut self, now_ns: u64, out: &mut Vec<LoadReport>) {
        self.flush(|_| true, |_| true, out);
        out.push(LoadReport::Idle { at_ns: now_ns });
    }

    fn settle(&mut self, out: &mut Vec<LoadReport>) {
        let cores = self.resting.len();
        self.flush(|start| start.cores >= cores, |open| open.cores.len() >= cores, out);
    }

    fn flush(
        &mut self,
        start_due: impl Fn(&Start) -> bool,
        window_due: impl Fn(&Open) -> bool,
        out: &mut Vec<LoadReport>,
    ) {
        for Start { intended_ns, actual_ns, .. } in take(&mut self.starts, start_due).into_values()
        {
            out.push(LoadReport::Started { intended_ns, actual_ns });
        }
        for (key, open) in take(&mut self.windows, window_due) {
            let Open { kernel, to_ns, level, mut cores } = open;
            cores.sort_unstable_by_key(|window| window.core);
            out.push(LoadReport::Window { kernel, from_ns: key.from_ns, to_ns, level, cores });
        }
    }

    /// Once every core rests after the same command, the device is idle.
    fn idle(&mut self, at_ns: u64, out: &mut Vec<LoadReport>) {
        let Some(least) = self.resting.values().min().copied() else { return };
        let all = self.resting.values().all(|serial| *serial == least);
        if all && least > self.idle_reported {
            self.idle_reported = least;
            out.push(LoadReport::Idle { at_ns });
        }
    }
}

/// Takes the entries that are due, in order.
fn take<K: Ord, V>(map: &mut BTreeMap<K, V>, due: impl Fn(&V) -> bool) -> BTreeMap<K, V> {
    let (taken, rest) = std::mem::take(map).into_iter().partition(|(_, value)| due(value));
    *map = rest;
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(core: u32, from_ns: u64) -> Said {
        let key = WindowKey { from_ns, serial: 1 };
        let window = CoreWindow { core, blocks: 1, ..CoreWindow::default() };
        Said::Window { key, kernel: Kernel::Mix, to_ns: from_ns + 10, level: 1.0, window }
    }

    fn heard(gatherer: &mut Gatherer, said: Said) -> Vec<LoadReport> {
        let mut out = Vec::new();
        gatherer.hear(said, &mut out);
        out
    }

    #[test]
    fn a_window_waits_for_every_core_but_not_for_ever() {
        let mut gatherer = Gatherer::new([0, 1]);
        assert!(heard(&mut gatherer, window(1, 0)).is_empty());
        match &heard(&mut gatherer, window(0, 0))[..] {
            [LoadReport::Window { cores, .. }] => {
                assert_eq!(cores.iter().map(|w| w.core).collect::<Vec<_>>(), [0, 1]);
            }
            other => panic!("{other:?}"),
        }
        assert!(heard(&mut gatherer, window(0, 10)).is_empty());
        let mut out = Vec::new();
        gatherer.tick(20 + GRACE_NS - 1, &mut out);
        assert!(out.is_empty());
        gatherer.tick(20 + GRACE_NS, &mut out);
        assert_eq!(out.len(), 1);
    }

    #[test]
    fn started_is_the_latest_core() {
        let mut gatherer = Gatherer::new([0, 1]);
        let start = |actual_ns| Said::Started { serial: 1, intended_ns: 5, actual_ns };
        assert!(heard(&mut gatherer, start(9)).is_empty());
        let want = LoadReport::Started { intended_ns: 5, actual_ns: 9 };
        assert_eq!(heard(&mut gatherer, start(7)), [want]);
    }

    #[test]
    fn idle_means_all_cores_after_the_same_command_and_is_said_once() {
        let mut gatherer = Gatherer::new([0, 1, 2]);
        let idle = |core, serial| Said::Idle { core, serial, at_ns: 7 };
        assert!(heard(&mut gatherer, idle(0, 1)).is_empty());
        assert!(heard(&mut gatherer, idle(1, 2)).is_empty());
        assert!(heard(&mut gatherer, Said::Gone { core: 2 }).is_empty());
        assert_eq!(heard(&mut gatherer, idle(0, 2)), [LoadReport::Idle { at_ns: 7 }]);
        assert!(heard(&mut gatherer, idle(0, 2)).is_empty());
    }
}
