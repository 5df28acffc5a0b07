//! Who else uses this node. A busy CPU is a warning, never a refusal.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::sensors::ForeignLoad;

/// Distance of looks at the process table.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Others below this share of the machine are background noise of any Linux.
const SHARE_MIN: f64 = 0.05;

/// What was seen last, kept fresh by a thread.
#[derive(Debug, Default)]
pub(crate) struct Surroundings {
    last: Mutex<Option<String>>,
}

impl Surroundings {
    /// Starts looking. Without the thread nothing is ever warned of, and nothing else lost.
    #[must_use]
    pub(crate) fn watch(root: &Path) -> Arc<Self> {
        let surroundings = Arc::new(Self::default());
        let (seen, root) = (surroundings.clone(), root.to_owned());
        let look = move || {
            let mut load = ForeignLoad::new(&root);
            let ours = BTreeSet::from([std::process::id()]);
            loop {
                let warning = load.read(&ours).value().and_then(|foreign| {
                    let busiest = foreign.busiest.filter(|_| foreign.share >= SHARE_MIN)?;
                    Some(format!(
                        "others use {:.0} % of this node's CPU, most of it {} (pid {})",
                        foreign.share * 100.0,
                        busiest.name,
                        busiest.pid
                    ))
                });
                if let Ok(mut last) = seen.last.lock() {
                    *last = warning;
                }
                std::thread::sleep(LOOK_INTERVAL);
            }
        };
        if let Err(error) = std::thread::Builder::new().name("surroundings".into()).spawn(look) {
            tracing::warn!(%error, "the process table is not watched");
        }
        surroundings
    }

    /// A line for each thing worth knowing before a load starts.
    #[must_use]
    pub(crate) fn warnings(&self) -> Vec<String> {
        self.last.lock().ok().and_then(|last| last.clone()).into_iter().collect()
    }
}
