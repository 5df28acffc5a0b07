//! Company: by how much of its members a domain is loaded in a step, and how strong an effect
//! is among them then.

use std::collections::BTreeSet;

use model::site::{DomainIx, NodeIx, Site};

use super::study::{StepSeen, Study};
use crate::middle::{median, sigma};
use crate::panel::Signal;

/// A domain with at most this share of its members at work is far from its limit: what a
/// supply of a weak twelfth or a pump of a weak fifth lacks is not missed then.
pub(crate) const LITTLE: f64 = 0.75;
/// With this share it carries what it carries when all work.
const FULL: f64 = 0.99;
/// Standard error of a median beside that of a mean, for Gaussian values: sqrt(pi / 2).
const MEDIAN_ERROR: f64 = 1.2533;

/// How busy a domain was in a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Company {
    Little,
    Full,
    Between,
}

/// How busy a domain's nodes were in a step.
pub(super) fn company(site: &Site, domain: DomainIx, step: &StepSeen) -> Company {
    let members = site.members(domain);
    let working = members.iter().filter(|node| step.loaded.contains(node)).count();
    match working as f64 / members.len().max(1) as f64 {
        share if share <= LITTLE => Company::Little,
        share if share >= FULL => Company::Full,
        _ => Company::Between,
    }
}

/// An effect in some steps: the share of what it is with all at work, and its error.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Remains {
    pub(super) share: f64,
    pub(super) error: f64,
    pub(super) nodes: usize,
    pub(super) steps: usize,
}

impl Remains {
    /// Whether the effect is as good as gone, beyond doubt.
    pub(super) fn is_gone(&self) -> bool {
        self.share <= 0.4 && self.share + 2.0 * self.error < 0.6
    }

    /// Whether the effect is all there, beyond doubt.
    pub(super) fn is_there(&self) -> bool {
        self.share >= 0.6 && self.share - 2.0 * self.error > 0.4
    }
}

/// What remains of an effect among nodes in some steps. `effect`: how much worse they are than
/// others with all at work, in the bad direction.
pub(super) fn remains(
    study: &Study,
    signal: Signal,
    effect: f64,
    nodes: &[NodeIx],
    steps: &[&StepSeen],
) -> Option<Remains> {
    let members: BTreeSet<NodeIx> = nodes.iter().copied().collect();
    let own = |node: &NodeIx, steps: &[&StepSeen]| {
        let each = steps.iter().filter_map(|step| study.worse_together(signal, *node, step));
        median(&each.collect::<Vec<_>>())
    };
    let inside: Vec<f64> = nodes.iter().filter_map(|node| own(node, steps)).collect();
    let all: Vec<&StepSeen> = study.parts().collect();
    let others = study.together()?.loaded.iter().filter(|node| !members.contains(node));
    let outside: Vec<f64> = others.filter_map(|node| own(node, &all)).collect();
    let usual = median(&outside)?;
    let gained = median(&inside)? - usual;
    let spread = sigma(&outside, usual)?.max(signal.least_sigma());
    let count = inside.len() as f64;
    let error = MEDIAN_ERROR * spread * (1.0 / count + 1.0 / outside.len() as f64).sqrt();
    (effect > 0.0).then(|| Remains {
        share: 1.0 - gained / effect,
        error: error / effect,
        nodes: inside.len(),
        steps: steps.len(),
    })
}
