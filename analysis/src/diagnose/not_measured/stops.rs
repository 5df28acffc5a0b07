//! What a shed domain did not show, and whose way to idle nobody recorded.

use super::{Concern, Gap};
use crate::case::{Case, list, utc};
use crate::measured::stops::idle_ns;

pub(super) fn stops(case: &Case) -> Vec<Gap> {
    let mut gaps = Vec::new();
    for stop in &case.facts.stops {
        if let Some(domain) = &stop.shed {
            let nodes = list(&stop.nodes);
            let at = utc(stop.heard_unix_ns).unwrap_or_default();
            let why = format!(
                "{domain} ({nodes}) was shed at {at} by interlock {}: nothing of its load was \
                 measured beyond that instant",
                stop.by
            );
            gaps.push(Gap::new("shed_domain", why, Concern::Everybody));
        }
        let silent: Vec<_> =
            stop.nodes.iter().filter(|node| idle_ns(case, node, stop).is_none()).collect();
        if !silent.is_empty() {
            let (count, all) = (silent.len(), stop.nodes.len());
            let why = format!(
                "{} {}: {count} of {all} nodes recorded no idle after it: {}",
                stop.kind,
                stop.by,
                list(silent)
            );
            gaps.push(Gap::told("stop_reading_to_idle", why));
        }
    }
    gaps
}
