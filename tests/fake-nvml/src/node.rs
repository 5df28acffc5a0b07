//! The node behind the library: its script, and what passes with time (energy, throttled time).

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use crate::script::Script;

/// Name of the variable that holds the script's path.
const SCRIPT: &str = "LOADBANK_FAKE_NVML";
/// Name of the variable that holds the folder in which fake GPUs say what they draw.
const DRAWS: &str = "LOADBANK_FAKE_DRAWS";
/// What a GPU without load draws then.
const IDLE_MW: u32 = 100_000;
/// More than any script has.
const GPUS_MAX: usize = 64;
/// How often a hanging call looks whether it still has to.
const HANG_LOOK: Duration = Duration::from_millis(50);

/// Reasons with a counter: word of the script, bit of NVML's mask.
pub(crate) const REASONS: [(&str, u64); 4] =
    [("power_cap", 0x04), ("sw_thermal", 0x20), ("hw_thermal", 0x40), ("brake", 0x80)];

/// What one GPU has counted.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counted {
    pub(crate) millijoules: f64,
    /// Nanoseconds by reason, in the order of [`REASONS`].
    pub(crate) throttled_ns: [u64; 4],
}

/// The node.
pub(crate) struct Node {
    path: Option<PathBuf>,
    /// A folder with a file a GPU, which holds what it draws in milliwatts.
    draws: Option<PathBuf>,
    read: Option<SystemTime>,
    pub(crate) script: Script,
    passed: Instant,
    born: Instant,
    counted: [Counted; GPUS_MAX],
    /// Xids that were delivered.
    told: BTreeSet<(u32, u64)>,
}

impl Node {
    /// The one node of this process, with its script and its counters as they are now.
    pub(crate) fn now() -> MutexGuard<'static, Self> {
        static NODE: OnceLock<Mutex<Node>> = OnceLock::new();
        let node = NODE.get_or_init(|| Mutex::new(Self::new()));
        let mut node = node.lock().unwrap_or_else(PoisonError::into_inner);
        node.pass();
        node.read_script();
        node
    }

    /// Blocks while the script says that this GPU hangs.
    pub(crate) fn hang(gpu: u32) {
        while Self::now().script.says(gpu, "hang") {
            std::thread::sleep(HANG_LOOK);
        }
    }

    fn new() -> Self {
        let path = std::env::var_os(SCRIPT).map(PathBuf::from);
        let draws = std::env::var_os(DRAWS).map(PathBuf::from);
        let (script, now) = (Script::default(), Instant::now());
        let counted = [Counted::default(); GPUS_MAX];
        let told = BTreeSet::new();
        Self { path, draws, read: None, script, passed: now, born: now, counted, told }
    }

    fn read_script(&mut self) {
        let Some(path) = &self.path else { return };
        let changed = std::fs::metadata(path).and_then(|facts| facts.modified()).ok();
        if changed != self.read {
            self.script = Script::parse(&std::fs::read_to_string(path).unwrap_or_default());
            self.read = changed;
        }
    }

    /// Lets time pass under what the script said until now.
    fn pass(&mut self) {
        let passed = self.passed.elapsed();
        self.passed += passed;
        for gpu in 0..self.script.gpus.min(GPUS_MAX as u32) {
            let power_mw = f64::from(self.power_mw(gpu));
            let mask = self.mask(gpu);
            let counted = &mut self.counted[gpu as usize];
            counted.millijoules += power_mw * passed.as_secs_f64();
            for (count, (_, bit)) in counted.throttled_ns.iter_mut().zip(REASONS) {
                if mask & bit != 0 {
                    *count += passed.as_nanos() as u64;
                }
            }
        }
    }

    pub(crate) fn counted(&self, gpu: u32) -> Counted {
        self.counted.get(gpu as usize).copied().unwrap_or_default()
    }

    /// The mask of clock-event reasons.
    pub(crate) fn mask(&self, gpu: u32) -> u64 {
        let set = REASONS.iter().filter(|(word, _)| self.script.says(gpu, word));
        let mask = set.fold(0, |mask, (_, bit)| mask | bit);
        // Hardware's reasons have an umbrella.
        if mask & 0xc0 != 0 { mask | 0x08 } else { mask }
    }

    /// What a card draws: half where its supply brakes it.
    pub(crate) fn power_mw(&self, gpu: u32) -> u32 {
        if let Some(drawn) = self.drawn_mw(gpu) {
            return drawn;
        }
        let watts = self.script.number(gpu, "power").unwrap_or(600) as u32;
        let braked = self.mask(gpu) & 0xc0 != 0;
        if braked { watts * 500 } else { watts * 1_000 }
    }

    /// What the fake CUDA of this GPU's worker says that it draws.
    fn drawn_mw(&self, gpu: u32) -> Option<u32> {
        let text = std::fs::read_to_string(self.draws.as_ref()?.join(gpu.to_string()));
        // No worker has launched anything yet.
        Some(text.ok().and_then(|text| text.parse().ok()).unwrap_or(IDLE_MW))
    }

    pub(crate) fn clock_mhz(&self, gpu: u32) -> u32 {
        if self.mask(gpu) & 0xc0 != 0 { 900 } else { 1_980 }
    }

    /// Microseconds, in steps of a sensor's 100 ms.
    pub(crate) fn sensor_us(&self) -> i64 {
        (self.born.elapsed().as_millis() as i64 / 100 + 1) * 100_000
    }

    /// The next Xid that nobody was told.
    pub(crate) fn next_xid(&mut self) -> Option<(u32, u64)> {
        let gpus = 0..self.script.gpus;
        let said = gpus.flat_map(|gpu| {
            let codes = self.script.facts_of(gpu, "xid").flatten();
            codes.map(move |code| (gpu, *code))
        });
        let next = said.filter(|xid| !self.told.contains(xid)).min()?;
        self.told.insert(next);
        Some(next)
    }
}
