//! How fast a plan moves the load of one domain, in kW a second. Pure.
//!
//! The load of all nodes of the domain is summed up with its groups' own times, and looked at
//! over windows of a second: what feels it (a UPS, a pump, a governor) answers in seconds. A
//! load that ends comes down over the ramp of the coordinator. What repeats is kept apart: a
//! permit allows it by frequency and amplitude.

use std::collections::BTreeMap;

use model::Waveform;

/// Changes are seen over windows of this length, in seconds.
const STEP_S: f64 = 1.0;

/// One phase as a domain sees it.
pub(crate) struct Felt<'a> {
    pub(crate) phase: &'a str,
    pub(crate) seconds: f64,
    /// Of each node of the domain that takes part: its waveform and its kW at full level;
    /// empty without heat.
    pub(crate) nodes: BTreeMap<&'a str, (Waveform, f64)>,
}

/// The fastest rise and fall, each with its phase.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Swing {
    pub(crate) up: (f64, String),
    pub(crate) down: (f64, String),
    /// Of shapes that repeat, both ways.
    pub(crate) repeated: (f64, String),
}

impl Swing {
    fn note(&mut self, phase: &str, up: f64, down: f64) {
        note(&mut self.up, up, phase);
        note(&mut self.down, down, phase);
    }
}

fn note(most: &mut (f64, String), kw: f64, phase: &str) {
    if kw > most.0 {
        *most = (kw, phase.to_owned());
    }
}

