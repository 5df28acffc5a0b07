//! Reads the network ports' counters once a second, while somebody wants them.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::time::Duration;

use crate::clock::monotonic_ns;
use crate::sensors::Ports;
use crate::supervisor::Event;

/// How far a phase's growth may lie beside it.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Whether counters are read: an idle agent asks its NICs nothing.
#[derive(Debug, Default)]
pub(crate) struct PortWatch {
    wanted: AtomicBool,
}

impl PortWatch {
    /// Starts the thread. Without it the counters are not told, and nothing else is lost.
    #[must_use]
    pub(crate) fn start(root: &Path, hear: Sender<Event>) -> Arc<Self> {
        let watch = Arc::new(Self::default());
        let (seen, root) = (watch.clone(), root.to_owned());
        let look = move || {
            let mut ports = None;
            loop {
                std::thread::sleep(LOOK_INTERVAL);
                if !seen.wanted.load(Ordering::Relaxed) {
                    // Ports may come and go between runs.
                    ports = None;
                    continue;
                }
                let ports = ports.get_or_insert_with(|| Ports::discover(&root));
                let (counters, at_ns) = (ports.read(), monotonic_ns());
                if hear.send(Event::Ports { at_ns, counters }).is_err() {
                    return;
                }
            }
        };
        if let Err(error) = std::thread::Builder::new().name("ports".into()).spawn(look) {
            tracing::warn!(%error, "the network ports' counters are not read");
        }
        watch
    }

    pub(crate) fn want(&self, wanted: bool) {
        self.wanted.store(wanted, Ordering::Relaxed);
    }
}
