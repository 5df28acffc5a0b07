//! The sign pattern of one device beside its likes, with its groups' effects taken out: a
//! device of a warm loop is not hot by itself.

use crate::case::Case;
use crate::panel::{PanelDevice, Signal};

use super::cohort;

/// Dip of the clock beside the likes' dip below which a device throttled, as a ratio. Healthy V100s under one load stay within 2 %; throttled ones fall to a quarter.
const THROTTLED_CLOCK: f64 = 0.93;
/// Thermal resistance beyond the cohort's middle that no healthy device has, as a share;
/// the same limit as the built-in gate.
const BAD_CONTACT: f64 = 0.15;
/// A clock within this share of its likes' is at its usual value.
const USUAL_CLOCK: f64 = 0.01;

/// What is wrong with a device, by the signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Pattern {
    /// Hot, and held back by it.
    Throttled,
    /// Far more kelvin a watt than its likes.
    BadContact,
    /// Hot, and nothing else yet.
    Warm,
    /// Less power and clock without heat.
    Short,
    /// Slow at its usual clock and less power: it waits for its host.
    Waiting,
    /// Slow for its clock, though it draws its power.
    Slow,
    /// Slow as its clock is, at its power limit: the spread of silicon.
    Silicon,
}

/// A device's residuals without what its groups explain.
pub(super) struct Signs<'a> {
    device: &'a PanelDevice,
    explained: [f64; Signal::COUNT],
    doubted: f64,
    believed: f64,
}

impl<'a> Signs<'a> {
    pub(super) fn new(case: &Case<'a>, device: &'a PanelDevice) -> Self {
        let (doubted, believed) = cohort::limits(device.cohort);
        let of_node = |node: usize| case.attribution.map(|a| a.explained[node]);
        let explained = device.node.and_then(of_node).unwrap_or([0.0; Signal::COUNT]);
        Self { device, explained, doubted, believed }
    }

    /// Residual, in the signal's own unit and direction.
    pub(super) fn residual(&self, signal: Signal) -> Option<f64> {
        Some(self.device.residuals[signal.index()]? - self.explained[signal.index()])
    }

    /// Robust z in the bad direction.
    pub(super) fn z(&self, signal: Signal) -> Option<f64> {
        let sigma = self.device.sigmas[signal.index()]?.max(signal.least_sigma());
        Some(signal.bad() * self.residual(signal)? / sigma)
    }

    fn beyond(&self, case: &Case, signal: Signal, limit: f64) -> bool {
        let enough = self.device.cohort >= cohort::LEAST_MEMBERS;
        enough
            && self.bad_by(signal) >= signal.floor(&case.policy.floors)
            && self.z(signal).is_some_and(|z| z >= limit)
    }

    /// Residual in the bad direction; zero where it is not known.
    fn bad_by(&self, signal: Signal) -> f64 {
        self.residual(signal).map_or(0.0, |residual| signal.bad() * residual)
    }

    /// Whether it was hot, and held back by its own word or by its clock.
    pub(super) fn is_held_back(&self, case: &Case) -> bool {
        let floors = &case.policy.floors;
        let warm = self.bad_by(Signal::Temp) >= floors.temp_k;
        let hot_once = self.device.temp_max.is_some_and(|(_, above)| {
            above - self.explained[Signal::Temp.index()] >= floors.temp_k
        });
        let dipped = self.device.clock_min.is_some_and(|(_, ratio)| ratio < THROTTLED_CLOCK);
        let throttles =
            self.bad_by(Signal::ThermalThrottle) >= Signal::ThermalThrottle.floor(floors);
        (throttles && (warm || hot_once)) || (dipped && hot_once)
    }

    /// Whether it draws less power than its likes, by more than the policy overlooks; so too
    /// where its power is not known.
    pub(super) fn draws_less(&self, case: &Case) -> bool {
        let least = -case.policy.floors.power_percent / 100.0;
        self.residual(Signal::Power).is_none_or(|residual| residual < least)
    }

    /// The pattern, and whether it is beyond doubt.
    pub(super) fn pattern(&self, case: &Case) -> Option<(Pattern, bool)> {
        let floors = &case.policy.floors;
        let believed = |signal| self.beyond(case, signal, self.believed);
        let doubted = |signal| self.beyond(case, signal, self.doubted);
        let warm = self.bad_by(Signal::Temp) >= floors.temp_k;
        let usual_clock = self.bad_by(Signal::Clock) <= USUAL_CLOCK;
        let sure = case.panel.is_load_equal();
        let compared = self.device.cohort >= cohort::LEAST_MEMBERS;
        if compared && self.is_held_back(case) {
            return Some((Pattern::Throttled, true));
        }
        if warm && believed(Signal::Power) {
            return Some((Pattern::Throttled, sure));
        }
        if warm && believed(Signal::RTh) && self.bad_by(Signal::RTh) >= BAD_CONTACT {
            return Some((Pattern::BadContact, sure));
        }
        if doubted(Signal::Temp) || (warm && !usual_clock && doubted(Signal::Perf)) {
            return Some((Pattern::Warm, false));
        }
        if doubted(Signal::Power) && !warm && !usual_clock {
            return Some((Pattern::Short, sure && believed(Signal::Power)));
        }
        if doubted(Signal::Perf) && usual_clock {
            let waits = self.bad_by(Signal::Power) >= floors.power_percent / 100.0;
            let pattern = if waits { Pattern::Waiting } else { Pattern::Slow };
            return Some((pattern, believed(Signal::Perf)));
        }
        doubted(Signal::Perf).then_some((Pattern::Silicon, false))
    }

    /// What a person should read about it.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for signal in Signal::ALL {
            let (Some(residual), Some(z)) = (self.residual(signal), self.z(signal)) else {
                continue;
            };
            let value = self.device.values[signal.index()].unwrap_or(f64::NAN);
            if residual.abs() < signal.least_sigma() {
                continue;
            }
            let against = match signal {
                Signal::Temp | Signal::Supply => format!("{residual:+.1} K"),
                _ if signal.is_share() => format!("{:+.1} % of the time", 100.0 * residual),
                _ => format!("{:+.1} %", 100.0 * residual),
            };
            lines.push(format!(
                "{} {} ({against} against like devices, robust z {z:.1})",
                signal.metric(),
                short(value)
            ));
        }
        if let Some((clock, ratio)) = self.device.clock_min.filter(|(_, r)| *r < THROTTLED_CLOCK) {
            let percent = 100.0 * (ratio - 1.0);
            lines
                .push(format!("least clock {clock:.0} MHz ({percent:+.0} % against like devices)"));
        }
        if let Some((temp, above)) = self.device.temp_max {
            lines.push(format!(
                "greatest temperature {temp:.0} C ({above:+.1} K against like devices)"
            ));
        }
        if self.device.node_name.is_empty() {
            lines.push("location unknown: the table names no node".to_owned());
        }
        lines
    }
}

fn short(value: f64) -> String {
    if value.abs() >= 100.0 { format!("{value:.1}") } else { format!("{value:.3}") }
}
