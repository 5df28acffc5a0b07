//! Reads once a second, while somebody wants it, what the whole node says of itself: the network
//! ports' counters, and what the supplies draw.
//!
//! A thread each: a sick NIC blocks its counters, and a supply behind a management controller
//! answers when that one finds the time.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::time::Duration;

use crate::clock::monotonic_ns;
use crate::sensors::{Ports, Supply};
use crate::supervisor::Event;

/// How far a phase's growth may lie beside it.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Whether anything is read: an idle agent asks its hardware nothing.
#[derive(Debug, Default)]
pub(crate) struct NodeWatch {
    wanted: AtomicBool,
}

impl NodeWatch {
    /// Starts the threads. What a thread that can't be made would have read is not told, and
    /// nothing else is lost.
    #[must_use]
    pub(crate) fn start(root: &Path, hear: &Sender<Event>) -> Arc<Self> {
        let watch = Arc::new(Self::default());
        watch.look("ports", root, hear, Ports::discover, |ports, at_ns| {
            Some(Event::Ports { at_ns, counters: ports.read() })
        });
        watch.look("supply", root, hear, Supply::discover, |supply, at_ns| {
            let readings = supply.read();
            (!readings.is_empty()).then_some(Event::Supply { at_ns, readings })
        });
        watch
    }

    fn look<T: 'static>(
        self: &Arc<Self>,
        name: &'static str,
        root: &Path,
        hear: &Sender<Event>,
        discover: fn(&Path) -> T,
        read: fn(&T, u64) -> Option<Event>,
    ) {
        let (watch, root, hear) = (self.clone(), root.to_owned(), hear.clone());
        let look = move || {
            let mut found = None;
            loop {
                std::thread::sleep(LOOK_INTERVAL);
                if !watch.wanted.load(Ordering::Relaxed) {
                    // Ports and supplies may come and go between runs.
                    found = None;
                    continue;
                }
                let found = found.get_or_insert_with(|| discover(&root));
                let Some(event) = read(found, monotonic_ns()) else { continue };
                if hear.send(event).is_err() {
                    return;
                }
            }
        };
        if let Err(error) = std::thread::Builder::new().name(name.into()).spawn(look) {
            tracing::warn!(%error, "the node's {name} are not read");
        }
    }

    pub(crate) fn want(&self, wanted: bool) {
        self.wanted.store(wanted, Ordering::Relaxed);
    }
}
