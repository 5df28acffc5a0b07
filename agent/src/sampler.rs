//! The sampler: a thread a device, because a sick device blocks its sensors for minutes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::monotonic_ns;
use crate::hardware::{Hardware, Sensed};

/// Distance of samples until a run asks for another.
pub const INTERVAL_DEFAULT: Duration = Duration::from_secs(1);
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

/// Starts the sampler of one device. A reading that comes late comes with its true instant;
/// one that never comes is for the guard to miss.
///
/// # Errors
/// When the thread can't be made.
pub fn spawn(
    hardware: Arc<dyn Hardware>,
    device: u32,
    sampling: Arc<Sampling>,
    hear: impl Fn(u32, u64, Sensed) + Send + 'static,
) -> std::io::Result<()> {
    std::thread::Builder::new().name(format!("sampler-{device}")).spawn(move || {
        let mut due = monotonic_ns();
        while !sampling.stopped.load(Ordering::Relaxed) {
            let sensed = hardware.sense(device);
            hear(device, monotonic_ns(), sensed);
            let interval = sampling.interval_ns.load(Ordering::Relaxed);
            let now = monotonic_ns();
            // On the grid of the interval, so that a slow sensor does not make the rest drift.
            due += interval * (now.saturating_sub(due) / interval + 1);
            std::thread::sleep(Duration::from_nanos(due - now));
        }
    })?;
    Ok(())
}
