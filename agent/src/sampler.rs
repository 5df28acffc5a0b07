//! The sampler: a thread a device, because a sick device blocks its sensors for minutes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::monotonic_ns;
use crate::hardware::Sensed;

/// Distance of samples until a run asks for another.
pub const INTERVAL_DEFAULT: Duration = Duration::from_secs(1);
/// A GPU's power and clock are looked at this often: its sensors have a new value every
/// 100 ms (arXiv 2312.02741), and slower looks miss short brakes.
pub const GPU_INTERVAL: Duration = Duration::from_millis(100);
/// No faster: sensors of a node answer in milliseconds.
pub const INTERVAL_MIN: Duration = Duration::from_millis(20);

/// Shared by the samplers of an agent.
#[derive(Debug)]
pub struct Sampling {
    interval_ns: AtomicU64,
    stopped: AtomicBool,
}

impl Default for Sampling {
    fn default() -> Self {
        let interval_ns = AtomicU64::new(INTERVAL_DEFAULT.as_nanos() as u64);
        Self { interval_ns, stopped: AtomicBool::new(false) }
    }
}

impl Sampling {
    /// Sets the distance of samples from the next one on.
    pub fn set_interval(&self, interval: Duration) {
        let interval = interval.max(INTERVAL_MIN).as_nanos() as u64;
        self.interval_ns.store(interval, Ordering::Relaxed);
    }

    /// Ends the samplers at their next sample.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }
}

/// Starts the sampler of one device, that looks at least once an `interval_max`. A reading
/// that comes late comes with its true instant; one that never comes is for the guard to miss.
///
/// # Errors
/// When the thread can't be made.
pub fn spawn(
    device: u32,
    sampling: Arc<Sampling>,
    interval_max: Duration,
    mut sense: impl FnMut() -> Sensed + Send + 'static,
    hear: impl Fn(u32, u64, Sensed) + Send + 'static,
) -> std::io::Result<()> {
    std::thread::Builder::new().name(format!("sampler-{device}")).spawn(move || {
        let longest_ns = interval_max.as_nanos() as u64;
        let mut due = monotonic_ns();
        while !sampling.stopped.load(Ordering::Relaxed) {
            let sensed = sense();
            hear(device, monotonic_ns(), sensed);
            let interval = sampling.interval_ns.load(Ordering::Relaxed).min(longest_ns);
            let now = monotonic_ns();
            // On the grid of the interval, so that a slow sensor does not make the rest drift.
            due += interval * (now.saturating_sub(due) / interval + 1);
            std::thread::sleep(Duration::from_nanos(due - now));
        }
    })?;
    Ok(())
}
