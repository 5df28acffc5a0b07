//! A run seen through `loadbank watch --json`, and waiting in general.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::process::{LOOK, Process};

/// Waits until `found` finds something.
///
/// # Panics
/// When it does not in time.
pub fn wait_until<T>(what: &str, patience: Duration, mut found: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(value) = found() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited {patience:?} in vain: {what}");
        std::thread::sleep(LOOK);
    }
}

/// A `watch --json` that runs beside a run.
pub struct Watch(pub Process);

impl Watch {
    /// Every status so far. A last line without its end is not there yet.
    #[must_use]
    pub fn statuses(&self) -> Vec<Value> {
        let text = self.0.stdout();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Waits until a phase has run for so many seconds.
    ///
    /// # Panics
    /// When it does not come in half a minute.
    pub fn wait_for_phase(&self, phase: &str, elapsed_s: f64) {
        wait_until(&format!("phase {phase}"), Duration::from_secs(30), || {
            let last = self.statuses().pop()?;
            let here = last["phase"] == phase
                && last["phase_elapsed_s"].as_f64().is_some_and(|seconds| seconds >= elapsed_s);
            here.then_some(())
        });
    }
}