/// The fastest swings of a plan's phases, and of a stop at the worst moment.
pub(crate) fn swing(phases: &[Felt<'_>], ramp_s: f64) -> Swing {
    let mut swing = Swing::default();
    let mut before: BTreeMap<&str, f64> = BTreeMap::new();
    for felt in phases {
        // Nodes that heat no more ramp; those that stay step to where the phase begins.
        let leaves = |node: &&str| !felt.nodes.contains_key(*node);
        let leaving: f64 = before.iter().filter(|(node, _)| leaves(node)).map(|(_, kw)| kw).sum();
        let course = Course::of(felt, &before);
        let (up, down) = course.fastest();
        swing.note(felt.phase, up, down + over(leaving, ramp_s));
        let top = course.top_kw();
        swing.note(felt.phase, 0.0, over(top, ramp_s));
        note(&mut swing.repeated, course.repeated(), felt.phase);
        let end = |(waveform, kw): &(Waveform, f64)| kw * waveform.level_at(ns(felt.seconds));
        before = felt.nodes.iter().map(|(node, load)| (*node, end(load))).collect();
    }
    swing
}

/// The load of a phase over time: kW at full level by waveform, and what was there before.
struct Course {
    loads: Vec<(Waveform, f64)>,
    before_kw: f64,
    seconds: f64,
}

impl Course {
    fn of(felt: &Felt<'_>, before: &BTreeMap<&str, f64>) -> Self {
        let mut loads: Vec<(Waveform, f64)> = Vec::new();
        for (waveform, kw) in felt.nodes.values() {
            match loads.iter_mut().find(|(known, _)| known == waveform) {
                Some((_, sum)) => *sum += kw,
                None => loads.push((*waveform, *kw)),
            }
        }
        let stayed = before.iter().filter(|(node, _)| felt.nodes.contains_key(*node));
        Self { loads, before_kw: stayed.map(|(_, kw)| kw).sum(), seconds: felt.seconds }
    }

    /// kW at an instant of the phase; what repeats stands at its first level.
    fn kw(&self, at_s: f64) -> f64 {
        if at_s < 0.0 {
            return self.before_kw;
        }
        let level = |waveform: &Waveform| {
            waveform.level_at(if waveform.hz().is_some() { 0 } else { ns(at_s) })
        };
        self.loads.iter().map(|(waveform, kw)| kw * level(waveform)).sum()
    }

    /// The fastest change within a window of a second. Between two bends the load goes
    /// straight, so that a window that changes most begins or ends at a bend.
    fn fastest(&self) -> (f64, f64) {
        let (mut up, mut down) = (0.0_f64, 0.0_f64);
        // A bend may be an edge: just before it is another level.
        let bends = self.bends().into_iter().flat_map(|at| [at - 1e-6, at, at + 1e-6]);
        for at in bends {
            for from in [at - STEP_S, at] {
                let to = (from + STEP_S).min(self.seconds);
                let change = self.kw(to) - self.kw(from.min(self.seconds));
                (up, down) = (up.max(change / STEP_S), down.max(-change / STEP_S));
            }
        }
        (up, down)
    }

    fn bends(&self) -> Vec<f64> {
        let s = |ns: u64| ns as f64 / 1e9;
        let mut bends = vec![0.0, self.seconds];
        for (waveform, _) in &self.loads {
            match *waveform {
                Waveform::Pulse { up_ns, down_ns, over_ns, .. } => {
                    bends.extend([s(up_ns), s(up_ns) + s(over_ns)]);
                    bends.extend([s(down_ns), s(down_ns) + s(over_ns)]);
                }
                Waveform::Stairs { steps, step_ns, .. } => {
                    bends.extend((1..steps.max(1)).map(|step| f64::from(step) * s(step_ns)));
                }
                _ => {}
            }
        }
        bends.retain(|at| *at <= self.seconds);
        bends.sort_by(f64::total_cmp);
        bends.dedup();
        bends
    }

    fn top_kw(&self) -> f64 {
        self.loads.iter().map(|(waveform, kw)| kw * waveform.range().1).sum()
    }

    /// kW a second of what repeats.
    fn repeated(&self) -> f64 {
        let rate = |(waveform, kw): &(Waveform, f64)| {
            let (low, high) = waveform.range();
            let steepest = match waveform {
                Waveform::Sine { .. } => std::f64::consts::PI * waveform.hz().unwrap_or(0.0),
                _ => 1.0 / STEP_S,
            };
            waveform.hz().map_or(0.0, |_| kw * (high - low) * steepest.min(1.0 / STEP_S))
        };
        self.loads.iter().map(rate).sum()
    }
}

/// kW that go in so many seconds; at once counts as a step.
fn over(kw: f64, seconds: f64) -> f64 {
    kw / seconds.max(STEP_S)
}

fn ns(seconds: f64) -> u64 {
    (seconds.max(0.0) * 1e9).round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    fn flat(level: f64) -> Waveform {
        Waveform::Hold { level }
    }

    fn felt(phase: &str, waveform: Option<Waveform>, nodes: usize) -> Felt<'_> {
        const NAMES: [&str; 4] = ["a", "b", "c", "d"];
        let nodes = waveform
            .map(|waveform| NAMES[..nodes].iter().map(|name| (*name, (waveform, 10.0))).collect());
        Felt { phase, seconds: 100.0, nodes: nodes.unwrap_or_default() }
    }

    fn close(seen: &(f64, String), kw: f64, phase: &str) {
        assert!((seen.0 - kw).abs() < 1e-3 && seen.1 == phase, "{seen:?}, not {kw} in {phase}");
    }

    #[test]
    fn a_hold_from_nothing_is_a_step_and_its_end_a_ramp() {
        let swing = swing(&[felt("hold", Some(flat(0.5)), 4), felt("rest", None, 4)], 2.0);
        close(&swing.up, 20.0, "hold");
        close(&swing.down, 10.0, "hold");
    }

    #[test]
    fn a_ramp_that_a_hold_takes_over_moves_no_faster_than_its_slope() {
        let ramp = Waveform::Ramp { from: 0.0, to: 1.0, over_ns: 100 * S };
        let swing = swing(&[felt("up", Some(ramp), 2), felt("hold", Some(flat(1.0)), 2)], 10.0);
        close(&swing.up, 0.2, "up");
        close(&swing.down, 2.0, "up");
    }

    #[test]
    fn nodes_that_leave_ramp_and_nodes_that_stay_step() {
        let phases = [felt("all", Some(flat(1.0)), 4), felt("two", Some(flat(0.2)), 2)];
        let swing = swing(&phases, 5.0);
        close(&swing.down, 16.0 + 4.0, "two");
    }

    #[test]
    fn groups_that_start_apart_move_one_at_a_time() {
        let pulse = |up, over_ns| Waveform::Pulse {
            low: 0.0,
            high: 1.0,
            up_ns: up * S,
            down_ns: (up + 50) * S,
            over_ns,
        };
        let nodes = |delay: u64, over_ns| {
            let each = ["a", "b", "c"].iter().enumerate();
            let nodes = each.map(|(at, name)| (*name, (pulse(at as u64 * delay, over_ns), 10.0)));
            [Felt { phase: "s", seconds: 100.0, nodes: nodes.collect() }]
        };
        close(&swing(&nodes(5, 0), 30.0).up, 10.0, "s");
        close(&swing(&nodes(5, 5 * S), 30.0).up, 2.0, "s");
        close(&swing(&nodes(0, 10 * S), 30.0).up, 3.0, "s");
        close(&swing(&nodes(5, 10 * S), 30.0).up, 2.0, "s");
        close(&swing(&nodes(5, 0), 30.0).down, 10.0, "s");
    }

    #[test]
    fn what_repeats_is_kept_apart() {
        let square = Waveform::Square { low: 0.2, high: 1.0, period_ns: 2 * S };
        let swing = swing(&[felt("square", Some(square), 1)], 10.0);
        close(&swing.repeated, 8.0, "square");
        close(&swing.up, 10.0, "square");
    }
}
