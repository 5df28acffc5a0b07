//! The meters' table, followed while something else writes it.
//!
//! On a thread of its own: a table on a share that hangs is a source that falls silent, and
//! must hold up nothing else.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use formats::{MeterFollower, MeterRow};

/// Distance of looks: a reading is acted on within this and the way to the agents.
const LOOK: Duration = Duration::from_millis(10);
/// Lines that are no rows are told this often in one look; the rest is counted.
const WRONG_TOLD: usize = 3;

/// Hands rows on as they come, until `ended` is set.
///
/// # Errors
/// When no thread can be started.
pub(crate) fn follow(
    path: PathBuf,
    ended: Arc<AtomicBool>,
    mut hear: impl FnMut(Vec<MeterRow>) + Send + 'static,
) -> std::io::Result<()> {
    let look = move || {
        let mut follower = MeterFollower::new(&path);
        let mut trouble = String::new();
        while !ended.load(Ordering::Relaxed) {
            match follower.look() {
                Ok(looked) => {
                    trouble.clear();
                    for wrong in looked.wrong.iter().take(WRONG_TOLD) {
                        tracing::warn!(lines = looked.wrong.len(), "no reading: {wrong}");
                    }
                    if !looked.rows.is_empty() {
                        hear(looked.rows);
                    }
                }
                Err(error) => {
                    let now = error.to_string();
                    if now != trouble {
                        tracing::warn!("meters: {now}");
                    }
                    trouble = now;
                }
            }
            std::thread::sleep(LOOK);
        }
    };
    std::thread::Builder::new().name("meters".to_owned()).spawn(look).map(drop)
}
