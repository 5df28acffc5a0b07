//! From the sign pattern of a group to what is wrong with it, and who could be it.
//!
//! Temperature up with power down late is cooling; power down with temperature down is the
//! power path or the host, and the clock decides: down is power, at its maximum is the host.
//! Slow alone never implicates the building.

use model::finding::{Blame, FindingKind, Suspect};
use model::site::{DomainIx, Family, Site};

use crate::panel::Signal;

use super::Class;
use super::group::Group;

/// Robust z beyond which a signal counts for the pattern.
const CLEAR_Z: f64 = 3.0;
/// A clock within this share of the others' is at its usual value.
const CLOCK_USUAL: f64 = 0.01;

/// What the signs say.
pub(crate) fn kind(group: &Group) -> (FindingKind, Blame) {
    let bad = |signal| {
        signal == group.lead || group.moved(signal).is_some_and(|effect| effect.z >= CLEAR_Z)
    };
    let warm = [Signal::Temp, Signal::RTh, Signal::Supply, Signal::ThermalThrottle];
    let braked = bad(Signal::Brake) || bad(Signal::PowerLimit);
    let clock = group.moved(Signal::Clock).map_or(0.0, |effect| effect.difference);
    if group.lead == Signal::Silent || bad(Signal::Silent) {
        return (FindingKind::NodeLost, Blame::Facility);
    }
    if braked && !bad(Signal::ThermalThrottle) {
        return (FindingKind::WeakPower, Blame::Facility);
    }
    // Less power at an unchanged thermal resistance is cooler; a worse path shows in R_th
    // even while throttling hides it in the temperature.
    if warm.into_iter().any(bad) {
        return (FindingKind::WeakCooling, Blame::Facility);
    }
    if bad(Signal::Power) && clock < -CLOCK_USUAL {
        return (FindingKind::WeakPower, Blame::Facility);
    }
    if bad(Signal::Power) || (bad(Signal::Perf) && clock.abs() <= CLOCK_USUAL) {
        return (FindingKind::HostIo, Blame::Host);
    }
    (FindingKind::DeviceSlow, Blame::Device)
}

/// The suspect among all domains that can't be told apart, and the others.
///
/// The family that the kind speaks of comes first, then the place; within a family the
/// innermost domain, because a fault of the outer one would reach its other members if it
/// had any.
pub(crate) fn suspects(site: &Site, group: &Group, kind: FindingKind) -> (Suspect, Vec<Suspect>) {
    let wanted = match kind {
        FindingKind::WeakPower | FindingKind::NodeLost => Family::Power,
        FindingKind::WeakCooling => Family::Cooling,
        _ => Family::Place,
    };
    let rank = |domain: &DomainIx| {
        let family = site.domain(*domain).kind.family();
        let place = match family {
            family if family == wanted => 0,
            Family::Place => 1,
            _ => 2,
        };
        (place, std::cmp::Reverse(site.above(*domain).len()), *domain)
    };
    let sorted = |class: &Class| {
        let mut domains = class.domains.clone();
        domains.sort_by_key(rank);
        domains
    };
    let named = |domain: DomainIx| {
        let domain = site.domain(domain);
        Suspect::new(domain.kind.word(), domain.id.clone())
    };
    let mut all = sorted(&group.class).into_iter().map(named);
    let first = all.next().unwrap_or_else(|| Suspect::new("fleet", site.name()));
    let rest = all.chain(group.alternatives.iter().flat_map(sorted).map(named)).collect();
    (first, rest)
}
