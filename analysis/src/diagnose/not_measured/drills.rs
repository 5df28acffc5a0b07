//! Phases in which a person was to do something, and nobody said when it was done.

use super::{Concern, Gap};
use crate::case::Case;

/// A drill that nobody marked shows nothing: the feed may never have been pulled.
pub(super) fn unmarked(case: &Case) -> Vec<Gap> {
    let acts = case.plan.phases.iter().filter_map(|phase| Some((phase, phase.act.as_deref()?)));
    // A phase that was cut began anew, and with it what a person was to do: the mark of before
    // says nothing of what was done in the attempt that counts.
    let marked = |name: &str| case.facts.marks.iter().any(|mark| mark.phase == name && !mark.cut);
    let open = acts.filter(|(phase, _)| !marked(&phase.name));
    open.map(|(phase, act)| {
        let why = format!(
            "nobody marked the instant of \"{act}\" in phase {}: whether it was done is not known",
            phase.name
        );
        Gap::new("drill", why, Concern::Everybody)
    })
    .collect()
}
