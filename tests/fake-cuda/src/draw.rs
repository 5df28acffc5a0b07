//! What a fake GPU draws: by how busy it is and by what its kernels do. Written to a file that the
//! fake NVML of its node reads, where the environment names a folder for it.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Once, OnceLock};
use std::time::Duration;

use model::load::Kernel;

use crate::kernel::Entry;
use crate::monotonic_ns;

/// Name of the variable that holds the folder.
const DRAWS: &str = "LOADBANK_FAKE_DRAWS";
const IDLE_W: f64 = 100.0;
/// At most, above idle: a GPU that is always busy with what draws most.
const SPAN_W: f64 = 500.0;
/// `mix` draws most at this share of tensor work, per mille, and so much less at its ends.
const BEST_SHARE: f64 = 850.0;
const SHARE_LOSS: f64 = 1.2;
/// How often the file is written, and the weight of what was new since: a card's sensor tells
/// a mean of some tenths of a second.
const BEAT: Duration = Duration::from_millis(20);
const NEW: f64 = 0.1;

/// Nanoseconds of work since the last beat, weighed by what it draws.
static WORK_NS: AtomicU64 = AtomicU64::new(0);

/// A launch kept the GPU busy.
pub(crate) fn busy(gpu: i32, entry: Entry, share: u32, span: Range<u64>) {
    static STARTED: Once = Once::new();
    let Some(folder) = folder() else { return };
    STARTED.call_once(|| {
        let file = folder.join(gpu.to_string());
        std::thread::spawn(move || say(&file));
    });
    let took_ns = span.end.saturating_sub(span.start) as f64;
    WORK_NS.fetch_add((took_ns * weight(entry, share)) as u64, Ordering::Relaxed);
}

fn folder() -> Option<&'static PathBuf> {
    static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();
    FOLDER.get_or_init(|| std::env::var_os(DRAWS).map(PathBuf::from)).as_ref()
}

fn weight(entry: Entry, share: u32) -> f64 {
    match entry {
        Entry::Load(Kernel::Mix) => {
            1.0 - SHARE_LOSS * ((f64::from(share) - BEST_SHARE) / 1000.0).powi(2)
        }
        _ => 0.9,
    }
}

/// Writes what is drawn until the process ends. By renaming: a reader never meets half a file.
fn say(file: &Path) {
    let (mut mean, mut before_ns) = (0.0, monotonic_ns());
    loop {
        std::thread::sleep(BEAT);
        let now_ns = monotonic_ns();
        let share = WORK_NS.swap(0, Ordering::Relaxed) as f64 / (now_ns - before_ns) as f64;
        before_ns = now_ns;
        mean += (share - mean) * NEW;
        let milliwatts = ((IDLE_W + SPAN_W * mean) * 1e3) as u32;
        let new = file.with_extension("new");
        let written = std::fs::write(&new, milliwatts.to_string());
        let _ = written.and_then(|()| std::fs::rename(&new, file));
    }
}
