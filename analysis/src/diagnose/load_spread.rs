//! Telemetry of a load that nobody commanded and that was not alike: what of it is told as
//! a fault, and what is only counted, because unlike jobs explain it.

use crate::attribute::Group;
use crate::case::{Case, list, plural};
use crate::panel::{PanelDevice, Signal};

use super::not_measured::Gap;
use super::pattern::{Pattern, Signs};

/// Signals that no job makes: air or coolant that comes in warm, devices held back by heat
/// or brake, a limit that was set, nodes that fell silent.
const NOT_OF_LOAD: [Signal; 5] =
    [Signal::Supply, Signal::ThermalThrottle, Signal::Brake, Signal::PowerLimit, Signal::Silent];
/// Robust z from which such a signal counts as seen.
const SEEN_Z: f64 = 3.0;

/// Whether unlike jobs explain all that a group shows.
pub(super) fn explains_group(case: &Case, group: &Group) -> bool {
    let beyond_load = |signal: &Signal| group.moved(*signal).is_some_and(|e| e.z >= SEEN_Z);
    case.load_explains_spread() && !NOT_OF_LOAD.iter().any(beyond_load)
}

/// Whether unlike jobs explain the pattern of a device.
pub(super) fn explains_device(case: &Case, signs: &Signs, pattern: Pattern) -> bool {
    case.load_explains_spread()
        && match pattern {
            // Held back by its own word, or by its clock: no job does that.
            Pattern::Throttled => !signs.is_held_back(case),
            // Kelvin a watt mean nothing of a device that hardly draws a watt.
            Pattern::BadContact => signs.draws_less(case),
            Pattern::Warm
            | Pattern::Short
            | Pattern::Waiting
            | Pattern::Slow
            | Pattern::Silicon => true,
        }
}

/// What was seen and not told as a finding, so that it does not vanish.
pub(super) fn gap(case: &Case) -> Option<Gap> {
    let groups = case.attribution.map_or(&[][..], |attribution| &attribution.groups);
    let names: Vec<&str> = case.site.map_or_else(Vec::new, |site| {
        let spared = groups.iter().filter(|group| explains_group(case, group));
        let first = spared.filter_map(|group| group.class.domains.first());
        first.map(|domain| site.domain(*domain).id.as_str()).collect()
    });
    let spared = |device: &&PanelDevice| {
        let signs = Signs::new(case, device);
        signs.pattern(case).is_some_and(|(pattern, _)| explains_device(case, &signs, pattern))
    };
    let devices = case.panel.devices.iter().filter(spared).count();
    if names.is_empty() && devices == 0 {
        return None;
    }
    let mut differ = Vec::new();
    if devices > 0 {
        differ.push(plural(devices as u64, "device"));
    }
    if !names.is_empty() {
        differ.push(list(&names));
    }
    let why = format!(
        "like devices drew unlike power and nobody commanded the load: unlike jobs explain how {} differ, so nothing is said of them",
        differ.join(" and ")
    );
    Some(Gap::told("equal_load", why))
}
