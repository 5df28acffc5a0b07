//! How fast a plan moves the load of one domain, in kW a second. Pure.
//!
//! A change of level at the start of a phase counts as if it took a second: what feels it (a
//! UPS, a pump, a governor) answers in seconds. A load that ends comes down over the ramp of
//! the coordinator. The edges of what repeats are allowed by frequency and amplitude.

use std::collections::BTreeMap;

use model::permit::Shape;

/// A change of level from one phase to the next is spread over this, in seconds.
const STEP_S: f64 = 1.0;

/// One phase as a domain sees it.
pub(super) struct Felt<'a> {
    pub(super) phase: &'a str,
    /// `None` without heat.
    pub(super) shape: Option<Shape>,
    /// kW at full level of each node of the domain that takes part.
    pub(super) nodes: BTreeMap<&'a str, f64>,
}

/// The fastest rise and fall, each with its phase.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Swing {
    pub(super) up: (f64, String),
    pub(super) down: (f64, String),
}

impl Swing {
    fn note(&mut self, phase: &str, up: f64, down: f64) {
        if up > self.up.0 {
            self.up = (up, phase.to_owned());
        }
        if down > self.down.0 {
            self.down = (down, phase.to_owned());
        }
    }
}

/// The fastest swings of a plan's phases, and of a stop at the worst moment.
pub(super) fn swing(phases: &[Felt<'_>], ramp_s: f64) -> Swing {
    let mut swing = Swing::default();
    let mut before: BTreeMap<&str, f64> = BTreeMap::new();
    for felt in phases {
        let full: f64 = felt.nodes.values().sum();
        let mut now = BTreeMap::new();
        if let Some(shape) = felt.shape {
            let slope = shape.slope_per_s * full;
            swing.note(felt.phase, slope.max(0.0), (-slope).max(0.0));
            swing.note(felt.phase, 0.0, over(full * shape.high, ramp_s));
            now.extend(felt.nodes.iter().map(|(node, kw)| (*node, kw * shape.first)));
        }
        let (mut up, mut step_down, mut leaving) = (0.0, 0.0, 0.0);
        for (node, kw) in &now {
            let change = kw - before.get(node).copied().unwrap_or(0.0);
            up += change.max(0.0);
            step_down += (-change).max(0.0);
        }
        for (node, kw) in &before {
            if !now.contains_key(node) {
                leaving += kw;
            }
        }
        swing.note(felt.phase, up / STEP_S, step_down / STEP_S + over(leaving, ramp_s));
        before = match felt.shape {
            Some(shape) => felt.nodes.iter().map(|(node, kw)| (*node, kw * shape.last)).collect(),
            None => BTreeMap::new(),
        };
    }
    swing
}

/// kW that go in so many seconds; at once counts as a step.
fn over(kw: f64, seconds: f64) -> f64 {
    kw / seconds.max(STEP_S)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flat(level: f64) -> Shape {
        Shape { first: level, last: level, low: level, high: level, hz: None, slope_per_s: 0.0 }
    }

    fn felt(phase: &str, shape: Option<Shape>, nodes: usize) -> Felt<'_> {
        const NAMES: [&str; 4] = ["a", "b", "c", "d"];
        Felt { phase, shape, nodes: NAMES[..nodes].iter().map(|name| (*name, 10.0)).collect() }
    }

    #[test]
    fn a_hold_from_nothing_is_a_step_and_its_end_a_ramp() {
        let swing = swing(&[felt("hold", Some(flat(0.5)), 4), felt("rest", None, 4)], 2.0);
        assert_eq!(swing.up, (20.0, "hold".to_owned()));
        assert_eq!(swing.down, (10.0, "hold".to_owned()));
    }

    #[test]
    fn a_ramp_that_a_hold_takes_over_moves_no_faster_than_its_slope() {
        let ramp = Shape { first: 0.0, low: 0.0, slope_per_s: 0.01, ..flat(1.0) };
        let swing = swing(&[felt("up", Some(ramp), 2), felt("hold", Some(flat(1.0)), 2)], 10.0);
        assert_eq!(swing.up, (0.2, "up".to_owned()));
        assert_eq!(swing.down, (2.0, "up".to_owned()), "a stop at the top");
    }

    #[test]
    fn nodes_that_leave_ramp_and_nodes_that_stay_step() {
        let phases = [felt("all", Some(flat(1.0)), 4), felt("two", Some(flat(0.2)), 2)];
        let swing = swing(&phases, 5.0);
        assert_eq!(swing.down, (16.0 + 4.0, "two".to_owned()));
    }
}
