//! Error counters of network ports that grew.

use model::finding::Suspect;
use model::report::Measured;

use super::line;
use crate::case::Case;

pub(super) fn measured(case: &Case) -> Vec<Measured> {
    let nodes = case.seen.ports.nodes();
    let lines = nodes.flat_map(|(node, ports)| {
        ports.grown.iter().map(move |(key, count)| {
            let at = Suspect::new("nic", format!("{node}/{}", key.port));
            let what = format!("port_{}", key.counter);
            line(&what, &at, Some(&key.phase), *count as f64, "count")
        })
    });
    lines.collect()
}
